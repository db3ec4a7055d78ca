//! TLS on both ends: the relay behind its own certificate, and an app behind a self-signed one.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use towline_server::config::TlsFiles;
use towline_shared::outcome::Outcome;
use towline_tests::api::{Api, path_of};
use towline_tests::app::{App, plain};
use towline_tests::certificate::{CertificateFiles, make};
use towline_tests::listening::{Listening, options};
use towline_tests::message::{Message, Reader, Unframed};
use towline_tests::relay::Relay;
use towline_tests::sender::post;

#[tokio::test]
async fn an_event_over_tls_arrives_as_it_was_sent() {
    let (relay, files, _folder) = tls_relay().await;
    let path = endpoint(&relay, &files, "secure").await;
    let app = App::start().await;
    let token = admin_token(&relay);
    let state = relay.folder().join("state");
    let mut options = options(relay.address(), &token, "secure", &app.url(), &state);
    options.relay.url = https(&relay).parse().unwrap();
    options.relay.ca_file = Some(files.authority.clone());
    let _client = Listening::start(options).await;

    let request = format!(
        "POST {path}/a HTTP/1.1\r\nhOST: h\r\nX-Twice: 1\r\nx-twice: 2\r\nContent-Length: 2\r\n\r\nok"
    );
    let reply = over_tls(&relay, &files, request.as_bytes()).await;

    assert_eq!(reply.status(), 200);
    let seen = app.wait_for(1).await;
    let head =
        "POST /a HTTP/1.1\r\nhOST: h\r\nX-Twice: 1\r\nx-twice: 2\r\nContent-Length: 2\r\n\r\n";
    assert_eq!(String::from_utf8_lossy(&seen[0].head), head);
}

#[tokio::test]
async fn a_relay_whose_certificate_is_not_trusted_is_not_spoken_to() {
    let (relay, files, _folder) = tls_relay().await;
    endpoint(&relay, &files, "secure").await;
    let state = relay.folder().join("state");
    let mut options = options(relay.address(), &admin_token(&relay), "secure", "9", &state);
    options.relay.url = https(&relay).parse().unwrap();

    let client = Listening::begin(options);

    let why = client
        .wait_for("news of the certificate", |news| {
            news.iter().find_map(|one| match one {
                towline::listen::News::Reconnecting { why, .. } => Some(why.clone()),
                _ => None,
            })
        })
        .await;
    assert!(why.to_lowercase().contains("certificate"), "{why}");
}

#[tokio::test]
async fn plain_http_at_a_tls_relay_keeps_nothing() {
    let (relay, files, _folder) = tls_relay().await;
    let path = endpoint(&relay, &files, "secure").await;
    let mut sender = towline_tests::sender::Sender::connect(relay.address()).await;

    sender.send(&post(&path, b"{}")).await;
    let answer = sender.read_to_end().await;

    assert!(
        !answer.starts_with(b"HTTP/1.1 2"),
        "{}",
        answer.escape_ascii()
    );
    let listed = call(&relay, &files, "GET", "/v1/events?endpoint=secure", "").await;
    assert_eq!(listed.json()["events"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn an_app_with_a_self_signed_certificate_is_called_only_when_asked_to() {
    let relay = Relay::start().await;
    let api = relay.api();
    let path = path_of(&api.open_endpoint("secure").await);
    let files = make(relay.folder());
    let app = tls_app(&files).await;
    towline_tests::sender::send(relay.address(), &post(&path, b"{}")).await;
    let state = relay.folder().join("state");
    let strict = options(relay.address(), api.token(), "secure", &app, &state);
    let mut lenient = strict.clone();
    lenient.delivery.insecure = true;

    let client = Listening::start(strict).await;
    let refused = client
        .wait_for_outcome("a refusal", |outcome| {
            matches!(outcome, Outcome::Refused { .. })
        })
        .await;
    client.stop().await.unwrap();
    let client = Listening::start(lenient).await;
    client
        .wait_for_outcome("an answer", |outcome| {
            matches!(outcome, Outcome::Answered { status: 200, .. })
        })
        .await;

    let Outcome::Refused { detail } = refused.outcome else {
        unreachable!("it was looked for");
    };
    assert!(detail.to_lowercase().contains("certificate"), "{detail}");
}

async fn tls_relay() -> (Relay, CertificateFiles, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let files = make(folder.path());
    let tls = TlsFiles {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
    };
    let relay = Relay::with(|config| config.tls = Some(tls)).await;
    (relay, files, folder)
}

fn https(relay: &Relay) -> String {
    format!("https://{}", relay.address())
}

fn admin_token(relay: &Relay) -> String {
    let token = std::fs::read_to_string(relay.data().join("admin.token")).unwrap();
    token.trim().to_owned()
}

async fn endpoint(relay: &Relay, files: &CertificateFiles, name: &str) -> String {
    let wish = serde_json::to_string(&towline_tests::api::unchecked(name)).unwrap();
    let reply = call(relay, files, "POST", "/v1/endpoints", &wish).await;
    assert_eq!(reply.status(), 201, "{}", reply.text());
    path_of(&serde_json::from_slice(&reply.body).unwrap())
}

async fn call(
    relay: &Relay,
    files: &CertificateFiles,
    method: &str,
    path: &str,
    body: &str,
) -> Message {
    let request =
        Api::new(relay.address(), &admin_token(relay)).request(method, path, body.as_bytes());
    over_tls(relay, files, &request).await
}

async fn over_tls(relay: &Relay, files: &CertificateFiles, request: &[u8]) -> Message {
    let mut roots = RootCertStore::empty();
    roots.add(certificates(&files.authority).remove(0)).unwrap();
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(relay.address()).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .unwrap();
    stream.write_all(request).await.unwrap();
    Reader::new(stream)
        .message(Unframed::UntilClose)
        .await
        .unwrap()
        .unwrap()
}

/// An app behind TLS that answers one request a connection with 200; gives its URL.
async fn tls_app(files: &CertificateFiles) -> String {
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            certificates(&files.certificate),
            PrivateKeyDer::from_pem_file(&files.key).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut reader = Reader::new(stream);
            if let Ok(Some(_)) = reader.message(Unframed::Empty).await {
                let _ = reader.stream().write_all(&plain(200)).await;
                let _ = reader.stream().shutdown().await;
            }
        }
    });
    format!("https://{address}")
}

fn certificates(path: &Path) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(path)
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
