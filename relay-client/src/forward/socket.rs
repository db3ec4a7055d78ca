//! Connections to the app: both addresses of `localhost`, TLS, and the idle ones that wait for a next request.

use std::io;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::target::Target;
use crate::{tcp, tls};

/// The most idle connections that are kept.
const MAX_IDLE: usize = 256;

/// How long an idle connection is used again. Servers close idle connections after 2 s or more; staying
/// well below keeps a request from meeting that close, which could not be told from a crash of the app.
const IDLE_TIME: Duration = Duration::from_secs(1);

/// A connection to the app.
#[derive(Debug)]
pub(super) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Socket {
    /// Whether nothing arrived and the app has not closed: asked of the operating system, because tokio
    /// may not have heard of the close yet.
    fn is_quiet(&self) -> bool {
        let stream = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        };
        let mut byte = [MaybeUninit::uninit()];
        let peeked = socket2::SockRef::from(stream).peek(&mut byte);
        matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

/// There is no connection to the app.
#[derive(Debug)]
pub(super) struct NoSocket {
    pub(super) detail: String,
    /// Whether the app's certificate is at fault.
    pub(super) is_untrusted: bool,
}

impl From<String> for NoSocket {
    fn from(detail: String) -> Self {
        Self {
            detail,
            is_untrusted: false,
        }
    }
}

/// Makes connections to the target and keeps idle ones.
pub(super) struct Connector {
    host: String,
    port: u16,
    is_localhost: bool,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// The address of `localhost` that answered last.
    winner: Mutex<Option<SocketAddr>>,
    idle: Mutex<Vec<(Instant, Socket)>>,
}

impl Connector {
    pub(super) fn new(target: &Target, tls: Option<ClientConfig>) -> Result<Self, String> {
        let tls = match tls {
            Some(config) => {
                let name =
                    ServerName::try_from(target.host.clone()).map_err(|error| error.to_string())?;
                Some((TlsConnector::from(Arc::new(config)), name))
            }
            None => None,
        };
        Ok(Self {
            host: target.host.clone(),
            port: target.port,
            is_localhost: target.is_localhost(),
            tls,
            winner: Mutex::new(None),
            idle: Mutex::new(Vec::new()),
        })
    }

    /// The idle connection that was used last, if one is still good.
    pub(super) fn reuse(&self, now: Instant) -> Option<Socket> {
        loop {
            let (since, socket) = self.idle.lock().pop()?;
            if now.duration_since(since) >= IDLE_TIME {
                // All others are older still.
                self.idle
                    .lock()
                    .retain(|(since, _)| now.duration_since(*since) < IDLE_TIME);
                return None;
            }
            if socket.is_quiet() {
                return Some(socket);
            }
        }
    }

    /// Keeps a connection for the next request; the oldest goes when there are too many.
    pub(super) fn keep(&self, socket: Socket, now: Instant) {
        let mut idle = self.idle.lock();
        if idle.len() >= MAX_IDLE {
            idle.remove(0);
        }
        idle.push((now, socket));
    }

    /// Makes a new connection; there is no time limit in here.
    pub(super) async fn connect(&self) -> Result<Socket, NoSocket> {
        let addresses = self.addresses().await?;
        let stream = tcp::connect_any(&addresses).await.map_err(|error| {
            let shown: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            format!("{} at {}", plain_words(&error), shown.join(" and "))
        })?;
        if self.is_localhost {
            *self.winner.lock() = stream.peer_addr().ok();
        }
        let Some((connector, name)) = &self.tls else {
            return Ok(Socket::Plain(stream));
        };
        let stream = connector.connect(name.clone(), stream).await;
        let stream = stream.map_err(|error| NoSocket {
            detail: format!("TLS with {}: {}", self.host, tls::explain(&error)),
            is_untrusted: tls::is_about_certificate(&error),
        })?;
        Ok(Socket::Tls(Box::new(stream)))
    }

    async fn addresses(&self) -> Result<Vec<SocketAddr>, String> {
        if self.is_localhost {
            let both = [
                SocketAddr::from((Ipv6Addr::LOCALHOST, self.port)),
                SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)),
            ];
            let winner = *self.winner.lock();
            return Ok(if winner == Some(both[1]) {
                vec![both[1], both[0]]
            } else {
                both.to_vec()
            });
        }
        let found = lookup_host((self.host.as_str(), self.port)).await;
        let found = found.map_err(|error| format!("looking up {}: {error}", self.host))?;
        Ok(tcp::interleave_families(found.collect()))
    }
}

fn plain_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "nobody listens".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn connector_and_app(address: &str) -> (Connector, TcpListener) {
        let app = TcpListener::bind(address).await.unwrap();
        let target = format!("localhost:{}", app.local_addr().unwrap().port());
        (Connector::new(&target.parse().unwrap(), None).unwrap(), app)
    }

    #[tokio::test]
    async fn localhost_is_found_at_both_addresses_and_the_winner_comes_first() {
        for address in ["[::1]:0", "127.0.0.1:0"] {
            let (connector, app) = connector_and_app(address).await;

            connector.connect().await.unwrap();

            let there = app.local_addr().unwrap();
            assert_eq!(connector.addresses().await.unwrap()[0], there, "{address}");
        }
    }

    #[tokio::test]
    async fn both_addresses_are_named_when_nobody_listens() {
        let (connector, app) = connector_and_app("127.0.0.1:0").await;
        let port = app.local_addr().unwrap().port();
        drop(app);

        let message = connector.connect().await.unwrap_err().detail;

        assert_eq!(
            message,
            format!("nobody listens at [::1]:{port} and 127.0.0.1:{port}")
        );
    }

    #[tokio::test]
    async fn a_quiet_connection_is_used_again_only_for_a_short_time() {
        let (connector, app) = connector_and_app("127.0.0.1:0").await;
        let socket = connector.connect().await.unwrap();
        let (_accepted, _) = app.accept().await.unwrap();
        let now = Instant::now();

        connector.keep(socket, now);
        let socket = connector
            .reuse(now + IDLE_TIME - Duration::from_millis(1))
            .unwrap();
        connector.keep(socket, now);

        assert!(connector.reuse(now + IDLE_TIME).is_none());
        assert!(connector.idle.lock().is_empty());
    }

    #[tokio::test]
    async fn a_connection_that_the_app_closed_is_not_used_again() {
        let (connector, app) = connector_and_app("127.0.0.1:0").await;
        let socket = connector.connect().await.unwrap();
        let (accepted, _) = app.accept().await.unwrap();
        let now = Instant::now();
        connector.keep(socket, now);

        drop(accepted);

        assert!(connector.reuse(now).is_none());
    }

    #[tokio::test]
    async fn no_more_than_the_most_are_kept() {
        let (connector, app) = connector_and_app("127.0.0.1:0").await;
        let now = Instant::now();

        for _ in 0..=MAX_IDLE {
            connector.keep(connector.connect().await.unwrap(), now);
            app.accept().await.unwrap();
        }

        assert_eq!(connector.idle.lock().len(), MAX_IDLE);
    }
}
