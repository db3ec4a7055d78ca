//! Bodies that are easily taken for the one that came: one plausible change each, made only when it is tried.

use std::borrow::Cow;

use memchr::{memchr2, memmem};

use super::budget::Budget;
use super::inflate;
use super::variants::Variant;

/// The longest body that is parsed or written anew: that costs several times the MAC of it.
pub(super) const MAX_PARSED_BYTES: usize = 64 * 1024;

/// A change of a body: its code, the words that complete "the signature matches …", and how it is made.
struct Change {
    code: &'static str,
    words: &'static str,
    make: Make,
}

enum Make {
    /// Costs next to nothing.
    Cheap(fn(&[u8]) -> Option<Cow<'_, [u8]>>),
    /// Reads and writes the whole body, if it is JSON.
    Json(fn(&[u8]) -> Option<Vec<u8>>),
    /// Unpacks the body.
    Inflated,
}

const BODY_HINT: &str =
    "something between the provider and the relay rewrites the body; it must pass unchanged";

const CHANGES: [Change; 11] = [
    Change {
        code: "trailing_newline",
        words: "the body without its last line end",
        make: Make::Cheap(|body| {
            let line_feed = body.strip_suffix(b"\n")?;
            let without = line_feed.strip_suffix(b"\r").unwrap_or(line_feed);
            Some(without.into())
        }),
    },
    Change {
        code: "missing_newline",
        words: "the body with a line end added",
        make: Make::Cheap(|body| Some([body, b"\n"].concat().into())),
    },
    Change {
        code: "byte_order_mark",
        words: "the body without its byte order mark",
        make: Make::Cheap(|body| body.strip_prefix(b"\xef\xbb\xbf").map(Cow::Borrowed)),
    },
    Change {
        code: "compressed",
        words: "the body unpacked from gzip or zlib",
        make: Make::Inflated,
    },
    Change {
        code: "line_ends",
        words: "the body with LF for each CRLF",
        make: Make::Cheap(|body| replaced(body, b"\r\n", b"\n").map(Cow::Owned)),
    },
    Change {
        code: "json_reformatted",
        words: "the JSON of the body without spaces",
        make: Make::Json(|body| respaced(body, Spacing::Compact)),
    },
    Change {
        code: "json_reformatted",
        words: "the JSON of the body with a space after `:` and `,`",
        make: Make::Json(|body| respaced(body, Spacing::Spaced)),
    },
    Change {
        code: "json_reformatted",
        words: "the JSON of the body indented by two spaces",
        make: Make::Json(|body| respaced(body, Spacing::Indented)),
    },
    Change {
        code: "json_reformatted",
        words: "the body with `\\/` for each `/` (as PHP writes it)",
        make: Make::Json(|body| replaced(body, b"/", b"\\/")),
    },
    Change {
        code: "json_reformatted",
        words: "the body with `/` for each `\\/`",
        make: Make::Json(|body| replaced(body, b"\\/", b"/")),
    },
    Change {
        code: "json_reformatted",
        words: "the body with escapes for other than ASCII",
        make: Make::Json(escaped),
    },
];

/// The bodies that may have been signed instead, one after the other; none is made before it is asked for.
pub(super) struct Bodies<'b> {
    body: &'b [u8],
    next: usize,
    is_json: Option<bool>,
}

impl<'b> Bodies<'b> {
    pub(super) const fn of(body: &'b [u8]) -> Self {
        Self {
            body,
            next: 0,
            is_json: None,
        }
    }

    /// The next body that differs from the one that came, paid for out of the budget.
    pub(super) fn next(&mut self, budget: &mut Budget) -> Option<Variant<Cow<'b, [u8]>>> {
        loop {
            let change = CHANGES.get(self.next)?;
            self.next += 1;
            let value = self
                .make(change, budget)
                .filter(|value| **value != *self.body);
            if let Some(value) = value {
                return Some(Variant {
                    code: change.code,
                    words: change.words,
                    hint: BODY_HINT,
                    value,
                });
            }
        }
    }

    fn make(&mut self, change: &Change, budget: &mut Budget) -> Option<Cow<'b, [u8]>> {
        match change.make {
            Make::Cheap(make) => make(self.body),
            Make::Inflated => inflate::inflated(self.body, budget).map(Cow::Owned),
            Make::Json(make) => {
                let may_be_json = matches!(self.body.trim_ascii_start().first(), Some(b'{' | b'['));
                if !may_be_json {
                    return None;
                }
                let length = self.body.len();
                if length > MAX_PARSED_BYTES {
                    budget.left_something_out = true;
                    return None;
                }
                if !self.is_json(budget) || !budget.spend_bytes(length as u64) {
                    return None;
                }
                make(self.body).map(Cow::Owned)
            }
        }
    }

    fn is_json(&mut self, budget: &mut Budget) -> bool {
        let body = self.body;
        *self.is_json.get_or_insert_with(|| {
            budget.spend_bytes(body.len() as u64)
                && serde_json::from_slice::<&serde_json::value::RawValue>(body).is_ok()
        })
    }
}

/// How JSON is laid out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spacing {
    /// `JSON.stringify(x)`
    Compact,
    /// Python's `json.dumps(x)`
    Spaced,
    /// `JSON.stringify(x, null, 2)`
    Indented,
}

/// The same JSON tokens with other white space between them. Deep nesting makes indentation grow without bound;
/// nobody signed such a text.
fn respaced(json: &[u8], spacing: Spacing) -> Option<Vec<u8>> {
    let most = json.len() * 4 + 64;
    let mut output = Vec::with_capacity(json.len());
    let mut depth = 0_usize;
    let mut just_opened = false;
    let mut rest = json;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte.is_ascii_whitespace() {
            continue;
        }
        let closes = matches!(byte, b'}' | b']');
        if closes {
            depth = depth.saturating_sub(1);
        }
        if spacing == Spacing::Indented && just_opened != closes {
            indent(&mut output, depth);
        }
        just_opened = false;
        output.push(byte);
        match byte {
            b'"' => {
                let (string, after) = rest.split_at(string_length(rest));
                output.extend_from_slice(string);
                rest = after;
            }
            b'{' | b'[' => {
                depth += 1;
                just_opened = true;
            }
            b':' if spacing != Spacing::Compact => output.push(b' '),
            b',' if spacing == Spacing::Spaced => output.push(b' '),
            b',' if spacing == Spacing::Indented => indent(&mut output, depth),
            _ => {}
        }
        if output.len() > most {
            return None;
        }
    }
    Some(output)
}

/// The length of what is left of a JSON string, its closing quote included.
fn string_length(text: &[u8]) -> usize {
    let mut length = 0;
    while let Some(found) = memchr2(b'"', b'\\', &text[length..]) {
        length += found;
        if text[length] == b'"' {
            return length + 1;
        }
        length = (length + 2).min(text.len());
    }
    text.len()
}

fn indent(output: &mut Vec<u8>, depth: usize) {
    output.push(b'\n');
    output.extend(std::iter::repeat_n(b' ', depth * 2));
}

/// The text with all of `from` replaced; none when there is none.
fn replaced(text: &[u8], from: &[u8], to: &[u8]) -> Option<Vec<u8>> {
    let mut output = Vec::new();
    let mut end = 0;
    for start in memmem::find_iter(text, from) {
        output.extend_from_slice(&text[end..start]);
        output.extend_from_slice(to);
        end = start + from.len();
    }
    if end == 0 {
        return None;
    }
    output.extend_from_slice(&text[end..]);
    Some(output)
}

/// The text with `\uXXXX` for every character outside ASCII; none when there is none.
fn escaped(body: &[u8]) -> Option<Vec<u8>> {
    if body.is_ascii() {
        return None;
    }
    let text = std::str::from_utf8(body).ok()?;
    let mut output = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii() {
            output.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                output.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    Some(output.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_laid_out_as_the_usual_writers_do() {
        let json = br#" {"a" : [1,{}, []] , "b":"x: ,\"{\\" } "#;
        let text = |spacing| String::from_utf8(respaced(json, spacing).unwrap()).unwrap();

        assert_eq!(text(Spacing::Compact), r#"{"a":[1,{},[]],"b":"x: ,\"{\\"}"#);
        assert_eq!(
            text(Spacing::Spaced),
            r#"{"a": [1, {}, []], "b": "x: ,\"{\\"}"#
        );
        let indented =
            "{\n  \"a\": [\n    1,\n    {},\n    []\n  ],\n  \"b\": \"x: ,\\\"{\\\\\"\n}";
        assert_eq!(text(Spacing::Indented), indented);
    }

    #[test]
    fn nesting_without_bound_is_not_indented() {
        let deep = [vec![b'['; 5000], vec![b']'; 5000]].concat();

        assert_eq!(respaced(&deep, Spacing::Indented), None);
    }

    #[test]
    fn only_what_differs_is_tried() {
        let codes = |body: &[u8]| {
            let (mut bodies, mut budget) = (Bodies::of(body), Budget::full());
            let next = || bodies.next(&mut budget).map(|variant| variant.code);
            std::iter::from_fn(next).collect::<Vec<_>>()
        };

        assert_eq!(codes(b"a"), ["missing_newline"]);
        let of_json = ["missing_newline", "json_reformatted", "json_reformatted"];
        assert_eq!(codes(b"{\"a\":1}"), of_json);
        assert_eq!(
            codes(b"a\r\n"),
            ["trailing_newline", "missing_newline", "line_ends"]
        );
    }

    #[test]
    fn json_over_the_bound_is_not_parsed_and_that_is_told() {
        for (length, count, is_told) in [
            (MAX_PARSED_BYTES, 3, false),
            (MAX_PARSED_BYTES + 1, 1, true),
        ] {
            let mut body = b"{\"a\":\"".to_vec();
            body.resize(length - 2, b'x');
            body.extend_from_slice(b"\"}");
            let (mut bodies, mut budget) = (Bodies::of(&body), Budget::full());

            let found = std::iter::from_fn(|| bodies.next(&mut budget)).count();

            assert_eq!(found, count);
            assert_eq!(budget.left_something_out, is_told);
        }
    }
}
