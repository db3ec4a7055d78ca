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

/// The longest detail in characters: names in it may come from the request, and verdicts are kept.
const MAX_DETAIL: usize = 300;

impl Failing {
    /// Takes a sentence without a full stop; one that is too long is cut.
    pub(super) fn new(cause: Cause, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        if let Some((end, _)) = detail.char_indices().nth(MAX_DETAIL) {
            detail.truncate(end);
            detail.push('…');
        }
        Self { cause, detail }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_is_cut_at_its_bound_and_not_before() {
        let detail = |length| Failing::new(Cause::ConfigError, "é".repeat(length)).detail;

        assert_eq!(detail(MAX_DETAIL), "é".repeat(MAX_DETAIL));
        assert_eq!(
            detail(MAX_DETAIL + 1),
            format!("{}…", "é".repeat(MAX_DETAIL))
        );
    }
}
