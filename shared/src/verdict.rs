//! What the check of a signature found: verified, authenticated, failed with a cause, or unchecked.

mod advice;

use serde::{Deserialize, Serialize};

use crate::id::SecretName;

/// The result of checking one request against the scheme and secrets of its endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Verdict {
    /// A signature over the whole body matched.
    Verified(Match),
    /// A credential matched, but the scheme does not cover the whole body.
    Authenticated(Match),
    /// The check failed; nothing about the request may be trusted.
    Failed(Failure),
    /// The endpoint has no provider or no secret: nothing was checked.
    Unchecked,
}

/// Which scheme and which secret matched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Match {
    /// The provider's slug, such as `github`.
    pub provider: String,
    /// The scheme's id within the provider, when it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// The name of the secret that matched; none where the provider's own public key did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretName>,
}

/// Why a check failed, for the owner of the endpoint. The sender sees only [`Cause::class`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The provider whose scheme was applied.
    pub provider: String,
    /// The stable code of what went wrong.
    pub cause: Cause,
    /// One sentence that names the part at fault, without any secret or expected signature.
    pub detail: String,
    /// What else was found when looking for the reason, most likely first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

/// One explanation that a closer look at a failed check turned up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// A stable code, such as `other_secret_matches` or `trailing_newline`.
    pub code: String,
    /// One sentence that says what was found.
    pub sentence: String,
    /// One sentence that says what to do.
    pub hint: String,
}

/// The causes of a failed check (schemes/LANGUAGE.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the stable codes themselves")]
pub enum Cause {
    MissingSignature,
    MalformedSignature,
    SignatureMismatch,
    TokenMismatch,
    MissingHeader,
    AmbiguousHeader,
    AmbiguousQuery,
    AmbiguousForm,
    TimestampExpired,
    TimestampFuture,
    TimestampMalformed,
    MalformedBody,
    ClaimMismatch,
    UnsupportedAlgorithm,
    ConditionFailed,
    KeyUnavailable,
    KeyUrlRejected,
    BadSecret,
    RejectedMessage,
    ConfigError,
    OverLimit,
}

impl Verdict {
    /// Whether an event with this verdict goes to consumers when the endpoint rejects failures.
    pub const fn is_accepted(&self) -> bool {
        !matches!(self, Self::Failed(_))
    }
}

/// What the sender of a rejected request may learn: enough to mend its side, nothing to guess with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CauseClass {
    /// The signature, or a header or parameter it needs, is absent.
    Missing,
    /// A part is there but cannot be read, or is there twice.
    Malformed,
    /// The timestamp lies outside the window.
    Expired,
    /// The signature or credential does not match.
    Mismatch,
    /// The relay's own configuration keeps it from checking.
    Unavailable,
}

impl Cause {
    /// The class that the sender is told.
    pub const fn class(self) -> CauseClass {
        match self {
            Self::MissingSignature | Self::MissingHeader => CauseClass::Missing,
            Self::MalformedSignature
            | Self::AmbiguousHeader
            | Self::AmbiguousQuery
            | Self::AmbiguousForm
            | Self::TimestampMalformed
            | Self::MalformedBody
            | Self::UnsupportedAlgorithm => CauseClass::Malformed,
            Self::TimestampExpired | Self::TimestampFuture => CauseClass::Expired,
            Self::SignatureMismatch
            | Self::TokenMismatch
            | Self::ClaimMismatch
            | Self::ConditionFailed
            | Self::KeyUrlRejected
            | Self::RejectedMessage => CauseClass::Mismatch,
            Self::KeyUnavailable | Self::BadSecret | Self::ConfigError | Self::OverLimit => {
                CauseClass::Unavailable
            }
        }
    }
}
