//! `towline sign` and `towline trigger`: what is signed here, a real relay, a real app and real curl take for the
//! provider's own.

use towline_shared::api::CreateEndpoint;
use towline_shared::verdict::Verdict;
use towline_tests::api::checked;
use towline_tests::app::{App, Reply};
use towline_tests::desk::Desk;
use towline_tests::process::run_command;

const USAGE: i32 = 2;
const NOT_FOUND: i32 = 12;
const INVALID_INPUT: i32 = 13;
const TARGET_UNREACHABLE: i32 = 16;
const EXPECTATION_NOT_MET: i32 = 19;

const SECRET: &str = "It's a Secret to Everybody";

#[tokio::test]
async fn a_sample_goes_to_the_relays_endpoint_and_is_verified_and_a_forged_one_is_not() {
    let desk = Desk::new().await;
    let key = secret_file(&desk);
    for provider in ["github", "stripe", "benji", "extole"] {
        desk.api
            .create_endpoint(&checked(provider, provider, SECRET))
            .await;
    }

    for event in [
        "github.push",
        "stripe.invoice.paid",
        "benji.user_updated",
        "extole.reward_earned",
    ] {
        let provider = event.split_once('.').unwrap().0;
        let sent = desk.json(&["trigger", event, "--secret-file", &key]).await;
        let forged = desk
            .json(&["trigger", event, "--secret-file", &key, "--forged"])
            .await;

        assert_eq!(sent["outcome"]["status"], 200, "{sent}");
        assert_eq!(forged["outcome"]["status"], 401, "{forged}");
        let events = desk.api.events(provider).await;
        assert!(
            matches!(events[1].info.verdict, Verdict::Verified(_)),
            "{events:?}"
        );
        assert!(
            matches!(events[0].info.verdict, Verdict::Failed(_)),
            "{events:?}"
        );
    }
}

#[tokio::test]
async fn a_sample_goes_straight_to_an_app_with_fresh_ids_each_time() {
    let desk = Desk::new().await;
    let key = secret_file(&desk);
    let app = App::start().await;
    let target = format!("{}/hooks?x=1", app.url());

    let shown = desk
        .done(&[
            "trigger",
            "github.pull_request",
            "--to",
            &target,
            "--secret-file",
            &key,
            "--repeat",
            "2",
            "--set",
            "/number=99",
            "--set",
            "/pull_request/title=A \"new\" title",
            "-H",
            "X-Mine: 1",
        ])
        .await;

    assert!(
        shown.contains("github.pull_request.opened") && shown.contains("<-- 200"),
        "{shown}"
    );
    let seen = app.wait_for(2).await;
    let ids: Vec<_> = seen
        .iter()
        .map(|one| one.value("X-GitHub-Delivery").unwrap())
        .collect();
    assert_ne!(ids[0], ids[1]);
    for message in &seen {
        assert_eq!(message.first_line()[1], "/hooks?x=1");
        assert_eq!(
            message.value("X-GitHub-Event").as_deref(),
            Some("pull_request")
        );
        assert_eq!(message.value("X-Mine").as_deref(), Some("1"));
        let body = message.json();
        assert_eq!(body["number"], 99);
        assert_eq!(body["pull_request"]["title"], "A \"new\" title");
    }
}

#[tokio::test]
async fn the_exit_code_says_what_the_app_did() {
    let desk = Desk::new().await;
    let key = secret_file(&desk);
    let mut app = App::replying(|_, message| {
        let is_forged = message.value("X-Hub-Signature-256").is_none();
        Reply::Status(if is_forged { 401 } else { 500 })
    })
    .await;
    let url = app.url();
    let trigger = async |more: &[&str]| {
        let arguments = [&["trigger", "github.ping", "--to", &url], more].concat();
        desk.run(&arguments).await.code
    };

    assert_eq!(trigger(&["--secret-file", &key]).await, EXPECTATION_NOT_MET);
    assert_eq!(trigger(&["--unsigned"]).await, EXPECTATION_NOT_MET);
    assert_eq!(
        trigger(&["--secret-file", &key, "--forged"]).await,
        EXPECTATION_NOT_MET
    );
    app.stop().await;
    assert_eq!(trigger(&["--secret-file", &key]).await, TARGET_UNREACHABLE);
}

#[tokio::test]
async fn what_is_missing_is_named_with_the_next_step() {
    let desk = Desk::new().await;
    let key = secret_file(&desk);
    desk.api
        .create_endpoint(&checked("one", "github", SECRET))
        .await;
    desk.api
        .create_endpoint(&checked("two", "github", SECRET))
        .await;

    for (arguments, code, hint) in [
        (
            &["trigger", "github.pusj", "--secret-file", &key][..],
            INVALID_INPUT,
            "did you mean push",
        ),
        (
            &["trigger", "stripe.invoice.paid", "--secret-file", &key],
            NOT_FOUND,
            "endpoints create",
        ),
        (
            &["trigger", "github.push", "--secret-file", &key],
            USAGE,
            "one, two",
        ),
        (
            &["trigger", "github.push", "--endpoint", "one"],
            USAGE,
            "rotate-secret one",
        ),
        (
            &["trigger", "github.push", "--to", "9"],
            USAGE,
            "--unsigned",
        ),
        (
            &["trigger", "github.push", "--to", "9", "--repeat", "1001"],
            USAGE,
            "1..=1000",
        ),
        (
            &[
                "trigger",
                "benji.user_updated",
                "--to",
                "9",
                "--delivery-id",
                "x",
            ],
            USAGE,
            "",
        ),
        (&["sign", "github", "/nowhere"], USAGE, "--secret-file"),
        (
            &["sign", "discord", &key, "--secret-file", &key],
            INVALID_INPUT,
            "towline keys new discord",
        ),
        (
            &["sign", "gihtub", &key, "--secret-file", &key],
            INVALID_INPUT,
            "github",
        ),
    ] {
        let finished = desk.run(arguments).await;

        assert_eq!(finished.code, code, "{arguments:?}: {finished:?}");
        assert!(
            finished.stderr.contains(hint),
            "{arguments:?}: {finished:?}"
        );
    }
}

#[tokio::test]
async fn an_endpoint_without_a_secret_gets_the_sample_unsigned() {
    let desk = Desk::new().await;
    let open = CreateEndpoint {
        secrets: Vec::new(),
        ..checked("open", "github", SECRET)
    };
    desk.api.create_endpoint(&open).await;

    let sent = desk.json(&["trigger", "github.push"]).await;

    assert_eq!(sent["is_signed"], false);
    assert!(matches!(
        desk.api.events("open").await[0].info.verdict,
        Verdict::Unchecked
    ));
}

#[tokio::test]
async fn what_is_printed_verifies_and_a_changed_body_does_not() {
    let desk = Desk::new().await;
    let key = secret_file(&desk);
    let request = desk
        .done(&[
            "trigger",
            "stripe.invoice.paid",
            "--to",
            "3000",
            "--secret-file",
            &key,
            "--dry-run",
        ])
        .await;
    std::fs::write(desk.home().join("good.http"), &request).unwrap();
    std::fs::write(
        desk.home().join("bad.http"),
        request.replace("1500", "9500"),
    )
    .unwrap();
    let verify = async |file: &str| {
        desk.run(&["verify", "stripe", file, "--secret-file", &key])
            .await
    };

    assert_eq!(verify("good.http").await.code, 0);
    assert_eq!(verify("bad.http").await.code, 15);
}

#[tokio::test]
async fn curl_reads_the_fields_that_sign_prints() {
    let desk = Desk::new().await;
    let key = secret_file(&desk);
    let endpoint = desk
        .api
        .create_endpoint(&checked("shop", "stripe", SECRET))
        .await;
    std::fs::write(
        desk.home().join("body.json"),
        "{\"id\":\"evt_1\",\n \"type\":\"x\"}\n",
    )
    .unwrap();
    let script = format!(
        "\"$TOWLINE\" sign stripe body.json --secret-file {key} > fields && \
         curl --silent --noproxy '*' -H @fields --data-binary @body.json '{}'",
        endpoint.url
    );

    let mut shell = tokio::process::Command::new("sh");
    shell
        .args(["-c", &script])
        .current_dir(desk.home())
        .env("HOME", desk.home())
        .env("TOWLINE", towline_tests::binaries::Binary::Towline.path());
    let finished = run_command(&mut shell).await;

    assert!(finished.stdout.contains("evt_"), "{finished:?}");
    let event = desk.api.events("shop").await.remove(0);
    assert!(
        matches!(event.info.verdict, Verdict::Verified(_)),
        "{event:?}"
    );
}

#[tokio::test]
async fn the_samples_are_listed() {
    let desk = Desk::new().await;

    let all = desk.done(&["trigger", "--list"]).await;
    let of_github = desk.done(&["trigger", "--list", "github"]).await;
    let nobody = desk.run(&["trigger", "--list", "nobody"]).await;

    assert!(
        all.contains("stripe.invoice.paid") && all.contains("benji.user_updated"),
        "{all}"
    );
    assert!(
        of_github.contains("github.push") && !of_github.contains("stripe"),
        "{of_github}"
    );
    assert_eq!(nobody.code, INVALID_INPUT);
}

fn secret_file(desk: &Desk) -> String {
    std::fs::write(desk.home().join("key.txt"), SECRET).unwrap();
    "key.txt".to_owned()
}
