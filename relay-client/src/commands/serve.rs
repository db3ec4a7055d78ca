//! `towline serve`: a relay on this machine, the same as `towline-server`.

use std::io::IsTerminal;

use clap::Args;
use tracing_subscriber::EnvFilter;

use super::{Exit, local_relay};

/// Run a relay on this machine
#[derive(Debug, Args)]
#[command(after_help = "\
The first start makes DATA/admin.token, the token for everything. SIGINT and SIGTERM stop the relay in an \
orderly way. RUST_LOG=debug makes its log say more.

Examples:
  towline serve
  towline serve --listen 0.0.0.0:443 --public-url https://hooks.example \\
      --tls-cert chain.pem --tls-key key.pem --data /var/lib/towline")]
pub struct Arguments {
    #[command(flatten)]
    serve: local_relay::ServeArgs,
}

/// Runs until a signal ends it.
///
/// # Errors
/// When the relay cannot start.
pub async fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let has_colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(has_colour)
        .init();
    local_relay::serve(&arguments.serve).await?;
    Ok(Exit::Done)
}
