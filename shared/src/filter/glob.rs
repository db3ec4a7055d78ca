//! A form with stars, such as `/hooks/*`: each star is any run of bytes. Found piece by piece from the left, without
//! ever going back, so that it costs one pass.

use memchr::memmem;

/// A form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Glob {
    text: String,
}

impl Glob {
    pub(super) const fn new(text: String) -> Self {
        Self { text }
    }

    /// The form as it was given.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether all of the value is of this form.
    pub(super) fn is_match(&self, value: &[u8]) -> bool {
        let Some((first, rest)) = self.text.split_once('*') else {
            return value == self.text.as_bytes();
        };
        let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
        let Some(value) = value.strip_prefix(first.as_bytes()) else {
            return false;
        };
        let Some(mut value) = value.strip_suffix(last.as_bytes()) else {
            return false;
        };
        // The leftmost find of each piece leaves the most for those that follow.
        for piece in middle.split('*').filter(|piece| !piece.is_empty()) {
            let Some(found) = memmem::find(value, piece.as_bytes()) else {
                return false;
            };
            value = &value[found + piece.len()..];
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_is_any_run_of_bytes() {
        for (form, value, expected) in [
            ("/hooks/*", "/hooks/", true),
            ("/hooks/*", "/hooks/a/b", true),
            ("/hooks/*", "/hook", false),
            ("*.paid", "invoice.paid", true),
            ("*.paid", "invoice.paid.x", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "acb", false),
            ("*", "", true),
            ("**", "x", true),
            ("", "", true),
            ("", "x", false),
            ("a*bc*bc", "abcbc", true),
            ("a*bc*bc", "abc", false),
        ] {
            let is_match = Glob::new(form.to_owned()).is_match(value.as_bytes());
            assert_eq!(is_match, expected, "{form} {value}");
        }
    }

    proptest! {
        #[test]
        fn it_says_the_same_as_trying_everything(form in "[ab*]{0,8}", value in "[ab]{0,8}") {
            let is_match = Glob::new(form.clone()).is_match(value.as_bytes());

            prop_assert_eq!(is_match, tried(form.as_bytes(), value.as_bytes()));
        }
    }

    fn tried(form: &[u8], value: &[u8]) -> bool {
        match form {
            [] => value.is_empty(),
            [b'*', rest @ ..] => (0..=value.len()).any(|at| tried(rest, &value[at..])),
            [byte, rest @ ..] => value.first() == Some(byte) && tried(rest, &value[1..]),
        }
    }
}
