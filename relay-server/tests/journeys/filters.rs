//! Consumers that want some events only: each gets its own, and what is left out is settled, counted and never comes.

use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use towline_shared::api::{ConsumerList, ConsumerView};
use towline_shared::id::Seq;
use towline_shared::wire::{FromRelay, Reason};

use crate::relay::Relay;
use crate::wire::Client;

const INVOICES: &str = r#"json("/type") startsWith "invoice.""#;
const OTHERS: &str = r#"!(json("/type") startsWith "invoice.")"#;

#[tokio::test]
async fn two_consumers_with_different_filters_each_get_theirs() {
    let relay = Relay::start().await.with_line().await;
    for kind in ["invoice.paid", "user.new", "invoice.void", "user.gone"] {
        relay.post(typed(kind)).await;
    }
    let mut billing = Client::filtered(&relay, "billing", INVOICES).await;
    let mut users = Client::filtered(&relay, "users", OTHERS).await;

    for (client, kinds) in [
        (&mut billing, ["invoice.paid", "invoice.void"]),
        (&mut users, ["user.new", "user.gone"]),
    ] {
        for kind in kinds {
            let event = client.wanted().await;
            assert_eq!(event.body, typed(kind));
            client.settle(&event).await;
        }
    }

    let billing = passed(&relay, "billing", 4).await;
    assert_eq!((billing.backlog, billing.filtered), (0, 2));
    assert_eq!(billing.filter.as_deref(), Some(INVOICES));
    assert_eq!(passed(&relay, "users", 4).await.filtered, 2);
}

#[tokio::test]
async fn a_long_run_that_is_left_out_is_passed_at_once_and_told() {
    let relay = Relay::start().await.with_line().await;
    for _ in 0..200 {
        relay.post(typed("user.new")).await;
    }
    relay.post(typed("invoice.paid")).await;
    let mut client = Client::filtered(&relay, "billing", INVOICES).await;

    let event = client.wanted().await;
    assert_eq!(event.header.delivery.seq, Seq(201));
    client.settle(&event).await;
    passed(&relay, "billing", 201).await;
    relay.post(typed("user.new")).await;

    let told = loop {
        match client.next().await {
            FromRelay::Filtered(filtered) if filtered.through == Seq(202) => break filtered.count,
            FromRelay::Filtered(_) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(told, 201);
}

#[tokio::test]
async fn what_was_left_out_stays_out_when_the_filter_changes() {
    let relay = Relay::start().await.with_line().await;
    relay.post(typed("user.new")).await;
    let client = Client::filtered(&relay, "laptop", INVOICES).await;
    passed(&relay, "laptop", 1).await;
    client.leave(&relay, "laptop").await;
    relay.post(typed("user.gone")).await;

    let mut client = Client::listen(&relay, 1).await;

    let event = client.event().await;
    assert_eq!(event.body, typed("user.gone"));
    client.settle(&event).await;
    let laptop = passed(&relay, "laptop", 2).await;
    assert_eq!((laptop.filter, laptop.filtered), (None, 1));
}

#[tokio::test]
async fn a_body_in_a_file_is_looked_into_up_to_the_bound() {
    let relay = Relay::start().await.with_line().await;
    let padded = |kind: &str, length: usize| {
        let mut body = typed(kind).into_bytes();
        body.resize(length, b' ');
        body
    };
    relay.post(padded("user.new", 100_000)).await;
    relay.post(padded("invoice.paid", 100_000)).await;
    relay.post(padded("invoice.paid", 1024 * 1024 + 1)).await;
    relay.post(typed("invoice.void")).await;
    let mut client = Client::filtered(&relay, "billing", INVOICES).await;

    let long = client.wanted().await;
    assert_eq!(long.header.delivery.seq, Seq(2));
    client.report(&long, 1, true).await;
    let last = loop {
        match client.next().await {
            FromRelay::Event(event) => break event,
            FromRelay::Data(_) | FromRelay::Stored(_) | FromRelay::Filtered(_) => {}
            other => panic!("{other:?}"),
        }
    };

    assert_eq!(last.header.delivery.seq, Seq(4));
}

#[tokio::test]
async fn a_filter_that_cannot_be_read_is_pointed_at() {
    let relay = Relay::start().await.with_line().await;
    let mut client = Client::connect(&relay).await;

    client.filtered_hello("laptop", "method = \"POST\"").await;

    let (goodbye, code) = client.goodbye().await;
    assert_eq!((goodbye.reason, code), (Reason::Filter, CloseCode::Normal));
    assert_eq!(goodbye.reconnect_after_millis, None);
    assert_eq!(
        goodbye.detail,
        "two things are compared with `==` (column 8)\n  method = \"POST\"\n         ^"
    );
    let all: ConsumerList = relay.get("/v1/endpoints/line/consumers").await;
    assert!(all.consumers.is_empty(), "{all:?}");
}

fn typed(kind: &str) -> String {
    format!("{{\"type\":\"{kind}\"}}")
}

/// The consumer, once its cursor is at a place.
async fn passed(relay: &Relay, name: &str, cursor: u64) -> ConsumerView {
    loop {
        let all: ConsumerList = relay.get("/v1/endpoints/line/consumers").await;
        let mut all = all.consumers.into_iter();
        let found = all.find(|it| it.name.as_str() == name).unwrap();
        if found.cursor == Seq(cursor) {
            return found;
        }
    }
}
