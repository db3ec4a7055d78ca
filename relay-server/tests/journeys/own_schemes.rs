//! Scheme files that people upload with an endpoint: told every mistake, and kept from costing more than a known one.

use serde_json::{Value, json};

use crate::relay::Relay;

#[tokio::test]
async fn every_mistake_of_a_scheme_file_is_told_and_a_costly_one_is_refused() {
    let relay = Relay::start().await;
    let scheme = |lines: &str| {
        format!("[mine]\n[[mine.scheme]]\nalg = \"hmac-sha256\"\nsig = \"{{header.x}}\"\n{lines}\n")
    };
    let long = format!(
        "{}#{}",
        scheme("message = \"{body}\""),
        "x".repeat(64 * 1024)
    );
    let places = vec!["\"{header.x}\""; 17].join(", ");
    for (own_scheme, told) in [
        (
            scheme("mesage = \"{body}\"\nencoding = \"base65\""),
            &[
                "line 5, `mine.scheme.mesage`",
                "line 6, `mine.scheme.encoding`",
            ][..],
        ),
        (
            scheme("message = \"{body|json|json|json|json|json|json|json}\""),
            &["line 5, `mine.scheme.message`", "times the body"],
        ),
        (
            scheme("message = \"{item./a}{body}\"\neach = \"/items\""),
            &["every element costs the whole body"],
        ),
        (
            scheme(&format!("message = [{places}]\nbinds = \"none\"")),
            &["17 are too many"],
        ),
        (
            scheme(&format!("message = \"{}\"", "{body}".repeat(65))),
            &["more than 64 values"],
        ),
        (
            format!("[mine]\na = {}1", "[".repeat(30_000)),
            &["`own_scheme`"],
        ),
        (
            scheme(
                "message = \"{body}\"\n[[mine.handshake]]\nwhen = [\"query.c\"]\nstatus = 200\nbody = \"\"\n\
                 action = { get = \"https://a.example.com/{secret|hex}\", host = \"a.example.com\" }",
            ),
            &[
                "line 10, `mine.handshake.action`",
                "`verify = true`",
                "give away",
            ],
        ),
        (
            scheme("message = \"{body}\"").replace(
                "hmac-sha256\"",
                "rsa-sha256\"\nkey_fetch = { url = \"https://a.example.com/{secret|hex}\", host = \"a.example.com\" }",
            ),
            &["line 4, `mine.scheme.key_fetch`", "told the secret"],
        ),
        (
            scheme(
                "message = \"v:{body}\"\n[[mine.handshake]]\nwhen = [\"query.c\"]\nstatus = 200\n\
                 guard = \"{query.a}\"\nbody = \"{query.c|hmac-sha256|hex}\"",
            ),
            &["line 10, `mine.handshake.body`", "what `guard` looks at"],
        ),
        (
            scheme(
                "message = \"{body}\"\n[[mine.handshake]]\nwhen = [\"query.c\"]\nstatus = 200\n\
                 guard = \"{query.c}\"\nbody = \"{query.c|hmac-sha256|hex}\"",
            ),
            &["line 5, `mine.scheme.message`", "`reject ="],
        ),
        (long, &["`own_scheme`", "bytes"]),
    ] {
        let asked = json!({"name": "a", "provider": "mine", "own_scheme": own_scheme});

        let reply = relay.json("POST", "/v1/endpoints", &asked).await;

        assert_eq!(reply.status, 422, "{told:?}: {}", reply.text());
        let detail: Value = serde_json::from_str(&reply.text()).unwrap();
        let detail = detail["detail"].as_str().unwrap();
        for words in told {
            assert!(detail.contains(words), "{words}: {detail}");
        }
    }
    let good = json!({
        "name": "a", "provider": "mine", "own_scheme": scheme("message = \"{body}\""),
        "secrets": [{"name": "s", "secret": "x"}]
    });
    let made = relay.json("POST", "/v1/endpoints", &good).await;
    let view: Value = serde_json::from_str(&made.text()).unwrap();
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(view["has_own_scheme"], json!(true));
}
