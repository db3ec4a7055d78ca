//! What a provider says of its own delivery, read by its scheme file.

use towline_shared::head::Head;
use towline_shared::verify::{Body, Facts, Provider, Request};

#[test]
fn id_and_name_are_read_from_header_and_body() {
    for (slug, fields, body, id, name) in [
        (
            "github",
            "X-GitHub-Delivery: d1\r\nX-GitHub-Event: issues\r\n",
            r#"{"action":"opened"}"#,
            "d1",
            "issues.opened",
        ),
        (
            "github",
            "X-GitHub-Delivery: d1\r\nX-GitHub-Event: ping\r\n",
            "payload=%7B%7D",
            "d1",
            "ping",
        ),
        (
            "stripe",
            "",
            r#"{"id":"evt_1","type":"invoice.paid"}"#,
            "evt_1",
            "invoice.paid",
        ),
        (
            "slack",
            "",
            r#"{"event_id":"Ev1","event":{"type":"message"},"type":"event_callback"}"#,
            "Ev1",
            "message",
        ),
        (
            "standard_webhooks",
            "webhook-id: msg_1\r\n",
            r#"{"type":"user.created"}"#,
            "msg_1",
            "user.created",
        ),
        (
            "openai",
            "webhook-id: msg_1\r\n",
            r#"{"type":"batch.completed"}"#,
            "msg_1",
            "batch.completed",
        ),
        (
            "extole",
            "",
            r#"{"type":"reward_earned","event_id":"qb3"}"#,
            "qb3",
            "reward_earned",
        ),
    ] {
        let expected = Facts {
            delivery_id: Some(id.to_owned()),
            event_type: Some(name.to_owned()),
        };
        assert_eq!(facts(slug, fields, body), expected, "{slug}");
    }
}

#[test]
fn of_two_ids_the_one_counts_that_a_repeated_delivery_keeps() {
    let id = |slug, fields, body| facts(slug, fields, body).delivery_id;

    let fields = "BOX-DELIVERY-ID: attempt\r\n";
    assert_eq!(
        id("box", fields, r#"{"id":"event"}"#).as_deref(),
        Some("event")
    );
    assert_eq!(id("box", fields, "{}").as_deref(), Some("attempt"));
    let fields = "X-Gitlab-Event-UUID: chain\r\nIdempotency-Key: event\r\n";
    assert_eq!(id("gitlab", fields, "{}").as_deref(), Some("event"));
}

#[test]
fn what_is_absent_repeated_or_not_plain_is_left_out() {
    for fields in [
        "",
        "X-GitHub-Delivery: a\r\nX-GitHub-Delivery: b\r\n",
        "X-GitHub-Delivery: \u{85}\r\n",
        &format!("X-GitHub-Delivery: {}\r\n", "a".repeat(257)),
    ] {
        assert_eq!(
            facts("github", fields, "{}"),
            Facts::default(),
            "{fields:?}"
        );
    }
    let longest = format!("X-GitHub-Delivery: {}\r\n", "a".repeat(256));
    assert!(facts("github", &longest, "{}").delivery_id.is_some());
}

fn facts(slug: &str, fields: &str, body: &str) -> Facts {
    let head = Head::parse(format!("POST /in/key HTTP/1.1\r\n{fields}\r\n")).unwrap();
    Provider::builtin(slug).unwrap().facts(&Request {
        head: &head,
        url: "https://relay.example/in/key",
        body: Body::Bytes(body.as_bytes()),
    })
}
