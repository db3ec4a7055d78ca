//! Bodies that do not fit into their frame: in constant credit, whole, and without blocking each other.

use std::collections::HashMap;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use towline_shared::credit::{CONNECTION_CREDIT, STREAM_CREDIT};
use towline_shared::wire::{Credit, Data, FromClient, FromRelay, Reason, Reset};

use crate::relay::Relay;
use crate::wire::Client;

const MEBIBYTE: usize = 1024 * 1024;

#[tokio::test]
async fn a_body_of_25_mib_arrives_whole_within_its_credit() {
    let relay = Relay::start().await.with_line().await;
    let body = patterned(25 * MEBIBYTE);
    relay.post(body.clone()).await;
    let mut client = Client::listen(&relay, 1).await;
    let event = client.event().await;
    assert_eq!(event.header.event.body_length, body.len() as u64);

    let (mut hash, mut received, mut ungranted) = (Sha256::new(), event.body.len(), 0);
    hash.update(&event.body);
    loop {
        let data = data(&mut client).await;
        assert_eq!(data.stream, event.header.stream);
        hash.update(&data.bytes);
        received += data.bytes.len();
        ungranted += data.bytes.len() as u64;
        assert!(ungranted <= STREAM_CREDIT);
        if data.end {
            break;
        }
        if ungranted >= STREAM_CREDIT / 2 {
            grant(&mut client, data.stream, ungranted).await;
            grant(&mut client, 0, ungranted).await;
            ungranted = 0;
        }
    }

    assert_eq!(received, body.len());
    assert_eq!(hash.finalize(), Sha256::digest(&body));
    client.settle(&event).await;
}

#[tokio::test]
async fn a_slow_stream_blocks_no_other() {
    let relay = Relay::start().await.with_line().await;
    relay.post(patterned(2 * MEBIBYTE)).await;
    relay.post(patterned(2 * MEBIBYTE)).await;
    relay.post("small").await;
    let mut client = Client::listen(&relay, 3).await;
    let mut received: HashMap<u32, usize> = HashMap::new();
    let mut streams = Vec::new();

    let mut is_fast_done = false;
    while !is_fast_done || streams.len() < 3 {
        match client.next().await {
            FromRelay::Event(event) => streams.push(event.header.stream),
            FromRelay::Data(data) => {
                *received.entry(data.stream).or_default() += data.bytes.len();
                // The second stream gets all the credit it wants, the first none.
                if streams.get(1) == Some(&data.stream) && !data.end {
                    let bytes = data.bytes.len() as u64;
                    grant(&mut client, data.stream, bytes).await;
                    grant(&mut client, 0, bytes).await;
                }
                is_fast_done |= data.end;
            }
            other => panic!("{other:?}"),
        }
    }

    assert_eq!(received[&streams[1]], 2 * MEBIBYTE);
    assert_eq!(received[&streams[0]] as u64, STREAM_CREDIT);
}

#[tokio::test]
async fn a_stream_that_the_client_resets_ends_and_the_line_goes_on() {
    let relay = Relay::start().await.with_line().await;
    relay.post(patterned(2 * MEBIBYTE)).await;
    let mut client = Client::listen(&relay, 1).await;
    let event = client.event().await;
    let stream = event.header.stream;
    let reason = "not wanted".to_owned();

    client
        .send(&FromClient::Reset(Reset { stream, reason }))
        .await;
    client.report(&event, 1, true).await;
    relay.post("next").await;

    loop {
        match client.next().await {
            FromRelay::Event(event) => {
                assert_eq!(event.body, "next");
                return;
            }
            FromRelay::Data(data) => assert!(!data.end),
            FromRelay::Stored(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn more_credit_than_was_used_ends_the_session() {
    let relay = Relay::start().await.with_line().await;
    let mut client = Client::listen(&relay, 1).await;

    grant(&mut client, 0, CONNECTION_CREDIT).await;

    let (goodbye, _) = client.goodbye().await;
    assert!(goodbye.detail.contains("credit"), "{}", goodbye.detail);
}

#[tokio::test]
async fn a_body_that_was_removed_while_it_was_sent_is_reset_and_a_gap() {
    let relay = Relay::start().await.with_line().await;
    relay.post(patterned(2 * MEBIBYTE)).await;
    let mut client = Client::listen(&relay, 1).await;
    let event = client.event().await;
    let mut received = 0;
    while received < STREAM_CREDIT {
        received += data(&mut client).await.bytes.len() as u64;
    }
    let path = "/v1/endpoints/line/events?through=1";
    let trimmed = relay.call("DELETE", path, &relay.admin, None).await;
    assert_eq!(trimmed.status, 200);

    grant(&mut client, event.header.stream, received).await;

    let FromRelay::Reset(reset) = client.next().await else {
        panic!("expected a reset");
    };
    assert_eq!(reset.stream, event.header.stream);
    let FromRelay::Gap(gap) = client.next().await else {
        panic!("expected a gap");
    };
    assert_eq!(gap.from, event.header.delivery.seq);
    relay.post("next").await;
    assert_eq!(client.event().await.body, "next");
}

#[tokio::test]
async fn a_body_that_cannot_be_read_at_the_moment_ends_the_session_without_a_reset() {
    let relay = Relay::start().await.with_line().await;
    relay.post(patterned(2 * MEBIBYTE)).await;
    let mut client = Client::listen(&relay, 1).await;
    let event = client.event().await;
    let mut received = 0;
    while received < STREAM_CREDIT {
        received += data(&mut client).await.bytes.len() as u64;
    }
    let bodies = relay.running.data().join("bodies");
    let elsewhere = relay.running.data().join("elsewhere");
    std::fs::rename(&bodies, &elsewhere).unwrap();

    grant(&mut client, event.header.stream, received).await;

    let FromRelay::Goodbye(goodbye) = client.next().await else {
        panic!("expected a goodbye");
    };
    assert_eq!(goodbye.reason, Reason::Overloaded);
    std::fs::rename(&elsewhere, &bodies).unwrap();
    let mut client = Client::listen(&relay, 1).await;
    assert_eq!(client.event().await.header.event.id, event.header.event.id);
}

async fn data(client: &mut Client) -> Data {
    match client.next().await {
        FromRelay::Data(data) => data,
        other => panic!("expected data, got {other:?}"),
    }
}

async fn grant(client: &mut Client, stream: u32, bytes: u64) {
    let credit = Credit { stream, bytes };
    client.send(&FromClient::Credit(credit)).await;
}

/// Bytes in which no two pieces of 64 KiB are the same.
fn patterned(length: usize) -> Bytes {
    let byte = |place: usize| (place % 251) as u8 ^ (place / 65_536) as u8;
    (0..length).map(byte).collect()
}
