//! Checks a captured request with its endpoint's scheme and secrets. Fails closed: what goes wrong is a failed verdict.

mod published;
mod question;
mod sighting;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use towline_shared::head::Head;
use towline_shared::time::Timestamp;
use towline_shared::verdict::{Cause, Failure, Verdict};
use towline_shared::verify::{self, Facts, HandshakeReply, IssuedTokens, Surroundings};

use crate::endpoints::{Check, LiveEndpoint};
use crate::keys::{KeyTrouble, Keys};
use crate::store::{Body, Remember};
use published::{Gathered, gather};
use question::Question;

/// What the check of one request found.
#[derive(Debug)]
pub(crate) struct Checked {
    /// Whether it comes from the provider.
    pub(crate) verdict: Verdict,
    /// The answer, when it is one of the provider's challenges.
    pub(crate) handshake: Option<HandshakeReply>,
    /// What the provider says of its delivery.
    pub(crate) facts: Facts,
    /// What to remember of it, so that a repeat is known.
    pub(crate) remember: Option<Remember>,
    /// Whether the check failed for want of a key that may be had later.
    pub(crate) is_key_late: bool,
}

/// Checks a request; `url` gives the public URL as the provider knows it. Where the provider publishes its keys, those
/// that the request asks for are gathered first.
pub(crate) async fn check(
    live: &Arc<LiveEndpoint>,
    keys: &Keys,
    head: &Head,
    url: impl FnOnce() -> String,
    body: &Body,
    now: Timestamp,
) -> Checked {
    let provider = match &live.check {
        Check::By(provider) => Arc::clone(provider),
        Check::Unchecked => return without_scheme(Verdict::Unchecked),
        Check::Broken(why) => return failed(slug_of(live), why),
    };
    let publishes_keys = provider.publishes_keys();
    let question = Arc::new(Question {
        live: Arc::clone(live),
        provider,
        head: head.clone(),
        url: url(),
        now,
    });
    let Gathered {
        keys: fetched,
        trouble,
    } = if publishes_keys {
        gather(keys, &question, body).await
    } else {
        Gathered::default()
    };
    let checking = question.ask(body, move |question, body| apply(question, body, &fetched));
    let checked = checking
        .await
        .unwrap_or_else(|| failed(slug_of(live), BROKEN));
    match trouble {
        Some(trouble) => without_key(checked, &trouble),
        None => checked,
    }
}

/// Tells why the key was not there, when that is why the check failed.
fn without_key(mut checked: Checked, trouble: &KeyTrouble) -> Checked {
    if let Verdict::Failed(failure) = &mut checked.verdict
        && failure.cause == Cause::KeyUnavailable
    {
        failure.detail = format!("{}: {trouble}", failure.detail);
        failure.findings = vec![failure.cause.finding(&failure.detail)];
        checked.is_key_late = matches!(trouble, KeyTrouble::Late(_));
    }
    checked
}

/// What the owner reads when the check itself went wrong.
const BROKEN: &str = "the check itself failed; the relay's log says more";

fn apply(
    question: &Question,
    body: verify::Body<'_>,
    fetched: &BTreeMap<String, String>,
) -> Checked {
    let provider = &question.provider;
    let request = verify::Request {
        head: &question.head,
        url: &question.url,
        body,
    };
    let settings = question.settings(fetched);
    let meters = &question.live.meters;
    let is_explained = meters.explains(Instant::now());
    let tokens = question.live.clients.as_ref();
    let tokens = tokens.map(|clients| clients.at(question.now));
    let surroundings = Surroundings {
        tokens: tokens.as_ref().map(|tokens| tokens as &dyn IssuedTokens),
        others: Some(&question.live.neighbours),
        is_brief: !is_explained,
    };
    let judgement = provider.judge_in(&request, &settings, &surroundings);
    if is_explained && !judgement.verdict.is_accepted() {
        meters.explained(Instant::now());
    }
    let facts = provider.facts(&request);
    Checked {
        remember: sighting::of(&judgement, &facts, question.head.target()),
        verdict: judgement.verdict,
        handshake: provider.handshake(&request, &settings),
        facts,
        is_key_late: false,
    }
}

fn slug_of(live: &LiveEndpoint) -> &str {
    live.endpoint
        .settings
        .provider
        .as_deref()
        .unwrap_or_default()
}

fn failed(slug: &str, detail: &str) -> Checked {
    without_scheme(Verdict::Failed(Failure::new(
        slug,
        Cause::ConfigError,
        detail,
    )))
}

fn without_scheme(verdict: Verdict) -> Checked {
    Checked {
        verdict,
        handshake: None,
        facts: Facts::default(),
        remember: None,
        is_key_late: false,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::FutureExt;
    use towline_shared::head::Version;
    use towline_shared::id::EndpointKey;
    use towline_shared::secret::Secret;
    use towline_shared::verify::{Provider, Settings, Unsigned};

    use super::question::{MOST_FILE_CHECKS, TURNS};
    use super::*;
    use crate::config::Outbound;
    use crate::endpoints::Meters;
    use crate::store::{BodyFile, Endpoint, EndpointId, EndpointSettings, NamedSecret};

    const URL: &str = "https://hooks.example.com/in/k";

    fn now() -> Timestamp {
        Timestamp::from_millis(1_760_000_000_000)
    }

    fn endpoint(check: Check, secret: Option<&str>) -> Arc<LiveEndpoint> {
        let secrets = secret.map(|secret| NamedSecret {
            name: "live".parse().unwrap(),
            secret: Secret::new(secret),
            created_at: now(),
        });
        let endpoint = Endpoint {
            id: EndpointId(1),
            name: "orders".parse().unwrap(),
            key: EndpointKey::new([7; 20]),
            settings: EndpointSettings {
                provider: Some("github".to_owned()),
                max_body: 1000,
                ..EndpointSettings::default()
            },
            created_at: now(),
            secrets: secrets.into_iter().collect(),
        };
        let meters = Meters::new(endpoint.settings.limits, std::time::Instant::now());
        Arc::new(LiveEndpoint::checked_by(check, endpoint, Arc::new(meters)))
    }

    fn by_github() -> Check {
        Check::By(Provider::builtin("github").unwrap())
    }

    /// The head of a request that GitHub signed with the secret.
    fn signed_by_github(body: &[u8], secret: &str) -> Head {
        let unsigned = Unsigned {
            method: "POST",
            url: URL,
            fields: &[],
            body,
        };
        let settings = Settings {
            secrets: &[("live".parse().unwrap(), Secret::new(secret))],
            parameters: &BTreeMap::new(),
            variant: None,
            now: now(),
            fetched: &BTreeMap::new(),
        };
        let provider = Provider::builtin("github").unwrap();
        let fields = provider.sign(&unsigned, &settings).unwrap();
        let fields = fields
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        Head::build("POST", b"/in/k", Version::Http11, fields).unwrap()
    }

    async fn verdict(live: &Arc<LiveEndpoint>, head: &Head, body: &'static [u8]) -> Verdict {
        let body = Body::Inline(Bytes::from_static(body));
        check(live, &no_keys(), head, || URL.to_owned(), &body, now())
            .await
            .verdict
    }

    #[tokio::test]
    async fn a_signed_request_is_verified_by_the_name_of_its_secret() {
        let live = endpoint(by_github(), Some("salt"));

        let verdict = verdict(&live, &signed_by_github(b"body", "salt"), b"body").await;

        let Verdict::Verified(found) = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!(found.secret, Some("live".parse().unwrap()));
    }

    #[tokio::test]
    async fn another_body_or_secret_is_a_mismatch() {
        let live = endpoint(by_github(), Some("salt"));

        for (head, body) in [
            (signed_by_github(b"body", "salt"), &b"bodY"[..]),
            (signed_by_github(b"body", "other"), b"body"),
        ] {
            let verdict = verdict(&live, &head, body).await;

            let Verdict::Failed(failure) = verdict else {
                panic!("{verdict:?}");
            };
            assert_eq!(failure.cause, Cause::SignatureMismatch);
        }
    }

    #[tokio::test]
    async fn without_a_provider_or_a_secret_nothing_is_checked() {
        let head = signed_by_github(b"body", "salt");

        for live in [
            endpoint(Check::Unchecked, Some("salt")),
            endpoint(by_github(), None),
        ] {
            assert_eq!(verdict(&live, &head, b"body").await, Verdict::Unchecked);
        }
    }

    #[tokio::test]
    async fn a_provider_that_cannot_be_used_fails_every_check() {
        let live = endpoint(Check::Broken("no such provider".to_owned()), Some("salt"));

        let verdict = verdict(&live, &signed_by_github(b"body", "salt"), b"body").await;

        let Verdict::Failed(failure) = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!(failure.cause, Cause::ConfigError);
        assert_eq!(failure.detail, "no such provider");
    }

    #[test]
    fn a_body_file_waits_for_its_turn() {
        // One blocking thread works in order: what was started before a later task is done with it.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"body").unwrap();
        let body = Body::File(BodyFile::kept(file.path().to_owned(), 4));
        let live = endpoint(by_github(), Some("salt"));
        let head = signed_by_github(b"body", "salt");

        runtime.block_on(async {
            let turns = u32::try_from(MOST_FILE_CHECKS).unwrap();
            let all_turns = TURNS.acquire_many(turns).await.unwrap();
            let keys = no_keys();
            let mut checking =
                Box::pin(check(&live, &keys, &head, || URL.to_owned(), &body, now()));
            assert!(checking.as_mut().now_or_never().is_none());
            tokio::task::spawn_blocking(|| {}).await.unwrap();
            assert!(checking.as_mut().now_or_never().is_none());
            drop(all_turns);
            let verdict = checking.await.verdict;
            assert!(matches!(verdict, Verdict::Verified(_)), "{verdict:?}");
        });
    }

    #[tokio::test]
    async fn a_panic_in_a_check_is_no_answer() {
        let question = Arc::new(Question {
            live: endpoint(by_github(), Some("salt")),
            provider: Provider::builtin("github").unwrap(),
            head: signed_by_github(b"body", "salt"),
            url: URL.to_owned(),
            now: now(),
        });
        let body = Body::Inline(Bytes::from_static(b"body"));

        let answer: Option<()> = question
            .ask(&body, |_, _| panic!("a mistake in the engine"))
            .await;

        assert_eq!(answer, None);
    }

    #[test]
    fn only_a_check_that_failed_for_want_of_its_key_may_succeed_later() {
        let late = KeyTrouble::Late("no answer".to_owned());
        let absent = KeyTrouble::Absent("404".to_owned());
        let failed_by = |cause| {
            let mut checked = failed("paypal", "no key");
            if let Verdict::Failed(failure) = &mut checked.verdict {
                failure.cause = cause;
            }
            checked
        };

        assert!(without_key(failed_by(Cause::KeyUnavailable), &late).is_key_late);
        assert!(!without_key(failed_by(Cause::KeyUnavailable), &absent).is_key_late);
        assert!(!without_key(failed_by(Cause::MissingSignature), &late).is_key_late);
        assert!(!without_key(without_scheme(Verdict::Unchecked), &late).is_key_late);
    }

    fn no_keys() -> Keys {
        Keys::new(&Outbound::Only {
            hosts: BTreeMap::new(),
            roots: Vec::new(),
        })
    }
}
