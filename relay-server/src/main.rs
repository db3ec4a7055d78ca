//! `towline-server`: a relay and nothing else.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use towline_server::StartError;
use towline_server::config::ServeArgs;
use towline_server::serve;
use tracing_subscriber::EnvFilter;

/// The relay of Towline: takes webhooks in, keeps them, hands them on.
#[derive(Parser)]
#[command(name = "towline-server", version)]
struct Cli {
    #[command(flatten)]
    serve: ServeArgs,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log();
    // The one provider of cryptography; only a second call could fail.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = writeln!(
                std::io::stderr(),
                "error: could not start threads\ncaused by: {error}"
            );
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(serve::run(&cli.serve)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            explain(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// The log goes to stderr; `RUST_LOG` says how much of it.
fn start_log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .init();
}

fn explain(error: &StartError) {
    let mut stderr = std::io::stderr().lock();
    let _ = writeln!(stderr, "error: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        let _ = writeln!(stderr, "caused by: {source}");
        cause = source.source();
    }
    if let Some(hint) = error.hint() {
        let _ = writeln!(stderr, "hint: {hint}");
    }
}
