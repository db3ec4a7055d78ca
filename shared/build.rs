//! Lists the scheme files of `schemes/` for `src/verify/registry.rs`, so that a new provider is a file and nothing else.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=schemes");
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("schemes");
    let mut slugs = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let name = entry?.file_name();
        let name = name.to_str().ok_or("a scheme file's name is not UTF-8")?;
        if let Some(slug) = name.strip_suffix(".toml") {
            check(slug)?;
            slugs.push(slug.to_owned());
        }
    }
    slugs.sort();
    let mut list = String::from("&[\n");
    for slug in slugs {
        list += &format!(
            "    (\"{slug}\", include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/schemes/{slug}.toml\"))),\n"
        );
    }
    list += "]\n";
    fs::write(Path::new(&env::var("OUT_DIR")?).join("schemes.rs"), list)?;
    Ok(())
}

/// A slug is typed, stands in URLs and names a table: nothing in it needs quotes.
fn check(slug: &str) -> Result<(), String> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if slug.is_empty() || !slug.bytes().all(is_plain) {
        return Err(format!(
            "`schemes/{slug}.toml`: expected a name of a-z, 0-9 and `_`"
        ));
    }
    Ok(())
}
