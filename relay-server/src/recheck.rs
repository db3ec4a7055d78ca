//! Looks again at what an app turned away: checks the delivered bytes with the endpoint's scheme and says on whose side
//! the difference is. The secret stays here.
//!
//! The body is the kept one and the head the one that the client reports to have written, so that a token with the
//! scope `listen` learns whether a head goes with a kept body: what every sender learns from the answer of the
//! endpoint. One look for an attempt, and a few a second for an endpoint.

use std::sync::Arc;
use std::time::Instant;

use towline_shared::head::Head;
use towline_shared::hop::LOCAL_SIGNATURE;
use towline_shared::outcome::{Attempt, Outcome};
use towline_shared::verdict::{Cause, Finding, Verdict};
use towline_shared::wire::Report;

use crate::endpoints::{Check, Endpoints};
use crate::keys::Keys;
use crate::resign::public_url;
use crate::store::{Store, StoredEvent};
use crate::verify;

/// What a look needs.
pub(crate) struct Recheck<'a> {
    pub(crate) store: &'a Store,
    pub(crate) endpoints: &'a Endpoints,
    pub(crate) keys: &'a Keys,
    /// The relay's public URL.
    pub(crate) public_url: &'a str,
}

/// Whether the app may have turned a delivery away for its signature.
pub(crate) const fn is_turned_away(attempt: &Attempt) -> bool {
    matches!(
        attempt.outcome,
        Outcome::Answered {
            status: 400 | 401 | 403,
            ..
        }
    )
}

impl Recheck<'_> {
    /// What the look turns up, most likely reason first; nothing where there is nothing to say.
    pub(crate) async fn findings(&self, report: &Report) -> Vec<Finding> {
        let attempt = &report.attempt;
        if !is_turned_away(attempt) {
            return Vec::new();
        }
        if let Some(signed_with) = local_signature(attempt) {
            return vec![resigned_locally(signed_with)];
        }
        let Ok(Some(event)) = self.event(attempt).await else {
            return Vec::new();
        };
        let Some(live) = self.endpoints.by_id(event.endpoint) else {
            return Vec::new();
        };
        let Check::By(provider) = &live.check else {
            return Vec::new();
        };
        let (Ok(sent), Ok(captured)) = (
            Head::parse(report.sent_head.clone()),
            Head::parse(event.head.clone()),
        ) else {
            return Vec::new();
        };
        if !live.meters.looks_again(Instant::now()) {
            return Vec::new();
        }
        if attempt.sent_body_length != event.body.length() {
            return vec![cut_short(attempt, event.body.length())];
        }
        let url = public_url(self.public_url, &captured);
        let covers_url = provider.covers_url(live.endpoint.settings.variant.as_deref());
        let now = attempt.started_at;
        let checking = verify::check(&live, self.keys, &sent, || url.clone(), &event.body, now);
        let verdict = checking.await.verdict;
        findings_of(&verdict, covers_url.then_some(&*url), attempt)
    }

    async fn event(
        &self,
        attempt: &Attempt,
    ) -> Result<Option<Arc<StoredEvent>>, crate::store::StoreError> {
        match attempt.delivery.replay {
            Some(replay) => self.store.replayed_event(replay, attempt.event).await,
            None => self.store.event(attempt.event).await,
        }
    }
}

/// What the client signed the request with, when it did.
fn local_signature(attempt: &Attempt) -> Option<&str> {
    let mut reasons = attempt.changes.iter().map(|change| change.reason.as_str());
    reasons.find_map(|reason| reason.strip_prefix(LOCAL_SIGNATURE))
}

/// What the verdict on the delivered bytes says about the app's answer.
fn findings_of(verdict: &Verdict, signed_url: Option<&str>, attempt: &Attempt) -> Vec<Finding> {
    match verdict {
        Verdict::Unchecked => Vec::new(),
        Verdict::Verified(found) | Verdict::Authenticated(found) => {
            let with = match &found.secret {
                Some(name) => format!("for secret `{name}`"),
                None => format!("of `{}`", found.provider),
            };
            let mut findings = Vec::new();
            if let Some(url) = signed_url {
                findings.push(url_is_signed(url, &attempt.target));
            }
            findings.push(finding(
                "valid_as_delivered",
                format!("the bytes delivered carry a valid signature {with}; your app used another secret or other bytes"),
                "compare the app's secret with the provider's, and let it check the raw body before anything parses it; \
                 `towline listen --resign-with-env VARIABLE` signs for a secret of the app's own",
            ));
            findings
        }
        Verdict::Failed(failure) if failure.cause == Cause::TimestampExpired => vec![finding(
            "older_than_tolerance",
            format!(
                "the signature is older than your app's tolerance: {}",
                failure.detail
            ),
            "use --resign: `towline replay ID --resign` signs the event again with the time of now",
        )],
        Verdict::Failed(failure) => vec![finding(
            "not_valid_as_delivered",
            format!(
                "the request does not carry a valid signature as it was delivered: {}",
                failure.detail
            ),
            "`towline events diff ID` shows what was changed on the way, and `towline events show ID` what its own check said",
        )],
    }
}

fn url_is_signed(signed: &str, seen: &str) -> Finding {
    finding(
        "url_is_signed",
        format!(
            "the signature covers the public URL `{signed}`, and your app is called as `{seen}`"
        ),
        "configure the app to check with the public URL, or sign for the local one with `--resign-with-env VARIABLE`",
    )
}

fn resigned_locally(signed_with: &str) -> Finding {
    finding(
        "resigned_locally",
        format!(
            "the request was signed on this machine{signed_with} just before; your app used another secret or other bytes"
        ),
        "give the app and `towline listen` the same secret, and let the app check the raw body before anything parses it",
    )
}

fn cut_short(attempt: &Attempt, length: u64) -> Finding {
    finding(
        "answered_early",
        format!(
            "your app answered when it had {} of {length} bytes of the body, so it cannot have checked the signature",
            attempt.sent_body_length
        ),
        "look for what turns the request away before its body is read, such as a limit or a missing login",
    )
}

fn finding(code: &str, sentence: String, hint: &str) -> Finding {
    Finding {
        code: code.to_owned(),
        sentence,
        hint: hint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use towline_shared::hop::{Change, ChangeKind};
    use towline_shared::id::{EventId, Seq};
    use towline_shared::outcome::Delivery;
    use towline_shared::time::Timestamp;
    use towline_shared::verdict::{Failure, Match};

    use super::*;

    fn attempt(status: u16) -> Attempt {
        Attempt {
            event: EventId::from_bytes([1; 16]),
            delivery: Delivery {
                seq: Seq(1),
                replay: None,
            },
            number: 1,
            started_at: Timestamp::from_millis(1),
            duration_micros: 1,
            target: "http://localhost:3000/hooks".to_owned(),
            outcome: Outcome::Answered {
                status,
                body_length: 0,
                first_byte_micros: 1,
            },
            settled: None,
            retry_after_millis: None,
            changes: Vec::new(),
            sent_body_sha256: None,
            sent_body_length: 0,
            findings: Vec::new(),
        }
    }

    fn codes(verdict: &Verdict, url: Option<&str>) -> Vec<String> {
        let found = findings_of(verdict, url, &attempt(401)).into_iter();
        found.map(|finding| finding.code).collect()
    }

    fn failed(cause: Cause) -> Verdict {
        Verdict::Failed(Failure {
            provider: "stripe".to_owned(),
            cause,
            detail: "why".to_owned(),
            findings: Vec::new(),
        })
    }

    #[test]
    fn only_answers_that_may_mean_the_signature_are_looked_at() {
        for (status, expected) in [
            (200, false),
            (400, true),
            (401, true),
            (402, false),
            (403, true),
            (404, false),
            (500, false),
        ] {
            assert_eq!(is_turned_away(&attempt(status)), expected, "{status}");
        }
    }

    #[test]
    fn each_verdict_has_its_explanation() {
        let good = Verdict::Verified(Match {
            provider: "stripe".to_owned(),
            scheme: None,
            secret: Some("live".parse().unwrap()),
        });

        assert_eq!(codes(&good, None), ["valid_as_delivered"]);
        let with_url = codes(&good, Some("https://r.example/in/k"));
        assert_eq!(with_url, ["url_is_signed", "valid_as_delivered"]);
        let old = failed(Cause::TimestampExpired);
        assert_eq!(codes(&old, None), ["older_than_tolerance"]);
        let bad = failed(Cause::SignatureMismatch);
        assert_eq!(codes(&bad, None), ["not_valid_as_delivered"]);
        assert!(codes(&Verdict::Unchecked, None).is_empty());
        let words = &findings_of(&good, None, &attempt(401))[0].sentence;
        assert!(
            words.contains("for secret `live`; your app used another secret"),
            "{words}"
        );
    }

    #[test]
    fn what_was_signed_here_is_known_by_its_reason() {
        let mut attempt = attempt(401);
        attempt.changes.push(Change {
            kind: ChangeKind::Replaced,
            part: "Stripe-Signature".to_owned(),
            reason: format!("{LOCAL_SIGNATURE} with variable LOCAL"),
        });

        assert_eq!(local_signature(&attempt), Some(" with variable LOCAL"));
    }
}
