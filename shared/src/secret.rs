//! A value that must not be printed: no `Debug` of its content, wiped when dropped.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Secret bytes: a signing secret, a token, a key.
///
/// There is no `Display`, and `Debug` shows only the length, so that a secret cannot reach a log by
/// accident. Call [`Secret::expose`] where the bytes are really needed.
#[derive(Clone, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over; they are wiped when the secret is dropped.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The secret bytes themselves.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// In constant time; only a difference in length shows at once.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose().ct_eq(other.expose()).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_show_its_content() {
        let secret = Secret::new("salt");

        assert_eq!(format!("{secret:?}"), "Secret(4 bytes)");
    }

    #[test]
    fn secrets_are_equal_by_length_and_bytes() {
        assert_eq!(Secret::new("salt"), Secret::new("salt"));
        assert_ne!(Secret::new("salt"), Secret::new("sale"));
        assert_ne!(Secret::new("salt"), Secret::new("salts"));
    }
}
