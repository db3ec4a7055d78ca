//! Makes text from outside safe to show: nothing in it can move the cursor, colour the screen, hide or reorder
//! what stands beside it. The one place where this is decided.

use std::borrow::Cow;
use std::fmt::Write as _;

/// One line of text for a terminal. Control characters (line ends and tabs too), ESC, the C1 range and
/// characters that reorder or hide text become `\u{…}` or the usual short escape.
pub fn line(text: &str) -> Cow<'_, str> {
    escape(text, |_| false)
}

/// Text of several lines: line feeds and tabs stay, all else is as in [`line()`].
pub fn block(text: &str) -> Cow<'_, str> {
    escape(text, |character| matches!(character, '\n' | '\t'))
}

/// One line from bytes: what is not UTF-8 becomes `\xNN`.
pub fn bytes(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        shown.push_str(&line(chunk.valid()));
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

/// A JSON text that means the same and has no dangerous character: JSON itself escapes the C0 controls only.
pub fn json(text: &str) -> String {
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_dangerous(character) && !character.is_ascii() {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(character);
        }
    }
    shown
}

fn escape(text: &str, is_kept: impl Fn(char) -> bool) -> Cow<'_, str> {
    let must_change = |character: char| is_dangerous(character) && !is_kept(character);
    if !text.contains(must_change) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if must_change(character) {
            push_escaped(&mut shown, character);
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

fn push_escaped(shown: &mut String, character: char) {
    match character {
        '\n' => shown.push_str("\\n"),
        '\r' => shown.push_str("\\r"),
        '\t' => shown.push_str("\\t"),
        '\0'..='\x7f' => {
            let _ = write!(shown, "\\x{:02x}", u32::from(character));
        }
        _ => {
            let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
        }
    }
}

/// Controls (C0, DEL, C1), line and paragraph separators, bidirectional marks, embeddings and overrides,
/// zero-width characters, the byte order mark, interlinear annotations, and tags.
const fn is_dangerous(character: char) -> bool {
    matches!(
        character,
        '\0'..='\x1f'
            | '\x7f'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(
            line("\x1b[2J\x1b]0;owned\x07"),
            "\\x1b[2J\\x1b]0;owned\\x07"
        );
        assert_eq!(line("\u{9b}31m"), "\\u{9b}31m");
        assert_eq!(line("\u{7f}\0"), "\\x7f\\x00");
    }

    #[test]
    fn bidirectional_overrides_are_shown_as_what_they_are() {
        for character in ('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}') {
            let shown = line(&character.to_string()).into_owned();

            assert_eq!(shown, format!("\\u{{{:x}}}", u32::from(character)));
        }
    }

    #[test]
    fn a_line_has_no_line_ends_and_a_block_keeps_its_own() {
        assert_eq!(line("a\r\nb\tc"), "a\\r\\nb\\tc");
        assert_eq!(block("a\r\nb\tc\u{b}"), "a\\r\nb\tc\\x0b");
    }

    #[test]
    fn json_means_the_same_after_it_was_made_safe() {
        let value = serde_json::json!({ "a": "\u{9b}31m\u{202e}\u{e0001} Grüße \n" });

        let shown = json(&value.to_string());

        assert!(!shown.contains(is_dangerous), "{shown}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&shown).unwrap(),
            value
        );
    }

    #[test]
    fn ordinary_text_of_any_script_is_left_alone() {
        assert!(matches!(line("Grüße, 世界 😀 שלום"), Cow::Borrowed(_)));
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_shown_in_hex() {
        assert_eq!(bytes(b"caf\xe9 \xf0\x9f\x98\x80\x1b"), "caf\\xe9 😀\\x1b");
    }

    proptest! {
        #[test]
        fn nothing_dangerous_survives(text in any::<String>(), raw in proptest::collection::vec(any::<u8>(), 0..60)) {
            prop_assert!(!line(&text).contains(is_dangerous));
            prop_assert!(!bytes(&raw).contains(is_dangerous));
            prop_assert!(block(&text).chars().all(|c| !is_dangerous(c) || c == '\n' || c == '\t'));
        }
    }
}
