//! `towline schemes show`: how one provider signs, in words, and its scheme file.

use serde::Serialize;
use towline_shared::verify::{About, AboutHandshake, AboutScheme, Provider};

use super::super::provider_options::check_provider;
use super::super::{Exit, Failure};
use super::words;
use crate::screen::{Screen, escape};

/// A provider as JSON.
#[derive(Serialize)]
struct Shown<'a> {
    v: u32,
    #[serde(flatten)]
    about: &'a About,
    file: &'a str,
}

/// Shows a provider, or a scheme file.
///
/// # Errors
/// When there is no such provider, the file has a mistake, or stdout cannot be written.
pub(super) fn run(name: &str, screen: &Screen, is_json: bool) -> anyhow::Result<Exit> {
    let (about, file) = if name.ends_with(".toml") {
        let text = super::read(name)?;
        (of_file(name, &text)?.about(), text)
    } else {
        let about = check_provider(name)?.about();
        (
            about,
            Provider::builtin_file(name).unwrap_or_default().to_owned(),
        )
    };
    if is_json {
        screen.json(&Shown {
            v: 1,
            about: &about,
            file: &file,
        })?;
        return Ok(Exit::Done);
    }
    // The words are comments, so that the whole is a scheme file again.
    for line in explanation(&about) {
        let line = escape::line(&line).into_owned();
        screen.data(format!("# {line}").trim_end())?;
    }
    screen.data("")?;
    for line in file.lines() {
        screen.data(&escape::line(line))?;
    }
    Ok(Exit::Done)
}

fn of_file(name: &str, text: &str) -> Result<Provider, Failure> {
    let wrong = |problem: String| {
        Failure::invalid(format!("the scheme file `{name}` has a mistake: {problem}")).hint(
            format!("`towline schemes check {name}` tells all of them, one a line"),
        )
    };
    let slug = Provider::slug_in(text).ok_or_else(|| wrong("it has no table".to_owned()))?;
    Provider::parse(&slug, text).map_err(|errors| wrong(errors.to_string()))
}

fn explanation(about: &About) -> Vec<String> {
    let mut lines = vec![format!("{} ({})", about.name, about.provider)];
    if let Some(base) = &about.extends {
        lines.push(format!("signs as `{base}` does"));
    }
    if let Some(class) = &about.evidence {
        lines.push(format!("evidence {class}: {}", evidence(class)));
    }
    if let Some(docs) = &about.docs {
        lines.push(format!("documented at {docs}"));
    }
    if !about.delivery_id.is_empty() {
        lines.push(format!(
            "its own id of a delivery: {}",
            about.delivery_id.join(", else ")
        ));
    }
    if !about.event_type.is_empty() {
        lines.push(format!(
            "its name of what happened: {}",
            about.event_type.join(", else ")
        ));
    }
    for (index, scheme) in about.schemes.iter().enumerate() {
        lines.push(String::new());
        lines.extend(of_scheme(scheme, index, about.schemes.len()));
    }
    for handshake in &about.handshakes {
        lines.push(String::new());
        lines.extend(of_handshake(handshake));
    }
    lines
}

fn evidence(class: &str) -> &'static str {
    match class {
        "A" => "the provider's own code or documentation was read",
        "B" => "another implementation was read",
        _ => "from memory; confirm it with the provider before relying on it",
    }
}

fn of_scheme(scheme: &AboutScheme, index: usize, number: usize) -> Vec<String> {
    let title = match &scheme.id {
        Some(id) => format!("scheme `{id}`"),
        None => "scheme".to_owned(),
    };
    let place = if number > 1 {
        format!(
            " ({} of {number}; the first whose signature is present decides)",
            index + 1
        )
    } else {
        String::new()
    };
    let mut lines = vec![format!("{title}{place}: {}", scheme.method)];
    let mut add = |label: &str, text: String| lines.push(format!("  {label:<10}{text}"));
    if !scheme.when.is_empty() {
        add("applies", format!("when {}", scheme.when.join(" and ")));
    }
    add("found in", scheme.places.join(" or "));
    for words in &scheme.cut {
        add("", words.clone());
    }
    if !scheme.encodings.is_empty() {
        add("written", scheme.encodings.join(" or "));
    }
    add("key", scheme.key.clone());
    for (index, text) in scheme.signed.iter().enumerate() {
        let label = if index == 0 { "signed" } else { "or" };
        add(label, text.replace('\n', "\\n"));
    }
    for words in &scheme.requires {
        add("requires", words.clone());
    }
    if let Some(window) = &scheme.window {
        let signed = if window.is_signed {
            ""
        } else {
            "; the time is not signed"
        };
        let text = format!(
            "{} is {}: at most {} s old and {} s ahead{signed}",
            window.place, window.format, window.tolerance, window.future
        );
        add("window", text);
    }
    if !scheme.parameters.is_empty() {
        add(
            "parameters",
            format!(" {} (`--param NAME=VALUE`)", scheme.parameters.join(", ")),
        );
    }
    add("covers", words::covers(scheme.covers));
    let signs = match &scheme.cannot_sign {
        None => "yes".to_owned(),
        Some(why) => format!("no: {why}"),
    };
    add("we sign", signs);
    lines
}

fn of_handshake(handshake: &AboutHandshake) -> Vec<String> {
    let mut lines = vec![format!("challenge: when {}", handshake.when.join(" and "))];
    let mut add = |text: String| lines.push(format!("  {text}"));
    if handshake.verifies {
        add("its own signature is checked first".to_owned());
    }
    let body = if handshake.body.is_empty() {
        "an empty body".to_owned()
    } else {
        format!("the body {}", handshake.body)
    };
    add(format!("answered with {} and {body}", handshake.status));
    if handshake.is_guarded {
        add("only for texts that no delivery can be, so that nobody gets a body signed".to_owned());
    }
    if handshake.captures_secret {
        add(
            "it hands over the secret, which is taken only while the endpoint waits for one"
                .to_owned(),
        );
    }
    if handshake.confirms {
        add("a URL of the provider is fetched to confirm".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_is_explained_with_its_place_text_and_coverage() {
        for slug in Provider::builtin_slugs() {
            let about = Provider::builtin(slug).unwrap().about();
            let text = explanation(&about).join("\n");

            for word in ["found in", "key", "covers", "we sign", "documented at"] {
                assert!(text.contains(word), "{slug} lacks `{word}`:\n{text}");
            }
        }
    }
}
