//! What an owner must give and may take so that an endpoint's requests are its own: parameters that tell them from those
//! for others, and a secret that the provider hands over.

use serde_json::json;
use towline_tests::desk::Desk;

const INVALID: i32 = 13;
const SECRET: &str = "secret_0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn a_parameter_that_is_needed_is_asked_for_by_its_name() {
    let desk = Desk::new().await;
    let create = ["endpoints", "create", "users", "--provider", "kinde"];

    let refused = desk.run(&create).await;
    let issuer = ["--param", "issuer=https://mine.kinde.example"];
    let made = desk.run(&[&create[..], &issuer].concat()).await;
    let lost = ["endpoints", "update", "users", "--param", "other=1"];
    let kept = desk.run(&lost).await;

    for refusal in [refused, kept] {
        assert_eq!(refusal.code, INVALID, "{refusal:?}");
        let hint = "hint: give it with `--param issuer=…`";
        assert!(refusal.stderr.contains(hint), "{refusal:?}");
    }
    assert_eq!(made.code, 0, "{made:?}");
}

#[tokio::test]
async fn a_check_without_such_a_parameter_says_what_it_leaves_open() {
    let desk = Desk::new().await;
    let request = "POST / HTTP/1.1\r\nHost: x\r\n\r\n";
    std::fs::write(desk.home().join("request.http"), request).unwrap();
    let verify = ["verify", "aws_sns", "request.http"];
    let note = "note: without `--param topic_arn=…`";

    let open = desk.run(&verify).await;
    let bound = desk
        .run(&[&verify[..], &["--param", "topic_arn=a"]].concat())
        .await;

    assert!(open.stderr.contains(note), "{open:?}");
    assert!(!bound.stderr.contains(note), "{bound:?}");
}

#[tokio::test]
async fn a_secret_that_the_provider_handed_over_is_shown_once() {
    let desk = Desk::new().await;
    let create = ["endpoints", "create", "pages", "--provider", "notion"];
    desk.done(&create).await;
    let url = desk.json(&["endpoints", "show", "pages"]).await["url"].clone();
    let path = url
        .as_str()
        .unwrap()
        .split("/in/")
        .nth(1)
        .unwrap()
        .to_owned();
    let body = json!({"verification_token": SECRET}).to_string();
    let length = body.len();
    let head = format!("POST /in/{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
    let relay = desk.relay.address();
    let reply = towline_tests::sender::send(relay, (head + &body).as_bytes()).await;
    assert_eq!(reply.status(), 200, "{}", reply.text());
    let show = ["endpoints", "show", "pages"];
    let before = desk.done(&show).await;

    let shown = desk.done(&["endpoints", "reveal", "pages"]).await;
    let again = desk.run(&["endpoints", "reveal", "pages"]).await;

    assert!(
        before.contains("towline endpoints reveal pages"),
        "{before}"
    );
    assert!(!before.contains(SECRET), "{before}");
    assert_eq!(shown.trim_end(), SECRET);
    assert_eq!(again.code, INVALID, "{again:?}");
    assert!(again.stderr.contains("once already"), "{again:?}");
    assert!(!desk.done(&show).await.contains("endpoints reveal"));
}
