//! HTTP/2, by prior knowledge and by TLS.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use towline_shared::event::HeadSource;

use super::{IN_TIME, TestRelay};
use crate::config::TlsFiles;

fn request(uri: &str) -> http::Request<Full<Bytes>> {
    http::Request::post(uri)
        .header("x-a", "1")
        .header("b", "2")
        .header("x-a", "3")
        .body(Full::from("hi"))
        .unwrap()
}

#[tokio::test]
async fn http_2_by_prior_knowledge_is_kept_with_the_librarys_view() {
    let relay = TestRelay::start().await;
    let stream = TcpStream::connect(relay.running.address()).await.unwrap();
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    let driving = tokio::spawn(connection);

    let reply = client
        .send_request(request(&format!(
            "http://hooks.test{}/a?q=%2F",
            relay.path()
        )))
        .await
        .unwrap();

    assert_eq!(reply.status(), 200);
    assert!(!reply.headers().contains_key("connection"));
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    let event = relay.events().await.pop().unwrap();
    assert_eq!(body, format!("{{\"id\":\"{}\"}}", event.info.id));
    assert_eq!(event.info.head_source, HeadSource::Normalised);
    assert_eq!(
        event.head,
        format!(
            "POST {}/a?q=%2F HTTP/2\r\nhost: hooks.test\r\nx-a: 1\r\nx-a: 3\r\nb: 2\r\ncontent-length: 2\r\n\r\n",
            relay.path()
        )
    );
    drop(client);
    driving.await.unwrap().unwrap();
}

#[tokio::test]
async fn http_2_with_one_field_too_many_gets_431() {
    let relay = TestRelay::start().await;
    let stream = TcpStream::connect(relay.running.address()).await.unwrap();
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    let driving = tokio::spawn(connection);
    // The authority becomes a field, too.
    for (fields, status) in [(127, 200), (128, 431)] {
        let mut request = http::Request::get(format!("http://hooks.test{}", relay.path()));
        for _ in 0..fields {
            request = request.header("a", "b");
        }
        let request = request.body(Full::<Bytes>::default()).unwrap();

        let reply = client.send_request(request).await.unwrap();

        assert_eq!(reply.status(), status);
    }
    drop(client);
    driving.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_idle_http_2_connection_is_closed() {
    let relay = TestRelay::start_with(|limits| {
        limits.keep_alive_timeout = Duration::from_millis(300);
    })
    .await;
    let stream = TcpStream::connect(relay.running.address()).await.unwrap();
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    let driving = tokio::spawn(connection);
    let uri = format!("http://hooks.test{}", relay.path());
    assert_eq!(
        client.send_request(request(&uri)).await.unwrap().status(),
        200
    );

    let ended = timeout(IN_TIME, driving).await;

    assert!(ended.is_ok());
}

#[tokio::test]
async fn tls_speaks_the_protocol_that_the_client_asks_for() {
    let folder = tempfile::tempdir().unwrap();
    let certified = rcgen::generate_simple_self_signed(["hooks.test".to_owned()]).unwrap();
    let files = TlsFiles {
        certificate: folder.path().join("cert.pem"),
        key: folder.path().join("key.pem"),
    };
    std::fs::write(&files.certificate, certified.cert.pem()).unwrap();
    std::fs::write(&files.key, certified.signing_key.serialize_pem()).unwrap();
    let root = rustls::pki_types::CertificateDer::from_pem_file(&files.certificate).unwrap();
    let relay = TestRelay::start_configured(|config| config.tls = Some(files)).await;

    for protocol in [&b"h2"[..], b"http/1.1"] {
        let stream = TcpStream::connect(relay.running.address()).await.unwrap();
        let name = ServerName::try_from("hooks.test").unwrap();
        let connector = TlsConnector::from(Arc::new(client_config(&root, protocol)));
        let stream = connector.connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol));
        let stream = TokioIo::new(stream);
        let status = if protocol == b"h2" {
            let (mut client, connection) = http2::handshake(TokioExecutor::new(), stream)
                .await
                .unwrap();
            tokio::spawn(connection);
            let uri = format!("https://hooks.test{}", relay.path());
            client.send_request(request(&uri)).await.unwrap().status()
        } else {
            let (mut client, connection) = http1::handshake(stream).await.unwrap();
            tokio::spawn(connection);
            client
                .send_request(request(&relay.path()))
                .await
                .unwrap()
                .status()
        };

        assert_eq!(status, 200);
    }

    let events = relay.events().await;
    let sources: Vec<_> = events.iter().map(|event| event.info.head_source).collect();
    assert_eq!(sources, [HeadSource::Normalised, HeadSource::Recorded]);
    assert!(events.iter().all(|event| event.info.tls));
    assert!(relay.running.public_url().starts_with("https://127.0.0.1:"));
}

fn client_config(
    root: &rustls::pki_types::CertificateDer<'static>,
    protocol: &[u8],
) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    config
}
