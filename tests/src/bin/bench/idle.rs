//! Many idle consumers on bare sockets: each upgrades, says hello, hears the welcome, and then is silent.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use towline_shared::wire::{FromClient, Hello, SUBPROTOCOL, Start};
use towline_tests::api::Api;
use towline_tests::message::find;
use towline_tests::nodes::RelayProcess;

/// How many connect at a time.
const AT_A_TIME: usize = 64;

/// How many read the same endpoint; a relay takes at most 1,000.
const PER_ENDPOINT: usize = 500;

/// Consumers that stay connected until this is dropped.
#[derive(Default)]
pub(crate) struct IdleConsumers(Vec<TcpStream>);

impl IdleConsumers {
    /// Connects more consumers until there are `count`, on as many endpoints as they need.
    pub(crate) async fn grow_to(&mut self, count: usize, relay: &RelayProcess) -> io::Result<()> {
        let api = relay.api();
        let mut connecting = JoinSet::new();
        let mut next = self.0.len();
        while self.0.len() < count {
            while next < count && connecting.len() < AT_A_TIME {
                let endpoint = format!("idle-{}", next / PER_ENDPOINT);
                if next.is_multiple_of(PER_ENDPOINT) {
                    api.open_endpoint(&endpoint).await;
                }
                connecting.spawn(connect(relay.address(), api.clone(), endpoint, next));
                next += 1;
            }
            match connecting.join_next().await {
                Some(connected) => self.0.push(connected.map_err(io::Error::other)??),
                None => break,
            }
        }
        Ok(())
    }

    /// How many.
    pub(crate) const fn count(&self) -> usize {
        self.0.len()
    }
}

async fn connect(
    relay: std::net::SocketAddr,
    api: Api,
    endpoint: String,
    number: usize,
) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(relay).await?;
    let upgrade = format!(
        "GET /v1/connect HTTP/1.1\r\nHost: relay\r\nAuthorization: Bearer {}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n",
        api.token()
    );
    stream.write_all(upgrade.as_bytes()).await?;
    let mut answer = Vec::new();
    read_until(&mut stream, &mut answer, |answer| {
        find(answer, b"\r\n\r\n").is_some()
    })
    .await?;
    if !answer.starts_with(b"HTTP/1.1 101") {
        return Err(io::Error::other(
            String::from_utf8_lossy(&answer).into_owned(),
        ));
    }
    let hello = FromClient::Hello(Hello {
        client: "bench/1".to_owned(),
        endpoint: endpoint.parse().map_err(io::Error::other)?,
        consumer: format!("idle-{number}").parse().map_err(io::Error::other)?,
        start: Start::Now,
        window: 1,
        filter: None,
    });
    stream.write_all(&masked(&hello.encode())).await?;
    read_until(&mut stream, &mut answer, |answer| {
        find(answer, b"\"session\":\"ses_").is_some()
    })
    .await?;
    Ok(stream)
}

/// One binary WebSocket frame of a client (RFC 6455 §5.2), masked with zeros.
fn masked(payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("a hello is short");
    let mut frame = vec![0x82];
    if length < 126 {
        frame.push(0x80 | u8::try_from(length).expect("it is below 126"));
    } else {
        frame.push(0x80 | 126);
        frame.extend_from_slice(&length.to_be_bytes());
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

async fn read_until(
    stream: &mut TcpStream,
    answer: &mut Vec<u8>,
    is_enough: impl Fn(&[u8]) -> bool,
) -> io::Result<()> {
    while !is_enough(answer) {
        if stream.read_buf(answer).await? == 0 {
            return Err(io::Error::other(
                String::from_utf8_lossy(answer).into_owned(),
            ));
        }
    }
    Ok(())
}
