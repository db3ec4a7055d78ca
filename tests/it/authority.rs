//! A suffix is data: whatever it says, the request goes to the configured target and stays below its base path.

use towline_tests::api::path_of;
use towline_tests::app::App;
use towline_tests::listening::{Listening, options};
use towline_tests::relay::Relay;
use towline_tests::sender::{Sender, send};

#[tokio::test]
async fn no_suffix_changes_where_a_request_goes() {
    let relay = Relay::start().await;
    let api = relay.api();
    let path = path_of(&api.open_endpoint("paths").await);
    let app = App::start().await;
    let evil = App::start().await;
    let state = relay.folder().join("state");
    let base = format!("{}/base", app.url());
    let _client = Listening::start(options(
        relay.address(),
        api.token(),
        "paths",
        &base,
        &state,
    ))
    .await;
    let host = evil.address();

    let mut delivered = 0;
    for suffix in [
        format!("//{host}/"),
        format!("///{host}/"),
        format!("/\\{host}/"),
        format!("/\\\\{host}\\"),
        format!("/@{host}/"),
        format!("/user:password@{host}/"),
        format!("/http://{host}/"),
        format!("/x/http:/{host}"),
        "/../../..".to_owned(),
        format!("/..//{host}/"),
        "/%2e%2e/%2e%2e/etc".to_owned(),
        format!("/%2f%2f{host}/"),
        format!("/%5c%5c{host}/"),
        format!("/%40{host}/"),
        format!("?@{host}/"),
        format!("?//{host}/http://{host}"),
        format!("/%0d%0aHost:%20{host}%0d%0a"),
        format!("/;@{host}"),
        format!("/:80@{host}"),
    ] {
        let request = format!("GET {path}{suffix} HTTP/1.1\r\nHost: h\r\n\r\n");
        let reply = send(relay.address(), request.as_bytes()).await;
        if reply.status() == 200 {
            let seen = app.wait_for(delivered + 1).await;
            let target = &seen[delivered].first_line()[1];
            assert_eq!(target, &format!("/base{suffix}"), "{suffix}");
            delivered += 1;
        } else {
            assert!(
                (400..500).contains(&reply.status()),
                "{suffix}: {}",
                reply.status()
            );
        }
    }

    assert_eq!(evil.count(), 0);
    assert!(delivered >= 15, "only {delivered} were delivered");
}

#[tokio::test]
async fn no_suffix_without_a_slash_extends_the_key() {
    let relay = Relay::start().await;
    let api = relay.api();
    let path = path_of(&api.open_endpoint("paths").await);

    for suffix in ["@evil.example/", ":80/", "\\evil", "%2f..", ".", "x"] {
        let mut sender = Sender::connect(relay.address()).await;
        let reply = sender
            .exchange(format!("GET {path}{suffix} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes())
            .await;
        assert!(
            (400..500).contains(&reply.status()),
            "{suffix}: {}",
            reply.status()
        );
    }

    assert!(api.events("paths").await.is_empty());
}
