//! The words in which tables tell what a scheme does.

use towline_shared::verify::{About, BodyCover, Covers};

/// The methods of all schemes, each once.
pub(super) fn methods(about: &About) -> String {
    once(about.schemes.iter().map(|scheme| scheme.method.clone())).join(", ")
}

/// What the signatures cover; of several schemes each that differs.
pub(super) fn coverage(about: &About) -> String {
    once(about.schemes.iter().map(|scheme| covers(scheme.covers))).join(" / ")
}

/// What one signature covers.
pub(super) fn covers(covers: Covers) -> String {
    let body = match covers.body {
        BodyCover::Whole => Some("body"),
        BodyCover::Part => Some("part of the body"),
        BodyCover::Nothing => None,
    };
    let parts = [
        body,
        covers.time.then_some("time"),
        covers.url.then_some("URL"),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        "nothing".to_owned()
    } else {
        parts.join(", ")
    }
}

/// Whether we can sign like the provider.
pub(super) fn signs(about: &About) -> &'static str {
    let can = about
        .schemes
        .iter()
        .filter(|scheme| scheme.can_sign)
        .count();
    match can {
        0 => "no",
        all if all == about.schemes.len() => "yes",
        _ => "in part",
    }
}

/// Whether the relay answers a challenge of the provider.
pub(super) fn handshake(about: &About) -> &'static str {
    if about.handshakes.is_empty() {
        "–"
    } else {
        "yes"
    }
}

/// Each once, in the order in which they came.
fn once(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut list: Vec<String> = Vec::new();
    for word in words {
        if !list.contains(&word) {
            list.push(word);
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use towline_shared::verify::Provider;

    use super::*;

    #[test]
    fn the_words_say_what_each_kind_of_scheme_does() {
        for (slug, covers, signing, challenge) in [
            ("github", "body", "yes", "–"),
            ("stripe", "body, time", "yes", "–"),
            ("square", "body, URL", "yes", "–"),
            ("telegram", "nothing", "yes", "–"),
            ("adyen", "part of the body", "no", "–"),
            ("discord", "body", "no", "yes"),
            ("svix", "body, time", "in part", "–"),
            ("gitlab", "body, time / nothing", "yes", "–"),
            ("strava", "nothing", "no", "yes"),
        ] {
            let about = Provider::builtin(slug).unwrap().about();

            assert_eq!(coverage(&about), covers, "{slug}");
            assert_eq!(signs(&about), signing, "{slug}");
            assert_eq!(handshake(&about), challenge, "{slug}");
        }
    }
}
