//! The senders of the bench: keep-alive HTTP/1.1 on raw sockets, one thread for all of them, 1 KiB a request.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use towline_tests::message::find;

use crate::clock;
use crate::latency::Latencies;

/// Length of a body.
const BODY: usize = 1024;

/// What stands before the stamp in a body.
const STAMP_MARK: &[u8] = b"{\"stamp\":\"";

/// What to send, and how.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// Where to.
    pub(crate) address: SocketAddr,
    /// The path.
    pub(crate) path: String,
    /// How many connections.
    pub(crate) senders: usize,
    /// The wait between two requests of a sender; zero sends the next as soon as the last is answered.
    pub(crate) pause: Duration,
    /// When to stop.
    pub(crate) until: Until,
}

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// After this time.
    Time(Duration),
    /// After about this many requests in all.
    Count(usize),
}

/// What came of a load.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    /// The times to the answer.
    pub(crate) acknowledged: Latencies,
    /// Answers that were not 200.
    pub(crate) refused: usize,
    /// When the first request was written.
    pub(crate) first_at: u64,
    /// When the last answer was read.
    pub(crate) last_at: u64,
}

impl Sent {
    /// The time from the first request to the last answer.
    pub(crate) const fn duration(&self) -> Duration {
        Duration::from_nanos(self.last_at - self.first_at)
    }
}

/// Sends it on a thread of its own and waits for the end.
pub(crate) fn send(load: &Load) -> io::Result<Sent> {
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?
                .block_on(send_all(load))
        });
        sending
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the senders failed")))
    })
}

async fn send_all(load: &Load) -> io::Result<Sent> {
    let mut senders = JoinSet::new();
    let first_at = clock::now();
    for _ in 0..load.senders {
        let load = load.clone();
        senders.spawn(async move { send_one_by_one(&load).await });
    }
    let mut all = Sent {
        first_at,
        ..Sent::default()
    };
    while let Some(one) = senders.join_next().await {
        let one = one.map_err(io::Error::other)??;
        all.acknowledged.extend(one.acknowledged);
        all.refused += one.refused;
        all.last_at = all.last_at.max(one.last_at);
    }
    Ok(all)
}

async fn send_one_by_one(load: &Load) -> io::Result<Sent> {
    let mut stream = TcpStream::connect(load.address).await?;
    stream.set_nodelay(true)?;
    let mut request = request(&load.path);
    let stamp_at = request.len() - BODY + STAMP_MARK.len();
    let mut reply = Vec::with_capacity(4096);
    let mut sent = Sent::default();
    let start = clock::now();
    let mut next_at = start;
    loop {
        let now = clock::now();
        let so_far = sent.acknowledged.count() + sent.refused;
        let is_over = match load.until {
            Until::Time(time) => u128::from(now - start) >= time.as_nanos(),
            Until::Count(count) => so_far >= count / load.senders,
        };
        if is_over {
            sent.last_at = now;
            return Ok(sent);
        }
        if !load.pause.is_zero() {
            next_at += u64::try_from(load.pause.as_nanos()).unwrap_or(u64::MAX);
            tokio::time::sleep(Duration::from_nanos(next_at.saturating_sub(now))).await;
        }
        let began = clock::now();
        request[stamp_at..stamp_at + 16].copy_from_slice(format!("{began:016x}").as_bytes());
        stream.write_all(&request).await?;
        read_reply(&mut stream, &mut reply).await?;
        if reply.starts_with(b"HTTP/1.1 200") {
            sent.acknowledged.add(clock::now() - began);
        } else {
            sent.refused += 1;
        }
    }
}

/// A request whose body begins with a stamp, still zero.
fn request(path: &str) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: hooks.example\r\nUser-Agent: bench/1\r\n\
         Content-Type: application/json\r\nX-Event: order.paid\r\nContent-Length: {BODY}\r\n\r\n"
    );
    let mut body = [STAMP_MARK, b"0000000000000000\",\"filler\":\""].concat();
    body.resize(BODY - 2, b'x');
    body.extend_from_slice(b"\"}");
    [head.as_bytes(), &body].concat()
}

/// The stamp in a request, by [`clock::now`].
pub(crate) fn read_stamp(request: &[u8]) -> Option<u64> {
    let at = find(request, STAMP_MARK)? + STAMP_MARK.len();
    let digits = std::str::from_utf8(request.get(at..at + 16)?).ok()?;
    u64::from_str_radix(digits, 16).ok()
}

async fn read_reply(stream: &mut TcpStream, reply: &mut Vec<u8>) -> io::Result<()> {
    reply.clear();
    loop {
        if stream.read_buf(reply).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some(head) = find(reply, b"\r\n\r\n") else {
            continue;
        };
        let length: usize = towline_tests::message::field(&reply[..head + 4], "content-length")
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        if reply.len() >= head + 4 + length {
            return Ok(());
        }
    }
}
