//! What each cause of a failed check means for the endpoint's owner, and what to do about it. What only a closer look
//! at the request can tell is left to the engine.

use super::{Cause, Failure, Finding};

impl Failure {
    /// A failure with the one finding that its cause alone allows.
    pub fn new(provider: impl Into<String>, cause: Cause, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            provider: provider.into(),
            cause,
            findings: vec![cause.finding(&detail)],
            detail,
        }
    }
}

impl Cause {
    /// The finding that needs no closer look; `detail` is the sentence that names the part at fault.
    pub fn finding(self, detail: &str) -> Finding {
        let (code, hint) = self.advice();
        Finding {
            code: code.to_owned(),
            sentence: detail.to_owned(),
            hint: hint.to_owned(),
        }
    }

    /// The code of that finding, and its hint.
    const fn advice(self) -> (&'static str, &'static str) {
        match self {
            Self::MissingSignature => (
                "signature_missing",
                "look whether the provider was given a secret, whether a proxy before the relay removes the signature, and whether the endpoint has the right provider",
            ),
            Self::MalformedSignature => (
                "signature_form",
                "compare the value with the provider's documentation, and look whether a proxy changes it",
            ),
            Self::SignatureMismatch => (
                "signature_differs",
                "compare the secret or public key with what the provider shows, and look whether something before the relay changes the request",
            ),
            Self::TokenMismatch => (
                "credential_differs",
                "copy the credential from the provider once more and put it with `towline endpoints rotate-secret`",
            ),
            Self::MissingHeader => (
                "header_missing",
                "look whether a proxy before the relay removes it, or whether the provider sends it only in another mode",
            ),
            Self::AmbiguousHeader | Self::AmbiguousQuery | Self::AmbiguousForm => (
                "repeated",
                "look whether a proxy before the relay adds it a second time",
            ),
            Self::TimestampExpired | Self::TimestampFuture => (
                "clock_skew",
                "compare the relay's clock with the real time; a delivery that was kept back or replayed must be signed again",
            ),
            Self::TimestampMalformed => (
                "timestamp_form",
                "compare the time in the request with the form in the provider's documentation, and look whether a proxy changes it",
            ),
            Self::MalformedBody => (
                "body_form",
                "look at the content type and the body as they came: the provider may send another format, or something before the relay rewrites it",
            ),
            Self::ClaimMismatch => (
                "claim_differs",
                "compare that claim with the endpoint's parameters and public URL, and with what the provider is set up to send",
            ),
            Self::UnsupportedAlgorithm => (
                "algorithm_differs",
                "choose an algorithm at the provider that its scheme lists (`towline schemes show` tells them)",
            ),
            Self::ConditionFailed => (
                "condition_failed",
                "the signature itself is right: compare the named part with the endpoint's parameters and the provider's settings",
            ),
            Self::KeyUnavailable => (
                "key_unavailable",
                "look whether the relay reaches the provider's key URL, and send the request again; if the key was withdrawn, look at the provider's settings",
            ),
            Self::KeyUrlRejected => (
                "key_url_rejected",
                "a genuine request names a key at the provider's own hosts: take this one for forged until the provider documents the URL",
            ),
            Self::BadSecret => (
                "secret_unusable",
                "set the secret again with `towline endpoints rotate-secret`, exactly as the provider shows it",
            ),
            Self::RejectedMessage => (
                "message_rejected",
                "a signature over a challenge proves nothing about an event, so that this request is never accepted; ask the provider to send the event again",
            ),
            Self::ConfigError => (
                "endpoint_settings",
                "mend the endpoint's provider, scheme or parameters with `towline endpoints update`",
            ),
            Self::OverLimit => (
                "over_limit",
                "send smaller or fewer requests, or raise the limit at the relay",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_is_at_fault_and_what_to_do() {
        let failure = Failure::new("github", Cause::KeyUnavailable, "there is no key `a`");

        let [finding] = &failure.findings[..] else {
            panic!("{failure:?}");
        };
        assert_eq!(finding.code, "key_unavailable");
        assert_eq!(finding.sentence, "there is no key `a`");
        assert!(finding.hint.contains("key URL"), "{}", finding.hint);
    }
}
