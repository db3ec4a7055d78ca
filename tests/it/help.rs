//! The texts of both commands as snapshots: a change of what people read is a change that somebody looks at.

use clap::{Command, CommandFactory};
use towline::cli::Cli;
use towline_tests::binaries::Binary;
use towline_tests::process::run;

#[tokio::test]
async fn the_help_of_every_command_is_as_it_was() {
    let folder = tempfile::tempdir().unwrap();

    let mut command = Cli::command();
    command.build();
    let mut names = vec![String::new()];
    collect(&command, "", &mut names);
    for command in names {
        let arguments: Vec<_> = command.split_whitespace().chain(["--help"]).collect();
        let help = run(Binary::Towline, folder.path(), &arguments).await;
        assert_eq!(help.code, 0, "towline {command}: {}", help.stderr);
        let name = format!("towline {command}").trim().replace(' ', "-");
        insta::assert_snapshot!(name, help.stdout);
    }
    let help = run(Binary::Relay, folder.path(), &["--help"]).await;
    insta::assert_snapshot!("towline-server", help.stdout);
}

#[tokio::test]
async fn the_errors_of_a_wrong_command_line_are_as_they_were() {
    let folder = tempfile::tempdir().unwrap();

    let mut texts = Vec::new();
    for arguments in [
        &["surprise"][..],
        &["listen", "not a target"],
        &["listen", "99999"],
        &["listen", "3000", "--endpoint", "NO NAME"],
        &["listen", "3000", "--concurrency", "0"],
        &["listen", "3000", "--since", "sometime"],
        &["listen", "3000", "--timeout", "soon"],
        &["listen", "3000", "--add-header", "no colon"],
        &["events", "show", "evt_short"],
        &["events", "list", "--limit", "0"],
        &["replay"],
        &["tokens", "create", "x", "--scope", "everything"],
        &["completions", "sh"],
        &["--relay", "ftp://relay.example", "events", "list"],
        &["--relay", "http://127.0.0.1:9", "events", "list"],
        &["logout"],
    ] {
        let finished = run(Binary::Towline, folder.path(), arguments).await;
        let text = finished
            .stderr
            .replace(&folder.path().display().to_string(), "HOME");
        texts.push(format!(
            "$ towline {}\n{}[exit {}]\n",
            arguments.join(" "),
            text,
            finished.code
        ));
    }

    insta::assert_snapshot!("errors", texts.join("\n"));
}

/// The names of all commands below one, such as `events list`.
fn collect(command: &Command, above: &str, names: &mut Vec<String>) {
    for below in command.get_subcommands() {
        if below.get_name() == "help" {
            continue;
        }
        let name = format!("{above} {}", below.get_name()).trim().to_owned();
        names.push(name.clone());
        collect(below, &name, names);
    }
}
