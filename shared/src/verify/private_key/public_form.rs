//! The public half of a private key in the forms in which apps and providers take it.

use data_encoding::BASE64;
use ring::signature::KeyPair as _;
use serde_json::{Map, Value};

use super::{Pair, PrivateKey};
use crate::verify::der;
use crate::verify::digest::Hash;
use crate::verify::encoding::Encoding;

/// `SubjectPublicKeyInfo` of Ed25519 (RFC 8410 §4) up to the key's 32 bytes.
const ED25519_INFO: &[u8] = &[
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// The same of P-256 (RFC 5480 §2) up to the 65 bytes of the point.
const P256_INFO: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// The algorithm of RSA (RFC 8017 §A.1) with its empty parameters.
const RSA_ALGORITHM: &[u8] = &[
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];

/// How many bytes of a key's hash name it.
const KEY_ID_BYTES: usize = 8;

impl PrivateKey {
    /// The public key as PEM.
    pub fn public_pem(&self) -> String {
        pem_of_public_key(&self.public_info())
    }

    /// The public key as providers show it in one line: base64 of the 32 bytes of Ed25519, else of the DER.
    pub fn public_base64(&self) -> String {
        BASE64.encode(&self.public_bytes())
    }

    /// The same in hex.
    pub fn public_hex(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.public_bytes())
    }

    /// The public key as a JSON Web Key (RFC 7517) with an id.
    pub fn public_jwk(&self) -> String {
        let encoded = |bytes: &[u8]| Value::from(Encoding::Base64Url.encode(bytes));
        let fields = match &self.pair {
            Pair::Ed25519(pair) => vec![
                ("kty", "OKP".into()),
                ("crv", "Ed25519".into()),
                ("x", encoded(pair.public_key().as_ref())),
            ],
            Pair::P256 { point, .. } => vec![
                ("kty", "EC".into()),
                ("crv", "P-256".into()),
                ("x", encoded(&point[1..33])),
                ("y", encoded(&point[33..])),
            ],
            Pair::Rsa(pair) => {
                let (modulus, exponent) =
                    der::rsa_numbers(pair.public().as_ref()).unwrap_or_default();
                vec![
                    ("kty", "RSA".into()),
                    ("n", encoded(modulus)),
                    ("e", encoded(exponent)),
                ]
            }
        };
        let named = fields.into_iter().chain([("kid", self.key_id().into())]);
        let jwk: Map<String, Value> = named
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        Value::Object(jwk).to_string()
    }

    /// A short name of the key.
    pub fn key_id(&self) -> String {
        let hash = Hash::Sha256.digest(&self.public_info());
        data_encoding::HEXLOWER.encode(&hash[..KEY_ID_BYTES])
    }

    /// The 32 bytes of Ed25519, else the DER.
    pub(in crate::verify) fn public_bytes(&self) -> Vec<u8> {
        match &self.pair {
            Pair::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
            _ => self.public_info(),
        }
    }

    /// The `SubjectPublicKeyInfo`.
    pub(in crate::verify) fn public_info(&self) -> Vec<u8> {
        match &self.pair {
            Pair::Ed25519(pair) => [ED25519_INFO, pair.public_key().as_ref()].concat(),
            Pair::P256 { point, .. } => [P256_INFO, point].concat(),
            Pair::Rsa(pair) => {
                let numbers = [&[0], pair.public().as_ref()].concat();
                let bits = tagged(0x03, &numbers);
                tagged(0x30, &[RSA_ALGORITHM, &bits].concat())
            }
        }
    }
}

/// An element of DER (X.690 §8.1).
fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let digits = &length[length.iter().take_while(|&&digit| digit == 0).count()..];
    let mut element = vec![tag];
    match digits {
        [] => element.push(0),
        [short @ 0..=0x7f] => element.push(*short),
        // A `usize` has at most 8 digits.
        long => {
            element.push(0x80 | u8::try_from(long.len()).unwrap_or_default());
            element.extend_from_slice(long);
        }
    }
    element.extend_from_slice(content);
    element
}

/// A `SubjectPublicKeyInfo` as PEM.
pub(in crate::verify) fn pem_of_public_key(info: &[u8]) -> String {
    pem("PUBLIC KEY", info)
}

/// RFC 7468 §2: base64 in lines of 64 letters between two labels.
pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let encoded = BASE64.encode(der);
    let lines: Vec<_> = encoded
        .as_bytes()
        .chunks(64)
        .map(String::from_utf8_lossy)
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}
