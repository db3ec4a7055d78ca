//! Checks a captured request with its endpoint's scheme and secrets. Fails closed: what goes wrong is a failed verdict.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use towline_shared::head::Head;
use towline_shared::id::SecretName;
use towline_shared::secret::Secret;
use towline_shared::time::Timestamp;
use towline_shared::verdict::{Cause, Failure, Verdict};
use towline_shared::verify::{self, Facts, HandshakeReply, Provider, Settings, StreamedBody};
use tracing::error;

use crate::endpoints::{Check, LiveEndpoint};
use crate::store::{Body, BodyFile};

/// How much of a body file is held at a time.
const READ_BYTES: usize = 64 * 1024;

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

/// Checks a request; `url` is the public URL as the provider knows it. A body in a file is read apart
/// from the threads that serve connections.
pub(crate) async fn check(
    live: &Arc<LiveEndpoint>,
    head: &Head,
    url: String,
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
            guarded(provider, || apply(live, provider, head, &url, body, now))
        }
        Body::File(file) => {
            let (live, provider) = (Arc::clone(live), Arc::clone(provider));
            let (head, file) = (head.clone(), FileBody(file.clone()));
            let slug = provider.slug().to_owned();
            let checking = tokio::task::spawn_blocking(move || {
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
    let secrets: Vec<(SecretName, Secret)> = live
        .endpoint
        .secrets
        .iter()
        .map(|named| (named.name.clone(), named.secret.clone()))
        .collect();
    let settings = Settings {
        secrets: &secrets,
        parameters: &live.endpoint.parameters,
        variant: live.endpoint.variant.as_deref(),
        now,
        fetched: &BTreeMap::new(),
    };
    let handshake = provider.handshake(&request, &settings);
    let verdict = if secrets.is_empty() {
        Verdict::Unchecked
    } else {
        provider.check(&request, &settings)
    };
    Checked {
        verdict,
        handshake,
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
