//! What can go wrong between the command and the relay, in words for the person at the terminal.

use towline_shared::api::Problem;

use crate::dial::DialError;
use crate::screen::escape;

/// A call to the relay failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The relay cannot be reached.
    #[error("could not reach the relay `{url}`")]
    Unreachable {
        /// Its address.
        url: String,
        /// At which step.
        source: DialError,
    },
    /// The connection broke, or took too long.
    #[error("the exchange with the relay `{url}` broke off: {detail}")]
    Broken {
        /// Its address.
        url: String,
        /// How.
        detail: String,
    },
    /// The relay says no.
    #[error("{}", sentence(.0))]
    Problem(Box<Problem>),
    /// What came back is not what a relay answers.
    #[error("could not read {what}: {detail}")]
    Unreadable {
        /// Which part.
        what: String,
        /// What is wrong with it.
        detail: String,
    },
}

impl ApiError {
    /// Whether the relay says that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Problem(problem) if problem.status == 404)
    }

    /// Whether the token may not do this.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Problem(problem) if problem.status == 403)
    }

    /// Whether the same call may succeed a little later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Broken { .. } => true,
            Self::Problem(problem) => problem.status == 429 || problem.status >= 500,
            Self::Unreadable { .. } => false,
        }
    }

    /// The next step, if there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { .. } | Self::Broken { .. } => {
                Some("`towline doctor` checks the way to the relay step by step".to_owned())
            }
            Self::Unreadable { .. } => {
                Some("is this the address of a Towline relay? `towline doctor` looks".to_owned())
            }
            Self::Problem(problem) => hint_for(problem),
        }
    }
}

fn hint_for(problem: &Problem) -> Option<String> {
    if problem.kind == "urn:towline:problem:no_consumer_connected" {
        let hint = "`--as NAME` names the one that gets it when it is back; `--to URL` calls a target from here";
        return Some(hint.to_owned());
    }
    if problem.kind == "urn:towline:problem:nothing_to_reveal" {
        let hint = "`towline endpoints update NAME --await-secret` takes one more: then have the provider send it again";
        return Some(hint.to_owned());
    }
    if problem.kind == "urn:towline:problem:missing_parameter" {
        let words = problem.detail.as_deref()?;
        let name = words.split("the parameter `").nth(1)?.split('`').next()?;
        return Some(format!("give it with `--param {}=…`", escape::line(name)));
    }
    match problem.status {
        401 => Some(
            "store a valid token with `towline login`, or name one with `--token-file`".to_owned(),
        ),
        403 => {
            let scope = problem.missing_scope.as_deref()?;
            Some(format!(
                "ask for a token made with `towline tokens create NAME --scope {}`",
                escape::line(scope)
            ))
        }
        429 => Some("wait a little and try again".to_owned()),
        500.. => Some("the relay's log says more".to_owned()),
        _ => None,
    }
}

/// The problem in one sentence; its words come from outside.
fn sentence(problem: &Problem) -> String {
    let words = problem.detail.as_deref().unwrap_or(&problem.title);
    let words = escape::line(words);
    match &problem.missing_scope {
        Some(scope) if !words.contains(scope.as_str()) => {
            format!(
                "{words} (the token lacks the scope `{}`)",
                escape::line(scope)
            )
        }
        _ => words.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_missing_scope_is_named() {
        let error = ApiError::Problem(Box::new(Problem {
            kind: "urn:towline:problem:forbidden".to_owned(),
            title: "Forbidden".to_owned(),
            status: 403,
            detail: None,
            missing_scope: Some("admin".to_owned()),
        }));

        assert_eq!(
            error.to_string(),
            "Forbidden (the token lacks the scope `admin`)"
        );
        assert!(error.hint().unwrap().contains("--scope admin"));
    }

    #[test]
    fn a_parameter_that_is_missing_is_asked_for() {
        let error = ApiError::Problem(Box::new(Problem {
            kind: "urn:towline:problem:missing_parameter".to_owned(),
            title: String::new(),
            status: 422,
            detail: Some("`kinde` needs the parameter `issuer`: without it …".to_owned()),
            missing_scope: None,
        }));

        assert_eq!(error.hint().unwrap(), "give it with `--param issuer=…`");
    }

    #[test]
    fn words_of_the_relay_are_escaped() {
        let error = ApiError::Problem(Box::new(Problem {
            kind: String::new(),
            title: String::new(),
            status: 400,
            detail: Some("bad \x1b[31m".to_owned()),
            missing_scope: None,
        }));

        assert_eq!(error.to_string(), "bad \\x1b[31m");
    }
}
