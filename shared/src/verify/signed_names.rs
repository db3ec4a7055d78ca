//! Bounds the lists with which a request names its own signed headers.
//! Each name costs its header once more, or another digest of the body, before any signature is checked.

use super::trouble::Failing;
use crate::verdict::Cause;

/// How many names such a list may have; the longest of a known provider has nine.
pub(super) const MAX_SIGNED_NAMES: usize = 32;

/// Refuses a list that is too long or has a name twice (for RFC 9421 that is a rule: §2).
pub(super) fn check(names: &[&str]) -> Result<(), Failing> {
    let malformed = |detail: String| Err(Failing::new(Cause::MalformedSignature, detail));
    if names.len() > MAX_SIGNED_NAMES {
        return malformed(format!(
            "the signature lists more than {MAX_SIGNED_NAMES} headers"
        ));
    }
    for (index, name) in names.iter().enumerate() {
        let mut earlier = names[..index].iter();
        if earlier.any(|other| other.eq_ignore_ascii_case(name)) {
            return malformed(format!(
                "the signature lists `{}` twice",
                name.escape_debug()
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_may_have_so_many_names_and_no_more() {
        let names: Vec<String> = (0..=MAX_SIGNED_NAMES)
            .map(|number| format!("x-{number}"))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();

        assert_eq!(check(&names[1..]), Ok(()));
        assert!(check(&names).is_err());
    }

    #[test]
    fn a_name_counts_once_in_any_letter_case() {
        assert_eq!(check(&["host", "date"]), Ok(()));
        assert!(check(&["host", "date", "Host"]).is_err());
    }
}
