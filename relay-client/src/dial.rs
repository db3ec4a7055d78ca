//! The way to the relay: TCP, through a proxy when the environment names one, and TLS with the system's,
//! the web's or a given certificate authority. Serves the relay connection only, never the target.

mod proxy;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use crate::dial::proxy::ProxyVariables;
use crate::{tcp, tls};

/// Where the relay is and how to trust it.
#[derive(Clone, Debug)]
pub struct RelayAddress {
    /// `http://…` or `https://…`, without a final `/`.
    pub url: Url,
    /// A certificate authority of the user's own, PEM, beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// A connection to the relay, plain or TLS.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The relay cannot be reached; the message says at which step and what to check.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{step}: {detail}")]
pub struct DialError {
    /// Looking up the name, connecting, the proxy, or TLS.
    pub step: String,
    /// What was said there.
    pub detail: String,
}

impl DialError {
    fn new(step: impl Into<String>, detail: impl fmt::Display) -> Self {
        Self {
            step: step.into(),
            detail: detail.to_string(),
        }
    }
}

/// How long one step may take. Name servers and proxies of large networks need some seconds at times;
/// a person who waits longer wants to know where it hangs.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects to the relay.
///
/// # Errors
/// Names the step that failed. Every step has a time limit.
pub async fn dial(relay: &RelayAddress) -> Result<Box<dyn Stream>, DialError> {
    dial_through(relay, &ProxyVariables::from_environment()).await
}

async fn dial_through(
    relay: &RelayAddress,
    variables: &ProxyVariables,
) -> Result<Box<dyn Stream>, DialError> {
    let place = Place::of(&relay.url)?;
    let stream: Box<dyn Stream> = match variables.proxy_for(&place)? {
        Some(proxy) => proxy::connect_through(&proxy, &place).await?,
        None => Box::new(connect(&place).await?),
    };
    if place.is_https {
        handshake(stream, &place, relay.ca_file.clone()).await
    } else {
        Ok(stream)
    }
}

/// A server to connect to.
#[derive(Clone, Debug)]
struct Place {
    is_https: bool,
    host: Host,
    port: u16,
}

impl Place {
    fn of(url: &Url) -> Result<Self, DialError> {
        let wrong = |detail: &str| DialError::new(format!("reading the address `{url}`"), detail);
        let is_https = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(wrong("it is neither http:// nor https://")),
        };
        Ok(Self {
            is_https,
            host: url
                .host()
                .ok_or_else(|| wrong("it names no host"))?
                .to_owned(),
            port: url
                .port_or_known_default()
                .ok_or_else(|| wrong("it names no port"))?,
        })
    }

    /// Whether the place is this machine itself, which no proxy can reach.
    fn is_loopback(&self) -> bool {
        match &self.host {
            Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        }
    }

    fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    fn server_name(&self) -> Result<ServerName<'static>, DialError> {
        match &self.host {
            Host::Domain(name) => ServerName::try_from(name.clone())
                .map_err(|error| DialError::new(format!("TLS with {name}"), error)),
            Host::Ipv4(address) => Ok(ServerName::IpAddress((*address).into())),
            Host::Ipv6(address) => Ok(ServerName::IpAddress((*address).into())),
        }
    }
}

async fn connect(place: &Place) -> Result<TcpStream, DialError> {
    let addresses = look_up(place).await?;
    let step = || format!("connecting to {}", place.authority());
    time::timeout(STEP_TIMEOUT, tcp::connect_any(&addresses))
        .await
        .map_err(|_| DialError::new(step(), no_answer()))?
        .map_err(|error| DialError::new(step(), error))
}

async fn look_up(place: &Place) -> Result<Vec<SocketAddr>, DialError> {
    let name = match &place.host {
        Host::Domain(name) => name,
        Host::Ipv4(address) => return Ok(vec![SocketAddr::from((*address, place.port))]),
        Host::Ipv6(address) => return Ok(vec![SocketAddr::from((*address, place.port))]),
    };
    let step = || format!("looking up {name}");
    let found = time::timeout(STEP_TIMEOUT, lookup_host((name.as_str(), place.port)))
        .await
        .map_err(|_| DialError::new(step(), no_answer()))?
        .map_err(|error| DialError::new(step(), error))?;
    Ok(tcp::interleave_families(found.collect()))
}

async fn handshake(
    stream: Box<dyn Stream>,
    place: &Place,
    ca_file: Option<PathBuf>,
) -> Result<Box<dyn Stream>, DialError> {
    let step = || format!("TLS with {}", place.authority());
    let settings = tokio::task::spawn_blocking(move || tls::trusting(ca_file.as_deref()))
        .await
        .map_err(|error| DialError::new(step(), error))?
        .map_err(|error| DialError::new(step(), error))?;
    let connector = TlsConnector::from(Arc::new(settings));
    let stream = time::timeout(
        STEP_TIMEOUT,
        connector.connect(place.server_name()?, stream),
    )
    .await
    .map_err(|_| DialError::new(step(), no_answer()))?
    .map_err(|error| DialError::new(step(), tls::explain(&error)))?;
    Ok(Box::new(stream))
}

fn no_answer() -> String {
    format!("no answer within {} s", STEP_TIMEOUT.as_secs())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rustls::ServerConfig;
    use rustls::pki_types::PrivateKeyDer;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    fn relay(url: &str, ca_file: Option<&Path>) -> RelayAddress {
        RelayAddress {
            url: url.parse().unwrap(),
            ca_file: ca_file.map(Path::to_owned),
        }
    }

    async fn failure(relay: &RelayAddress) -> String {
        match dial_through(relay, &ProxyVariables::default()).await {
            Ok(_) => panic!("it connected"),
            Err(error) => error.to_string(),
        }
    }

    #[tokio::test]
    async fn a_plain_relay_is_reached_by_tcp() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());

        let mut stream = dial_through(&relay(&url, None), &ProxyVariables::default())
            .await
            .unwrap();
        let (mut accepted, _) = listener.accept().await.unwrap();
        stream.write_all(b"hello").await.unwrap();

        let mut heard = [0; 5];
        accepted.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello");
    }

    #[tokio::test]
    async fn a_closed_port_is_named_with_its_step() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);

        let message = failure(&relay(&url, None)).await;

        assert!(message.starts_with("connecting to 127.0.0.1:"), "{message}");
        assert!(message.contains("refused"), "{message}");
    }

    #[tokio::test]
    async fn a_certificate_of_ones_own_authority_is_trusted_only_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let (acceptor, ca_file) = self_signed(folder.path());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            for _ in 0..2 {
                let (stream, _) = listener.accept().await.unwrap();
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    stream.write_all(b"hello").await.unwrap();
                    stream.shutdown().await.unwrap();
                }
            }
        });

        let refused = failure(&relay(&url, None)).await;
        let trusting = relay(&url, Some(&ca_file));
        let mut stream = dial_through(&trusting, &ProxyVariables::default())
            .await
            .unwrap();

        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"hello");
        assert!(refused.starts_with("TLS with 127.0.0.1:"), "{refused}");
        assert!(refused.contains("authority"), "{refused}");
        server.await.unwrap();
    }

    #[tokio::test]
    async fn an_address_of_another_scheme_is_refused() {
        let message = failure(&relay("ftp://relay.test", None)).await;

        assert!(
            message.contains("neither http:// nor https://"),
            "{message}"
        );
    }

    fn self_signed(folder: &Path) -> (TlsAcceptor, PathBuf) {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let ca_file = folder.join("ca.pem");
        std::fs::write(&ca_file, made.cert.pem()).unwrap();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        (TlsAcceptor::from(Arc::new(config)), ca_file)
    }
}
