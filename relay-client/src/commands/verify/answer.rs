//! A verdict as `towline verify` tells it: valid or not with a stable reason code, in lines and as JSON.

use std::fmt;

use serde::{Deserialize, Serialize};
use towline_shared::id::SecretName;
use towline_shared::verdict::{Failure, Finding, Match, Verdict};

use crate::screen::event_lines::cause_code;
use crate::screen::{escape, paint};

/// Whether a request is to be trusted, in the word of the test vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Validity {
    /// A signature or a credential matched.
    Valid,
    /// None did.
    Invalid,
    /// There was nothing to check with.
    Unchecked,
}

impl fmt::Display for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::Unchecked => "unchecked",
        })
    }
}

/// A verdict with its reason.
#[derive(Debug, Serialize)]
pub(super) struct Answer<'a> {
    /// The version of this form.
    v: u32,
    #[serde(rename = "verdict")]
    pub(super) validity: Validity,
    /// `ok`, or the stable code of the cause.
    pub(super) reason: String,
    /// What the relay calls it: `verified`, `authenticated` when the body is not covered, `failed`, `unchecked`.
    result: &'static str,
    /// Whether the signature covers the whole body.
    covers_body: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheme: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a SecretName>,
    /// One sentence about the part at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    /// What a closer look at a failed check found, most likely first.
    diagnosis: &'a [Finding],
}

impl<'a> Answer<'a> {
    /// The answer that a verdict gives.
    pub(super) fn of(verdict: &'a Verdict) -> Self {
        match verdict {
            Verdict::Verified(found) => Self::matched(found, "verified", true),
            Verdict::Authenticated(found) => Self::matched(found, "authenticated", false),
            Verdict::Failed(failure) => Self {
                detail: Some(&failure.detail),
                diagnosis: &failure.findings,
                ..Self::new(Validity::Invalid, cause_code(failure), "failed")
            },
            Verdict::Unchecked => {
                Self::new(Validity::Unchecked, "no_secret".to_owned(), "unchecked")
            }
        }
    }

    fn matched(found: &'a Match, result: &'static str, covers_body: bool) -> Self {
        Self {
            covers_body,
            scheme: found.scheme.as_deref(),
            secret: found.secret.as_ref(),
            ..Self::new(Validity::Valid, "ok".to_owned(), result)
        }
    }

    const fn new(validity: Validity, reason: String, result: &'static str) -> Self {
        Self {
            v: 1,
            validity,
            reason,
            result,
            covers_body: false,
            scheme: None,
            secret: None,
            detail: None,
            diagnosis: &[],
        }
    }
}

/// The lines for a person.
pub(super) fn lines(verdict: &Verdict, provider_name: &str) -> Vec<String> {
    let name = escape::line(provider_name).into_owned();
    match verdict {
        Verdict::Verified(found) => vec![format!("{} {name}{}", paint::good("verified"), by(found))],
        Verdict::Authenticated(found) => vec![
            format!("{} {name}{}", paint::good("authenticated"), by(found)),
            "this scheme does not sign the body: the sender is known, the body could have been changed".to_owned(),
        ],
        Verdict::Unchecked => vec![format!("{} {name}: nothing was checked", paint::bad("not verified"))],
        Verdict::Failed(failure) => failed(failure, &name),
    }
}

fn failed(failure: &Failure, name: &str) -> Vec<String> {
    let label = |label: &str| paint::strong(format_args!("{label:<7}"));
    let mut lines = vec![
        format!(
            "{} {name}: {}",
            paint::bad("not verified"),
            cause_code(failure)
        ),
        format!("{}{}", label("cause:"), escape::line(&failure.detail)),
    ];
    for finding in &failure.findings {
        lines.push(format!(
            "{}{}",
            label("found:"),
            escape::line(&finding.sentence)
        ));
        lines.push(format!("{}{}", label("hint:"), escape::line(&finding.hint)));
    }
    lines
}

fn by(found: &Match) -> String {
    let scheme = found
        .scheme
        .as_deref()
        .map_or_else(String::new, |scheme| format!("/{}", escape::line(scheme)));
    match &found.secret {
        Some(secret) => format!("{scheme} with secret `{secret}`"),
        None => format!("{scheme} with a key of the provider or its parameters"),
    }
}
