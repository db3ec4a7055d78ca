//! How fast Towline is: `cargo run --release -p towline-tests --bin bench`, with `--quick` for a shorter run.
//!
//! Direct POSTs to a sink and the same through relay and client, in one run on one machine, relay and client as
//! real processes, each event durable before its answer. Absolute figures belong to the machine; the ratios to
//! direct hold elsewhere too.

mod clock;
mod idle;
mod latency;
mod load;
mod report;
mod scenes;
mod sink;

use std::process::{Command, ExitCode};

/// Open files that 10,000 idle consumers need on either side, and some more.
const OPEN_FILES: usize = 24_000;

/// Set in the process that runs with more open files.
const STARTED_AGAIN: &str = "TOWLINE_BENCH_STARTED_AGAIN";

fn main() -> ExitCode {
    if let Some(code) = start_again_with_more_files() {
        return code;
    }
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: could not start threads\ncaused by: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(scenes::run(is_quick)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The limit of open files belongs to the process that raises it, and raising it from within needs unsafe code:
/// a shell does it on the way. Where it may not be raised, the bench goes on and says so at the idle consumers.
fn start_again_with_more_files() -> Option<ExitCode> {
    if std::env::var_os(STARTED_AGAIN).is_some() {
        return None;
    }
    let own = std::env::current_exe().ok()?;
    let status = Command::new("sh")
        .arg("-c")
        .arg(format!(
            "ulimit -S -n {OPEN_FILES} 2>/dev/null; exec \"$0\" \"$@\""
        ))
        .arg(own)
        .args(std::env::args_os().skip(1))
        .env(STARTED_AGAIN, "1")
        .status()
        .ok()?;
    Some(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
