//! `towline schemes`: what is listed and shown, and what a scheme file of one's own is told.

use serde_json::{Value, json};
use towline_shared::verify::Provider;
use towline_tests::binaries::Binary;
use towline_tests::process::run;

const NOT_FOUND: i32 = 12;
const INVALID_INPUT: i32 = 13;

#[tokio::test]
async fn every_provider_is_listed_with_what_its_signature_covers() {
    let folder = tempfile::tempdir().unwrap();

    let all = run(Binary::Towline, folder.path(), &["schemes", "list"]).await;
    let json = run(
        Binary::Towline,
        folder.path(),
        &["schemes", "list", "stripe", "--json"],
    )
    .await;
    let none = run(Binary::Towline, folder.path(), &["schemes", "list", "zzz"]).await;

    let number = Provider::builtin_slugs().count();
    assert_eq!(
        all.stdout.lines().count(),
        number + 1,
        "a title and a line each"
    );
    let stripe: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(
        (&stripe["v"], &stripe["provider"]),
        (&json!(1), &json!("stripe"))
    );
    assert_eq!(stripe["can_sign"], json!(true));
    assert_eq!(
        stripe["schemes"][0]["covers"],
        json!({"body": "whole", "time": true, "url": false})
    );
    assert_eq!(stripe["schemes"][0]["window"]["tolerance"], json!(300));
    assert_eq!(none.code, NOT_FOUND, "{none:?}");
}

#[tokio::test]
async fn what_is_shown_is_a_scheme_file_again() {
    let folder = tempfile::tempdir().unwrap();

    let shown = run(Binary::Towline, folder.path(), &["schemes", "show", "zoom"]).await;
    std::fs::write(folder.path().join("zoom.toml"), &shown.stdout).unwrap();
    let checked = run(
        Binary::Towline,
        folder.path(),
        &["schemes", "check", "zoom.toml"],
    )
    .await;
    let again = run(
        Binary::Towline,
        folder.path(),
        &["schemes", "show", "zoom.toml"],
    )
    .await;

    for words in [
        "evidence A: the provider's own code",
        "the header `x-zm-signature`",
        "at most 300 s old",
        "covers    body, time",
        "its own signature is checked first",
        "alg = \"hmac-sha256\"",
    ] {
        assert!(shown.stdout.contains(words), "{words}: {}", shown.stdout);
    }
    assert_eq!(checked.code, 0, "{checked:?}");
    assert!(checked.stdout.contains("signs a sample and verifies it"));
    assert!(again.stdout.contains("covers    body, time"));
}

#[tokio::test]
async fn every_mistake_of_a_file_is_told_with_its_line_and_key() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("mine.toml"),
        "[mine]\nnaem = \"x\"\n[[mine.scheme]]\nalg = \"hmac-sha265\"\nsig = \"{heder.x}\"\n",
    )
    .unwrap();
    std::fs::write(
        folder.path().join("good.toml"),
        "[good]\n[[good.scheme]]\nalg = \"equals\"\nbinds = \"none\"\nsig = \"{header.x}\"\nexpect = \"{secret}\"\n",
    )
    .unwrap();
    std::fs::write(folder.path().join("secret"), "s").unwrap();

    let checked = run(
        Binary::Towline,
        folder.path(),
        &["schemes", "check", "good.toml", "mine.toml", "--json"],
    )
    .await;
    let used = run(
        Binary::Towline,
        folder.path(),
        &[
            "verify",
            "mine",
            "none",
            "--scheme",
            "mine.toml",
            "--secret-file",
            "secret",
        ],
    )
    .await;

    assert_eq!(checked.code, INVALID_INPUT, "{checked:?}");
    let files: Vec<Value> = checked
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(files[0]["errors"], json!([]));
    assert_eq!(files[0]["warnings"][0]["key"], json!("good.scheme.binds"));
    assert_eq!(
        files[0]["schemes"][0]["is_signed_and_verified"],
        json!(true)
    );
    let told: Vec<_> = files[1]["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| {
            (
                error["line"].as_u64().unwrap(),
                error["key"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (2, "mine.naem"),
            (4, "mine.scheme.alg"),
            (5, "mine.scheme.sig")
        ]
    );
    assert_eq!(used.code, INVALID_INPUT, "{used:?}");
    assert!(
        used.stderr.contains("towline schemes check mine.toml"),
        "{used:?}"
    );
}
