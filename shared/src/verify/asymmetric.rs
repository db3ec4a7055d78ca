//! Public keys in the forms in which providers publish them, and the signatures that they check.

use p256::ecdsa::signature::hazmat::PrehashVerifier;
use p256::ecdsa::{Signature as EcdsaSignature, VerifyingKey};
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use serde_json::Value;

use super::der::{self, PublicKeyInfo};
use super::digest::Hash;
use super::encoding::Encoding;
use super::filters::unpem;

const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const ELLIPTIC_CURVE: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const CURVE_P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const CURVE_P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// A signature algorithm with a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignatureAlgorithm {
    Ed25519,
    /// ECDSA on P-256 with SHA-1, the signature as ASN.1: eBay alone still signs so.
    EcdsaSha1,
    /// ECDSA with SHA-256, the signature as ASN.1.
    EcdsaSha256,
    /// ECDSA with SHA-256, the signature as two numbers of equal length (RFC 7518 §3.4).
    EcdsaSha256Fixed,
    /// RSASSA-PKCS1-v1_5.
    RsaSha1,
    RsaSha256,
    RsaSha512,
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PublicKey {
    Ed25519(Vec<u8>),
    /// An uncompressed point.
    P256(Vec<u8>),
    P384(Vec<u8>),
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
}

impl PublicKey {
    /// Reads a key from a JWK, a PEM certificate, a PEM key or bare base64.
    pub(super) fn from_text(text: &[u8]) -> Option<Self> {
        if text.trim_ascii_start().starts_with(b"{") {
            return Self::from_jwk(&serde_json::from_slice(text).ok()?);
        }
        let is_certificate = text
            .windows(CERTIFICATE_LABEL.len())
            .any(|window| window == CERTIFICATE_LABEL);
        let der = unpem(text)?;
        if is_certificate {
            Self::from_info(&der::certificate_key_info(&der)?)
        } else {
            Self::from_der(&der)
        }
    }

    /// Reads a key from the 32 bytes of Ed25519, or from a DER `SubjectPublicKeyInfo`.
    pub(super) fn from_der(der: &[u8]) -> Option<Self> {
        if der.len() == 32 {
            return Some(Self::Ed25519(der.to_vec()));
        }
        Self::from_info(&der::public_key_info(der)?)
    }

    fn from_info(info: &PublicKeyInfo<'_>) -> Option<Self> {
        let key = info.key.to_vec();
        match (info.algorithm, info.parameters) {
            (ED25519, None) if key.len() == 32 => Some(Self::Ed25519(key)),
            (ELLIPTIC_CURVE, Some(CURVE_P256)) => Some(Self::P256(key)),
            (ELLIPTIC_CURVE, Some(CURVE_P384)) => Some(Self::P384(key)),
            (RSA, None) => {
                let (modulus, exponent) = der::rsa_numbers(info.key)?;
                Some(Self::Rsa {
                    modulus: modulus.to_vec(),
                    exponent: exponent.to_vec(),
                })
            }
            _ => None,
        }
    }

    /// Reads a JSON Web Key (RFC 7517).
    pub(super) fn from_jwk(jwk: &Value) -> Option<Self> {
        let number = |name: &str| Encoding::Base64Url.decode(jwk.get(name)?.as_str()?.as_bytes());
        let curve = jwk.get("crv").and_then(Value::as_str);
        match (jwk.get("kty")?.as_str()?, curve) {
            ("RSA", _) => Some(Self::Rsa {
                modulus: der::without_leading_zeros(&number("n")?).to_vec(),
                exponent: der::without_leading_zeros(&number("e")?).to_vec(),
            }),
            ("EC", Some("P-256")) => Some(Self::P256(point(&number("x")?, &number("y")?)?)),
            ("OKP", Some("Ed25519")) => {
                number("x").filter(|key| key.len() == 32).map(Self::Ed25519)
            }
            _ => None,
        }
    }

    /// Whether the signature is this key's, by this algorithm; a key of another kind never matches.
    pub(super) fn verifies(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        use SignatureAlgorithm as Algorithm;
        let unparsed: (&dyn signature::VerificationAlgorithm, &[u8]) = match (algorithm, self) {
            (Algorithm::Ed25519, Self::Ed25519(key)) => (&signature::ED25519, key),
            (Algorithm::EcdsaSha1, Self::P256(key)) => {
                return verifies_with_sha1(key, message, signature);
            }
            (Algorithm::EcdsaSha256, Self::P256(key)) => (&signature::ECDSA_P256_SHA256_ASN1, key),
            (Algorithm::EcdsaSha256, Self::P384(key)) => (&signature::ECDSA_P384_SHA256_ASN1, key),
            (Algorithm::EcdsaSha256Fixed, Self::P256(key)) => {
                (&signature::ECDSA_P256_SHA256_FIXED, key)
            }
            (_, Self::Rsa { modulus, exponent }) => {
                let Some(parameters) = algorithm.rsa_parameters() else {
                    return false;
                };
                let key = RsaPublicKeyComponents {
                    n: modulus,
                    e: exponent,
                };
                return key.verify(parameters, message, signature).is_ok();
            }
            _ => return false,
        };
        UnparsedPublicKey::new(unparsed.0, unparsed.1)
            .verify(message, signature)
            .is_ok()
    }
}

/// ring has no ECDSA with SHA-1, so that this one goes by another crate; all of its input is public.
fn verifies_with_sha1(point: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) = (
        VerifyingKey::from_sec1_bytes(point),
        EcdsaSignature::from_der(signature),
    ) else {
        return false;
    };
    let mut digester = Hash::Sha1.begin();
    digester.update(message);
    key.verify_prehash(&digester.finish(), &signature).is_ok()
}

const CERTIFICATE_LABEL: &[u8] = b"BEGIN CERTIFICATE";

/// The uncompressed point of a P-256 key.
fn point(x: &[u8], y: &[u8]) -> Option<Vec<u8>> {
    let mut point = vec![4];
    for number in [x, y] {
        let missing = 32_usize.checked_sub(number.len())?;
        point.extend(std::iter::repeat_n(0, missing));
        point.extend_from_slice(number);
    }
    Some(point)
}

impl SignatureAlgorithm {
    /// The algorithm by its name in the scheme language.
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "ed25519" => Self::Ed25519,
            "ecdsa-sha1" => Self::EcdsaSha1,
            "ecdsa-sha256" => Self::EcdsaSha256,
            "rsa-sha1" => Self::RsaSha1,
            "rsa-sha256" => Self::RsaSha256,
            "rsa-sha512" => Self::RsaSha512,
            _ => return None,
        })
    }

    /// Its name in words.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "Ed25519",
            Self::EcdsaSha1 => "ECDSA-SHA-1",
            Self::EcdsaSha256 | Self::EcdsaSha256Fixed => "ECDSA-SHA-256",
            Self::RsaSha1 => "RSA-SHA-1",
            Self::RsaSha256 => "RSA-SHA-256",
            Self::RsaSha512 => "RSA-SHA-512",
        }
    }

    /// Keys under 2048 bits are refused.
    fn rsa_parameters(self) -> Option<&'static signature::RsaParameters> {
        match self {
            Self::RsaSha1 => Some(&signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY),
            Self::RsaSha256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
            Self::RsaSha512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
            Self::Ed25519 | Self::EcdsaSha1 | Self::EcdsaSha256 | Self::EcdsaSha256Fixed => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::KeyPair;

    use super::*;

    #[test]
    fn a_signature_matches_only_its_message_key_and_algorithm() {
        let pair = signature::Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let key = PublicKey::from_der(pair.public_key().as_ref()).unwrap();
        let made = pair.sign(b"message");

        assert!(key.verifies(SignatureAlgorithm::Ed25519, b"message", made.as_ref()));
        assert!(!key.verifies(SignatureAlgorithm::Ed25519, b"massage", made.as_ref()));
        assert!(!key.verifies(SignatureAlgorithm::EcdsaSha256, b"message", made.as_ref()));
        let other = PublicKey::Ed25519(vec![1; 32]);
        assert!(!other.verifies(SignatureAlgorithm::Ed25519, b"message", made.as_ref()));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in [
            &b""[..],
            b"{",
            b"{}",
            b"{\"kty\":\"EC\"}",
            b"AQI=",
            b"-----BEGIN CERTIFICATE-----",
        ] {
            assert_eq!(PublicKey::from_text(text), None);
        }
    }
}
