//! Why a part of a check has no value: it is absent, it cannot be decoded, or it settles the check.

use super::template::Source;
use crate::verdict::Cause;

/// Why an expression has no value.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The request or the settings do not have it; an optional segment is dropped then.
    Absent(Source),
    /// It is there, but a filter cannot decode it; the text says what it is not.
    Undecodable(String),
    /// Whatever else there is, the check fails.
    Fatal(Failing),
}

/// A cause with the sentence that names the part at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failing {
    pub(super) cause: Cause,
    pub(super) detail: String,
}

impl Failing {
    pub(super) fn new(cause: Cause, detail: impl Into<String>) -> Self {
        Self {
            cause,
            detail: detail.into(),
        }
    }
}

impl Trouble {
    pub(super) fn fatal(cause: Cause, detail: impl Into<String>) -> Self {
        Self::Fatal(Failing::new(cause, detail))
    }

    /// What this trouble means where the value was needed.
    pub(super) fn into_failing(self) -> Failing {
        match self {
            Self::Absent(source) => {
                Failing::new(cause_of_absence(&source), format!("{source} is missing"))
            }
            Self::Undecodable(what) => Failing::new(Cause::MalformedBody, what),
            Self::Fatal(failing) => failing,
        }
    }
}

const fn cause_of_absence(source: &Source) -> Cause {
    match source {
        Source::Header(_) | Source::HeaderNamedBy(_) => Cause::MissingHeader,
        Source::Signature(_) => Cause::MalformedSignature,
        Source::Parameter(_) => Cause::ConfigError,
        Source::Secret => Cause::BadSecret,
        _ => Cause::MalformedBody,
    }
}
