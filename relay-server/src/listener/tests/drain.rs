//! A relay that stops finishes what it has in hand.

use std::time::Duration;

use tokio::time::timeout;

use super::{IN_TIME, TestRelay};
use crate::serve::Drained;

#[tokio::test]
async fn a_request_in_hand_is_answered_and_an_idle_connection_closed() {
    let relay = TestRelay::start().await;
    let request = format!(
        "POST {} HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
        relay.path()
    );
    let mut idle = relay.connect().await;
    idle.send(format!("GET {} HTTP/1.1\r\n\r\n", relay.path()).as_bytes())
        .await;
    assert_eq!(idle.reply().await.status, 200);
    let mut sender = relay.connect().await;
    sender.send(request.as_bytes()).await;
    assert_eq!(sender.reply().await.status, 100);

    let TestRelay {
        running, _folder, ..
    } = relay;
    let address = running.address();
    let stopping = tokio::spawn(running.stop());
    idle.end().await;
    sender.send(b"hi").await;
    let reply = sender.reply().await;
    sender.end().await;

    assert_eq!(reply.status, 200);
    assert!(reply.has("connection: close"), "{reply:?}");
    assert_eq!(stopping.await.unwrap(), Drained::default());
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_request_that_does_not_end_is_cut_off_and_counted() {
    let relay = TestRelay::start_with(|limits| limits.drain = Duration::from_millis(200)).await;
    let request = format!(
        "POST {} HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
        relay.path()
    );
    let mut sender = relay.connect().await;
    sender.send(request.as_bytes()).await;
    assert_eq!(sender.reply().await.status, 100);

    let TestRelay {
        running, _folder, ..
    } = relay;
    let drained = running.stop().await;

    assert_eq!(drained.requests, 1);
    sender.end().await;
}

#[tokio::test]
async fn a_silent_connection_does_not_hold_the_relay_up() {
    let relay = TestRelay::start_with(|limits| {
        limits.drain = Duration::from_secs(3600);
        limits.first_byte_timeout = Duration::from_secs(3600);
    })
    .await;
    let mut silent = relay.connect().await;
    relay.assert_next_connection_works().await;

    let TestRelay {
        running, _folder, ..
    } = relay;
    let stopped = timeout(IN_TIME, running.stop()).await;

    assert_eq!(stopped, Ok(Drained::default()));
    silent.end().await;
}
