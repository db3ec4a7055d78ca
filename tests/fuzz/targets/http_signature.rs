//! HTTP message signatures, RFC 9421 and draft-cavage: any signature headers, under a real key.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use towline_fuzz::Asked;
use towline_shared::verdict::Verdict;
use towline_shared::verify::Provider;

/// The public key of RFC 8032, section 7.1, test 1.
const PUBLIC_KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

const FILE: &str = r#"[own]
[[own.scheme]]
alg = "httpsig-rfc9421"
sig = "{header.signature}"
key = "{secret|unhex}"
httpsig = { tolerance = 300, require = ["content-digest"] }
[[own.scheme]]
alg = "httpsig-cavage"
sig = "{header.x-signature}"
key = "{secret|unhex}"
"#;

static PROVIDER: LazyLock<Provider> =
    LazyLock::new(|| Provider::parse("own", FILE).expect("a scheme file"));

fuzz_target!(|input: (&[u8], &[u8], &[u8], &[u8])| {
    let (first, second, digest, body) = input;
    let mut asked = Asked::with_header("signature", first, PUBLIC_KEY.as_bytes(), body);
    asked
        .headers
        .push(("signature-input".to_owned(), second.to_vec()));
    asked
        .headers
        .push(("content-digest".to_owned(), digest.to_vec()));
    let verdict = asked.of(&PROVIDER);
    assert!(!matches!(verdict, Some(Verdict::Verified(_))));

    asked.headers[0].0 = "x-signature".to_owned();
    let verdict = asked.of(&PROVIDER);
    assert!(!matches!(verdict, Some(Verdict::Verified(_))));
});
