//! A provider: sends raw bytes to a relay and reads what comes back.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::eventually::in_time;
use crate::message::{Message, Reader, Unframed};

/// One connection to a relay.
#[derive(Debug)]
pub struct Sender {
    reader: Reader<TcpStream>,
}

impl Sender {
    /// Connects.
    ///
    /// # Panics
    /// When nobody listens there.
    pub async fn connect(relay: SocketAddr) -> Self {
        Self::try_connect(relay)
            .await
            .unwrap_or_else(|error| panic!("cannot connect to {relay}: {error}"))
    }

    /// Connects, if somebody listens.
    ///
    /// # Errors
    /// What the operating system says.
    pub async fn try_connect(relay: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(relay).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            reader: Reader::new(stream),
        })
    }

    /// Connects as soon as somebody listens.
    ///
    /// # Panics
    /// When nobody does in time.
    pub async fn connect_when_up(relay: SocketAddr) -> Self {
        in_time("the relay takes connections", async {
            loop {
                match Self::try_connect(relay).await {
                    Ok(sender) => return sender,
                    Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
                }
            }
        })
        .await
    }

    /// Writes bytes as they are; a relay that has closed the connection already is no error here.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = self.reader.stream().write_all(bytes).await;
    }

    /// Says that nothing more will be sent.
    pub async fn finish(&mut self) {
        let _ = self.reader.stream().shutdown().await;
    }

    /// The next final reply; interim ones (1xx) are passed over.
    ///
    /// # Panics
    /// When none comes in time.
    pub async fn reply(&mut self) -> Message {
        in_time("a reply from the relay", self.try_reply())
            .await
            .expect("the relay sends a whole reply")
    }

    /// The next final reply, if there is a whole one.
    ///
    /// # Errors
    /// When the connection ends before.
    pub async fn try_reply(&mut self) -> io::Result<Message> {
        loop {
            let reply = self.reader.message(Unframed::UntilClose).await?;
            let reply = reply.ok_or(io::ErrorKind::UnexpectedEof)?;
            if reply.status() >= 200 {
                return Ok(reply);
            }
        }
    }

    /// The next reply of any kind, interim ones included.
    ///
    /// # Panics
    /// When none comes in time.
    pub async fn interim_reply(&mut self) -> Message {
        in_time(
            "an interim reply from the relay",
            self.reader.message(Unframed::UntilClose),
        )
        .await
        .expect("the relay sends a whole reply")
        .expect("the relay does not close the connection")
    }

    /// The head of the next reply, which has no body whatever its head says: an answer to HEAD.
    ///
    /// # Panics
    /// When none comes in time.
    pub async fn reply_to_head(&mut self) -> Message {
        let head = in_time("a reply from the relay", self.reader.head())
            .await
            .expect("the relay sends a whole head")
            .expect("the relay does not close the connection");
        Message {
            head,
            body: Vec::new(),
            chunks: Vec::new(),
        }
    }

    /// Sends a request and waits for its reply.
    pub async fn exchange(&mut self, request: &[u8]) -> Message {
        self.send(request).await;
        self.reply().await
    }

    /// Reads until the relay closes the connection, whatever comes before.
    ///
    /// # Panics
    /// When it stays open.
    pub async fn read_to_end(&mut self) -> Vec<u8> {
        in_time("the relay closes the connection", self.reader.until_close())
            .await
            .unwrap_or_default()
    }
}

/// A POST of `body` to `path`, with its length.
pub fn post(path: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: hooks.example\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Sends one request on a connection of its own.
pub async fn send(relay: SocketAddr, request: &[u8]) -> Message {
    Sender::connect(relay).await.exchange(request).await
}
