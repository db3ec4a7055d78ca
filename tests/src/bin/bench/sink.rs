//! The app of the bench: the cheapest thing on a raw socket that reads whole requests and answers 200, on a
//! thread of its own. It notes for each event how long it took from the sender's stamp.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use towline_tests::message::find;

use crate::clock;
use crate::latency::Latencies;
use crate::load::read_stamp;

const REPLY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A running sink; it lives as long as the process.
#[derive(Clone)]
pub(crate) struct Sink {
    address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    count: AtomicUsize,
    last_at: AtomicU64,
    latencies: Mutex<Latencies>,
}

impl Sink {
    /// Starts a sink on a free port of loopback.
    pub(crate) fn start() -> io::Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let seen = Arc::new(Seen::default());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new().name("sink".to_owned()).spawn({
            let seen = Arc::clone(&seen);
            move || runtime.block_on(accept(listener, seen))
        })?;
        Ok(Self { address, seen })
    }

    /// Its address.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests have arrived since [`Sink::forget`].
    pub(crate) fn count(&self) -> usize {
        self.seen.count.load(Ordering::Relaxed)
    }

    /// When the last one arrived, by [`clock::now`].
    pub(crate) fn last_at(&self) -> u64 {
        self.seen.last_at.load(Ordering::Relaxed)
    }

    /// The times from stamp to arrival since [`Sink::forget`].
    pub(crate) fn latencies(&self) -> Latencies {
        self.seen.latencies.lock().clone()
    }

    /// Begins to count anew.
    pub(crate) fn forget(&self) {
        self.seen.count.store(0, Ordering::Relaxed);
        *self.seen.latencies.lock() = Latencies::default();
    }
}

async fn accept(listener: std::net::TcpListener, seen: Arc<Seen>) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    while let Ok((stream, _)) = listener.accept().await {
        let seen = Arc::clone(&seen);
        tokio::spawn(async move {
            // A connection that ends is the client's business.
            let _ = serve(stream, &seen).await;
        });
    }
}

async fn serve(mut stream: TcpStream, seen: &Seen) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(64 * 1024);
    loop {
        while let Some(length) = whole_request(&buffer) {
            let stamp = read_stamp(&buffer[..length.min(buffer.len())]);
            let mut missing = length.saturating_sub(buffer.len());
            buffer.drain(..length.min(buffer.len()));
            while missing > 0 {
                missing -= skip(&mut stream, missing).await?;
            }
            seen.note(stamp);
            stream.write_all(REPLY).await?;
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

impl Seen {
    fn note(&self, stamp: Option<u64>) {
        let now = clock::now();
        if let Some(stamp) = stamp {
            self.latencies.lock().add(now.saturating_sub(stamp));
        }
        self.last_at.store(now, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }
}

/// The length of the request at the start of the buffer: when it is there whole, or when it is so long that
/// the rest is better read past than kept.
fn whole_request(buffer: &[u8]) -> Option<usize> {
    let head = find(buffer, b"\r\n\r\n")? + 4;
    let length: usize = towline_tests::message::field(&buffer[..head], "content-length")
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let whole = head + length;
    (buffer.len() >= whole || length > 64 * 1024).then_some(whole)
}

async fn skip(stream: &mut TcpStream, at_most: usize) -> io::Result<usize> {
    let mut scratch = vec![0; at_most.min(64 * 1024)];
    match stream.read(&mut scratch).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        read => Ok(read),
    }
}
