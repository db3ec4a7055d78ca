//! `towline`: reads the command line, runs the command, and says how it ended.

use std::process::ExitCode;

use clap::Parser;
use towline::cli::Cli;
use towline::commands::{self, Exit, Report, is_closed_pipe};
use towline::screen::{Screen, escape, paint};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and version come this way too, for stdout and with code 0.
        Err(error) => {
            let code = u8::try_from(error.exit_code()).unwrap_or(Exit::Usage as u8);
            let _ = error.print();
            return code.into();
        }
    };
    // The one provider of cryptography; only a second call could fail.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let screen = Screen::new(cli.global.wishes());
    let ended = tokio::runtime::Runtime::new()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| {
            let ended = runtime.block_on(commands::run(cli, screen.clone()));
            // Reads of stdin cannot be called back; they must not keep the process.
            runtime.shutdown_background();
            ended
        });
    match ended {
        Ok(exit) => exit.into(),
        Err(error) if is_closed_pipe(&error) => Exit::Done.into(),
        Err(error) => explain(&Report::of(&error), &screen).into(),
    }
}

fn explain(report: &Report, screen: &Screen) -> Exit {
    for (label, message) in report.lines() {
        let label = match label {
            "error:" => paint::bad(label),
            label => paint::strong(label),
        };
        let mut lines = message.split('\n');
        let first = lines.next().unwrap_or_default();
        screen.notice(&format!("{label} {}", escape::line(first)));
        // Indented, so that nothing that is quoted can look like a line of ours.
        for line in lines {
            screen.notice(&format!("  {}", escape::line(line)));
        }
    }
    report.exit
}
