//! `towline demo`: the whole way, with real sockets, in a few seconds.

use clap::Args;

use super::Exit;
use crate::screen::Screen;

/// See the whole way of webhooks in ten seconds: relay, listener and a small app, all on this machine
#[derive(Debug, Args)]
pub struct Arguments {}

/// Runs the demo.
///
/// # Errors
/// When a part cannot be started.
pub async fn run(_: &Arguments, _: &Screen) -> anyhow::Result<Exit> {
    anyhow::bail!("the demo is not written yet")
}
