//! What can be wrong with settings.

use std::io;
use std::path::PathBuf;

/// A setting cannot be read or used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file has a mistake.
    #[error("`{}:{line}`: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong there.
        problem: String,
    },
    /// A file cannot be read.
    #[error("could not read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("could not write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file is longer than anything it should hold.
    #[error("`{}` has more than {most} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The limit.
        most: u64,
    },
    /// A token that was set for another relay would go to one that only the project names.
    #[error(
        "the token of {token} is not sent to `{relay}`, which only {from} names; set `--relay` or TOWLINE_RELAY to say that it is meant"
    )]
    UntrustedRelay {
        /// Where the token comes from.
        token: String,
        /// The relay's address.
        relay: String,
        /// The project's file.
        from: String,
    },
    /// A secret is empty.
    #[error("{place} is empty where a secret was expected")]
    NoSecret {
        /// The file or variable.
        place: String,
    },
    /// A secret cannot be asked for.
    #[error("could not ask for the secret")]
    Prompt(#[source] io::Error),
    /// The address of the relay cannot be used.
    #[error(
        "`{text}` of {from} is not the address of a relay such as https://relay.example: {problem}"
    )]
    Relay {
        /// What was given.
        text: String,
        /// Where.
        from: String,
        /// What is wrong.
        problem: String,
    },
    /// The name of a profile cannot be used.
    #[error("`{0}` is not the name of a profile (1 to 64 of a-z, A-Z, 0-9, `_`, `-`)")]
    ProfileName(String),
    /// The user's folders cannot be found.
    #[error("neither `HOME` nor `{0}` is set")]
    NoHome(&'static str),
}

impl SettingsError {
    /// The next step, if there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Malformed { .. } => Some("mend or remove that line".to_owned()),
            Self::Write { path, .. } => {
                let folder = path.parent().unwrap_or(path);
                Some(format!("check that `{}` can be written", folder.display()))
            }
            Self::NoSecret { .. } => Some(
                "secrets come by `--secret-file FILE` (`-` is stdin) or `--secret-env VARIABLE`"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}
