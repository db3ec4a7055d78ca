//! The template engine: any template as the signed text, the key, an expected credential and a challenge's answer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use towline_fuzz::Asked;
use towline_shared::verify::Provider;

fuzz_target!(|input: (&str, &str, &[u8])| {
    let (template, header, body) = input;
    let quoted = serde_json::to_string(template).expect("a text is JSON");
    let file = format!(
        "[own]\nevent_type = {quoted}\n\
         [[own.scheme]]\nalg = \"hmac-sha256\"\nsig = \"{{header.x-signature}}\"\nmessage = {quoted}\n\
         [[own.scheme]]\nalg = \"hmac-sha1\"\nsig = \"{{header.x-signature}}\"\nkey = {quoted}\nmessage = \"{{body}}\"\n\
         [[own.handshake]]\nwhen = [\"method=POST\"]\nstatus = 200\nheaders = {{}}\nbody = {quoted}\n"
    );
    let Ok(provider) = Provider::parse("own", &file) else {
        return;
    };
    let mut asked = Asked::with_header("x-signature", &[b'a'; 64], b"secret", body);
    asked
        .headers
        .push(("x-other".to_owned(), header.as_bytes().to_vec()));
    asked.of(&provider);
});
