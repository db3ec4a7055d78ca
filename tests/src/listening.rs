//! A client in the process of the test, and what it told.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use towline::dial::RelayAddress;
use towline::listen::{Delivery, HostHeader, ListenError, News, Options, Summary, listen};
use towline_shared::outcome::{Attempt, Outcome};
use towline_shared::secret::Secret;
use towline_shared::wire::Start;

use crate::eventually::{eventually, in_time};

/// A running client.
pub struct Listening {
    task: Option<JoinHandle<Result<Summary, ListenError>>>,
    news: Arc<Mutex<Vec<News>>>,
    stop: CancellationToken,
    abort: CancellationToken,
}

/// The usual wishes: in order, a new consumer from the beginning, one try, 5 s a try.
///
/// # Panics
/// When a name is not one.
pub fn options(relay: SocketAddr, token: &str, endpoint: &str, app: &str, state: &Path) -> Options {
    Options {
        relay: RelayAddress {
            url: format!("http://{relay}").parse().expect("the URL is valid"),
            ca_file: None,
        },
        token: Secret::new(token),
        endpoint: endpoint.parse().expect("the name is valid"),
        consumer: "laptop".parse().expect("the name is valid"),
        start: Start::Beginning,
        concurrency: 1,
        delivery: Delivery {
            target: app.parse().expect("the target is valid"),
            timeout: Duration::from_secs(5),
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
        state: state.to_path_buf(),
    }
}

impl Listening {
    /// Begins to listen and returns when the relay has welcomed it.
    pub async fn start(options: Options) -> Self {
        let listening = Self::begin(options);
        listening.wait_for_ready(1).await;
        listening
    }

    /// Begins to listen.
    pub fn begin(options: Options) -> Self {
        let (sender, mut receiver) = mpsc::channel(64);
        let (stop, abort) = (CancellationToken::new(), CancellationToken::new());
        let task = tokio::spawn(listen(options, sender, stop.clone(), abort.clone()));
        let news = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn({
            let news = Arc::clone(&news);
            async move {
                while let Some(one) = receiver.recv().await {
                    news.lock().push(one);
                }
            }
        });
        Self {
            task: Some(task),
            news,
            stop,
            abort,
        }
    }

    /// Everything that was told so far.
    pub fn news(&self) -> Vec<News> {
        self.news.lock().clone()
    }

    /// The attempts that were told so far.
    pub fn attempts(&self) -> Vec<Attempt> {
        let news = self.news.lock();
        news.iter()
            .filter_map(|one| match one {
                News::Outcome { attempt, .. } => Some(Attempt::clone(attempt)),
                _ => None,
            })
            .collect()
    }

    /// Waits until it was welcomed this many times.
    pub async fn wait_for_ready(&self, times: usize) {
        self.wait_for(&format!("{times} welcomes"), |news| {
            let ready = news.iter().filter(|one| matches!(one, News::Ready { .. }));
            (ready.count() >= times).then_some(())
        })
        .await;
    }

    /// Waits until this many attempts have ended.
    pub async fn wait_for_attempts(&self, count: usize) -> Vec<Attempt> {
        eventually(&format!("{count} attempts told"), async || {
            let attempts = self.attempts();
            (attempts.len() >= count).then_some(attempts)
        })
        .await
    }

    /// Waits for the outcome of the next attempt that `find` takes.
    pub async fn wait_for_outcome(&self, what: &str, find: impl Fn(&Outcome) -> bool) -> Attempt {
        eventually(what, async || {
            self.attempts()
                .into_iter()
                .find(|attempt| find(&attempt.outcome))
        })
        .await
    }

    /// Waits for what `find` makes of the news so far.
    pub async fn wait_for<T>(&self, what: &str, find: impl Fn(&[News]) -> Option<T>) -> T {
        eventually(what, async || {
            let found = find(&self.news.lock());
            let is_over = self.task.as_ref().is_none_or(JoinHandle::is_finished);
            assert!(
                found.is_some() || !is_over,
                "the client ended without {what}: {:?}",
                self.news()
            );
            found
        })
        .await
    }

    /// Asks it to finish what it has in hand and to end.
    ///
    /// # Errors
    /// Why it ended otherwise.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn stop(mut self) -> Result<Summary, ListenError> {
        self.stop.cancel();
        self.end().await
    }

    /// Makes it end at once, whatever it has in hand.
    ///
    /// # Errors
    /// Why it ended otherwise.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn abort(mut self) -> Result<Summary, ListenError> {
        self.abort.cancel();
        self.end().await
    }

    /// Waits for its own end.
    ///
    /// # Errors
    /// Why it ended.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn end(&mut self) -> Result<Summary, ListenError> {
        let task = self.task.take().expect("it was not waited for before");
        in_time("the client ends", task)
            .await
            .expect("the client does not panic")
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.abort.cancel();
    }
}
