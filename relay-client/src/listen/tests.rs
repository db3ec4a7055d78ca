//! `listen` between a relay that the test plays over a real WebSocket and an app on a real socket.

mod app;
mod client;
mod faults;
mod relay;

use futures_util::SinkExt;
use tokio_tungstenite::tungstenite::Message;
use towline_shared::outcome::{Outcome, Settled};
use towline_shared::wire::{FromClient, FromRelay, Reset};

use self::app::App;
use self::client::Run;
use self::relay::Relay;
use super::*;

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn an_event_reaches_the_app_and_its_outcome_the_relay() {
    let mut app = App::start().await;
    let relay = Relay::start().await;
    let mut run = Run::start(&relay, &app, |_| {});
    let mut session = relay.accept().await;

    session.send_event(1, b"body").await;
    let request = app.answer(ANSWER).await;
    let report = session.report().await;
    session.stored(&report).await;

    assert!(
        request.starts_with("POST /x HTTP/1.1\r\nhost: relay.test\r\n"),
        "{request}"
    );
    assert!(request.ends_with("\r\n\r\nbody"), "{request}");
    assert_eq!(
        (report.attempt.number, report.attempt.settled),
        (1, Some(Settled::Done))
    );
    assert_eq!(report.reply_body, "ok");
    assert!(matches!(
        run.news().await,
        News::Ready {
            is_again: false,
            ..
        }
    ));
    assert!(
        matches!(run.news().await, News::Event { method, target, .. } if method == "POST" && target.ends_with("/x"))
    );
    assert!(matches!(run.news().await, News::Outcome { hint: None, .. }));
    assert_eq!(
        run.stop().await.unwrap(),
        Summary {
            done: 1,
            ..Summary::default()
        }
    );
}

#[tokio::test]
async fn the_greeting_names_endpoint_consumer_and_window() {
    let app = App::start().await;
    let relay = Relay::start().await;
    let run = Run::start(&relay, &app, |options| options.concurrency = 7);

    let session = relay.accept().await;

    assert_eq!(session.hello.endpoint.as_str(), "orders");
    assert_eq!(session.hello.consumer.as_str(), "localhost:3000");
    assert_eq!((session.hello.window, session.hello.start), (7, Start::Now));
    run.stop().await.unwrap();
}

#[tokio::test]
async fn an_outcome_that_was_not_stored_is_reported_again_and_the_app_is_not_called_again() {
    let mut app = App::start().await;
    let relay = Relay::start().await;
    let run = Run::start(&relay, &app, |_| {});
    let mut session = relay.accept().await;
    session.send_event(1, b"body").await;
    app.answer(ANSWER).await;
    let first = session.report().await;
    drop(session);

    let mut session = relay.accept().await;
    session.send_event(1, b"body").await;
    let second = session.report().await;
    session.stored(&second).await;
    session.send_event(2, b"next").await;
    let request = app.answer(ANSWER).await;

    assert_eq!(first, second);
    assert!(request.ends_with("next"), "{request}");
    let report = session.report().await;
    session.stored(&report).await;
    assert_eq!(run.stop().await.unwrap().done, 2);
}

#[tokio::test]
async fn an_outcome_outlives_the_process_that_got_it() {
    let mut app = App::start().await;
    let relay = Relay::start().await;
    let run = Run::start(&relay, &app, |_| {});
    let mut session = relay.accept().await;
    session.send_event(1, b"body").await;
    app.answer(ANSWER).await;
    let first = session.report().await;
    drop(session);
    let state = run.abort().await.1;

    let run = Run::start_in(state, &relay, &app, |_| {});
    let mut session = relay.accept().await;
    session.send_event(1, b"body").await;
    let second = session.report().await;
    session.stored(&second).await;

    assert_eq!(first, second);
    assert_eq!(run.stop().await.unwrap(), Summary::default());
    assert_eq!(app.calls(), 1);
}

#[tokio::test]
async fn an_outcome_is_known_when_the_relay_has_another_address() {
    let mut app = App::start().await;
    let relay = Relay::start().await;
    let run = Run::start(&relay, &app, |_| {});
    let mut session = relay.accept().await;
    session.send_event(1, b"body").await;
    app.answer(ANSWER).await;
    let first = session.report().await;
    drop(session);
    let state = run.abort().await.1;

    let relay = Relay::start().await;
    let run = Run::start_in(state, &relay, &app, |_| {});
    let mut session = relay.accept().await;
    session.send_event(1, b"body").await;
    let second = session.report().await;
    session.stored(&second).await;

    assert_eq!((first, app.calls()), (second, 1));
    run.stop().await.unwrap();
}

#[tokio::test]
async fn an_endpoint_made_anew_ends_the_run_and_begins_without_what_is_known_of_the_old_one() {
    let mut app = App::start().await;
    let relay = Relay::start().await;
    let run = Run::start(&relay, &app, |_| {});
    let mut session = relay.accept_for("old").await;
    session.send_event(1, b"of the old one").await;
    app.answer(ANSWER).await;
    session.report().await;
    drop(session);

    let _session = relay.accept_for("new").await;
    let state = run.state.clone();
    let ended = run.ended().await;
    let run = Run::start_in(state, &relay, &app, |_| {});
    let mut session = relay.accept_for("new").await;
    session.send_event(1, b"of the new one").await;
    let request = app.answer(ANSWER).await;
    let report = session.report().await;
    session.stored(&report).await;

    assert!(
        matches!(
            ended,
            Err(ListenError::Ended {
                reason: Reason::NoEndpoint,
                ..
            })
        ),
        "{ended:?}"
    );
    assert!(request.ends_with("of the new one"), "{request}");
    run.stop().await.unwrap();
}

#[tokio::test]
async fn an_attempt_whose_process_ended_is_told_as_cut_off_and_made_again_as_the_next() {
    let mut app = App::start().await;
    let relay = Relay::start().await;
    let run = Run::start(&relay, &app, |_| {});
    let mut session = relay.accept().await;
    session.send_event(1, b"body").await;
    let call = app.call().await;
    let (summary, state) = run.abort().await;
    assert_eq!(summary.unwrap().left, 1);
    drop((call, session));

    let mut run = Run::start_in(state, &relay, &app, |_| {});
    let mut session = relay.accept().await;
    let cut_off = session.report().await;
    session.stored(&cut_off).await;
    session.send_event(1, b"body").await;
    app.answer(ANSWER).await;
    let answered = session.report().await;
    session.stored(&answered).await;

    assert_eq!(
        (
            cut_off.attempt.number,
            cut_off.attempt.outcome,
            cut_off.attempt.settled
        ),
        (1, Outcome::CutOff, None)
    );
    assert_eq!(
        (answered.attempt.number, answered.attempt.settled),
        (2, Some(Settled::Done))
    );
    let told = run
        .news_until(|news| matches!(news, News::Outcome { .. }))
        .await;
    assert!(matches!(told, News::Outcome { attempt, .. } if attempt.outcome == Outcome::CutOff));
    run.stop().await.unwrap();
}

#[tokio::test]
async fn the_line_waits_for_an_app_that_is_down_and_says_so_once() {
    let app = App::start().await;
    let target = app.target.clone();
    app.shut().await;
    let relay = Relay::start().await;
    let mut run = Run::start_to(&target, &relay, |_| {});
    let mut session = relay.accept().await;
    session.send_event(1, b"body").await;

    let refused = session.report().await;
    session.stored(&refused).await;
    let waiting = run
        .news_until(|news| matches!(news, News::Waiting { .. }))
        .await;
    let mut app = App::start_at(&target).await;
    app.answer(ANSWER).await;
    let answered = session.report().await;
    session.stored(&answered).await;

    assert!(matches!(refused.attempt.outcome, Outcome::Refused { .. }));
    assert!(refused.attempt.retry_after_millis.is_some() && refused.attempt.settled.is_none());
    assert!(matches!(waiting, News::Waiting { why, .. } if why.contains("nobody listens")));
    assert_eq!(
        (answered.attempt.number, answered.attempt.settled),
        (2, Some(Settled::Done))
    );
    let next = run.news().await;
    assert!(matches!(next, News::Outcome { .. }), "{next:?}");
    let summary = run.stop().await.unwrap();
    assert_eq!((summary.done, summary.left), (1, 0));
    assert!(summary.unanswered >= 1);
}

#[tokio::test]
async fn an_answer_that_says_not_now_is_tried_again_as_often_as_asked_for() {
    let mut app = App::start().await;
    let relay = Relay::start().await;
    let run = Run::start(&relay, &app, |options| options.delivery.retries = 1);
    let mut session = relay.accept().await;
    session.send_event(1, b"body").await;

    app.answer("HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n")
        .await;
    let first = session.report().await;
    app.answer("HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n")
        .await;
    let second = session.report().await;
    session.stored(&first).await;
    session.stored(&second).await;

    assert_eq!(
        (first.attempt.settled, first.attempt.retry_after_millis),
        (None, Some(0))
    );
    assert_eq!(
        (second.attempt.number, second.attempt.settled),
        (2, Some(Settled::Failed))
    );
    assert_eq!(run.stop().await.unwrap().failed, 1);
}

#[tokio::test]
async fn a_request_that_cannot_be_forwarded_fails_and_the_line_goes_on() {
    let mut app = App::start().await;
    let relay = Relay::start().await;
    let run = Run::start(&relay, &app, |_| {});
    let mut session = relay.accept().await;

    session
        .send_event_with_head(1, "POST /elsewhere HTTP/1.1\r\n\r\n", b"")
        .await;
    let failed = session.report().await;
    session.stored(&failed).await;
    session.send_event(2, b"body").await;
    app.answer(ANSWER).await;
    let done = session.report().await;
    session.stored(&done).await;

    assert_eq!(failed.attempt.settled, Some(Settled::Failed));
    assert!(
        matches!(failed.attempt.outcome, Outcome::Refused { detail } if detail.contains("cannot be forwarded"))
    );
    assert_eq!(
        run.stop().await.unwrap(),
        Summary {
            done: 1,
            failed: 1,
            ..Summary::default()
        }
    );
}

#[tokio::test]
async fn several_deliveries_are_in_hand_at_once_and_one_that_hangs_holds_up_no_other() {
    let mut app = App::start().await;
    let relay = Relay::start().await;
    let run = Run::start(&relay, &app, |options| options.concurrency = 2);
    let mut session = relay.accept().await;

    session.send_event(1, b"one").await;
    let hanging = app.call().await;
    session.send_event(2, b"two").await;
    app.answer(ANSWER).await;
    let two = session.report().await;
    hanging.answer(ANSWER).await;
    let one = session.report().await;
    session.stored(&two).await;
    session.stored(&one).await;

    assert_eq!(
        (two.attempt.delivery.seq.0, one.attempt.delivery.seq.0),
        (2, 1)
    );
    run.stop().await.unwrap();
}

#[tokio::test]
async fn more_deliveries_than_asked_for_are_a_breach() {
    let mut app = App::start().await;
    let relay = Relay::start().await;
    let mut run = Run::start(&relay, &app, |_| {});
    let mut session = relay.accept().await;

    for seq in 1..=3 {
        session.send_event(seq, b"body").await;
    }
    let call = app.call().await;
    let close = session.close_code().await;

    assert_eq!(close, 1002);
    let told = run
        .news_until(|news| matches!(news, News::Reconnecting { .. }))
        .await;
    assert!(matches!(told, News::Reconnecting { why, .. } if why.contains("more deliveries")));
    drop(call);
    run.abort().await.0.unwrap();
}

#[tokio::test]
async fn a_malformed_frame_closes_with_1002_and_the_client_comes_back() {
    let app = App::start().await;
    let relay = Relay::start().await;
    let mut run = Run::start(&relay, &app, |_| {});
    for bad in [&b"\xff\0\0\0\0"[..], b"\x82\xff\xff\xff\xff", b""] {
        let mut session = relay.accept().await;
        session
            .socket
            .send(Message::Binary(bad.into()))
            .await
            .unwrap();

        assert_eq!(session.close_code().await, 1002);
        let told = run
            .news_until(|news| matches!(news, News::Reconnecting { .. }))
            .await;
        assert!(
            matches!(told, News::Reconnecting { why, .. } if why.contains("broke the protocol"))
        );
    }
    let _session = relay.accept().await;
    run.stop().await.unwrap();
}

#[tokio::test]
async fn a_goodbye_with_a_time_brings_the_client_back_and_one_without_ends_it() {
    let app = App::start().await;
    let relay = Relay::start().await;
    let mut run = Run::start(&relay, &app, |_| {});
    let mut session = relay.accept().await;
    session.goodbye(Reason::ShuttingDown, Some(1)).await;

    let mut session = relay.accept().await;
    session.goodbye(Reason::TakenOver, None).await;

    let told = run
        .news_until(|news| matches!(news, News::Reconnecting { .. }))
        .await;
    assert!(matches!(told, News::Reconnecting { why, .. } if why == "test"));
    let ended = run.ended().await;
    assert!(
        matches!(
            ended,
            Err(ListenError::Ended {
                reason: Reason::TakenOver,
                ..
            })
        ),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_refused_token_ends_listening_with_the_relays_words() {
    for (status, is_expected) in [
        (
            401,
            (|error| matches!(error, ListenError::Unauthorised(detail) if detail.contains("revoked")))
                as fn(&ListenError) -> bool,
        ),
        (
            403,
            |error| matches!(error, ListenError::Forbidden(detail) if detail.contains("revoked")),
        ),
        (
            404,
            |error| matches!(error, ListenError::NotARelay { detail, .. } if detail.contains("revoked")),
        ),
    ] {
        let app = App::start().await;
        let relay = Relay::start().await;
        let run = Run::start(&relay, &app, |_| {});

        relay.refuse(status).await;

        let error = run.ended().await.unwrap_err();
        assert!(is_expected(&error), "{status}: {error}");
    }
}

#[tokio::test]
async fn a_relay_that_is_away_is_waited_for() {
    let app = App::start().await;
    let relay = Relay::start().await;
    let mut run = Run::start(&relay, &app, |_| {});
    relay.refuse(503).await;

    let told = run.news().await;
    let _session = relay.accept().await;

    assert!(matches!(told, News::Reconnecting { .. }));
    assert!(matches!(
        run.news().await,
        News::Ready {
            is_again: false,
            ..
        }
    ));
    run.stop().await.unwrap();
}

#[tokio::test]
async fn a_long_body_arrives_whole_and_within_credit() {
    let mut app = App::start().await;
    let relay = Relay::start().await;
    let run = Run::start(&relay, &app, |_| {});
    let mut session = relay.accept().await;
    let body: Vec<u8> = (0..9_000_000_u32).map(|i| (i % 251) as u8).collect();

    session.send_long_event(1, &body).await;
    let request = app.answer_bytes(ANSWER).await;
    let report = session.report().await;
    session.stored(&report).await;

    assert_eq!(request[request.len() - body.len()..], body);
    assert_eq!(report.attempt.sent_body_length, body.len() as u64);
    run.stop().await.unwrap();
}

#[tokio::test]
async fn a_body_that_broke_off_with_its_session_is_fetched_again_and_the_app_sees_only_the_whole() {
    let mut app = App::start().await;
    let relay = Relay::start().await;
    let run = Run::start(&relay, &app, |_| {});
    let mut session = relay.accept().await;
    let body = vec![7; 200_000];
    session.begin_long_event(1, &body).await;
    session.data(1, &body[65_536..131_072], false).await;
    drop(session);

    let mut session = relay.accept().await;
    session.send_long_event(1, &body).await;
    let request = app.answer_bytes(ANSWER).await;
    let report = session.report().await;
    session.stored(&report).await;

    assert_eq!(request[request.len() - body.len()..], body);
    assert_eq!((report.attempt.number, app.calls()), (1, 1));
    run.stop().await.unwrap();
}

#[tokio::test]
async fn a_body_that_the_relay_cannot_read_is_left_and_fetched_in_the_next_session() {
    let mut app = App::start().await;
    let relay = Relay::start().await;
    let run = Run::start(&relay, &app, |_| {});
    let mut session = relay.accept().await;
    let body = vec![7; 200_000];
    session.begin_long_event(1, &body).await;

    session
        .send(&FromRelay::Reset(Reset {
            stream: 1,
            reason: "too many files are open".into(),
        }))
        .await;
    session.send_event(2, b"body").await;
    app.answer(ANSWER).await;
    let second = session.report().await;
    session.stored(&second).await;
    session.goodbye(Reason::ShuttingDown, Some(1)).await;
    let mut session = relay.accept().await;
    session.send_long_event(1, &body).await;
    let request = app.answer_bytes(ANSWER).await;
    let first = session.report().await;
    session.stored(&first).await;

    assert_eq!(second.attempt.delivery.seq.0, 2);
    assert_eq!(request[request.len() - body.len()..], body);
    assert_eq!(
        (first.attempt.number, first.attempt.settled),
        (1, Some(Settled::Done))
    );
    assert_eq!(run.stop().await.unwrap().failed, 0);
}

#[tokio::test]
async fn a_long_body_of_a_delivery_in_hand_is_refused() {
    let mut app = App::start().await;
    let relay = Relay::start().await;
    let run = Run::start(&relay, &app, |_| {});
    let mut session = relay.accept().await;
    let body = vec![7; 200_000];
    session.send_long_event(1, &body).await;
    let call = app.call().await;
    drop(session);

    let mut session = relay.accept().await;
    session.begin_long_event(1, &body).await;
    let refused = session.next().await;
    session.data(1, &body[65_536..131_072], false).await;
    call.answer(ANSWER).await;
    let report = session.report().await;
    session.stored(&report).await;

    assert!(
        matches!(refused, FromClient::Reset(Reset { stream: 1, .. })),
        "{refused:?}"
    );
    assert_eq!((report.attempt.number, app.calls()), (1, 1));
    run.stop().await.unwrap();
}

#[tokio::test]
async fn streams_that_break_their_rules_end_the_session() {
    let app = App::start().await;
    let relay = Relay::start().await;
    let run = Run::start(&relay, &app, |_| {});
    let body = vec![7; 1_000_000];
    let mut session = relay.accept().await;
    session.data(5, b"x", false).await;
    assert_eq!(session.close_code().await, 1002, "unknown stream");

    let mut session = relay.accept().await;
    session.begin_long_event(1, &body).await;
    session.data(1, b"x", true).await;
    assert_eq!(session.close_code().await, 1002, "too short");

    let mut session = relay.accept().await;
    session.begin_long_event(1, &body[..65_537]).await;
    session.data(1, b"xy", true).await;
    assert_eq!(session.close_code().await, 1002, "too long");
    run.stop().await.unwrap();
}

#[tokio::test]
async fn stopping_lets_the_app_end_what_it_has_and_begins_nothing_new() {
    let mut app = App::start().await;
    let relay = Relay::start().await;
    let run = Run::start(&relay, &app, |options| options.concurrency = 2);
    let mut session = relay.accept().await;
    session.send_event(1, b"one").await;
    let call = app.call().await;

    run.stop.cancel();
    session.send_event(2, b"two").await;
    call.answer(ANSWER).await;
    let report = session.report().await;
    session.stored(&report).await;

    let summary = run.ended().await.unwrap();
    assert_eq!(
        summary,
        Summary {
            done: 1,
            ..Summary::default()
        }
    );
    assert_eq!(session.close_code().await, 1000);
    assert_eq!(app.calls(), 1);
}

#[tokio::test]
async fn a_second_client_of_one_consumer_waits_for_what_the_first_has_in_hand() {
    let mut app = App::start().await;
    let relay = Relay::start().await;
    let first = Run::start(&relay, &app, |_| {});
    let mut old = relay.accept().await;
    old.send_event(1, b"body").await;
    let call = app.call().await;

    let second = Run::start_in(first.state.clone(), &relay, &app, |_| {});
    let mut waiting = relay.accept().await;
    waiting.send_event(1, b"body").await;
    old.goodbye(Reason::TakenOver, None).await;
    call.answer(ANSWER).await;
    assert_eq!(waiting.close_code().await, 1000);
    let mut new = relay.accept().await;
    new.send_event(1, b"body").await;
    let report = new.report().await;
    new.stored(&report).await;

    assert!(matches!(
        first.ended().await,
        Err(ListenError::Ended {
            reason: Reason::TakenOver,
            ..
        })
    ));
    assert_eq!(
        (report.attempt.number, report.attempt.settled),
        (1, Some(Settled::Done))
    );
    assert_eq!(app.calls(), 1);
    second.stop().await.unwrap();
}

#[tokio::test]
async fn the_second_client_waits_as_long_as_it_takes_and_comes_back_when_its_link_breaks() {
    let mut app = App::start().await;
    let relay = Relay::start().await;
    let first = Run::start(&relay, &app, |_| {});
    let mut old = relay.accept().await;
    old.send_event(1, b"body").await;
    let call = app.call().await;

    let mut second = Run::start_in(first.state.clone(), &relay, &app, |_| {});
    let broken = relay.accept().await;
    old.goodbye(Reason::TakenOver, None).await;
    drop(broken);
    let waiting = relay.accept().await;
    let told = second
        .news_until(|news| matches!(news, News::Remark(_)))
        .await;
    call.answer(ANSWER).await;
    let ended = first.ended().await;
    let mut new = relay.accept().await;
    new.send_event(1, b"body").await;
    let report = new.report().await;
    new.stored(&report).await;

    assert!(matches!(told, News::Remark(text) if text.contains("finish what its app has in hand")));
    assert!(matches!(
        ended,
        Err(ListenError::Ended {
            reason: Reason::TakenOver,
            ..
        })
    ));
    assert_eq!((report.attempt.number, app.calls()), (1, 1));
    drop(waiting);
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_second_client_that_waits_can_be_stopped_and_taken_over() {
    let mut app = App::start().await;
    let relay = Relay::start().await;
    let first = Run::start(&relay, &app, |_| {});
    let mut old = relay.accept().await;
    old.send_event(1, b"body").await;
    let call = app.call().await;
    let start = || Run::start_in(first.state.clone(), &relay, &app, |_| {});

    let second = start();
    let _session = relay.accept().await;
    let stopped = second.stop().await;
    let third = start();
    relay.accept().await.goodbye(Reason::TakenOver, None).await;
    let taken_over = third.ended().await;

    assert_eq!(stopped.unwrap(), Summary::default());
    assert!(matches!(
        taken_over,
        Err(ListenError::Ended {
            reason: Reason::TakenOver,
            ..
        })
    ));
    call.answer(ANSWER).await;
    let report = old.report().await;
    old.stored(&report).await;
    first.stop().await.unwrap();
}

#[tokio::test]
async fn a_header_that_cannot_be_added_is_told_before_anything_is_connected() {
    let app = App::start().await;
    let relay = Relay::start().await;

    let run = Run::start(&relay, &app, |options| {
        options.delivery.add_headers = vec![("Content-Length".into(), "1".into())];
    });

    assert!(matches!(run.ended().await, Err(ListenError::Delivery(_))));
}
