//! `towline verify` as others use it to check this engine: raw requests with every option, and whole files of cases.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use towline_tests::binaries::{Binary, workspace};

const VERIFICATION_FAILED: i32 = 15;

#[test]
fn a_raw_request_of_every_provider_gets_the_verdict_of_its_case() {
    let folder = tempfile::tempdir().unwrap();
    let mut differences = Vec::new();
    let mut count = 0;
    for cases in files_of_cases() {
        for verdict in ["valid", "invalid"] {
            let found = cases
                .iter()
                .find(|case| case["expect"]["verdict"] == verdict);
            let Some(case) = found else { continue };
            count += 1;
            let output = verify(folder.path(), case);
            let code = if verdict == "valid" {
                0
            } else {
                VERIFICATION_FAILED
            };
            let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            if output.status.code() != Some(code) || said["verdict"] != verdict {
                differences.push(format!("{}/{}: {output:?}", case["provider"], case["name"]));
            }
        }
    }

    assert!(count > 300, "{count}");
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn all_files_of_cases_run_at_once_and_none_differs() {
    let folder = tempfile::tempdir().unwrap();
    let vectors = vectors();

    let output = run(
        folder.path(),
        &["verify", "--reasons", "--cases", &vectors],
        b"",
    );

    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    assert!(text(&output.stderr).contains(" cases, 0 differ"));
}

#[test]
fn a_case_that_differs_is_told_in_a_line_and_by_the_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let case = |provider: &str, change: &dyn Fn(&mut Value)| {
        let file = format!("{}/{provider}.json", vectors());
        let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let wanted = |case: &&Value| {
            case["expect"]["verdict"] == "valid" || case["expect_response"]["body"] == "challenge"
        };
        let mut case = cases.iter().find(wanted).unwrap().clone();
        change(&mut case);
        case
    };
    let cases = json!([
        case("github", &|_| ()),
        case("github", &|case| case["expect"]["verdict"] =
            json!("invalid")),
        case("stripe", &|case| case["expect"]["reason"] =
            json!("bad_secret")),
        case("stripe", &|case| case["provider"] = json!("nobody")),
    ]);
    std::fs::write(folder.path().join("cases.json"), cases.to_string()).unwrap();

    let all = run(folder.path(), &["verify", "--cases", "cases.json"], b"");
    let reasons = run(
        folder.path(),
        &["verify", "--cases", "cases.json", "--reasons", "--json"],
        b"",
    );
    let one = run(
        folder.path(),
        &["verify", "stripe", "--cases", "cases.json"],
        b"",
    );

    let lines: Vec<String> = text(&all.stdout).lines().map(str::to_owned).collect();
    assert_eq!(all.status.code(), Some(VERIFICATION_FAILED));
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("github/") && lines[0].contains("expected invalid"));
    assert!(lines[1].contains("no provider `nobody`"), "{lines:?}");
    assert!(text(&all.stderr).contains("4 cases, 2 differ; 1 have"));
    let summary: Value =
        serde_json::from_str(text(&reasons.stdout).lines().last().unwrap()).unwrap();
    assert_eq!(
        summary,
        json!({"v": 1, "type": "summary", "cases": 4, "differ": 3, "other_reasons": 1})
    );
    assert_eq!(one.status.code(), Some(0), "{one:?}");
}

#[test]
fn several_secrets_are_tried_and_the_one_that_matched_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let request = b"POST / HTTP/1.1\nHost: h\n\
        X-Hub-Signature-256: sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17\n\nHello, World!";
    for (name, content) in [
        ("old", &b"another"[..]),
        ("new", b"It's a Secret to Everybody\r\n"),
        ("binary", b"\xff\x00\xfe"),
        ("empty", b""),
    ] {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let arguments = [
        "verify",
        "github",
        "--json",
        "--secret-file",
        "old",
        "--secret-file",
        "binary",
        "--secret-file",
        "new",
        "--secret-file",
        "empty",
    ];

    let output = run(folder.path(), &arguments, request);
    let empty = run(
        folder.path(),
        &["verify", "github", "--json", "--secret-file", "empty"],
        request,
    );

    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(
        said,
        json!({
            "v": 1, "verdict": "valid", "reason": "ok", "result": "verified", "covers_body": true,
            "provider": "github", "scheme": "sha256", "secret": "given-3", "diagnosis": [],
            "notes": ["the head has line ends without CR; read as CRLF"],
        })
    );
    let said: Value = serde_json::from_slice(&empty.stdout).unwrap();
    assert_eq!(empty.status.code(), Some(VERIFICATION_FAILED));
    assert_eq!(
        (&said["verdict"], &said["reason"]),
        (&json!("invalid"), &json!("bad_secret"))
    );
}

#[test]
fn what_cannot_be_used_ends_with_2_or_13_and_never_with_15() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), "s").unwrap();
    std::fs::write(folder.path().join("bad.json"), "{").unwrap();
    std::fs::write(folder.path().join("none.json"), "[]").unwrap();
    let secret = ["--secret-file", "secret"];
    let request = &b"POST / HTTP/1.1\r\n\r\n"[..];
    for (arguments, stdin, code) in [
        (&[][..], request, 2),
        (&["github"], request, 2),
        (&["github", "--now", "soon"], request, 2),
        (
            &["github", "--variant", "md5", secret[0], secret[1]],
            request,
            2,
        ),
        (
            &["github", "--param", "x", secret[0], secret[1]],
            request,
            2,
        ),
        (&["github", "--surprise"], request, 2),
        (&["github", "--secret-file", "-"], request, 2),
        (&["nobody", secret[0], secret[1]], request, 13),
        (&["github", "--secret-file", "none"], request, 13),
        (&["github", "none", secret[0], secret[1]], request, 13),
        (&["github", secret[0], secret[1]], b"hello", 13),
        (&["github", secret[0], secret[1]], b"", 13),
        (&["paypal", "--fetched", "bad.json"], request, 13),
        (&["--cases", "bad.json"], b"", 13),
        (&["--cases", "none.json"], b"", 13),
        (&["--cases", "none"], b"", 13),
        (&["--cases", "none.json", "--now", "1"], b"", 2),
        (&["--reasons", "github"], request, 2),
    ] {
        let output = run(folder.path(), &[&["verify"], arguments].concat(), stdin);

        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {output:?}"
        );
        assert!(text(&output.stderr).contains("error:"), "{output:?}");
    }
}

/// Runs one case with the options that stand for its fields.
fn verify(folder: &Path, case: &Value) -> Output {
    let request = &case["request"];
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let url = word(&request["url"]);
    let mut arguments = vec![
        "verify".to_owned(),
        word(&case["provider"]),
        "--json".to_owned(),
    ];
    arguments.extend(["--now".to_owned(), case["now"].to_string()]);
    arguments.extend(["--url".to_owned(), url.clone()]);
    for (index, secret) in case["secrets"].as_array().unwrap().iter().enumerate() {
        let name = format!("secret{index}");
        std::fs::write(folder.join(&name), word(secret)).unwrap();
        arguments.extend(["--secret-file".to_owned(), name]);
    }
    for (name, value) in case["params"].as_object().into_iter().flatten() {
        arguments.extend(["--param".to_owned(), format!("{name}={}", word(value))]);
    }
    if let Some(variant) = case["variant"].as_str() {
        arguments.extend(["--variant".to_owned(), variant.to_owned()]);
    }
    if case["fetched"].is_object() {
        std::fs::write(folder.join("keys.json"), case["fetched"].to_string()).unwrap();
        arguments.extend(["--fetched".to_owned(), "keys.json".to_owned()]);
    }
    let path = url.splitn(4, '/').nth(3).unwrap_or_default();
    let mut raw = format!("{} /{path} HTTP/1.1\r\n", word(&request["method"]));
    for field in request["headers"].as_array().unwrap() {
        raw += &format!("{}: {}\r\n", word(&field[0]), word(&field[1]));
    }
    raw += "\r\n";
    let body = word(&request["body_base64"]);
    let body = data_encoding::BASE64.decode(body.as_bytes()).unwrap();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    run(folder, &arguments, &[raw.as_bytes(), &body].concat())
}

fn run(folder: &Path, arguments: &[&str], stdin: &[u8]) -> Output {
    let mut child = Command::new(Binary::Towline.path())
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses its options ends before it reads.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    child.wait_with_output().unwrap()
}

fn files_of_cases() -> Vec<Vec<Value>> {
    let mut paths: Vec<_> = std::fs::read_dir(vectors())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let read = |path: &std::path::PathBuf| std::fs::read(path).unwrap();
    paths
        .iter()
        .map(|path| serde_json::from_slice(&read(path)).unwrap())
        .collect()
}

fn vectors() -> String {
    let folder = workspace().join("shared/tests/vectors");
    folder.to_str().unwrap().to_owned()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}
