//! The forwarder against small apps on real sockets.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use towline_shared::hop::ChangeKind;
use towline_shared::id::{ReplayId, Seq};

use super::*;

const KEY: &str = "0123456789abcdefghjkmnpqrstvwxyz";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Long enough that it never passes in a test that does not wait for it.
const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(100);

fn options(target: &str, timeout: Duration) -> Delivery {
    Delivery {
        target: target.parse().unwrap(),
        timeout,
        retries: 0,
        park_after: None,
        host: HostHeader::Preserve,
        add_headers: Vec::new(),
        mark: false,
        insecure: false,
    }
}

fn head(method: &str, fields: &str) -> Head {
    Head::parse(format!(
        "{method} /in/{KEY}/x?a=%2F&a HTTP/1.1\r\nhost: relay.test\r\n{fields}\r\n"
    ))
    .unwrap()
}

/// An app that is a function of the accepted connections.
async fn app<F, R>(serve: impl FnOnce(TcpListener) -> F) -> (String, JoinHandle<R>)
where
    F: Future<Output = R> + Send + 'static,
    R: Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap().to_string();
    (target, tokio::spawn(serve(listener)))
}

/// An app that reads one request head and then sends these bytes and closes.
async fn app_that_says(reply: &'static [u8]) -> String {
    let serve = move |listener: TcpListener| async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        stream.write_all(reply).await.unwrap();
    };
    app(serve).await.0
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(bytes).unwrap()
}

async fn deliver(forwarder: &Forwarder, head: &Head, body: &mut Body) -> Tried {
    let call = Call {
        event: EventId::from_bytes([1; 16]),
        delivery: outcome::Delivery {
            seq: Seq(7),
            replay: Some(ReplayId::from_bytes([2; 16])),
        },
        number: 3,
        head,
        body,
    };
    forwarder
        .deliver(call, |_| Ok::<_, Infallible>(()))
        .await
        .unwrap()
}

async fn post(target: &str, timeout: Duration) -> Tried {
    let forwarder = Forwarder::new(options(target, timeout)).unwrap();
    deliver(
        &forwarder,
        &head("POST", "Content-Length: 4\r\n"),
        &mut Body::Memory("body".into()),
    )
    .await
}

fn reset_detail(tried: &Tried) -> &str {
    match &tried.outcome {
        Outcome::Reset { detail } => detail,
        other => panic!("not reset but {other:?}"),
    }
}

#[tokio::test]
async fn the_head_arrives_as_sent_and_the_reply_comes_back_whole() {
    let (target, app) = app(|listener| async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 1024];
        let count = stream.read(&mut request).await.unwrap();
        stream.write_all(OK).await.unwrap();
        String::from_utf8(request[..count].to_vec()).unwrap()
    })
    .await;
    let forwarder = Forwarder::new(options(&format!("{target}/hooks"), LONG)).unwrap();
    let head = head(
        "pOsT",
        "X-b:  1 \r\nx-B: 2\r\nConnection: close\r\ncontent-LENGTH: 4\r\n",
    );

    let tried = deliver(&forwarder, &head, &mut Body::Memory("body".into())).await;

    let delivered_head = "pOsT /hooks/x?a=%2F&a HTTP/1.1\r\nhost: relay.test\r\nX-b:  1 \r\nx-B: 2\r\ncontent-LENGTH: 4\r\n\r\n";
    assert_eq!(app.await.unwrap(), format!("{delivered_head}body"));
    assert_eq!(tried.sent_head, delivered_head);
    assert!(matches!(
        tried.outcome,
        Outcome::Answered {
            status: 200,
            body_length: 2,
            ..
        }
    ));
    assert_eq!(
        tried.reply_head,
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    );
    assert_eq!(tried.reply_body, "ok");
    assert_eq!(tried.target, format!("http://{target}/hooks/x?a=%2F&a"));
    assert_eq!(tried.sent_body_length, 4);
    assert_eq!(
        tried.sent_body_sha256.unwrap(),
        "230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5"
    );
    assert_eq!(
        tried
            .changes
            .iter()
            .filter(|change| change.kind == ChangeKind::Removed)
            .count(),
        1
    );
}

#[tokio::test]
async fn marks_and_asked_for_fields_come_last() {
    let (target, app) = app(|listener| async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = read_head(&mut stream).await;
        stream.write_all(OK).await.unwrap();
        head
    })
    .await;
    let mut options = options(&target, LONG);
    options.mark = true;
    options.add_headers = vec![("X-Team".into(), "blue".into())];
    options.host = HostHeader::Rewrite;
    let forwarder = Forwarder::new(options).unwrap();

    deliver(
        &forwarder,
        &head("GET", ""),
        &mut Body::Memory(Bytes::new()),
    )
    .await;

    let event = EventId::from_bytes([1; 16]);
    let replay = ReplayId::from_bytes([2; 16]);
    assert_eq!(
        app.await.unwrap(),
        format!(
            "GET /x?a=%2F&a HTTP/1.1\r\nhost: {target}\r\nX-Team: blue\r\nTowline-Event-Id: {event}\r\nTowline-Attempt: 3\r\nTowline-Replay: {replay}\r\n\r\n"
        )
    );
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let (target, app) = app(|listener| async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        for _ in 0..3 {
            read_head(&mut stream).await;
            stream.read_exact(&mut [0; 4]).await.unwrap();
            stream.write_all(OK).await.unwrap();
        }
    })
    .await;
    let forwarder = Forwarder::new(options(&target, LONG)).unwrap();

    for _ in 0..3 {
        let tried = deliver(
            &forwarder,
            &head("POST", ""),
            &mut Body::Memory("body".into()),
        )
        .await;
        assert!(
            matches!(tried.outcome, Outcome::Answered { status: 200, .. }),
            "{:?}",
            tried.outcome
        );
    }

    app.await.unwrap();
}

#[tokio::test]
async fn a_request_is_not_sent_twice_when_a_used_connection_dies_without_a_reply() {
    let (target, app) = app(|listener| async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        stream.write_all(OK).await.unwrap();
        read_head(&mut stream).await;
        drop(stream);
        listener
    })
    .await;
    let forwarder = Forwarder::new(options(&target, LONG)).unwrap();

    deliver(
        &forwarder,
        &head("GET", ""),
        &mut Body::Memory(Bytes::new()),
    )
    .await;
    let tried = deliver(
        &forwarder,
        &head("GET", ""),
        &mut Body::Memory(Bytes::new()),
    )
    .await;

    assert!(reset_detail(&tried).contains("is not known"), "{tried:?}");
    let listener = app.await.unwrap();
    let third_connection = listener.accept();
    assert!(futures_util::FutureExt::now_or_never(third_connection).is_none());
}

#[tokio::test]
async fn a_chunked_sender_gets_a_chunked_request_and_chunked_replies_are_read() {
    let (target, app) = app(|listener| async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = read_head(&mut stream).await;
        let mut body = vec![0; 14];
        stream.read_exact(&mut body).await.unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
            .await
            .unwrap();
        (head, body)
    })
    .await;
    let forwarder = Forwarder::new(options(&target, LONG)).unwrap();
    let head = head("POST", "Transfer-Encoding: chunked\r\n");

    let tried = deliver(&forwarder, &head, &mut Body::Memory("body".into())).await;

    let (head, body) = app.await.unwrap();
    assert!(
        head.contains("Transfer-Encoding: chunked\r\n") && !head.contains("Content-Length"),
        "{head}"
    );
    assert_eq!(body, b"4\r\nbody\r\n0\r\n\r\n");
    assert_eq!(tried.reply_body, "abcde");
}

#[tokio::test]
async fn an_early_reply_is_taken_while_the_body_is_still_on_its_way() {
    let (target, app) = app(|listener| async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
            .await
            .unwrap();
        stream
    })
    .await;
    let forwarder = Forwarder::new(options(&target, LONG)).unwrap();
    let mut body = Body::Memory(vec![0; 32 * 1024 * 1024].into());

    let tried = deliver(&forwarder, &head("POST", ""), &mut body).await;

    assert!(
        matches!(tried.outcome, Outcome::Answered { status: 413, .. }),
        "{:?}",
        tried.outcome
    );
    assert!(tried.sent_body_length < body.length());
    assert!(forwarder.connector.reuse(Instant::now()).is_none());
    drop(app.await.unwrap());
}

#[tokio::test]
async fn a_reply_that_grows_while_the_body_is_sent_does_not_lock_up() {
    let (target, app) = app(|listener| async move {
        let (stream, _) = listener.accept().await.unwrap();
        let (mut reading, mut writing) = stream.into_split();
        writing
            .write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut buffer = vec![0; 65536];
        let mut total = 0;
        while total < 8 * 1024 * 1024 {
            let count = reading.read(&mut buffer).await.unwrap();
            total += count;
            writing.write_all(&buffer[..count]).await.unwrap();
        }
    })
    .await;
    let forwarder = Forwarder::new(options(&target, LONG)).unwrap();
    let mut body = Body::Memory(vec![7; 8 * 1024 * 1024].into());

    let tried = deliver(&forwarder, &head("POST", ""), &mut body).await;

    assert!(
        matches!(tried.outcome, Outcome::Answered { status: 200, body_length, .. } if body_length >= 8 * 1024 * 1024)
    );
    assert_eq!(tried.reply_body.len(), outcome::KEPT_REPLY_BYTES);
    app.await.unwrap();
}

#[tokio::test]
async fn what_an_app_can_do_wrong_is_told_apart() {
    for (reply, words) in [
        (&b""[..], "without a reply"),
        (b"HTTP/1.1 200", "middle of the reply's head"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
            "after 4 bytes",
        ),
        (b"+OK POP3 ready\r\n", "not an HTTP reply"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "switched protocols"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "chunked body is malformed",
        ),
    ] {
        let target = app_that_says(reply).await;
        let forwarder = Forwarder::new(options(&target, LONG)).unwrap();

        let tried = deliver(
            &forwarder,
            &head("GET", ""),
            &mut Body::Memory(Bytes::new()),
        )
        .await;

        assert!(reset_detail(&tried).contains(words), "{tried:?}");
    }
}

#[tokio::test]
async fn each_wait_that_takes_too_long_is_named() {
    let silent = app(|listener| async move { listener.accept().await.unwrap() }).await;
    let half = app(|listener| async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal")
            .await
            .unwrap();
        stream
    })
    .await;
    let endless = app(|listener| async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        while stream.write_all(&[b'x'; 1024]).await.is_ok() {}
    })
    .await;

    assert_eq!(
        post(&silent.0, SHORT).await.outcome,
        Outcome::TimedOut {
            phase: Phase::Reply
        }
    );
    assert_eq!(
        post(&half.0, SHORT).await.outcome,
        Outcome::TimedOut { phase: Phase::Body }
    );
    assert_eq!(
        post(&endless.0, SHORT).await.outcome,
        Outcome::TimedOut { phase: Phase::Body }
    );
}

#[tokio::test]
async fn an_app_that_does_not_read_is_a_timeout_of_sending() {
    let (target, app) = app(|listener| async move { listener.accept().await.unwrap() }).await;
    let forwarder = Forwarder::new(options(&target, SHORT)).unwrap();
    let mut body = Body::Memory(vec![0; 64 * 1024 * 1024].into());

    let tried = deliver(&forwarder, &head("POST", ""), &mut body).await;

    assert_eq!(tried.outcome, Outcome::TimedOut { phase: Phase::Send });
    assert!(tried.sent_body_length > 0 && tried.sent_body_length < body.length());
    drop(app.await.unwrap());
}

#[tokio::test]
async fn nobody_at_the_target_is_refused_and_nothing_counts_as_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap().to_string();
    drop(listener);
    let forwarder = Forwarder::new(options(&target, LONG)).unwrap();
    let head = head("GET", "");
    let call = Call {
        event: EventId::from_bytes([1; 16]),
        delivery: outcome::Delivery {
            seq: Seq(1),
            replay: None,
        },
        number: 1,
        head: &head,
        body: &mut Body::Memory(Bytes::new()),
    };

    let tried = forwarder.deliver(call, |_| Err("sent")).await.unwrap();

    assert!(
        matches!(&tried.outcome, Outcome::Refused { detail } if detail.contains("nobody listens")),
        "{tried:?}"
    );
    assert!(tried.sent_head.is_empty() && !tried.is_hopeless);
}

#[tokio::test]
async fn nothing_is_written_when_the_journal_refuses() {
    let (target, app) = app(|listener| async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).await.unwrap();
        heard
    })
    .await;
    let forwarder = Forwarder::new(options(&target, LONG)).unwrap();
    let head = head("GET", "");
    let call = Call {
        event: EventId::from_bytes([1; 16]),
        delivery: outcome::Delivery {
            seq: Seq(1),
            replay: None,
        },
        number: 1,
        head: &head,
        body: &mut Body::Memory(Bytes::new()),
    };

    let refused = forwarder.deliver(call, |_| Err("disk full")).await;

    assert_eq!(refused.unwrap_err(), "disk full");
    assert!(app.await.unwrap().is_empty());
}

#[tokio::test]
async fn a_head_that_cannot_be_forwarded_is_hopeless_and_says_why() {
    let forwarder = Forwarder::new(options("127.0.0.1:9", LONG)).unwrap();
    let elsewhere = Head::parse(&b"GET /elsewhere HTTP/1.1\r\n\r\n"[..]).unwrap();

    let tried = deliver(&forwarder, &elsewhere, &mut Body::Memory(Bytes::new())).await;

    assert!(tried.is_hopeless);
    assert!(
        matches!(&tried.outcome, Outcome::Refused { detail } if detail.contains("cannot be forwarded")),
        "{tried:?}"
    );
}

#[tokio::test]
async fn a_refused_host_brings_a_hint_unless_it_is_rewritten_already() {
    let reply =
        b"HTTP/1.1 403 No\r\nContent-Length: 34\r\n\r\nBlocked request. This host (\"x\") i";
    let kept = post(&app_that_says(reply).await, LONG).await;
    let mut rewriting = options(&app_that_says(reply).await, LONG);
    rewriting.host = HostHeader::Rewrite;
    let forwarder = Forwarder::new(rewriting).unwrap();
    let rewritten = deliver(
        &forwarder,
        &head("GET", ""),
        &mut Body::Memory(Bytes::new()),
    )
    .await;

    assert!(
        kept.hint
            .as_deref()
            .is_some_and(|hint| hint.contains("Vite") && hint.contains("--host-header rewrite")),
        "{kept:?}"
    );
    assert_eq!(rewritten.hint, None);
}

#[tokio::test]
async fn redirects_are_answers() {
    let reply = b"HTTP/1.1 302 Found\r\nLocation: http://evil.test/\r\nContent-Length: 0\r\n\r\n";

    let tried = post(&app_that_says(reply).await, LONG).await;

    assert!(matches!(
        tried.outcome,
        Outcome::Answered { status: 302, .. }
    ));
}

#[tokio::test]
async fn a_self_signed_app_is_called_only_with_insecure_and_the_hint_says_so() {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let (address, app) = app(|listener| async move {
        let (refused, _) = listener.accept().await.unwrap();
        assert!(acceptor.accept(refused).await.is_err());
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await.unwrap();
        for _ in 0..2 {
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            stream.write_all(OK).await.unwrap();
        }
    })
    .await;
    let mut insecure = options(&format!("https://{address}"), LONG);
    insecure.insecure = true;
    let insecure = Forwarder::new(insecure).unwrap();

    let refused = post(&format!("https://{address}"), LONG).await;
    let taken = deliver(&insecure, &head("GET", ""), &mut Body::Memory(Bytes::new())).await;
    let again = deliver(&insecure, &head("GET", ""), &mut Body::Memory(Bytes::new())).await;

    assert!(
        matches!(&refused.outcome, Outcome::Refused { detail } if detail.contains("authority")),
        "{refused:?}"
    );
    assert!(refused.hint.is_some_and(|hint| hint.contains("--insecure")));
    assert!(
        matches!(taken.outcome, Outcome::Answered { status: 200, .. }),
        "{taken:?}"
    );
    assert!(
        matches!(again.outcome, Outcome::Answered { status: 200, .. }),
        "{again:?}"
    );
    app.await.unwrap();
}

#[test]
fn fields_that_cannot_be_added_are_refused() {
    let with = |name: &str, value: &str| {
        let mut options = options("3000", LONG);
        options.add_headers = vec![(name.into(), value.into())];
        Forwarder::new(options)
            .map(|_| ())
            .map_err(|error| error.to_string())
    };

    assert!(with("X-Ok", "a b\tc").is_ok());
    assert!(with("X Bad", "1").unwrap_err().contains("`X Bad`"));
    assert!(
        with("content-length", "1")
            .unwrap_err()
            .contains("`content-length`")
    );
    assert!(
        with("X-Bad", "1\r\nX-Evil: 2")
            .unwrap_err()
            .contains("control character")
    );
}
