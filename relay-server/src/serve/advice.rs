//! What a person can do about a relay that does not start, and the exit code that says so to a script.

use std::io;

use super::StartError;
use crate::config::ConfigError;
use crate::store::StoreError;

/// Exit codes of the command (DESIGN.md §11).
const UNEXPECTED: u8 = 1;
const INVALID_INPUT: u8 = 13;

impl StartError {
    /// The exit code of the process.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Tls { .. } | Self::AdminToken { .. } => INVALID_INPUT,
            Self::Store(StoreError::Newer { .. } | StoreError::Key { .. }) => INVALID_INPUT,
            Self::Store(_) | Self::Listen { .. } | Self::Signals(_) | Self::Broken => UNEXPECTED,
        }
    }

    /// The next step, when there is one.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Config(error) => config_hint(error)?,
            Self::Listen { source, .. } => listen_hint(source)?,
            Self::Store(error) => store_hint(error)?,
            Self::Tls { .. } => "give a certificate chain and its private key, both as PEM files",
            Self::AdminToken { path, .. } => {
                return Some(format!(
                    "`{}` must be this data folder's own: put that back, or move the file away, and the next start \
                     makes a new token",
                    path.display()
                ));
            }
            Self::Broken => "start it again, and report this: it is a mistake in the relay",
            Self::Signals(_) => return None,
        };
        Some(hint.to_owned())
    }
}

fn config_hint(error: &ConfigError) -> Option<&'static str> {
    Some(match error {
        ConfigError::Unreadable { .. } => "check the path given by --config or TOWLINE_CONFIG",
        ConfigError::Malformed { .. } => {
            "deploy/relay.toml lists every key with its meaning and default"
        }
        ConfigError::PublicUrl { .. } => {
            "give the address that providers call, without the path of an endpoint"
        }
        ConfigError::HalfTls { .. } => "give both --tls-cert and --tls-key, or neither",
        ConfigError::NoDataFolder => "say where with --data DIR",
    })
}

fn listen_hint(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        io::ErrorKind::AddrInUse => Some(
            "another program has the port; take another with --listen, or port 0 for a free one",
        ),
        io::ErrorKind::PermissionDenied => {
            Some("ports below 1024 need a privilege; take a higher one with --listen")
        }
        io::ErrorKind::AddrNotAvailable => {
            Some("the address is none of this machine; 0.0.0.0 and [::] stand for all of them")
        }
        _ => None,
    }
}

fn store_hint(error: &StoreError) -> Option<&'static str> {
    match error {
        StoreError::Unwritable { .. } => Some(
            "check the rights and the free space of the folder, or take another with --data DIR",
        ),
        StoreError::Newer { .. } => Some(
            "a newer version made this folder: run that version, or take another folder with --data DIR",
        ),
        StoreError::Key { .. } => Some(
            "secrets are encrypted with this file: put it back from a backup, and check that this user may read it",
        ),
        _ => None,
    }
}
