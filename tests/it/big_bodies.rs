//! 25 MiB both ways in constant memory of the relay and the client.

use towline_tests::api::path_of;
use towline_tests::app::{App, Reply, with_body};
use towline_tests::eventually::eventually;
use towline_tests::nodes::{ClientProcess, RelayProcess};
use towline_tests::sender::{post, send};
use towline_tests::usage::{Usage, of_process};

const BODY: usize = 25 * 1024 * 1024;

/// What a process may grow by: less than one body, and far above the windows of 4 MiB and the buffers.
const GROWTH: u64 = 16 * 1024 * 1024;

#[tokio::test]
async fn bodies_of_25_mib_pass_in_constant_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut relay = RelayProcess::start(folder.path(), &[]).await;
    let path = path_of(&relay.api().open_endpoint("big").await);
    let reply = with_body(&vec![b'r'; BODY]);
    let app = App::replying(move |_, _| Reply::Raw(reply.clone())).await;
    let mut client =
        ClientProcess::start(&folder.path().join("home"), &relay, "big", &app.url(), &[]);
    client.wait_until_ready().await;
    assert_eq!(
        send(relay.address(), &post(&path, b"to warm up"))
            .await
            .status(),
        200
    );
    app.wait_for(1).await;
    let (before_relay, before_client) =
        (usage(relay.process().pid()), usage(client.process().pid()));

    let request = post(&path, &vec![b'x'; BODY]);
    for _ in 0..3 {
        assert_eq!(send(relay.address(), &request).await.status(), 200);
    }
    let seen = app.wait_for(4).await;
    let api = relay.api();
    eventually("all outcomes are kept", async || {
        (api.consumers("big").await.consumers[0].backlog == 0).then_some(())
    })
    .await;

    assert!(seen[1..].iter().all(|message| message.body.len() == BODY));
    let (relay, client) = (usage(relay.process().pid()), usage(client.process().pid()));
    for (name, before, after) in [
        ("relay", before_relay, relay),
        ("client", before_client, client),
    ] {
        let grown = after.peak.saturating_sub(before.resident);
        assert!(grown < GROWTH, "the {name} grew by {grown} bytes");
    }
}

fn usage(pid: u32) -> Usage {
    of_process(pid).expect("the process runs, on a system with /proc")
}
