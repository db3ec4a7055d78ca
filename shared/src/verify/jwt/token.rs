//! A JSON Web Token in its parts (RFC 7515 §3.1), and the keys for it among an endpoint's secrets.

use serde_json::{Map, Value};

use super::IndexedSecret;
use crate::verify::asymmetric::PublicKey;
use crate::verify::encoding::Encoding;

/// The id of the key that a token names; nothing else of the token is trusted yet.
pub(in crate::verify) fn key_id(token: &[u8]) -> Option<String> {
    let token = Token::parse(token)?;
    token.header.get("kid")?.as_str().map(str::to_owned)
}

/// A token in its three parts.
pub(super) struct Token<'t> {
    pub(super) header: Map<String, Value>,
    pub(super) claims: Map<String, Value>,
    pub(super) signed: &'t [u8],
    pub(super) signature: Vec<u8>,
}

/// Whether a secret is a public key, which everybody knows.
pub(super) fn is_public_key(secret: &[u8]) -> bool {
    let secret = secret.trim_ascii_start();
    secret.starts_with(b"-----BEGIN") || secret.starts_with(b"{")
}

/// The keys that the secrets hold as PEM, JWK or JWK set; those with another `kid` are left out.
pub(super) fn keys_in_secrets(
    secrets: &[IndexedSecret<'_>],
    key_id: Option<&str>,
) -> Vec<(Option<usize>, PublicKey)> {
    let mut keys = Vec::new();
    for (index, secret) in secrets {
        if secret.starts_with(b"-----BEGIN") {
            keys.extend(PublicKey::from_text(secret).map(|key| (Some(*index), key)));
            continue;
        }
        let Ok(document) = serde_json::from_slice::<Value>(secret) else {
            continue;
        };
        let set = match document.get("keys").and_then(Value::as_array) {
            Some(set) => set.clone(),
            None => vec![document],
        };
        let candidates = set.iter().filter(|jwk| {
            let own_id = jwk.get("kid").and_then(Value::as_str);
            key_id.is_none() || own_id.is_none() || own_id == key_id
        });
        keys.extend(candidates.filter_map(|jwk| Some((Some(*index), PublicKey::from_jwk(jwk)?))));
    }
    keys
}

impl<'t> Token<'t> {
    /// Reads a token; nothing of it is checked.
    pub(super) fn parse(token: &'t [u8]) -> Option<Self> {
        let mut parts = token.split(|&byte| byte == b'.');
        let (header, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        Some(Self {
            header: object(header)?,
            claims: object(claims)?,
            signed: &token[..header.len() + 1 + claims.len()],
            signature: Encoding::Base64Url.decode(signature)?,
        })
    }
}

fn object(part: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(&Encoding::Base64Url.decode(part)?).ok()
}
