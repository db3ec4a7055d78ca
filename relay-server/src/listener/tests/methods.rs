//! Every method comes in; unknown keys all look the same.

use super::TestRelay;

#[tokio::test]
async fn every_method_is_kept_and_head_gets_no_body() {
    let relay = TestRelay::start().await;
    let mut sender = relay.connect().await;
    let methods = [
        "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get", "x!",
    ];

    for method in methods {
        let request = format!("{method} {} HTTP/1.1\r\n\r\n", relay.path());
        sender.send(request.as_bytes()).await;
        let reply = sender.reply().await;
        assert_eq!(reply.status, 200, "{method}");
        assert!(
            reply.body.starts_with("{\"id\":\"evt_"),
            "{method}: {}",
            reply.body
        );
    }
    sender
        .send(format!("HEAD {} HTTP/1.1\r\n\r\n", relay.path()).as_bytes())
        .await;
    assert_eq!(sender.reply_without_body().await.status, 200);
    sender
        .send(format!("CONNECT {} HTTP/1.1\r\n\r\n", relay.path()).as_bytes())
        .await;
    assert_eq!(sender.reply().await.status, 200);
    sender.end().await;

    let events = relay.events().await;
    let kept: Vec<_> = events
        .iter()
        .map(|event| {
            String::from_utf8_lossy(&event.head)
                .split(' ')
                .next()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(kept[..methods.len()], methods);
    assert_eq!(kept[methods.len()..], ["HEAD", "CONNECT"]);
}

#[tokio::test]
async fn a_sender_that_ends_its_side_after_the_request_is_answered() {
    let relay = TestRelay::start().await;
    let mut sender = relay.connect().await;
    let request = format!(
        "POST {} HTTP/1.1\r\nContent-Length: 2\r\n\r\nok",
        relay.path()
    );

    sender.send(request.as_bytes()).await;
    sender.finish().await;

    assert_eq!(sender.reply().await.status, 200);
    sender.end().await;
    assert_eq!(relay.events().await.len(), 1);
}

#[tokio::test]
async fn a_target_of_another_scheme_is_no_endpoint() {
    let relay = TestRelay::start().await;
    for (scheme, status) in [("ftp", 404), ("http", 200), ("HTTPS", 200)] {
        let mut sender = relay.connect().await;
        let request = format!("GET {scheme}://x{} HTTP/1.1\r\n\r\n", relay.path());

        sender.send(request.as_bytes()).await;

        assert_eq!(sender.reply().await.status, status, "{scheme}");
    }
}

#[tokio::test]
async fn http_1_0_is_taken_and_closed() {
    let relay = TestRelay::start().await;
    let request = format!(
        "POST {} HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi",
        relay.path()
    );

    let mut sender = relay.connect().await;
    sender.send(request.as_bytes()).await;
    let answer = String::from_utf8(sender.end().await).unwrap();

    assert!(
        answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"),
        "{answer}"
    );
    assert_eq!(relay.events().await[0].head, request.trim_end_matches("hi"));
}

#[tokio::test]
async fn unknown_malformed_and_deleted_keys_get_the_same_answer() {
    let relay = TestRelay::start().await;
    let deleted = relay.path();
    let endpoints = &relay.running.relay().endpoints;
    endpoints
        .delete(&relay.endpoint.endpoint.name)
        .await
        .unwrap();

    let mut answers = Vec::new();
    for path in [
        deleted.as_str(),
        "/in/00000000000000000000000000000000",
        "/in/x/y?z",
        "/in/",
        "/in//",
    ] {
        let mut sender = relay.connect().await;
        let request = format!("POST {path} HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi");
        sender.send(request.as_bytes()).await;
        let reply = sender.reply().await;
        let without_date = reply.head.lines().filter(|line| !line.starts_with("date:"));
        answers.push((without_date.collect::<Vec<_>>().join("\n"), reply.body));
    }

    assert!(answers[0].0.contains("404"), "{:?}", answers[0]);
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
}

#[tokio::test]
async fn what_is_not_below_in_is_not_ingested() {
    let relay = TestRelay::start().await;
    let mut sender = relay.connect().await;

    for path in ["/", "/in", "/nothing", "/v1/nothing"] {
        sender
            .send(format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes())
            .await;
        let reply = sender.reply().await;
        assert!(matches!(reply.status, 401 | 404), "{path}: {reply:?}");
    }

    assert_eq!(relay.events().await.len(), 0);
}
