//! The JSON reader: any pointer into any body, as text and as the elements of an array.
#![no_main]

use libfuzzer_sys::fuzz_target;
use towline_fuzz::Asked;
use towline_shared::verify::Provider;

fuzz_target!(|input: (&str, &[u8])| {
    let (pointer, body) = input;
    let text = |template: String| serde_json::to_string(&template).expect("a text is JSON");
    let file = format!(
        "[own]\ndelivery_id = {json}\n\
         [[own.scheme]]\nwhen = [{condition}]\nalg = \"hmac-sha256\"\nsig = \"{{header.x-signature}}\"\nmessage = {json}\n\
         [[own.scheme]]\nalg = \"equals\"\nbinds = \"none\"\neach = {each}\nsig = \"{{item./a}}\"\nexpect = \"{{secret}}\"\n",
        json = text(format!("{{json./{pointer}}}")),
        condition = text(format!("json_only:{pointer}")),
        each = text(format!("/{pointer}")),
    );
    let Ok(provider) = Provider::parse("own", &file) else {
        return;
    };
    Asked::with_header("x-signature", &[b'a'; 64], b"secret", body).of(&provider);
});
