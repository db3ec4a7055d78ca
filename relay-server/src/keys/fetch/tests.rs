//! The guarded GET against real servers on loopback, most of which mean ill.

use super::*;
use crate::keys::key_server::{Answer as Served, KeyServer, ok, root, with_status};
use crate::keys::tests::only;

const HOST: &str = "keys.example.com";

fn place(target: &str) -> Place {
    Place::of(&format!("https://{HOST}{target}")).unwrap()
}

/// What comes of a GET when the server answers so.
async fn got(
    served: impl Fn(&str) -> Served + Send + Sync + 'static,
) -> Result<Answer, FetchError> {
    let root = root();
    let server = KeyServer::start(&root, &[HOST], served).await;
    let mut fetcher = Fetcher::new(&only(&root, &[(HOST, &server)]));
    // Long enough for a loaded machine, and over soon where a server never answers.
    fetcher.total = Duration::from_secs(2);
    fetcher.get(&place("/key")).await
}

async fn failure(served: impl Fn(&str) -> Served + Send + Sync + 'static) -> FetchError {
    got(served).await.unwrap_err()
}

#[tokio::test]
async fn a_document_comes_with_its_lifetime() {
    let served = |target: &str| {
        assert_eq!(target, "/key");
        Served::Raw(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\n\r\nkey".to_vec())
    };

    let answer = got(served).await.unwrap();

    assert_eq!(answer.body, "key");
    assert_eq!(answer.lifetime, Duration::from_secs(600));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let root = root();
    let respond = |_: &str| {
        let to = format!(
            "HTTP/1.1 302 Found\r\nLocation: https://{HOST}/other\r\nContent-Length: 0\r\n\r\n"
        );
        Served::Raw(to.into_bytes())
    };
    let server = KeyServer::start(&root, &[HOST], respond).await;
    let fetcher = Fetcher::new(&only(&root, &[(HOST, &server)]));

    let failure = fetcher.get(&place("/key")).await.unwrap_err();

    assert_eq!(failure, FetchError::Status(StatusCode::FOUND));
    assert_eq!(server.targets(), ["/key"]);
}

#[tokio::test]
async fn the_longest_document_is_taken_and_a_byte_more_is_not() {
    let longest = vec![b'x'; MOST_BYTES];
    let longer = vec![b'x'; MOST_BYTES + 1];
    let without_length = [&b"HTTP/1.1 200 OK\r\n\r\n"[..], &longer].concat();

    assert!(got(move |_| ok(&longest)).await.is_ok());
    assert_eq!(failure(move |_| ok(&longer)).await, FetchError::TooLong);
    let failed = failure(move |_| Served::Raw(without_length.clone())).await;
    assert_eq!(failed, FetchError::TooLong);
}

#[tokio::test]
async fn a_server_that_drips_or_is_silent_is_given_up() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nk";

    assert_eq!(
        failure(|_| Served::Stall(Vec::new())).await,
        FetchError::Timeout
    );
    assert_eq!(
        failure(|_| Served::Stall(head.to_vec())).await,
        FetchError::Timeout
    );
}

#[tokio::test]
async fn an_endless_head_a_cut_body_and_another_protocol_are_broken_exchanges() {
    let endless = || {
        let line = format!("X-Long: {}\r\n", "x".repeat(1000));
        Served::Raw(format!("HTTP/1.1 200 OK\r\n{}", line.repeat(64)).into_bytes())
    };
    let cut = || Served::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nkey".to_vec());

    assert_eq!(failure(move |_| endless()).await, FetchError::Broken);
    assert_eq!(failure(move |_| cut()).await, FetchError::Broken);
    assert_eq!(
        failure(|_| Served::Raw(b"220 smtp\r\n".to_vec())).await,
        FetchError::Broken
    );
}

#[tokio::test]
async fn any_other_status_is_no_document() {
    for status in [
        "204 No Content",
        "206 Partial Content",
        "404 Not Found",
        "500 Oops",
    ] {
        let failed = failure(move |_| with_status(status, "key")).await;

        assert!(
            matches!(failed, FetchError::Status(_)),
            "{status}: {failed:?}"
        );
    }
}

#[tokio::test]
async fn a_server_must_prove_its_name_under_a_root() {
    let (trusted, other) = (root(), root());
    let wrong_name = KeyServer::start(&trusted, &["other.example.com"], |_| ok("key")).await;
    let wrong_root = KeyServer::start(&other, &[HOST], |_| ok("key")).await;

    for server in [wrong_name, wrong_root] {
        let fetcher = Fetcher::new(&only(&trusted, &[(HOST, &server)]));

        let failure = fetcher.get(&place("/key")).await.unwrap_err();

        assert_eq!(failure, FetchError::Tls);
        assert!(server.targets().is_empty());
    }
}

#[tokio::test]
async fn a_name_that_leads_to_this_machine_is_not_connected_to() {
    let mut place = place("/key");
    place.host = "localhost".to_owned();

    let failure = Fetcher::new(&Outbound::Public)
        .get(&place)
        .await
        .unwrap_err();

    assert_eq!(failure, FetchError::Address);
}

#[tokio::test]
async fn nothing_but_the_named_hosts_is_reached_where_they_are_named() {
    let fetcher = Fetcher::new(&only(&root(), &[]));

    let failure = fetcher.get(&place("/key")).await.unwrap_err();

    assert_eq!(failure, FetchError::Unreachable);
}

#[test]
fn one_address_outside_the_internet_spoils_the_name() {
    let of = |texts: &[&str]| {
        let parsed = texts
            .iter()
            .map(|text| SocketAddr::new(text.parse().unwrap(), 443));
        judged(parsed.collect())
    };

    let sorted = of(&["2606:4700::1", "1.1.1.1", "8.8.8.8", "9.9.9.9"]).unwrap();

    let ips: Vec<_> = sorted
        .iter()
        .map(|address| address.ip().to_string())
        .collect();
    assert_eq!(ips, ["1.1.1.1", "8.8.8.8", "9.9.9.9"]);
    assert_eq!(of(&["1.1.1.1", "10.0.0.1"]), Err(FetchError::Address));
    assert_eq!(of(&["::ffff:1.1.1.1"]), Err(FetchError::Address));
    assert_eq!(of(&[]), Err(FetchError::Unreachable));
}
