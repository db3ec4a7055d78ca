//! One guarded GET: the name is looked up here, every address that it has is judged, and the connection goes to the very
//! address that was judged. No redirects, no cookies, no proxy; bounded in time and size.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONNECTION, HOST, USER_AGENT};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::{ServerName, TrustAnchor};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::address::is_public;
use super::freshness::lifetime;
use super::place::Place;
use crate::config::Outbound;

/// How long one address may take to take the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long all of it may take. Senders wait for it, and give up after 10 s or more.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(5);

/// Addresses of a name that are tried.
const MOST_ADDRESSES: usize = 3;

/// The longest head of an answer.
const MOST_HEAD_BYTES: usize = 16 * 1024;

/// The longest document: JWK sets and certificate chains have a few KiB.
pub(super) const MOST_BYTES: usize = 64 * 1024;

/// What a server answered with 200.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) body: Bytes,
    /// How long it may be used.
    pub(super) lifetime: Duration,
}

/// Why nothing was got. None of it says more than the place that was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FetchError {
    #[error("its URL is not one that this relay gets")]
    Place,
    #[error("its host has an address outside the public internet")]
    Address,
    #[error("its host could not be reached")]
    Unreachable,
    #[error("its host could not prove who it is")]
    Tls,
    #[error("its host did not answer in time")]
    Timeout,
    #[error("its host broke the exchange off")]
    Broken,
    #[error("its host answered with {0}")]
    Status(StatusCode),
    #[error("the answer of its host is too long")]
    TooLong,
}

/// Where names lead.
enum Names {
    /// To what the resolver of the system says, if all of it is public.
    Public,
    /// To these addresses.
    Only(BTreeMap<String, SocketAddr>),
}

/// Gets documents.
pub(super) struct Fetcher {
    names: Names,
    tls: TlsConnector,
    roots: Vec<TrustAnchor<'static>>,
    total: Duration,
}

impl Fetcher {
    pub(super) fn new(outbound: &Outbound) -> Self {
        let mut store = RootCertStore::empty();
        let names = match outbound {
            Outbound::Public => {
                store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
                Names::Public
            }
            Outbound::Only { hosts, roots } => {
                store.add_parsable_certificates(roots.iter().cloned());
                Names::Only(hosts.clone())
            }
        };
        let roots = store.roots.clone();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has the default protocol versions")
            .with_root_certificates(store)
            .with_no_client_auth();
        Self {
            names,
            tls: TlsConnector::from(Arc::new(config)),
            roots,
            total: TOTAL_TIMEOUT,
        }
    }

    /// The roots that it trusts.
    pub(super) fn roots(&self) -> &[TrustAnchor<'static>] {
        &self.roots
    }

    /// Gets a document; anything but 200 is an error.
    pub(super) async fn get(&self, place: &Place) -> Result<Answer, FetchError> {
        timeout(self.total, self.exchange(place))
            .await
            .unwrap_or(Err(FetchError::Timeout))
    }

    async fn exchange(&self, place: &Place) -> Result<Answer, FetchError> {
        let addresses = self.look_up(place).await?;
        let stream = connect(&addresses).await?;
        if !place.is_tls {
            return ask(stream, place).await;
        }
        let name = ServerName::try_from(place.host.clone()).map_err(|_| FetchError::Place)?;
        let stream = self.tls.connect(name, stream).await;
        ask(stream.map_err(|_| FetchError::Tls)?, place).await
    }

    async fn look_up(&self, place: &Place) -> Result<Vec<SocketAddr>, FetchError> {
        match &self.names {
            Names::Only(hosts) => {
                let address = hosts.get(&place.host).copied();
                Ok(vec![address.ok_or(FetchError::Unreachable)?])
            }
            Names::Public => {
                let found = lookup_host((place.host.as_str(), place.port())).await;
                judged(found.map_err(|_| FetchError::Unreachable)?.collect())
            }
        }
    }
}

/// The addresses of a name, when every one of them is public: a name with mixed ones is somebody's attempt.
fn judged(mut found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, FetchError> {
    if found.is_empty() {
        return Err(FetchError::Unreachable);
    }
    let is_allowed = |address: &SocketAddr| is_public(address.ip());
    if !found.iter().all(is_allowed) {
        return Err(FetchError::Address);
    }
    // A relay without IPv6 must not spend its time on addresses that it cannot reach.
    found.sort_by_key(|address| matches!(address.ip(), IpAddr::V6(_)));
    found.truncate(MOST_ADDRESSES);
    Ok(found)
}

async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, FetchError> {
    for address in addresses {
        if let Ok(Ok(stream)) = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            return Ok(stream);
        }
    }
    Err(FetchError::Unreachable)
}

async fn ask<S>(stream: S, place: &Place) -> Result<Answer, FetchError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let handshake = http1::Builder::new()
        .max_buf_size(MOST_HEAD_BYTES)
        .handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(|_| FetchError::Broken)?;
    let request = Request::get(&place.target)
        .header(HOST, &place.host)
        .header(USER_AGENT, concat!("towline/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT_ENCODING, "identity")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|_| FetchError::Place)?;
    let asking = async {
        let answer = sender.send_request(request).await;
        read(answer.map_err(|_| FetchError::Broken)?).await
    };
    // The connection may end before its last piece is read: the exchange says when all is done.
    let driving = async {
        let _ = connection.await;
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        biased;
        answer = asking => answer,
        never = driving => match never {},
    }
}

async fn read(answer: Response<Incoming>) -> Result<Answer, FetchError> {
    if answer.status() != StatusCode::OK {
        return Err(FetchError::Status(answer.status()));
    }
    let cache_control = answer.headers().get(CACHE_CONTROL);
    let lifetime = lifetime(cache_control.and_then(|value| value.to_str().ok()));
    let body = Limited::new(answer.into_body(), MOST_BYTES).collect().await;
    let body = body.map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            FetchError::TooLong
        } else {
            FetchError::Broken
        }
    })?;
    Ok(Answer {
        body: body.to_bytes(),
        lifetime,
    })
}

#[cfg(test)]
mod tests;
