//! What stands under `deploy/` fits the binaries: flags and variables exist, systemd takes the unit.

use std::path::PathBuf;
use std::process::Command;

use towline_tests::binaries::{Binary, workspace};
use towline_tests::process::run;

#[tokio::test]
async fn every_flag_and_variable_under_deploy_exists() {
    let folder = tempfile::tempdir().unwrap();
    let help = run(Binary::Relay, folder.path(), &["--help"]).await.stdout;

    for file in ["towline-server.service", "compose.yaml", "Containerfile"] {
        let text = read(file);
        for flag in words_with(&text, "--") {
            let is_of_cargo = ["--release", "--locked", "--package", "--from", "--chown"]
                .contains(&flag.as_str());
            assert!(
                is_of_cargo || help.contains(&format!("{flag} ")),
                "{file}: `{flag}` is no flag of the relay"
            );
        }
        for variable in words_with(&text, "TOWLINE_") {
            let is_of_compose = variable == "TOWLINE_HOST";
            assert!(
                is_of_compose || help.contains(&variable),
                "{file}: the relay does not read `{variable}`"
            );
        }
    }
}

#[tokio::test]
async fn every_command_in_the_page_exists() {
    let folder = tempfile::tempdir().unwrap();
    let page = read("README.md").replace("\\\n", " ");

    let mut commands = 0;
    for line in page.lines() {
        let Some(start) = line.find("towline ") else {
            continue;
        };
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<_> = line[start.min(line.len())..]
            .split_whitespace()
            .skip(1)
            .collect();
        let is_command = line.starts_with("towline ") || line.contains("exec relay towline ");
        if !is_command {
            continue;
        }
        let names: Vec<_> = words
            .iter()
            .take_while(|word| word.chars().all(|letter| letter.is_ascii_lowercase()))
            .take(2)
            .collect();
        let mut arguments: Vec<_> = names
            .iter()
            .map(|name| **name)
            .filter(|name| *name != "anna")
            .collect();
        arguments.push("--help");
        let help = run(Binary::Towline, folder.path(), &arguments).await;
        assert_eq!(help.code, 0, "`{line}`: {}", help.stderr);
        for flag in words.iter().filter(|word| word.starts_with("--")) {
            assert!(
                help.stdout.contains(*flag),
                "`{line}`: no flag `{flag}` in\n{}",
                help.stdout
            );
        }
        commands += 1;
    }

    assert!(commands >= 4, "only {commands} commands were found");
}

/// Where systemd is installed. The binary is not in its place here, so something that is stands in.
#[test]
fn systemd_takes_the_unit() {
    if Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_err()
    {
        println!("systemd is not installed here; the unit goes unchecked");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("towline-server.service");
    let stand_in = std::env::current_exe().unwrap();
    let text = read("towline-server.service")
        .replace("/usr/local/bin/towline-server", stand_in.to_str().unwrap());
    std::fs::write(&unit, text).unwrap();

    let verified = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(&unit)
        .output()
        .unwrap();

    let complaints = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success(), "{complaints}");
    assert!(
        !complaints.contains("towline-server.service:"),
        "{complaints}"
    );
}

fn read(file: &str) -> String {
    let path: PathBuf = workspace().join("deploy").join(file);
    std::fs::read_to_string(&path).unwrap()
}

/// The words of the lines that are not comments which begin like this.
fn words_with(text: &str, start: &str) -> Vec<String> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(|line| line.split([' ', '=', '"', '$', '{', '}', ':', ',']))
        .filter(|word| word.starts_with(start) && word.len() > start.len())
        .map(str::to_owned)
        .collect()
}
