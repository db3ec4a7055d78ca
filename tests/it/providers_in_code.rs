//! A provider is data: no line of the engine or the relay names one, but for the special cases in a folder of their own.

use std::path::Path;

use towline_shared::verify::Provider;
use towline_tests::binaries::workspace;

#[test]
fn no_code_names_a_provider_outside_the_special_cases() {
    let names: Vec<[String; 3]> = Provider::builtin_slugs()
        .map(|slug| {
            let header = slug.replace('_', "-");
            [
                format!("\"{slug}\""),
                format!("\"x-{header}"),
                format!("\"{header}-"),
            ]
        })
        .collect();
    let mut found = Vec::new();
    let mut count = 0;
    for folder in ["shared/src", "relay-server/src"] {
        walk(&workspace().join(folder), &mut |path, text| {
            count += 1;
            let is_exempt = path.contains("/verify/special") || path.contains("tests");
            let code = text
                .lines()
                .take_while(|line| !line.starts_with("#[cfg(test)]"));
            for line in code.filter(|_| !is_exempt) {
                let code = line.split("//").next().unwrap_or_default();
                let is_named =
                    |name: &[String; 3]| name.iter().any(|word| code.contains(word.as_str()));
                if names.iter().any(is_named) {
                    found.push(format!("{path}: {}", line.trim()));
                }
            }
        });
    }

    assert!(count > 100, "looked in the wrong place");
    assert!(
        found.is_empty(),
        "what is particular to a provider belongs into its scheme file:\n{}",
        found.join("\n")
    );
}

fn walk(folder: &Path, look: &mut impl FnMut(&str, &str)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, look);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            look(
                path.to_str().unwrap(),
                &std::fs::read_to_string(&path).unwrap(),
            );
        }
    }
}
