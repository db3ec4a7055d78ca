//! DER and PEM: any bytes as a public key, a certificate or a JWK, and any signature under it.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use towline_fuzz::Asked;
use towline_shared::verdict::Verdict;
use towline_shared::verify::Provider;

const FILE: &str = r#"[own]
[[own.scheme]]
id = "own"
alg = "ALGORITHM"
sig = "{header.x-signature}"
encoding = "hex"
key = "{secret}"
message = "{body}"
"#;

const FETCHING: &str = r#"[own]
[[own.scheme]]
alg = "rsa-sha256"
sig = "{header.x-signature}"
encoding = "hex"
key_fetch = { id = "{header.x-key}" }
message = "{body}"
"#;

static PROVIDERS: LazyLock<Vec<Provider>> = LazyLock::new(|| {
    let files = ["rsa-sha1", "rsa-sha256", "ecdsa-sha256", "ed25519"]
        .map(|algorithm| FILE.replace("ALGORITHM", algorithm));
    let files = files.iter().map(String::as_str).chain([FETCHING]);
    files
        .map(|file| Provider::parse("own", file).expect("a scheme file"))
        .collect()
});

fuzz_target!(|input: (u8, &[u8], &[u8])| {
    let (form, key, signature) = input;
    let hex = data_encoding::HEXLOWER.encode(signature);
    let mut asked = Asked::with_header("x-signature", hex.as_bytes(), key, b"{}");
    let base64 = data_encoding::BASE64.encode(key);
    let material = match form % 3 {
        0 => format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----"),
        1 => base64,
        _ => String::from_utf8_lossy(key).into_owned(),
    };
    asked.headers.push(("x-key".to_owned(), b"k".to_vec()));
    asked.fetched.insert("k".to_owned(), material);
    for provider in PROVIDERS.iter() {
        let verdict = asked.of(provider);
        // An Ed25519 key of small order makes signatures of its own: who chose such a key wanted that.
        assert!(!matches!(verdict, Some(Verdict::Verified(_))) || key.len() == 32);
    }
});
