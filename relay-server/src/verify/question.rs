//! One request under check, which the engine may be asked about more than once. A body in a file is read apart from the
//! threads that serve connections; a panic in the engine is no answer.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::Semaphore;
use towline_shared::head::Head;
use towline_shared::time::Timestamp;
use towline_shared::verify::{self, Provider, Settings, StreamedBody, WantedKey};
use tracing::error;

use crate::endpoints::LiveEndpoint;
use crate::store::{Body, BodyFile};

/// How much of a body file is held at a time.
const READ_BYTES: usize = 64 * 1024;

/// Checks of body files that run at the same time; further ones wait. A scheme that must understand the body
/// holds all of it, so that this bounds memory as well as threads.
pub(super) const MOST_FILE_CHECKS: usize = 4;

pub(super) static TURNS: Semaphore = Semaphore::const_new(MOST_FILE_CHECKS);

/// A request, and what it is checked with.
pub(super) struct Question {
    pub(super) live: Arc<LiveEndpoint>,
    pub(super) provider: Arc<Provider>,
    pub(super) head: Head,
    /// The public URL as the provider knows it.
    pub(super) url: String,
    pub(super) now: Timestamp,
}

impl Question {
    /// The engine's answer; `None` when it panicked, or the relay is being torn down.
    pub(super) async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        body: &Body,
        engine: impl FnOnce(&Self, verify::Body<'_>) -> T + Send + 'static,
    ) -> Option<T> {
        let file = match body {
            Body::Inline(bytes) => {
                return guarded(&self.provider, || engine(self, verify::Body::Bytes(bytes)));
            }
            Body::File(file) => FileBody(file.clone()),
        };
        let question = Arc::clone(self);
        let turn = TURNS.acquire().await.ok()?;
        let asking = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let body = verify::Body::Streamed(&file);
            guarded(&question.provider, || engine(&question, body))
        });
        asking.await.ok().flatten()
    }

    /// The published key that the request asks for, beside those that are known.
    pub(super) fn wanted_key(
        &self,
        body: verify::Body<'_>,
        known: &BTreeMap<String, String>,
    ) -> Option<WantedKey> {
        let request = verify::Request {
            head: &self.head,
            url: &self.url,
            body,
        };
        self.provider.wanted_key(&request, &self.settings(known))
    }

    /// What the request is checked with.
    pub(super) fn settings<'a>(&'a self, fetched: &'a BTreeMap<String, String>) -> Settings<'a> {
        Settings {
            secrets: &self.live.secrets,
            parameters: &self.live.endpoint.settings.parameters,
            variant: self.live.endpoint.settings.variant.as_deref(),
            now: self.now,
            fetched,
        }
    }
}

/// A panic in the engine must not end the connection's task: it is no answer.
pub(super) fn guarded<T>(provider: &Provider, engine: impl FnOnce() -> T) -> Option<T> {
    let answer = catch_unwind(AssertUnwindSafe(engine));
    if answer.is_err() {
        error!(
            provider = provider.slug(),
            "the check of a signature panicked"
        );
    }
    answer.ok()
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
