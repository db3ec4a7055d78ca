//! The demo's app: a server on a plain socket that keeps exactly the bytes it is given.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use towline_shared::head::Head;

/// What the app got.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Received {
    /// Every byte up to and with the empty line.
    pub(super) head: Vec<u8>,
    /// The body, its chunks put together.
    pub(super) body: Vec<u8>,
}

/// The demo sends few and short requests.
const MOST_BYTES: usize = 1024 * 1024;

const REPLY: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n{\"received\":true}";

/// An app on a free port of this machine.
pub(super) struct App {
    pub(super) address: SocketAddr,
    /// What it got, in order; when 64 wait, the app waits.
    pub(super) received: mpsc::Receiver<Received>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl App {
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (sender, received) = mpsc::channel(64);
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        tasks.spawn(accept(listener, sender, stop.clone(), tasks.clone()));
        Ok(Self {
            address,
            received,
            stop,
            tasks,
        })
    }

    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn accept(
    listener: TcpListener,
    sender: mpsc::Sender<Received>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    while let Some(Ok((stream, _))) = stop.run_until_cancelled(listener.accept()).await {
        let sender = sender.clone();
        let stop = stop.clone();
        tasks.spawn(async move {
            // A broken connection shows in that nothing was received.
            let _ = stop.run_until_cancelled(serve(stream, sender)).await;
        });
    }
}

async fn serve(mut stream: TcpStream, sender: mpsc::Sender<Received>) -> io::Result<()> {
    let mut waiting = Vec::new();
    loop {
        while let Some((received, used)) = whole_request(&waiting) {
            waiting.drain(..used);
            if sender.send(received).await.is_err() {
                return Ok(());
            }
            stream.write_all(REPLY).await?;
        }
        if waiting.len() > MOST_BYTES || stream.read_buf(&mut waiting).await? == 0 {
            return Ok(());
        }
    }
}

/// The first request, if it is there as a whole, and how many bytes it takes.
fn whole_request(bytes: &[u8]) -> Option<(Received, usize)> {
    let head_end = memchr::memmem::find(bytes, b"\r\n\r\n")? + 4;
    let head = bytes[..head_end].to_vec();
    let parsed = Head::parse(head.clone()).ok()?;
    if parsed.is_chunked() {
        let (body, used) = whole_chunks(&bytes[head_end..])?;
        return Some((Received { head, body }, head_end + used));
    }
    let length = parsed.values("content-length").next();
    let length: usize = match length {
        Some(value) => std::str::from_utf8(value).ok()?.parse().ok()?,
        None => 0,
    };
    let body = bytes[head_end..].get(..length)?.to_vec();
    Some((Received { head, body }, head_end + length))
}

/// Chunks without trailer fields (RFC 9112 §7.1).
fn whole_chunks(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let line_end = at + memchr::memmem::find(bytes.get(at..)?, b"\r\n")?;
        let size = std::str::from_utf8(&bytes[at..line_end]).ok()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        let start = line_end + 2;
        let end = start.checked_add(size)?;
        if bytes.get(end..end.checked_add(2)?)? != b"\r\n" {
            return None;
        }
        if size == 0 {
            return Some((body, end + 2));
        }
        body.extend_from_slice(&bytes[start..end]);
        at = end + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_taken_to_the_byte_and_no_further() {
        let bytes = b"POST / HTTP/1.1\r\nX-a:  1 \r\nContent-Length: 2\r\n\r\nokGET";

        let (received, used) = whole_request(bytes).unwrap();

        assert_eq!(received.body, b"ok");
        assert_eq!(&bytes[used..], b"GET");
        assert!(
            received
                .head
                .ends_with(b"X-a:  1 \r\nContent-Length: 2\r\n\r\n")
        );
    }

    #[test]
    fn chunks_are_put_together() {
        let bytes =
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";

        let (received, used) = whole_request(bytes).unwrap();

        assert_eq!((received.body.as_slice(), used), (&b"abc"[..], bytes.len()));
        assert!(whole_request(&bytes[..bytes.len() - 1]).is_none());
    }
}
