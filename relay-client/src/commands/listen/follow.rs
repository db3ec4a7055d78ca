//! The run itself: passes on what happens to the screen, and stops as asked. The first ^C lets the app finish, the
//! second does not. Nothing here waits for the screen, so that ^C is heard when nobody reads what it shows.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time;
use tokio_util::sync::CancellationToken;
use towline_shared::secret::Secret;

use super::super::{Context, Exit};
use super::plan::Plan;
use super::rejected;
use super::view::{Show, View};
use crate::listen::{ListenError, News, Options, Summary, listen};
use crate::local_signer::LocalSigner;
use crate::relay_api::RelayApi;

/// News that wait to be shown; when full, the way of events waits.
const NEWS: usize = 256;

/// Rejected requests that wait to be shown; when full, the watch waits.
const REJECTED: usize = 64;

/// What the screen is given ahead; when full, it stays in the two queues above.
const SHOWS: usize = 16;

/// How long the last lines may take after a second ^C.
const LAST_LINES_TIMEOUT: Duration = Duration::from_millis(500);

/// Listens until it ends or is stopped.
pub(super) async fn follow(
    plan: Plan,
    api: RelayApi,
    secret_from: Option<String>,
    signer: Option<Arc<LocalSigner>>,
    context: &Context,
) -> anyhow::Result<Exit> {
    let view = View::new(&plan, secret_from, context);
    let mut signals = Signals::install()?;
    let stop = CancellationToken::new();
    let abort = CancellationToken::new();
    let (news_sender, news) = mpsc::channel(NEWS);
    let (rejected_sender, rejected) = mpsc::channel(REJECTED);
    let (shows, waiting) = mpsc::channel(SHOWS);
    let watch = rejected::watch(
        api.clone(),
        plan.endpoint.clone(),
        rejected_sender,
        stop.clone(),
    );
    let watching = tokio::spawn(watch);
    let options = Options {
        signer,
        ..options(plan, &api, context)
    };
    let running = Running {
        listening: tokio::spawn(listen(options, news_sender, stop.clone(), abort.clone())),
        showing: spawn_blocking(move || view.show_all(waiting)),
        passage: Passage {
            shows,
            first: None,
            news,
            rejected,
        },
        stop: stop.clone(),
        abort,
    };
    let exit = running.until_it_ends(async || signals.next().await).await;
    stop.cancel();
    watching.await?;
    exit
}

fn options(plan: Plan, api: &RelayApi, context: &Context) -> Options {
    Options {
        relay: api.relay().clone(),
        token: api.token().cloned().unwrap_or_else(|| Secret::new("")),
        endpoint: plan.endpoint,
        consumer: plan.consumer,
        start: plan.start,
        concurrency: plan.concurrency,
        delivery: plan.delivery,
        filter: plan.filter,
        routes: plan.routes,
        skips_unrouted: plan.skips_unrouted,
        signer: None,
        state: context.settings.folders.state().to_owned(),
    }
}

/// What runs while a person listens.
struct Running {
    listening: JoinHandle<Result<Summary, ListenError>>,
    /// Writes to the screen, and waits as long as nobody reads that.
    showing: JoinHandle<io::Result<()>>,
    passage: Passage,
    stop: CancellationToken,
    abort: CancellationToken,
}

impl Running {
    /// Runs to the end of listening; `signals` is the next wish to stop, and cancel-safe.
    async fn until_it_ends(mut self, mut signals: impl AsyncFnMut()) -> anyhow::Result<Exit> {
        let ended = loop {
            tokio::select! {
                biased;
                () = signals() => self.be_stopped(),
                is_read = self.passage.pass(), if !self.abort.is_cancelled() => {
                    if !is_read {
                        self.stop.cancel();
                        self.abort.cancel();
                        self.passage.news.close();
                    }
                }
                ended = &mut self.listening => break ended?,
            }
        };
        let is_aborted = self.abort.is_cancelled();
        let summary = ended.as_ref().ok().cloned();
        let shown = tokio::select! {
            biased;
            shown = show_the_rest(self.passage, self.showing, summary) => shown,
            () = time::sleep(LAST_LINES_TIMEOUT), if is_aborted => return Ok(Exit::Interrupted),
            () = signals(), if !is_aborted => return Ok(Exit::Interrupted),
        };
        shown?;
        ended?;
        Ok(if is_aborted {
            Exit::Interrupted
        } else {
            Exit::Done
        })
    }

    fn be_stopped(&mut self) {
        if self.stop.is_cancelled() {
            self.abort.cancel();
            return;
        }
        self.stop.cancel();
        let text = "stopping: the app finishes what it has; ^C again stops at once";
        self.passage.first = Some(News::Remark(text.to_owned()));
    }
}

async fn show_the_rest(
    mut passage: Passage,
    showing: JoinHandle<io::Result<()>>,
    summary: Option<Summary>,
) -> io::Result<()> {
    let first = passage.first.take();
    let rest = std::iter::from_fn(|| passage.news.try_recv().ok());
    let news = first.into_iter().chain(rest).map(Show::News);
    for show in news.chain(summary.map(Show::Summary)) {
        if passage.shows.send(show).await.is_err() {
            break;
        }
    }
    drop(passage);
    showing.await?
}

/// The way of news to the screen.
struct Passage {
    shows: mpsc::Sender<Show>,
    /// Goes before all that waits.
    first: Option<News>,
    news: mpsc::Receiver<News>,
    rejected: mpsc::Receiver<News>,
}

impl Passage {
    /// Passes one on, when the screen has room for it. Whether anybody reads the screen. Cancel-safe.
    async fn pass(&mut self) -> bool {
        let Ok(room) = self.shows.reserve().await else {
            return false;
        };
        let news = match self.first.take() {
            Some(first) => first,
            None => tokio::select! {
                biased;
                Some(news) = self.news.recv() => news,
                Some(news) = self.rejected.recv() => news,
                () = self.shows.closed() => return false,
            },
        };
        room.send(Show::News(news));
        true
    }
}

/// SIGINT and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn install() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// The next of either. Cancel-safe.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future;

    use super::*;

    struct Ends {
        news: mpsc::Sender<News>,
        signals: mpsc::Sender<()>,
        stop: CancellationToken,
        abort: CancellationToken,
    }

    /// Listening that ends when it is aborted, before a screen of the test's.
    fn running(
        show: impl FnOnce(mpsc::Receiver<Show>) -> io::Result<()> + Send + 'static,
    ) -> (Running, Ends, mpsc::Receiver<()>) {
        let (news_sender, news) = mpsc::channel(8);
        let (_, rejected) = mpsc::channel(1);
        let (shows, waiting) = mpsc::channel(1);
        let (signal_sender, signals) = mpsc::channel(2);
        let (stop, abort) = (CancellationToken::new(), CancellationToken::new());
        let aborted = abort.clone();
        let running = Running {
            listening: tokio::spawn(async move {
                aborted.cancelled().await;
                Ok(Summary::default())
            }),
            showing: spawn_blocking(move || show(waiting)),
            passage: Passage {
                shows,
                first: None,
                news,
                rejected,
            },
            stop: stop.clone(),
            abort: abort.clone(),
        };
        let ends = Ends {
            news: news_sender,
            signals: signal_sender,
            stop,
            abort,
        };
        (running, ends, signals)
    }

    async fn next(signals: &mut mpsc::Receiver<()>) {
        if signals.recv().await.is_none() {
            future::pending::<()>().await;
        }
    }

    #[tokio::test]
    async fn a_second_signal_ends_at_once_while_nobody_reads_the_screen() {
        let (release, blocked) = std::sync::mpsc::channel::<()>();
        let (running, ends, mut signals) = running(move |_waiting| {
            let _ = blocked.recv();
            Ok(())
        });
        for _ in 0..8 {
            let news = News::Remark("more than the screen takes".into());
            ends.news.send(news).await.unwrap();
        }
        ends.signals.send(()).await.unwrap();
        ends.signals.send(()).await.unwrap();

        let exit = running
            .until_it_ends(async || next(&mut signals).await)
            .await;

        assert_eq!(exit.unwrap(), Exit::Interrupted);
        assert!(ends.stop.is_cancelled() && ends.abort.is_cancelled());
        drop(release);
    }

    #[tokio::test]
    async fn everything_is_shown_and_the_summary_last() {
        let (shown, all) = std::sync::mpsc::channel();
        let (running, ends, mut signals) = running(move |mut waiting| {
            while let Some(one) = waiting.blocking_recv() {
                let text = match one {
                    Show::News(News::Remark(text)) => text,
                    other => format!("{other:?}"),
                };
                shown.send(text).unwrap();
            }
            Ok(())
        });
        for number in 1..=8 {
            let news = News::Remark(number.to_string());
            ends.news.send(news).await.unwrap();
        }
        ends.abort.cancel();

        let exit = running
            .until_it_ends(async || next(&mut signals).await)
            .await;

        assert_eq!(exit.unwrap(), Exit::Interrupted);
        let all: Vec<String> = all.iter().collect();
        assert_eq!(all[..8], ["1", "2", "3", "4", "5", "6", "7", "8"]);
        assert!(all[8].starts_with("Summary"), "{all:?}");
    }

    #[tokio::test]
    async fn a_screen_that_is_closed_ends_listening() {
        let (running, ends, mut signals) =
            running(|_waiting| Err(io::ErrorKind::BrokenPipe.into()));

        let ended = running
            .until_it_ends(async || next(&mut signals).await)
            .await;

        let error = ended.unwrap_err();
        assert!(super::super::super::is_closed_pipe(&error), "{error}");
        assert!(ends.stop.is_cancelled() && ends.abort.is_cancelled());
    }
}
