//! What a key of ours signs, the public half in each of its forms accepts, and nothing else.

use super::super::asymmetric::{PublicKey, SignatureAlgorithm as Algorithm};
use super::*;

/// A key of 2048 bits, made by `openssl genrsa` for these tests and used nowhere else.
const RSA: &str = include_str!("../../../tests/keys/rsa.pem");

fn keys() -> [PrivateKey; 3] {
    let made = |kind| {
        let text = PrivateKey::generate(kind).unwrap();
        PrivateKey::from_pem(text.as_bytes()).unwrap()
    };
    [
        made(KeyKind::Ed25519),
        made(KeyKind::P256),
        PrivateKey::from_pem(RSA.as_bytes()).unwrap(),
    ]
}

#[test]
fn every_form_of_the_public_half_checks_what_the_private_half_signs() {
    for key in keys() {
        let hex = data_encoding::HEXLOWER.decode(key.public_hex().as_bytes());
        let forms = [
            PublicKey::from_text(key.public_pem().as_bytes()),
            PublicKey::from_text(key.public_base64().as_bytes()),
            PublicKey::from_text(key.public_jwk().as_bytes()),
            PublicKey::from_der(&hex.unwrap()),
        ];
        let algorithms = [
            Algorithm::Ed25519,
            Algorithm::EcdsaSha256,
            Algorithm::EcdsaSha256Fixed,
            Algorithm::RsaSha256,
            Algorithm::RsaSha512,
        ];
        let mut made = 0;
        for algorithm in algorithms {
            let Some(signature) = key.sign(algorithm, b"message") else {
                assert_ne!(algorithm.key_kind(), key.kind());
                continue;
            };
            made += 1;
            for public in &forms {
                let public = public.as_ref().unwrap();
                assert!(
                    public.verifies(algorithm, b"message", &signature),
                    "{key:?}"
                );
                assert!(
                    !public.verifies(algorithm, b"massage", &signature),
                    "{key:?}"
                );
            }
        }
        assert!(made > 0, "{key:?}");
    }
}

#[test]
fn keys_are_made_afresh_and_have_ids_of_their_own() {
    let [first, ..] = keys();
    let [second, ..] = keys();

    assert_ne!(first.public_pem(), second.public_pem());
    assert_ne!(first.key_id(), second.key_id());
    assert!(PrivateKey::generate(KeyKind::Rsa).is_none());
}

#[test]
fn what_is_no_private_key_is_refused_and_nothing_of_a_key_is_shown() {
    for (text, error) in [
        ("", PrivateKeyError::NotPem),
        (
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
            PrivateKeyError::NotPem,
        ),
        (
            "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----",
            PrivateKeyError::NotPkcs8,
        ),
        (
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
            PrivateKeyError::Unknown,
        ),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----",
            PrivateKeyError::Unknown,
        ),
    ] {
        assert_eq!(
            PrivateKey::from_pem(text.as_bytes()).unwrap_err(),
            error,
            "{text}"
        );
    }
    assert_eq!(format!("{:?}", keys()[0]), "PrivateKey(ed25519)");
}
