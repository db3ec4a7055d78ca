//! How a command ends: the exit codes (DESIGN.md §11), and which error means which.

use std::io;
use std::process::ExitCode;

use towline_shared::wire::Reason;

use crate::listen::ListenError;
use crate::relay_api::ApiError;
use crate::settings::SettingsError;
use crate::target::InvalidTarget;

/// How a command ended, as scripts see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All is done.
    Done = 0,
    /// Something that should not happen.
    Unexpected = 1,
    /// The command line cannot be understood.
    Usage = 2,
    /// The relay does not accept the token.
    Unauthorised = 10,
    /// The token may not do this.
    Forbidden = 11,
    /// There is no such thing.
    NotFound = 12,
    /// Something given is malformed or contradicts what is there.
    InvalidInput = 13,
    /// The relay asks to slow down.
    RateLimited = 14,
    /// A signature is not valid.
    VerificationFailed = 15,
    /// The app did not answer.
    TargetUnreachable = 16,
    /// The relay cannot be reached, or is not a relay.
    RelayUnreachable = 17,
    /// Another session took over.
    TakenOver = 18,
    /// The result is not the promised one.
    ExpectationNotMet = 19,
    /// ^C.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error of a command with its exit code and, if there is one, the next step.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    exit: Exit,
    message: String,
    hint: Option<String>,
    source: Option<anyhow::Error>,
}

impl Failure {
    /// A failure with this message.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            hint: None,
            source: None,
        }
    }

    /// Something given is malformed or contradicts what is there.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Exit::InvalidInput, message)
    }

    /// The command line asks for something that cannot be.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Adds the next step.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what caused it.
    #[must_use]
    pub fn because(mut self, source: impl Into<anyhow::Error>) -> Self {
        self.source = Some(source.into());
        self
    }
}

/// An error as it is shown, and what it means to scripts.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    /// The exit code.
    pub exit: Exit,
    /// What went wrong, then its causes.
    pub messages: Vec<String>,
    /// The next step.
    pub hint: Option<String>,
}

impl Report {
    /// Reads exit code and hint off the first error in the chain that has an opinion.
    pub fn of(error: &anyhow::Error) -> Self {
        let mut messages = Vec::new();
        let mut exit = None;
        let mut hint = None;
        for link in error.chain() {
            let text = link.to_string();
            if messages.last() != Some(&text) {
                messages.push(text);
            }
            exit = exit.or_else(|| exit_of(link));
            hint = hint.or_else(|| hint_of(link));
        }
        Self {
            exit: exit.unwrap_or(Exit::Unexpected),
            messages,
            hint,
        }
    }

    /// The lines for stderr.
    pub fn lines(&self) -> Vec<(&'static str, &str)> {
        let labels = std::iter::once("error:").chain(std::iter::repeat("caused by:"));
        let messages = labels.zip(self.messages.iter().map(String::as_str));
        let hint = self.hint.as_deref().map(|hint| ("hint:", hint));
        messages.chain(hint).collect()
    }
}

/// Whether the error is only that nobody reads stdout any longer, as in `towline events list | head -1`.
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|link| {
        link.downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}

fn exit_of(error: &(dyn std::error::Error + 'static)) -> Option<Exit> {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return Some(failure.exit);
    }
    if let Some(error) = error.downcast_ref::<ApiError>() {
        return Some(exit_of_call(error));
    }
    if let Some(error) = error.downcast_ref::<ListenError>() {
        return Some(exit_of_listening(error));
    }
    let is_input = error.is::<SettingsError>() || error.is::<InvalidTarget>();
    is_input.then_some(Exit::InvalidInput)
}

fn exit_of_call(error: &ApiError) -> Exit {
    let ApiError::Problem(problem) = error else {
        return Exit::RelayUnreachable;
    };
    match problem.status {
        401 => Exit::Unauthorised,
        403 => Exit::Forbidden,
        404 | 410 => Exit::NotFound,
        400 | 409 | 413 | 415 | 422 => Exit::InvalidInput,
        429 => Exit::RateLimited,
        _ => Exit::Unexpected,
    }
}

const fn exit_of_listening(error: &ListenError) -> Exit {
    match error {
        ListenError::Unauthorised(_) => Exit::Unauthorised,
        ListenError::Forbidden(_) => Exit::Forbidden,
        ListenError::NotARelay { .. } => Exit::RelayUnreachable,
        ListenError::Journal(_) => Exit::Unexpected,
        ListenError::Delivery(_) => Exit::InvalidInput,
        ListenError::NoFilters(_) => Exit::InvalidInput,
        ListenError::Ended { reason, .. } => match reason {
            Reason::TakenOver => Exit::TakenOver,
            Reason::Reset => Exit::Unexpected,
            Reason::NoEndpoint => Exit::NotFound,
            Reason::Unauthorised => Exit::Unauthorised,
            Reason::ShuttingDown | Reason::Overloaded => Exit::RelayUnreachable,
            Reason::Protocol => Exit::Unexpected,
            Reason::Filter => Exit::InvalidInput,
        },
    }
}

fn hint_of(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return failure.hint.clone();
    }
    if let Some(error) = error.downcast_ref::<ApiError>() {
        return error.hint();
    }
    if let Some(error) = error.downcast_ref::<SettingsError>() {
        return error.hint();
    }
    let listen = error.downcast_ref::<ListenError>()?;
    let hint = match listen {
        ListenError::Unauthorised(_) => "store a valid token with `towline login`",
        ListenError::Forbidden(_) => {
            "ask for a token made with `towline tokens create NAME --scope listen --scope read`"
        }
        ListenError::NotARelay { .. } => "check the address with `towline doctor`",
        ListenError::Ended {
            reason: Reason::TakenOver,
            ..
        } => {
            "another `towline listen` uses the same consumer name; give this one its own with `--as NAME`"
        }
        ListenError::Ended {
            reason: Reason::NoEndpoint,
            ..
        } => "`towline endpoints list` shows which there are",
        ListenError::NoFilters(_) => {
            "bring the relay up to date, or leave `--filter` and `--events` out"
        }
        ListenError::Ended { .. } | ListenError::Journal(_) | ListenError::Delivery(_) => {
            return None;
        }
    };
    Some(hint.to_owned())
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;
    use towline_shared::api::Problem;

    use super::*;

    #[test]
    fn a_failure_gives_its_code_and_hint_from_below_a_context() {
        let failure = Failure::invalid("no such thing").hint("look elsewhere");
        let error = Err::<(), _>(failure)
            .context("could not do it")
            .unwrap_err();

        let report = Report::of(&error);

        assert_eq!(
            report.lines(),
            [
                ("error:", "could not do it"),
                ("caused by:", "no such thing"),
                ("hint:", "look elsewhere")
            ]
        );
        assert_eq!(report.exit, Exit::InvalidInput);
    }

    #[test]
    fn the_source_of_a_failure_is_told_too() {
        let source = anyhow::Error::new(io::Error::other("disk on fire"));
        let error = anyhow::Error::new(Failure::usage("could not read it").because(source));

        assert_eq!(
            Report::of(&error).messages,
            ["could not read it", "disk on fire"]
        );
    }

    #[test]
    fn an_unknown_error_is_unexpected() {
        assert_eq!(Report::of(&anyhow::anyhow!("hm")).exit, Exit::Unexpected);
    }

    #[test]
    fn each_status_of_the_relay_has_its_code() {
        for (status, exit) in [
            (401, Exit::Unauthorised),
            (403, Exit::Forbidden),
            (404, Exit::NotFound),
            (400, Exit::InvalidInput),
            (409, Exit::InvalidInput),
            (422, Exit::InvalidInput),
            (429, Exit::RateLimited),
            (500, Exit::Unexpected),
        ] {
            let error = ApiError::Problem(Box::new(Problem {
                kind: "urn:towline:problem:x".to_owned(),
                title: "A title".to_owned(),
                status,
                detail: None,
                missing_scope: None,
            }));

            assert_eq!(Report::of(&error.into()).exit, exit, "{status}");
        }
    }

    #[test]
    fn being_taken_over_has_its_own_code() {
        let error = anyhow::Error::new(ListenError::Ended {
            reason: Reason::TakenOver,
            detail: "a newer session".to_owned(),
        });

        let report = Report::of(&error);

        assert_eq!(report.exit, Exit::TakenOver);
        assert!(report.hint.unwrap().contains("--as"));
    }

    #[test]
    fn a_closed_pipe_is_recognised_below_other_errors() {
        let pipe = anyhow::Error::new(io::Error::from(io::ErrorKind::BrokenPipe));

        assert!(is_closed_pipe(&pipe.context("could not write")));
        assert!(!is_closed_pipe(&anyhow::anyhow!("other")));
    }
}
