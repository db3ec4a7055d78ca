//! Checks a captured request with its endpoint's scheme and secrets. Fails closed: what goes wrong is a failed verdict.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::Semaphore;
use towline_shared::head::Head;
use towline_shared::time::Timestamp;
use towline_shared::verdict::{Cause, Failure, Verdict};
use towline_shared::verify::{self, Facts, HandshakeReply, Provider, Settings, StreamedBody};
use tracing::error;

use crate::endpoints::{Check, LiveEndpoint};
use crate::store::{Body, BodyFile};

/// How much of a body file is held at a time.
const READ_BYTES: usize = 64 * 1024;

/// Checks of body files that run at the same time; further ones wait. A scheme that must understand the body
/// holds all of it, so that this bounds memory as well as threads.
const MOST_FILE_CHECKS: usize = 4;

static TURNS: Semaphore = Semaphore::const_new(MOST_FILE_CHECKS);

/// What the check of one request found.
#[derive(Debug)]
pub(crate) struct Checked {
    /// Whether it comes from the provider.
    pub(crate) verdict: Verdict,
    /// The answer, when it is one of the provider's challenges.
    pub(crate) handshake: Option<HandshakeReply>,
    /// What the provider says of its delivery.
    pub(crate) facts: Facts,
}

/// Checks a request; `url` gives the public URL as the provider knows it. A body in a file is read apart
/// from the threads that serve connections.
pub(crate) async fn check(
    live: &Arc<LiveEndpoint>,
    head: &Head,
    url: impl FnOnce() -> String,
    body: &Body,
    now: Timestamp,
) -> Checked {
    let provider = match &live.check {
        Check::By(provider) => provider,
        Check::Unchecked => return without_scheme(Verdict::Unchecked),
        Check::Broken(why) => return failed(slug_of(live), why),
    };
    match body {
        Body::Inline(bytes) => {
            let body = verify::Body::Bytes(bytes);
            guarded(provider, || apply(live, provider, head, &url(), body, now))
        }
        Body::File(file) => {
            let (live, provider) = (Arc::clone(live), Arc::clone(provider));
            let (head, file) = (head.clone(), FileBody(file.clone()));
            let (slug, url) = (provider.slug().to_owned(), url());
            let Ok(turn) = TURNS.acquire().await else {
                return failed(&slug, BROKEN);
            };
            let checking = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                let body = verify::Body::Streamed(&file);
                guarded(&provider, || {
                    apply(&live, &provider, &head, &url, body, now)
                })
            });
            // Only a relay that is being torn down ends the task before it is done.
            checking.await.unwrap_or_else(|_| failed(&slug, BROKEN))
        }
    }
}

/// What the owner reads when the check itself went wrong.
const BROKEN: &str = "the check itself failed; the relay's log says more";

fn apply(
    live: &LiveEndpoint,
    provider: &Provider,
    head: &Head,
    url: &str,
    body: verify::Body<'_>,
    now: Timestamp,
) -> Checked {
    let request = verify::Request { head, url, body };
    let settings = Settings {
        secrets: &live.secrets,
        parameters: &live.endpoint.parameters,
        variant: live.endpoint.variant.as_deref(),
        now,
        fetched: &BTreeMap::new(),
    };
    Checked {
        verdict: match &live.clients {
            Some(clients) => provider.check_with_tokens(&request, &settings, &clients.at(now)),
            None => provider.check(&request, &settings),
        },
        handshake: provider.handshake(&request, &settings),
        facts: provider.facts(&request),
    }
}

/// A panic in a check is a failed check.
fn guarded(provider: &Provider, check: impl FnOnce() -> Checked) -> Checked {
    catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|_| {
        error!(
            provider = provider.slug(),
            "the check of a signature panicked"
        );
        failed(provider.slug(), BROKEN)
    })
}

fn slug_of(live: &LiveEndpoint) -> &str {
    live.endpoint.provider.as_deref().unwrap_or_default()
}

fn failed(slug: &str, detail: &str) -> Checked {
    without_scheme(Verdict::Failed(Failure {
        provider: slug.to_owned(),
        cause: Cause::ConfigError,
        detail: detail.to_owned(),
        findings: Vec::new(),
    }))
}

fn without_scheme(verdict: Verdict) -> Checked {
    Checked {
        verdict,
        handshake: None,
        facts: Facts::default(),
    }
}

/// A body that the store keeps in a file.
struct FileBody(BodyFile);

impl StreamedBody for FileBody {
    fn length(&self) -> u64 {
        self.0.length()
    }

    fn read(&self, sink: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let mut file = File::open(self.0.path())?;
        let mut buffer = vec![0; READ_BYTES];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(()),
                count => sink(&buffer[..count]),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::FutureExt;
    use towline_shared::api::{Ack, OnFailure, Retention};
    use towline_shared::head::Version;
    use towline_shared::id::EndpointKey;
    use towline_shared::secret::Secret;
    use towline_shared::verify::Unsigned;

    use super::*;
    use crate::endpoints::Meters;
    use crate::store::{Endpoint, EndpointId, NamedSecret};

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
            provider: Some("github".to_owned()),
            own_scheme: None,
            variant: None,
            parameters: BTreeMap::new(),
            ack: Ack::default(),
            on_failure: OnFailure::Reject,
            max_body: 1000,
            retention: Retention::default(),
            limits: towline_shared::api::EndpointLimits::default(),
            created_at: now(),
            secrets: secrets.into_iter().collect(),
        };
        let meters = Meters::new(endpoint.limits, std::time::Instant::now());
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
        check(live, head, || URL.to_owned(), &body, now())
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
            let mut checking = Box::pin(check(&live, &head, || URL.to_owned(), &body, now()));
            assert!(checking.as_mut().now_or_never().is_none());
            tokio::task::spawn_blocking(|| {}).await.unwrap();
            assert!(checking.as_mut().now_or_never().is_none());
            drop(all_turns);
            let verdict = checking.await.verdict;
            assert!(matches!(verdict, Verdict::Verified(_)), "{verdict:?}");
        });
    }

    #[test]
    fn a_panic_in_a_check_is_a_failed_check() {
        let provider = Provider::builtin("github").unwrap();

        let checked = guarded(&provider, || panic!("a mistake in the engine"));

        assert!(matches!(checked.verdict, Verdict::Failed(_)));
    }
}
