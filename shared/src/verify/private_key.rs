//! Private keys of one's own: made, read and signed with, so that an app can be tried that checks a provider's public
//! key. The mirror of `asymmetric`.

mod public_form;

use std::fmt;
use std::str::FromStr;

use ring::rand::SystemRandom;
use ring::rsa::KeyPair as RsaKeyPair;
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use zeroize::Zeroizing;

use super::asymmetric::SignatureAlgorithm;
use super::filters::unpem;
use public_form::pem;
pub(super) use public_form::pem_of_public_key;

/// A kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// Ed25519 (RFC 8032).
    Ed25519,
    /// ECDSA on P-256.
    P256,
    /// RSA of 2048 bits and more.
    Rsa,
}

impl KeyKind {
    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::P256 => "p256",
            Self::Rsa => "rsa",
        }
    }
}

impl FromStr for KeyKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Ed25519, Self::P256, Self::Rsa];
        let found = all.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| "expected `ed25519`, `p256` or `rsa`".to_owned())
    }
}

/// Why a text is no private key that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrivateKeyError {
    /// It is none at all.
    #[error("it is not a private key in PEM form (`-----BEGIN PRIVATE KEY-----`)")]
    NotPem,
    /// It is encrypted, or in an older form.
    #[error("it is not in the plain PKCS#8 form")]
    NotPkcs8,
    /// It is of another kind.
    #[error("it is not a key of Ed25519, P-256 or RSA with 2048 to 4096 bits")]
    Unknown,
}

/// A private key of one's own. `Debug` shows its kind only.
pub struct PrivateKey {
    pair: Pair,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    /// The PKCS#8 text, because a pair of the library is for one form of signature only.
    P256 {
        pkcs8: Zeroizing<Vec<u8>>,
        point: Vec<u8>,
    },
    Rsa(RsaKeyPair),
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.kind().name())
    }
}

impl PrivateKey {
    /// The PEM text of a new private key; `None` for RSA, which is not made here, and without random numbers.
    pub fn generate(kind: KeyKind) -> Option<Zeroizing<String>> {
        let random = SystemRandom::new();
        let pkcs8 = match kind {
            KeyKind::Ed25519 => Ed25519KeyPair::generate_pkcs8(&random).ok()?,
            KeyKind::P256 => {
                EcdsaKeyPair::generate_pkcs8(&signature::ECDSA_P256_SHA256_ASN1_SIGNING, &random)
                    .ok()?
            }
            KeyKind::Rsa => return None,
        };
        Some(Zeroizing::new(pem("PRIVATE KEY", pkcs8.as_ref())))
    }

    /// Reads a private key in PEM form: PKCS#8, or `RSA PRIVATE KEY`.
    ///
    /// # Errors
    /// Says what it is not.
    pub fn from_pem(text: &[u8]) -> Result<Self, PrivateKeyError> {
        let begins = |label: &str| {
            let label = format!("-----BEGIN {label}-----");
            text.windows(label.len())
                .any(|part| part == label.as_bytes())
        };
        let is_old_rsa = begins("RSA PRIVATE KEY");
        if begins("EC PRIVATE KEY") || begins("ENCRYPTED PRIVATE KEY") {
            return Err(PrivateKeyError::NotPkcs8);
        }
        if !is_old_rsa && !begins("PRIVATE KEY") {
            return Err(PrivateKeyError::NotPem);
        }
        let der = Zeroizing::new(unpem(text).ok_or(PrivateKeyError::NotPem)?);
        let pair = if is_old_rsa {
            RsaKeyPair::from_der(&der).ok().map(Pair::Rsa)
        } else {
            Self::pair_of_pkcs8(&der)
        };
        let pair = pair.ok_or(PrivateKeyError::Unknown)?;
        Ok(Self { pair })
    }

    fn pair_of_pkcs8(der: &Zeroizing<Vec<u8>>) -> Option<Pair> {
        // OpenSSL leaves the public half out, so it cannot be compared.
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            return Some(Pair::Ed25519(pair));
        }
        if let Some(pair) = p256(der, &signature::ECDSA_P256_SHA256_ASN1_SIGNING) {
            return Some(Pair::P256 {
                point: pair.public_key().as_ref().to_vec(),
                pkcs8: der.clone(),
            });
        }
        RsaKeyPair::from_pkcs8(der).ok().map(Pair::Rsa)
    }

    /// What kind of key it is.
    pub const fn kind(&self) -> KeyKind {
        match &self.pair {
            Pair::Ed25519(_) => KeyKind::Ed25519,
            Pair::P256 { .. } => KeyKind::P256,
            Pair::Rsa(_) => KeyKind::Rsa,
        }
    }

    /// Signs; `None` when a key of this kind makes no such signature.
    pub(super) fn sign(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Option<Vec<u8>> {
        use SignatureAlgorithm as Algorithm;
        let random = SystemRandom::new();
        match (&self.pair, algorithm) {
            (Pair::Ed25519(pair), Algorithm::Ed25519) => Some(pair.sign(message).as_ref().to_vec()),
            (Pair::P256 { pkcs8, .. }, Algorithm::EcdsaSha256 | Algorithm::EcdsaSha256Fixed) => {
                let form = match algorithm {
                    Algorithm::EcdsaSha256 => &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
                    _ => &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
                };
                let made = p256(pkcs8, form)?.sign(&random, message).ok()?;
                Some(made.as_ref().to_vec())
            }
            (Pair::Rsa(pair), Algorithm::RsaSha256) => {
                rsa(pair, &signature::RSA_PKCS1_SHA256, message)
            }
            (Pair::Rsa(pair), Algorithm::RsaSha512) => {
                rsa(pair, &signature::RSA_PKCS1_SHA512, message)
            }
            _ => None,
        }
    }
}

fn p256(pkcs8: &[u8], form: &'static signature::EcdsaSigningAlgorithm) -> Option<EcdsaKeyPair> {
    EcdsaKeyPair::from_pkcs8(form, pkcs8, &SystemRandom::new()).ok()
}

fn rsa(
    pair: &RsaKeyPair,
    padding: &'static dyn signature::RsaEncoding,
    message: &[u8],
) -> Option<Vec<u8>> {
    let mut made = vec![0; pair.public().modulus_len()];
    pair.sign(padding, &SystemRandom::new(), message, &mut made)
        .ok()?;
    Some(made)
}

impl SignatureAlgorithm {
    /// The kind of key that makes these signatures.
    pub(super) const fn key_kind(self) -> KeyKind {
        match self {
            Self::Ed25519 => KeyKind::Ed25519,
            Self::EcdsaSha1 | Self::EcdsaSha256 | Self::EcdsaSha256Fixed => KeyKind::P256,
            Self::RsaSha1 | Self::RsaSha256 | Self::RsaSha512 => KeyKind::Rsa,
        }
    }
}

#[cfg(test)]
mod tests;
