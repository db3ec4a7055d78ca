//! The client under test.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use towline_shared::secret::Secret;
use towline_shared::wire::Start;

use super::app::App;
use super::relay::{Relay, TOKEN};
use crate::dial::RelayAddress;
use crate::listen::{Delivery, HostHeader, ListenError, News, Options, Summary, listen};

/// A guard against a test that hangs; nothing is expected to take this long.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Run {
    pub(super) state: Arc<tempfile::TempDir>,
    news: mpsc::Receiver<News>,
    pub(super) stop: CancellationToken,
    abort: CancellationToken,
    task: JoinHandle<Result<Summary, ListenError>>,
}

impl Run {
    pub(super) fn start(relay: &Relay, app: &App, change: impl FnOnce(&mut Options)) -> Self {
        Self::start_to(&app.target, relay, change)
    }

    pub(super) fn start_to(target: &str, relay: &Relay, change: impl FnOnce(&mut Options)) -> Self {
        let state = Arc::new(tempfile::tempdir().unwrap());
        Self::start_with(state, target, relay, change)
    }

    pub(super) fn start_in(
        state: Arc<tempfile::TempDir>,
        relay: &Relay,
        app: &App,
        change: impl FnOnce(&mut Options),
    ) -> Self {
        Self::start_with(state, &app.target, relay, change)
    }

    pub(super) fn start_with(
        state: Arc<tempfile::TempDir>,
        target: &str,
        relay: &Relay,
        change: impl FnOnce(&mut Options),
    ) -> Self {
        let mut options = options(relay, target, state.path());
        change(&mut options);
        let (sender, news) = mpsc::channel(1000);
        let (stop, abort) = (CancellationToken::new(), CancellationToken::new());
        let task = tokio::spawn(listen(options, sender, stop.clone(), abort.clone()));
        Self {
            state,
            news,
            stop,
            abort,
            task,
        }
    }

    pub(super) async fn news(&mut self) -> News {
        patiently(self.news.recv()).await.unwrap()
    }

    pub(super) async fn news_until(&mut self, is_wanted: impl Fn(&News) -> bool) -> News {
        loop {
            let news = self.news().await;
            if is_wanted(&news) {
                return news;
            }
        }
    }

    pub(super) async fn ended(self) -> Result<Summary, ListenError> {
        patiently(self.task).await.unwrap()
    }

    pub(super) async fn stop(self) -> Result<Summary, ListenError> {
        self.stop.cancel();
        self.ended().await
    }

    /// Ends like a killed process: what is begun stays in the journal.
    pub(super) async fn abort(self) -> (Result<Summary, ListenError>, Arc<tempfile::TempDir>) {
        self.abort.cancel();
        (patiently(self.task).await.unwrap(), self.state)
    }
}

pub(super) fn options(relay: &Relay, target: &str, state: &Path) -> Options {
    Options {
        relay: RelayAddress {
            url: relay.url.parse().unwrap(),
            ca_file: None,
        },
        token: Secret::new(TOKEN),
        endpoint: "orders".parse().unwrap(),
        consumer: "localhost:3000".parse().unwrap(),
        start: Start::Now,
        concurrency: 1,
        delivery: Delivery {
            target: target.parse().unwrap(),
            timeout: PATIENCE,
            retries: 0,
            park_after: None,
            host: HostHeader::Preserve,
            add_headers: Vec::new(),
            mark: false,
            insecure: false,
        },
        filter: None,
        routes: Vec::new(),
        skips_unrouted: false,
        signer: None,
        state: state.to_owned(),
    }
}

pub(super) async fn patiently<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("nothing happens")
}
