//! JSON Web Tokens: any token under any secret, and any claims in a token that is rightly signed.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use towline_fuzz::Asked;
use towline_shared::verdict::Verdict;
use towline_shared::verify::Provider;

const FILE: &str = r#"[own]
[[own.scheme]]
alg = "jwt"
sig = "{header.authorization|maybe_scheme:Bearer}"
jwt = { algs = ["HS256", "RS256", "ES256", "EdDSA"], exp = "required", max_age = 300, claims = { iss = ["x", "y"], hash = "{body|sha256|hex}" } }
"#;

static PROVIDER: LazyLock<Provider> =
    LazyLock::new(|| Provider::parse("own", FILE).expect("a scheme file"));

fuzz_target!(|input: (&[u8], &[u8], &str, &str)| {
    let (token, secret, header, claims) = input;
    let wild = Asked::with_header("authorization", token, secret, b"{}").of(&PROVIDER);
    assert!(!matches!(wild, Some(Verdict::Verified(_))) || token.len() > 60);

    let part = |text: &str| data_encoding::BASE64URL_NOPAD.encode(text.as_bytes());
    let made = format!("{}.{}.{}", part(header), part(claims), part("signature"));
    Asked::with_header("authorization", made.as_bytes(), secret, b"{}").of(&PROVIDER);
});
