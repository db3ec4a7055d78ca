//! A relay that cannot start says `error:` and `hint:` and ends with the exit code of the table (`towline --help`).

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use towline_tests::binaries::Binary;
use towline_tests::nodes::RelayProcess;
use towline_tests::process::{Finished, run};

const UNEXPECTED: i32 = 1;
const USAGE: i32 = 2;
const INVALID_INPUT: i32 = 13;

#[tokio::test]
async fn a_port_in_use_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();

    let finished = serve(folder.path(), &["--listen", &address]).await;

    assert_explained(&finished, UNEXPECTED, &address);
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("data"),
        "a file where the folder should be",
    )
    .unwrap();

    let finished = serve(folder.path(), &[]).await;

    assert_explained(&finished, UNEXPECTED, "data");
}

#[tokio::test]
async fn a_newer_database_is_refused_with_both_numbers() {
    let folder = tempfile::tempdir().unwrap();
    run_once(folder.path()).await;
    raise_schema_number(&database(&folder.path().join("data")), 9_999);

    let finished = serve(folder.path(), &[]).await;

    assert_explained(&finished, INVALID_INPUT, "9999");
}

#[tokio::test]
async fn a_key_file_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    run_once(folder.path()).await;
    let key = files(&folder.path().join("data"))
        .into_iter()
        .find(|path| path.file_name().unwrap().to_string_lossy().contains("key"))
        .expect("the data folder has a key file");
    std::fs::write(&key, "not a key").unwrap();

    let finished = serve(folder.path(), &[]).await;

    assert_explained(
        &finished,
        INVALID_INPUT,
        key.file_name().unwrap().to_str().unwrap(),
    );
}

#[tokio::test]
async fn an_unknown_key_of_the_settings_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("relay.toml");
    std::fs::write(&settings, "[limits]\ndrain_seconds = 1\nsurprise = true\n").unwrap();

    let finished = serve(folder.path(), &["--config", settings.to_str().unwrap()]).await;

    assert_explained(&finished, INVALID_INPUT, "surprise");
    assert!(finished.stderr.contains("line 3"), "{}", finished.stderr);
}

#[tokio::test]
async fn settings_that_are_not_there_are_named() {
    let folder = tempfile::tempdir().unwrap();

    let finished = serve(folder.path(), &["--config", "nowhere.toml"]).await;

    assert_explained(&finished, INVALID_INPUT, "nowhere.toml");
}

#[tokio::test]
async fn half_a_certificate_is_refused() {
    let folder = tempfile::tempdir().unwrap();

    let finished = serve(folder.path(), &["--tls-cert", "certificate.pem"]).await;

    assert!(
        [USAGE, INVALID_INPUT].contains(&finished.code),
        "{finished:?}"
    );
    assert!(finished.stderr.contains("key"), "{finished:?}");
}

#[tokio::test]
async fn an_unknown_flag_is_a_usage_error() {
    let folder = tempfile::tempdir().unwrap();

    let finished = serve(folder.path(), &["--surprise"]).await;

    assert_eq!(finished.code, USAGE, "{finished:?}");
    assert!(finished.stderr.contains("--surprise"), "{finished:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn the_admin_token_and_the_key_can_be_read_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();

    run_once(folder.path()).await;

    for path in files(&folder.path().join("data")) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        if name == "admin.token" || name.contains("key") {
            assert_eq!(mode, 0o600, "{name}");
        }
    }
    let data = std::fs::metadata(folder.path().join("data")).unwrap();
    assert_eq!(data.permissions().mode() & 0o777, 0o700, "the folder");
}

async fn serve(folder: &Path, arguments: &[&str]) -> Finished {
    let mut all = vec!["--data", "data"];
    if !arguments.contains(&"--listen") {
        all.extend(["--listen", "127.0.0.1:0"]);
    }
    all.extend(arguments);
    run(Binary::Relay, folder, &all).await
}

/// Lets a relay make its data folder and end in order.
async fn run_once(folder: &Path) {
    let mut relay = RelayProcess::start(folder, &[]).await;
    relay.process().signal("TERM").await;
    assert!(relay.process().end().await.success());
}

fn assert_explained(finished: &Finished, code: i32, named: &str) {
    assert_eq!(finished.code, code, "{finished:?}");
    assert!(finished.stdout.is_empty(), "{finished:?}");
    for part in ["error: ", "hint: ", named] {
        assert!(
            finished.stderr.contains(part),
            "no `{part}` in {finished:?}"
        );
    }
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect()
}

fn database(data: &Path) -> std::path::PathBuf {
    files(data)
        .into_iter()
        .find(|path| {
            let mut start = [0; 15];
            let mut file = std::fs::File::open(path).unwrap();
            file.read_exact(&mut start).is_ok() && start == *b"SQLite format 3"
        })
        .expect("the data folder has a database")
}

/// Writes SQLite's `user_version`, which stands at byte 60 of the file.
fn raise_schema_number(database: &Path, number: u32) {
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .open(database)
        .unwrap();
    file.seek(SeekFrom::Start(60)).unwrap();
    file.write_all(&number.to_be_bytes()).unwrap();
}
