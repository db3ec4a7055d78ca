//! The stream of one connection as the HTTP library sees it: shows the recorder what comes in, and ends the
//! connection when the other side is too slow. Leaves bodies to `pace`, which knows who is waiting for whom.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::alarm::Alarm;
use super::caps;
use super::first_bytes::FirstBytes;
use super::traffic::{Awaited, Traffic};
use super::transport::Transport;
use crate::limits::Limits;

/// How long the relay goes on reading what a sender still sends after it was refused. Without that, closing
/// resets the connection and the sender may never see the answer.
const LINGER: Duration = Duration::from_secs(3);

/// How much it reads then.
const LINGER_BYTES: usize = 64 * 1024 * 1024;

/// A watched stream.
pub(super) struct Socket {
    transport: Transport,
    first_bytes: FirstBytes,
    traffic: Arc<Traffic>,
    patience: Patience,
    read_alarm: Alarm,
    awaited: (Awaited, Instant),
    write_alarm: Alarm,
    write_deadline: Option<Instant>,
    lingering: Option<Lingering>,
    _place: caps::Place,
}

/// How long a socket waits for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    head: Duration,
    keep_alive: Duration,
    write_stall: Duration,
}

impl From<&Limits> for Patience {
    fn from(limits: &Limits) -> Self {
        Self {
            head: limits.head_timeout,
            keep_alive: limits.keep_alive_timeout,
            write_stall: limits.write_stall_timeout,
        }
    }
}

/// Reading and throwing away after the last answer.
#[derive(Clone, Copy, Debug)]
struct Lingering {
    until: Instant,
    bytes_left: usize,
}

impl Socket {
    /// Watches a stream of which `first_bytes` are read already.
    pub(super) fn new(
        transport: Transport,
        first_bytes: FirstBytes,
        traffic: Arc<Traffic>,
        patience: Patience,
        place: caps::Place,
    ) -> Self {
        Self {
            transport,
            first_bytes,
            traffic,
            patience,
            read_alarm: Alarm::default(),
            awaited: (Awaited::Nothing, Instant::now()),
            write_alarm: Alarm::default(),
            write_deadline: None,
            lingering: None,
            _place: place,
        }
    }

    /// Ready when the sender has kept the relay waiting for too long.
    fn poll_out_of_patience(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let awaited = self.traffic.awaited();
        let patience = match awaited {
            Awaited::Nothing => return Poll::Pending,
            Awaited::Head(_) => self.patience.head,
            Awaited::Request(_) => self.patience.keep_alive,
        };
        if awaited != self.awaited.0 {
            self.awaited = (awaited, Instant::now() + patience);
        }
        self.read_alarm.poll_passed(self.awaited.1, context)
    }

    fn poll_stalled<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        let deadline = *self
            .write_deadline
            .get_or_insert_with(|| Instant::now() + self.patience.write_stall);
        ready!(self.write_alarm.poll_passed(deadline, context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Reads and throws away until the sender is done, or for long enough.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut scratch = [0; 8192];
        while let Some(lingering) = &mut self.lingering {
            let is_over = self.read_alarm.poll_passed(lingering.until, context);
            if is_over.is_ready() || lingering.bytes_left == 0 {
                break;
            }
            let mut buffer = ReadBuf::new(&mut scratch);
            let read = Pin::new(&mut self.transport).poll_read(context, &mut buffer);
            if ready!(read).is_err() || buffer.filled().is_empty() {
                break;
            }
            lingering.bytes_left = lingering.bytes_left.saturating_sub(buffer.filled().len());
        }
        Poll::Ready(())
    }

    /// Passes on what became of a write or flush, and minds the time while the other side does not read.
    fn moved<T>(
        &mut self,
        moved: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if moved.is_pending() {
            return self.poll_stalled(context);
        }
        self.write_deadline = None;
        moved
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        let before = buffer.filled().len();
        if !socket.first_bytes.give(buffer) {
            let read = Pin::new(&mut socket.transport).poll_read(context, buffer);
            if read.is_pending() {
                ready!(socket.poll_out_of_patience(context));
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            ready!(read)?;
        }
        socket.traffic.observe(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        let written = Pin::new(&mut socket.transport).poll_write(context, bytes);
        socket.moved(written, context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        let written = Pin::new(&mut socket.transport).poll_write_vectored(context, slices);
        socket.moved(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        let flushed = Pin::new(&mut socket.transport).poll_flush(context);
        socket.moved(flushed, context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        if socket.lingering.is_none() {
            ready!(Pin::new(&mut socket.transport).poll_shutdown(context))?;
            if !socket.traffic.is_cut_short() {
                return Poll::Ready(Ok(()));
            }
            socket.lingering = Some(Lingering {
                until: Instant::now() + LINGER,
                bytes_left: LINGER_BYTES,
            });
        }
        socket.poll_linger(context).map(Ok)
    }
}
