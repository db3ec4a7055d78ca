//! Accepts connections, within limits of number and time, and hands their requests to ingest, sessions and API.

mod alarm;
mod caps;
mod edge;
mod first_bytes;
mod paced_body;
mod recorder;
mod socket;
mod tls;
mod traffic;
mod transport;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::rt::{Read, Write};
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use towline_shared::head::{MAX_FIELDS, MAX_HEAD_BYTES};
use tracing::{debug, warn};

use crate::relay::Relay;
use caps::Caps;
use edge::{Connection, Edge};
use first_bytes::FirstBytes;
pub(crate) use paced_body::{PacedBody, PacedBodyError};
use socket::Socket;
pub(crate) use tls::{TlsError, server_config};
pub(crate) use traffic::InHand;
use traffic::Traffic;
use transport::Transport;

/// Connections that the kernel holds until they are accepted; enough for a burst within one scheduling delay.
const BACKLOG: u32 = 1024;

/// How long the relay waits before it accepts again when the process has no file left for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A dead HTTP/2 peer is found out by pings, as it keeps no request open that could time out.
const HTTP2_PING: Duration = Duration::from_secs(20);

/// Takes an address; connections wait in the kernel until [`run`] accepts them.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Else a restart fails for a minute, because connections of the old process are still being closed.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts connections until the relay stops. Each has its own task in the relay's tracker.
pub(crate) async fn run(
    listener: TcpListener,
    relay: Arc<Relay>,
    tls: Option<Arc<ServerConfig>>,
    in_hand: Arc<InHand>,
) {
    let limits = &relay.config.limits;
    let caps = Caps::new(limits.max_connections, limits.max_connections_per_address);
    let stopping = relay.stopping.clone();
    let tasks = relay.tasks.clone();
    let reception = Arc::new(Reception {
        edge: Arc::new(Edge::new(relay)),
        tls: tls.map(TlsAcceptor::from),
        in_hand,
    });
    loop {
        let accepted = tokio::select! {
            biased;
            () = stopping.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                pause_after(&error).await;
                continue;
            }
        };
        let Some(place) = caps.try_enter(remote.ip()) else {
            debug!(%remote, "connection closed: too many are open");
            continue;
        };
        let reception = Arc::clone(&reception);
        tasks.spawn(async move { reception.receive(stream, remote, place).await });
    }
}

async fn pause_after(error: &io::Error) {
    // A connection that was reset before it was accepted concerns nobody else.
    if error.kind() == io::ErrorKind::ConnectionAborted {
        return;
    }
    warn!(%error, "could not accept a connection");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

/// Receives one connection after the other.
struct Reception {
    edge: Arc<Edge>,
    tls: Option<TlsAcceptor>,
    in_hand: Arc<InHand>,
}

impl Reception {
    /// Finds out what the connection speaks, and serves it to its end.
    async fn receive(&self, stream: TcpStream, remote: SocketAddr, place: caps::Place) {
        let limits = &self.edge.relay().config.limits;
        // Small answers must not wait for the next packet.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        // Nothing is in hand yet, so there is nothing to finish when the relay stops.
        let stopping = self.edge.relay().stopping.child_token();
        let opening = Box::pin(self.open(stream));
        let Some(Some((transport, first_bytes))) = stopping.run_until_cancelled(opening).await
        else {
            return;
        };
        let is_http2 = first_bytes.is_http2();
        let traffic = if is_http2 {
            Traffic::unrecorded(Arc::clone(&self.in_hand))
        } else {
            Traffic::recorded(Arc::clone(&self.in_hand))
        };
        let connection = Arc::new(Connection {
            edge: Arc::clone(&self.edge),
            traffic: Arc::clone(&traffic),
            remote: remote.ip().to_canonical(),
            is_tls: self.tls.is_some(),
        });
        let socket = TokioIo::new(Socket::new(
            transport,
            first_bytes,
            traffic,
            limits.into(),
            place,
        ));
        // Boxed apart, so that a connection of one protocol does not take the room of both.
        if is_http2 {
            Box::pin(serve_http2(socket, connection)).await;
        } else {
            Box::pin(serve_http1(socket, connection)).await;
        }
    }

    /// The handshake and the first bytes; nothing when they do not come in time.
    async fn open(&self, stream: TcpStream) -> Option<(Transport, FirstBytes)> {
        let mut transport = self.secured(stream).await?;
        let limit = self.edge.relay().config.limits.first_byte_timeout;
        let first = timeout(limit, FirstBytes::read(&mut transport)).await;
        let first_bytes = first.ok()?.ok()??;
        Some((transport, first_bytes))
    }

    async fn secured(&self, stream: TcpStream) -> Option<Transport> {
        let Some(acceptor) = &self.tls else {
            return Some(Transport::Plain(stream));
        };
        let limit = self.edge.relay().config.limits.tls_handshake_timeout;
        let stream = timeout(limit, acceptor.accept(stream)).await.ok()?.ok()?;
        Some(Transport::Tls(Box::new(stream)))
    }
}

async fn serve_http1(
    socket: impl Read + Write + Unpin + Send + 'static,
    connection: Arc<Connection>,
) {
    let relay = connection.edge.relay();
    // A token of its own: all connections would fight for the lock of a shared one.
    let stopping = relay.stopping.child_token();
    let drain = relay.config.limits.drain;
    let serving = http1::Builder::new()
        .half_close(true)
        .max_headers(MAX_FIELDS)
        .max_header_size(MAX_HEAD_BYTES)
        .max_buf_size(MAX_HEAD_BYTES)
        // The socket's own clock tells an idle connection from a slow head.
        .header_read_timeout(None)
        .serve_connection(socket, connection.service())
        .with_upgrades();
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        biased;
        _ = serving.as_mut() => return,
        () = stopping.cancelled() => serving.as_mut().graceful_shutdown(),
    }
    let _ = timeout(drain, serving).await;
}

async fn serve_http2(
    socket: impl Read + Write + Unpin + Send + 'static,
    connection: Arc<Connection>,
) {
    let relay = connection.edge.relay();
    let stopping = relay.stopping.child_token();
    let limits = &relay.config.limits;
    let drain = limits.drain;
    let executor = TrackedExecutor {
        tasks: relay.tasks.clone(),
        stopping: stopping.clone(),
        drain,
    };
    let serving = http2::Builder::new(executor)
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_HEAD_BYTES as u32)
        .max_concurrent_streams(limits.max_http2_streams)
        .keep_alive_interval(HTTP2_PING)
        .keep_alive_timeout(HTTP2_PING)
        .serve_connection(socket, connection.service());
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        biased;
        _ = serving.as_mut() => return,
        () = stopping.cancelled() => serving.as_mut().graceful_shutdown(),
    }
    let _ = timeout(drain, serving).await;
}

/// Runs the requests of HTTP/2 connections as tasks that the relay waits for, and that end with its drain.
#[derive(Clone)]
struct TrackedExecutor {
    tasks: TaskTracker,
    stopping: CancellationToken,
    drain: Duration,
}

impl<F> hyper::rt::Executor<F> for TrackedExecutor
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, request: F) {
        let Self {
            stopping, drain, ..
        } = self.clone();
        self.tasks.spawn(async move {
            let mut request = std::pin::pin!(request);
            tokio::select! {
                biased;
                _ = request.as_mut() => return,
                () = stopping.cancelled() => {}
            }
            let _ = timeout(drain, request).await;
        });
    }
}

#[cfg(test)]
mod tests;
