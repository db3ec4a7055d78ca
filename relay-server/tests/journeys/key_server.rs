//! A real server on loopback with certificates of its own, for tests: answers what it is told to, and counts.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What the server does with a request.
pub(super) enum Answer {
    /// It answers with these bytes and closes.
    Raw(Vec<u8>),
    /// It sends these and is silent then.
    Stall(Vec<u8>),
}

/// An authority with a certificate.
pub(super) type Authority = CertifiedIssuer<'static, KeyPair>;

type Respond = Arc<dyn Fn(&str) -> Answer + Send + Sync>;

/// A server, by TLS or without.
pub(super) struct KeyServer {
    pub(super) address: SocketAddr,
    targets: Arc<Mutex<Vec<String>>>,
}

impl KeyServer {
    /// A server with TLS for these names, by a certificate of the authority.
    pub(super) async fn start(
        authority: &Authority,
        names: &[&str],
        respond: impl Fn(&str) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(names).unwrap();
        let certificate = params.signed_by(&key, authority).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.into())
            .unwrap();
        Self::listen(Some(TlsAcceptor::from(Arc::new(config))), Arc::new(respond)).await
    }

    /// A server without TLS.
    pub(super) async fn plain(respond: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        Self::listen(None, Arc::new(respond)).await
    }

    async fn listen(tls: Option<TlsAcceptor>, respond: Respond) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let targets = Arc::new(Mutex::default());
        let seen = Arc::clone(&targets);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, respond, seen) = (tls.clone(), Arc::clone(&respond), Arc::clone(&seen));
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &respond, &seen).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, &respond, &seen).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, targets }
    }

    /// The targets that it was asked for, in order.
    pub(super) fn targets(&self) -> Vec<String> {
        self.targets.lock().clone()
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    respond: &Respond,
    seen: &Mutex<Vec<String>>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.split(' ').nth(1).unwrap().to_owned();
    seen.lock().push(target.clone());
    let (bytes, is_end) = match respond(&target) {
        Answer::Raw(bytes) => (bytes, true),
        Answer::Stall(bytes) => (bytes, false),
    };
    let _ = stream.write_all(&bytes).await;
    if !is_end {
        pending::<()>().await;
    }
    let _ = stream.shutdown().await;
}

/// 200 with a body.
pub(super) fn ok(body: impl AsRef<[u8]>) -> Answer {
    with_status("200 OK", body)
}

/// An answer with a status.
pub(super) fn with_status(status: &str, body: impl AsRef<[u8]>) -> Answer {
    let body = body.as_ref();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    Answer::Raw([head.as_bytes(), body].concat())
}

/// An authority below no other.
pub(super) fn root() -> Authority {
    CertifiedIssuer::self_signed(authority_params("root"), KeyPair::generate().unwrap()).unwrap()
}

/// An authority below another.
pub(super) fn below(root: &Authority) -> Authority {
    let key = KeyPair::generate().unwrap();
    CertifiedIssuer::signed_by(authority_params("between"), key, root).unwrap()
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    params
}

/// A certificate for a name in PEM, which may say where its issuer's is.
pub(super) fn certificate(name: &str, issuer_url: Option<&str>, signer: &Authority) -> String {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params
        .custom_extensions
        .extend(issuer_url.map(authority_information_access));
    let key = KeyPair::generate().unwrap();
    params.signed_by(&key, signer).unwrap().pem()
}

fn authority_information_access(url: &str) -> CustomExtension {
    let of = |tag: u8, content: &[u8]| {
        let length = u8::try_from(content.len()).unwrap();
        [&[tag, length], content].concat()
    };
    let method = of(0x06, &[0x2b, 6, 1, 5, 5, 7, 0x30, 2]);
    let description = [method, of(0x86, url.as_bytes())].concat();
    let content = of(0x30, &of(0x30, &description));
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], content)
}
