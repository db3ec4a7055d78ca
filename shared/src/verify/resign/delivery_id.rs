//! The provider's own id of a delivery: where it stands in a captured request, and a new one of the same shape.

use crate::head::Head;
use crate::hop::{Change, ChangeKind};
use crate::verify::delivery::Delivery;
use crate::verify::digest::Hash;
use crate::verify::evaluate::Evaluation;
use crate::verify::template::Source;
use crate::verify::{Provider, Request, Settings, SignError};

/// Where the id of a delivery stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryIdPlace {
    /// In this header field.
    Header(String),
    /// In the body, described in words; to change it, the body must be edited.
    Body(String),
    /// The request has none that the scheme knows of.
    Nowhere,
}

impl Provider {
    /// Where the request has its delivery id.
    pub fn delivery_id_place(
        &self,
        request: &Request<'_>,
        settings: &Settings<'_>,
    ) -> DeliveryIdPlace {
        let delivery = Delivery::new(request, settings);
        let evaluation = Evaluation::new(&delivery);
        let is_there = |text: &String| !text.is_empty();
        let mut templates = self.delivery_id.iter();
        let found = templates.find(|template| {
            let text = evaluation.render_text(template).ok();
            text.as_ref().is_some_and(is_there)
        });
        let Some(template) = found else {
            return DeliveryIdPlace::Nowhere;
        };
        match template.bare() {
            Some(expression) if expression.filters.is_empty() => match &expression.source {
                Source::Header(name) => DeliveryIdPlace::Header(name.clone()),
                source => DeliveryIdPlace::Body(source.to_string()),
            },
            _ => DeliveryIdPlace::Body(format!("`{}`", template.text)),
        }
    }
}

/// The head with another delivery id in a header field, and the change.
///
/// # Errors
/// When the field is not there once, or the new head breaks a limit of [`Head`].
pub fn fresh_delivery_id(
    head: &Head,
    name: &str,
    seed: [u8; 32],
) -> Result<(Head, Change), SignError> {
    let unusable = |why: String| SignError::Unusable(why);
    let values: Vec<&[u8]> = head.values(name).collect();
    let [old] = values[..] else {
        return Err(unusable(format!(
            "the header `{name}` with the delivery id is there {} times",
            values.len()
        )));
    };
    let fresh = alike(old, seed);
    let head = head
        .with_value(name, &fresh)
        .map_err(|error| unusable(error.to_string()))?;
    let change = Change {
        kind: ChangeKind::Replaced,
        part: name.to_owned(),
        reason: "a new delivery id was asked for".to_owned(),
    };
    Ok((head, change))
}

/// An id of the same shape: a prefix up to the last `_` stays, hex stays hex, a digit a digit and a letter a letter
/// of its case; in a UUID version and variant stay too.
fn alike(old: &[u8], seed: [u8; 32]) -> Vec<u8> {
    let start = old
        .iter()
        .rposition(|&byte| byte == b'_')
        .map_or(0, |at| at + 1);
    let (prefix, rest) = old.split_at(start);
    let is_hex = rest.iter().any(|byte| matches!(byte, b'a'..=b'f'))
        && rest
            .iter()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'));
    let is_uuid = is_hex && rest.len() == 36;
    let mut random = Stream::new(seed);
    let fresh = rest.iter().enumerate().map(|(index, &byte)| match byte {
        _ if is_uuid && matches!(index, 14 | 19) => byte,
        b'-' => byte,
        _ if is_hex => random.one_of(b"0123456789abcdef"),
        // A first digit that is not zero keeps a number's length.
        b'1'..=b'9' if index == 0 => random.one_of(b"123456789"),
        b'0'..=b'9' => random.one_of(b"0123456789"),
        b'a'..=b'z' => random.one_of(b"abcdefghijklmnopqrstuvwxyz"),
        b'A'..=b'Z' => random.one_of(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        other => other,
    });
    let fresh: Vec<u8> = fresh.collect();
    [prefix, &fresh].concat()
}

/// Random bytes out of a seed, as many as an id needs.
struct Stream {
    seed: [u8; 32],
    block: u64,
    ready: Vec<u8>,
}

impl Stream {
    const fn new(seed: [u8; 32]) -> Self {
        Self {
            seed,
            block: 0,
            ready: Vec::new(),
        }
    }

    fn one_of(&mut self, letters: &[u8]) -> u8 {
        loop {
            let byte = self.next();
            // Bytes beyond the last whole multiple would make some letters more likely.
            let fair = 256 - 256 % letters.len();
            if usize::from(byte) < fair {
                return letters[usize::from(byte) % letters.len()];
            }
        }
    }

    fn next(&mut self) -> u8 {
        loop {
            if let Some(byte) = self.ready.pop() {
                return byte;
            }
            let mut digester = Hash::Sha256.begin();
            digester.update(&self.seed);
            digester.update(&self.block.to_be_bytes());
            self.ready = digester.finish();
            self.block += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_id_has_the_shape_of_the_old_one() {
        let old = "72d3162e-cc78-11e3-81ab-4c9367dc0958";

        let new = String::from_utf8(alike(old.as_bytes(), [7; 32])).unwrap();

        assert_ne!(new, old);
        assert_eq!(new.len(), 36);
        assert!(
            new.bytes()
                .all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
        );
        assert_eq!((&new[13..15], &new[18..20]), ("-1", "-8"), "{new}");
        for (old, prefix) in [("msg_2KWPBgLlAfxdpx2AI", "msg_"), ("4711", ""), ("", "")] {
            let new = String::from_utf8(alike(old.as_bytes(), [7; 32])).unwrap();
            assert_eq!(new.len(), old.len());
            assert!(
                new.starts_with(prefix) && (old.is_empty() || new != old),
                "{new}"
            );
            let kinds = |text: &str| -> Vec<bool> {
                text.bytes().map(|byte| byte.is_ascii_digit()).collect()
            };
            assert_eq!(kinds(&new), kinds(old));
        }
        assert_ne!(alike(b"aaaaaaaa", [1; 32]), alike(b"aaaaaaaa", [2; 32]));
    }

    #[test]
    fn only_the_id_changes_in_its_place_and_letter_case() {
        let head = Head::parse(
            &b"POST / HTTP/1.1\r\nA:1\r\nX-GitHub-DELIVERY:  12ab \r\nB: 2\r\n\r\n"[..],
        );

        let (fresh, change) =
            fresh_delivery_id(&head.unwrap(), "x-github-delivery", [3; 32]).unwrap();

        let names: Vec<_> = fresh.fields().map(|field| field.name.to_vec()).collect();
        assert_eq!(names, [&b"A"[..], b"X-GitHub-DELIVERY", b"B"]);
        assert_eq!(fresh.fields().next().unwrap().line, b"A:1");
        assert_ne!(fresh.values("x-github-delivery").next(), Some(&b"12ab"[..]));
        assert_eq!(change.kind, ChangeKind::Replaced);
    }

    #[test]
    fn a_repeated_id_is_not_replaced() {
        let head = Head::parse(&b"POST / HTTP/1.1\r\nid: 1\r\nID: 2\r\n\r\n"[..]).unwrap();

        assert!(fresh_delivery_id(&head, "id", [3; 32]).is_err());
    }
}
