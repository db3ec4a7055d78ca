//! Identifiers and names, each its own type, validated where it is built.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use data_encoding::{Encoding, Specification};
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Crockford's base32 in lower case: sorts like the bytes it encodes, and has no i, l, o or u.
static BASE32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification
        .symbols
        .push_str("0123456789abcdefghjkmnpqrstvwxyz");
    specification.encoding().expect("the alphabet is valid")
});

/// The text does not have the form of the identifier or name it was given as.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct InvalidId {
    text: String,
    expected: &'static str,
}

impl InvalidId {
    fn new(text: &str, expected: &'static str) -> Self {
        let text = text
            .chars()
            .take(100)
            .flat_map(char::escape_default)
            .collect();
        Self { text, expected }
    }
}

/// The place of an event in its endpoint: 1, 2, 3 … without holes. Zero means "before the first".
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// The place after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Builds a new identifier: a UUID version 7 (RFC 9562 §5.7) of `at` and 80 random bits,
            /// of which 74 are used.
            pub fn new(at: Timestamp, random: [u8; 10]) -> Self {
                let uuid = uuid::Builder::from_unix_timestamp_millis(at.as_millis(), &random).into_uuid();
                Self(uuid.into_bytes())
            }

            /// The time that it was made for.
            pub const fn made_at(&self) -> Timestamp {
                let [a, b, c, d, e, f, ..] = self.0;
                Timestamp::from_millis(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
            }

            /// The identifier as 16 bytes, as the store keeps it.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// The identifier with these 16 bytes, as read from the store.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), BASE32.encode_display(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.strip_prefix($prefix)
                    .and_then(|rest| BASE32.decode(rest.as_bytes()).ok())
                    .and_then(|bytes| bytes.try_into().ok())
                    .map(Self)
                    .ok_or_else(|| InvalidId::new(text, $expected))
            }
        }

        text_serde!($name);
    };
}

macro_rules! text_serde {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }
    };
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $accepts:expr, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let accepts: fn(&str) -> bool = $accepts;
                if accepts(text) { Ok(Self(text.into())) } else { Err(InvalidId::new(text, $expected)) }
            }
        }

        text_serde!($name);
    };
}

uuid_id!(
    /// Names one captured event: `evt_` and 26 characters that sort by the time of capture.
    EventId, "evt_", "an event id (`evt_` and 26 characters)"
);
uuid_id!(
    /// Names one replay: a new delivery of a kept event.
    ReplayId, "rpl_", "a replay id (`rpl_` and 26 characters)"
);
uuid_id!(
    /// Names one live WebSocket of one consumer.
    SessionId, "ses_", "a session id (`ses_` and 26 characters)"
);
uuid_id!(
    /// Names one access token, without being the token.
    TokenId, "tok_", "a token id (`tok_` and 26 characters)"
);

name!(
    /// What people call an endpoint: 1 to 64 of `a-z 0-9 _ -`, first a letter or digit.
    EndpointName, |text| is_slug(text, 64), "an endpoint name (1 to 64 of a-z, 0-9, `_`, `-`; first a letter or digit)"
);
name!(
    /// What people call one of an endpoint's secrets: 1 to 64 of `a-z 0-9 _ -`.
    SecretName, |text| is_slug(text, 64), "a secret name (1 to 64 of a-z, 0-9, `_`, `-`; first a letter or digit)"
);
name!(
    /// A named reader of an endpoint, by default `HOST:PORT`: 1 to 128 visible ASCII characters.
    ConsumerName,
    |text| !text.is_empty() && text.len() <= 128 && text.bytes().all(|byte| byte.is_ascii_graphic()),
    "a consumer name (1 to 128 visible ASCII characters)"
);
name!(
    /// The unguessable part of an endpoint's public URL: 160 random bits as 32 characters.
    EndpointKey,
    |text| text.len() == 32 && BASE32.decode(text.as_bytes()).is_ok(),
    "an endpoint key (32 characters)"
);

impl EndpointKey {
    /// Builds a key of 20 random bytes.
    pub fn new(random: [u8; 20]) -> Self {
        Self(BASE32.encode(&random).into())
    }
}

fn is_slug(text: &str, longest: usize) -> bool {
    let bytes = text.as_bytes();
    let is_inner = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    !bytes.is_empty()
        && bytes.len() <= longest
        && bytes.iter().all(is_inner)
        && bytes[0].is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_id_is_evt_and_26_characters_and_reads_back() {
        let id = EventId::new(Timestamp::from_millis(1_760_000_000_000), [7; 10]);

        let text = id.to_string();

        assert_eq!(text.len(), 30);
        assert!(text.starts_with("evt_06"), "{text}");
        assert_eq!(text.parse::<EventId>().unwrap(), id);
    }

    #[test]
    fn event_ids_sort_by_time_as_text() {
        let earlier = EventId::new(Timestamp::from_millis(1_760_000_000_000), [255; 10]);
        let later = EventId::new(Timestamp::from_millis(1_760_000_000_001), [0; 10]);

        assert!(earlier.to_string() < later.to_string());
    }

    #[test]
    fn a_wrong_id_is_refused_by_name() {
        let error = "evt_short".parse::<EventId>().unwrap_err();

        assert_eq!(
            error.to_string(),
            "`evt_short` is not an event id (`evt_` and 26 characters)"
        );
    }

    #[test]
    fn endpoint_names_are_slugs() {
        for good in ["a", "orders-2_x", "0"] {
            assert!(good.parse::<EndpointName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "A", "a/b", "a b", &"a".repeat(65)] {
            assert!(bad.parse::<EndpointName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_endpoint_key_is_32_characters() {
        let key = EndpointKey::new([0xa5; 20]);

        assert_eq!(key.as_str().len(), 32);
        assert_eq!(key.as_str().parse::<EndpointKey>().unwrap(), key);
    }
}
