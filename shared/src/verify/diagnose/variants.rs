//! What a body, a public URL or a secret may have been when the provider signed: one plausible change each.

use std::borrow::Cow;

use crate::verify::encoding::Encoding;
use crate::verify::url::UrlParts;

/// Something changed, with a code and the words that say how.
pub(super) struct Variant<T> {
    pub(super) code: &'static str,
    /// Completes "the signature matches …".
    pub(super) words: &'static str,
    pub(super) hint: &'static str,
    pub(super) value: T,
}

const BODY_HINT: &str =
    "something between the provider and the relay rewrites the body; it must pass unchanged";

/// Bodies that are easily taken for the one that came.
pub(super) fn bodies(body: &[u8]) -> Vec<Variant<Vec<u8>>> {
    let mut variants = Vec::new();
    let mut push = |code, words, value: Option<Vec<u8>>| {
        if let Some(value) = value.filter(|value| value != body) {
            variants.push(Variant {
                code,
                words,
                hint: BODY_HINT,
                value,
            });
        }
    };
    let without_newline = body
        .strip_suffix(b"\r\n")
        .or_else(|| body.strip_suffix(b"\n"));
    push(
        "trailing_newline",
        "the body without its last line end",
        without_newline.map(<[u8]>::to_vec),
    );
    push(
        "missing_newline",
        "the body with a line end added",
        Some([body, b"\n"].concat()),
    );
    push(
        "byte_order_mark",
        "the body without its byte order mark",
        body.strip_prefix(b"\xef\xbb\xbf").map(<[u8]>::to_vec),
    );
    push(
        "line_ends",
        "the body with LF for each CRLF",
        Some(replace(body, b"\r\n", b"\n")),
    );
    let is_json = serde_json::from_slice::<&serde_json::value::RawValue>(body).is_ok();
    if is_json {
        push(
            "json_reformatted",
            "the JSON of the body without spaces",
            Some(respaced(body, Spacing::Compact)),
        );
        push(
            "json_reformatted",
            "the JSON of the body with a space after `:` and `,`",
            Some(respaced(body, Spacing::Spaced)),
        );
        push(
            "json_reformatted",
            "the JSON of the body indented by two spaces",
            Some(respaced(body, Spacing::Indented)),
        );
        push(
            "json_reformatted",
            "the body with `\\/` for each `/` (as PHP writes it)",
            Some(replace(body, b"/", b"\\/")),
        );
        push(
            "json_reformatted",
            "the body with `/` for each `\\/`",
            Some(replace(body, b"\\/", b"/")),
        );
        push(
            "json_reformatted",
            "the body with escapes for other than ASCII",
            escaped(body),
        );
    }
    variants
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

/// The same JSON tokens with other white space between them.
fn respaced(json: &[u8], spacing: Spacing) -> Vec<u8> {
    let mut output = Vec::with_capacity(json.len());
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut is_escaped = false;
    let mut just_opened = false;
    for &byte in json {
        if in_string {
            output.push(byte);
            in_string = is_escaped || byte != b'"';
            is_escaped = !is_escaped && byte == b'\\';
            continue;
        }
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
            b'"' => in_string = true,
            b'{' | b'[' => {
                depth += 1;
                just_opened = true;
            }
            b':' if spacing != Spacing::Compact => output.push(b' '),
            b',' if spacing == Spacing::Spaced => output.push(b' '),
            b',' if spacing == Spacing::Indented => indent(&mut output, depth),
            _ => {}
        }
        if output.len() > json.len() * 4 + 64 {
            // Deep nesting makes indentation grow without bound; nobody signed such a text.
            return json.to_vec();
        }
    }
    output
}

fn indent(output: &mut Vec<u8>, depth: usize) {
    output.push(b'\n');
    output.extend(std::iter::repeat_n(b' ', depth * 2));
}

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(byte) = rest.first() {
        if let Some(after) = rest.strip_prefix(from) {
            output.extend_from_slice(to);
            rest = after;
        } else {
            output.push(*byte);
            rest = &rest[1..];
        }
    }
    output
}

/// The text with `\uXXXX` for every character outside ASCII.
fn escaped(body: &[u8]) -> Option<Vec<u8>> {
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

const URL_HINT: &str = "give the provider exactly the public URL that the relay is configured with";

/// Public URLs that a provider may have been told instead.
pub(super) fn urls(url: &str, host_header: Option<&str>) -> Vec<Variant<String>> {
    let parts = UrlParts::split(url);
    let mut variants = Vec::new();
    let mut push = |words, value: String| {
        if value != url {
            variants.push(Variant {
                code: "other_url",
                words,
                hint: URL_HINT,
                value,
            });
        }
    };
    let query = if parts.query.is_empty() {
        String::new()
    } else {
        format!("?{}", parts.query)
    };
    let other_scheme = if parts.scheme == "https" {
        "http"
    } else {
        "https"
    };
    let path_query = parts.target();
    push(
        "the URL with the other of http and https",
        format!("{other_scheme}://{}{path_query}", parts.authority),
    );
    let other_slash = match parts.path.strip_suffix('/') {
        Some(shorter) => shorter.to_owned(),
        None => format!("{}/", parts.path),
    };
    push(
        "the URL with or without a slash at the end of its path",
        format!("{}://{}{other_slash}{query}", parts.scheme, parts.authority),
    );
    push(
        "the URL without its query",
        format!("{}://{}{}", parts.scheme, parts.authority, parts.path),
    );
    push(
        "the URL without its port",
        parts.with_authority(&parts.host()),
    );
    if let Some(host) = host_header {
        push(
            "the URL with the host of the request",
            parts.with_authority(host),
        );
        push(
            "the URL with the host of the request and plain http",
            format!("http://{host}{path_query}"),
        );
    }
    variants
}

const SECRET_HINT: &str = "set the secret again, exactly as the provider shows it";

/// Keys that a secret may stand for.
pub(super) fn keys(secret: &[u8]) -> Vec<Variant<Cow<'_, [u8]>>> {
    let trimmed = secret.trim_ascii();
    let underscore = trimmed.iter().position(|&byte| byte == b'_');
    let after_prefix = underscore.map(|index| &trimmed[index + 1..]);
    let base64 = |text| Encoding::Base64.decode(text).map(Cow::Owned);
    let forms: [(_, Option<Cow<'_, [u8]>>); 6] = [
        ("as the text that it is", Some(secret.into())),
        (
            "without the spaces and line ends around it",
            Some(trimmed.into()),
        ),
        ("decoded as base64", base64(trimmed)),
        (
            "decoded as hex",
            Encoding::Hex.decode(trimmed).map(Cow::Owned),
        ),
        (
            "decoded as base64 after its prefix",
            after_prefix.and_then(base64),
        ),
        ("without its prefix", after_prefix.map(Cow::Borrowed)),
    ];
    let mut variants: Vec<Variant<Cow<'_, [u8]>>> = Vec::new();
    for (words, value) in forms {
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            continue;
        };
        if variants.iter().all(|other| other.value != value) {
            variants.push(Variant {
                code: "other_secret_form",
                words,
                hint: SECRET_HINT,
                value,
            });
        }
    }
    variants
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_laid_out_as_the_usual_writers_do() {
        let json = br#" {"a" : [1,{}, []] , "b":"x: ,\"{" } "#;

        assert_eq!(
            respaced(json, Spacing::Compact),
            br#"{"a":[1,{},[]],"b":"x: ,\"{"}"#
        );
        assert_eq!(
            respaced(json, Spacing::Spaced),
            br#"{"a": [1, {}, []], "b": "x: ,\"{"}"#
        );
        let indented = "{\n  \"a\": [\n    1,\n    {},\n    []\n  ],\n  \"b\": \"x: ,\\\"{\"\n}";
        assert_eq!(
            String::from_utf8(respaced(json, Spacing::Indented)).unwrap(),
            indented
        );
    }

    #[test]
    fn no_variant_of_a_url_is_the_url_itself() {
        for url in ["https://a.example/x/?q=1", "http://a.example:80", "x", ""] {
            assert!(
                urls(url, Some("a.example"))
                    .iter()
                    .all(|variant| variant.value != url)
            );
        }
    }
}
