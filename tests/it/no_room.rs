//! A store that cannot take more: 503 with `Retry-After`, never a 2xx for what is not kept, and back to work by
//! itself.

use std::sync::Arc;

use towline_tests::api::path_of;
use towline_tests::binaries::Binary;
use towline_tests::eventually::eventually;
use towline_tests::message::Message;
use towline_tests::process::{Process, command};
use towline_tests::relay::Relay;
use towline_tests::sender::{Sender, post, send};

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_answered_with_503_and_nothing_acknowledged_is_missing() {
    let relay = Relay::with(|config| config.limits.store_queue = 1).await;
    let api = relay.api();
    let path = Arc::new(path_of(&api.open_endpoint("full").await));

    let mut kept = 0;
    eventually("one of many senders is turned away", async || {
        let senders: Vec<_> = (0..64)
            .map(|_| {
                let (address, path) = (relay.address(), Arc::clone(&path));
                tokio::spawn(async move { send(address, &post(&path, b"x")).await })
            })
            .collect();
        let mut turned_away = Vec::new();
        for sender in senders {
            let reply = sender.await.unwrap();
            match reply.status() {
                200 => kept += 1,
                503 => turned_away.push(reply),
                other => panic!("answered {other}"),
            }
        }
        turned_away.iter().for_each(assert_says_when_to_come_back);
        (!turned_away.is_empty()).then_some(())
    })
    .await;

    assert_eq!(
        send(relay.address(), &post(&path, b"after")).await.status(),
        200
    );
    assert_eq!(count_events(&relay, "full").await, kept + 1);
}

/// A limit on file sizes stands for a full disk: writes fail in the same places, and a test can set and lift it.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_is_answered_with_503_until_there_is_room_again() {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, address) = relay_with_small_files(folder.path()).await;
    let token = std::fs::read_to_string(folder.path().join("data/admin.token")).unwrap();
    let api = towline_tests::api::Api::new(address, &token);
    let path = path_of(&api.open_endpoint("full").await);

    let body = vec![b'x'; 60_000];
    let mut kept = 0_u64;
    let mut sender = Sender::connect(address).await;
    let refused = loop {
        let reply = sender.exchange(&post(&path, &body)).await;
        if reply.status() != 200 {
            break reply;
        }
        kept += 1;
        assert!(kept < 1000, "the limit is not in force");
    };
    assert_says_when_to_come_back(&refused);
    for _ in 0..5 {
        let reply = send(address, &post(&path, &body)).await;
        assert_says_when_to_come_back(&reply);
    }
    lift_limit(process.pid()).await;
    eventually("the relay takes events again", async || {
        let reply = send(address, &post(&path, &body)).await;
        (reply.status() == 200).then_some(())
    })
    .await;

    let newest = api.events("full").await.remove(0);
    assert_eq!(
        newest.info.seq.0,
        kept + 1,
        "a place was lost, or something unacknowledged kept"
    );
    process.kill().await;
}

#[cfg(target_os = "linux")]
async fn relay_with_small_files(folder: &std::path::Path) -> (Process, std::net::SocketAddr) {
    let relay = Binary::Relay.path();
    let mut shell = tokio::process::Command::new("sh");
    let prepared = command(Binary::Relay, folder);
    shell.env_clear().current_dir(folder);
    for (name, value) in prepared.as_std().get_envs() {
        if let Some(value) = value {
            shell.env(name, value);
        }
    }
    // Without the trap the signal of the limit would end the process; ignored, the write fails.
    shell.arg("-c").arg(format!(
        "trap '' XFSZ; ulimit -S -f 8000; exec '{}' --listen 127.0.0.1:0 --data data",
        relay.display()
    ));
    let mut process = Process::start_with(&mut shell);
    let address = process
        .wait_for_line("the relay's address", |line| {
            line.strip_prefix("listening on")?.trim().parse().ok()
        })
        .await;
    (process, address)
}

#[cfg(target_os = "linux")]
async fn lift_limit(pid: u32) {
    let status = tokio::process::Command::new("prlimit")
        .args(["--pid", &pid.to_string(), "--fsize=unlimited"])
        .status()
        .await
        .expect("util-linux is installed");
    assert!(status.success());
}

fn assert_says_when_to_come_back(reply: &Message) {
    assert_eq!(reply.status(), 503, "{}", reply.text());
    let wait: u64 = reply
        .value("retry-after")
        .expect("it says when")
        .parse()
        .unwrap();
    assert!((1..=120).contains(&wait), "{wait}");
}

async fn count_events(relay: &Relay, endpoint: &str) -> u64 {
    relay.api().events(endpoint).await[0].info.seq.0
}
