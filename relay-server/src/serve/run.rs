//! Runs a relay until a signal ends it: what `towline serve` and `towline-server` do.

use std::io::Write;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info};

use super::{Drained, RunningRelay, StartError, start};
use crate::config::{Config, ServeArgs};

/// The exit code of a second signal, as of a process that the signal itself ended (128 + 2).
const INTERRUPTED: i32 = 130;

/// Starts a relay, says on stdout where it is, and drains it at SIGTERM or SIGINT. A second signal ends
/// the process at once. It stops by itself when its store has failed for good, so that whoever watches the
/// process starts it anew.
///
/// # Errors
/// When the settings cannot be used, the relay cannot start or its store has failed for good; [`StartError::hint`] has the next step.
pub async fn run(args: &ServeArgs) -> Result<(), StartError> {
    // Before the start, so that a signal during it is not lost.
    let mut signals = Signals::install().map_err(StartError::Signals)?;
    let relay = start(Config::load(args)?).await?;
    say(&greeting(&relay));
    let is_broken = tokio::select! {
        biased;
        () = signals.next() => false,
        () = relay.broken() => true,
    };
    if is_broken {
        error!("the store's writer has panicked; the relay ends, for a new start");
    } else {
        info!("stopping");
    }
    let drained = tokio::select! {
        biased;
        () = signals.next() => std::process::exit(INTERRUPTED),
        drained = relay.stop() => drained,
    };
    say(&farewell(drained));
    if is_broken {
        return Err(StartError::Broken);
    }
    Ok(())
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn install() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for either; cancel-safe.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// A closed stdout is nobody's problem.
fn say(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
}

fn greeting(relay: &RunningRelay) -> String {
    let token = relay.admin_token_file();
    let url = relay.public_url();
    format!(
        "listening on   {}\npublic URL     {url}\ndata folder    {}\nadmin token    {}\n\n\
         Next, where your app runs (elsewhere, with a copy of the token file):\n  \
         towline listen 3000 --relay {url} --token-file {}\n",
        relay.address(),
        relay.data().display(),
        token.display(),
        token.display(),
    )
}

fn farewell(drained: Drained) -> String {
    match drained {
        Drained {
            requests: 0,
            sessions: 0,
        } => "stopped; nothing was left\n".to_owned(),
        Drained { requests, sessions } => format!(
            "stopped; cut off: {requests} requests (their senders got no answer), {sessions} sessions (they resume)\n"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_farewell_says_what_was_left() {
        let nothing = farewell(Drained::default());
        let something = farewell(Drained {
            requests: 1,
            sessions: 2,
        });

        assert_eq!(nothing, "stopped; nothing was left\n");
        assert!(something.contains("1 requests") && something.contains("2 sessions"));
    }
}
