//! SIGTERM: the relay finishes what it has in hand, tells sessions, says what was left, and is gone in time.

use towline::listen::News;
use towline_tests::api::path_of;
use towline_tests::app::App;
use towline_tests::eventually::eventually;
use towline_tests::listening::{Listening, options};
use towline_tests::nodes::RelayProcess;
use towline_tests::sender::{Sender, post};

#[tokio::test]
async fn what_is_in_hand_is_finished_and_kept_and_nothing_new_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let mut relay = RelayProcess::start(folder.path(), &[]).await;
    let api = relay.api();
    let path = path_of(&api.open_endpoint("drain").await);
    let app = App::start().await;
    let state = folder.path().join("state");
    let client = Listening::start(options(
        relay.address(),
        api.token(),
        "drain",
        &app.url(),
        &state,
    ))
    .await;
    let request = post(&path, b"0123456789");
    let (beginning, rest) = request.split_at(request.len() - 5);
    let mut sender = Sender::connect(relay.address()).await;
    sender.send(beginning).await;
    towline_tests::sender::send(relay.address(), &post(&path, b"other")).await;

    relay.process().signal("TERM").await;
    let address = relay.address();
    eventually("new connections are refused", async || {
        Sender::try_connect(address).await.is_err().then_some(())
    })
    .await;
    sender.send(rest).await;

    assert_eq!(sender.reply().await.status(), 200);
    assert!(relay.process().end().await.success());
    let last = relay.process().stdout().pop().unwrap_or_default();
    assert!(last.contains("nothing was left"), "{last}");
    client
        .wait_for("news of the goodbye", |news| {
            news.iter().find_map(reconnecting)
        })
        .await;
    relay.start_again();
    client.wait_for_ready(2).await;
    let seen = app.wait_for(2).await;
    assert!(
        seen.iter().any(|message| message.body == b"0123456789"),
        "it was acknowledged"
    );
}

#[tokio::test]
async fn what_does_not_finish_is_cut_off_in_time_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("relay.toml");
    std::fs::write(&settings, "[limits]\ndrain_seconds = 1\n").unwrap();
    let mut relay =
        RelayProcess::start(folder.path(), &["--config", settings.to_str().unwrap()]).await;
    let path = path_of(&relay.api().open_endpoint("drain").await);
    let request = post(&path, b"0123456789");
    let mut sender = Sender::connect(relay.address()).await;
    sender.send(&request[..request.len() - 5]).await;
    towline_tests::sender::send(relay.address(), &post(&path, b"other")).await;

    relay.process().signal("TERM").await;

    assert!(relay.process().end().await.success());
    let last = relay.process().stdout().pop().unwrap_or_default();
    assert!(last.contains("1 request"), "{last}");
}

#[tokio::test]
async fn a_second_signal_ends_the_relay_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut relay = RelayProcess::start(folder.path(), &[]).await;
    let path = path_of(&relay.api().open_endpoint("drain").await);
    let request = post(&path, b"0123456789");
    let mut sender = Sender::connect(relay.address()).await;
    sender.send(&request[..request.len() - 5]).await;
    towline_tests::sender::send(relay.address(), &post(&path, b"other")).await;

    relay.process().signal("TERM").await;
    let address = relay.address();
    eventually("the drain has begun", async || {
        Sender::try_connect(address).await.is_err().then_some(())
    })
    .await;
    relay.process().signal("TERM").await;

    assert_eq!(relay.process().end().await.code(), Some(130));
}

fn reconnecting(news: &News) -> Option<String> {
    match news {
        News::Reconnecting { why, .. } => Some(why.clone()),
        _ => None,
    }
}
