//! The run itself: shows what happens, and stops as asked. The first ^C lets the app finish, the second does not.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use towline_shared::api::EventSummary;
use towline_shared::secret::Secret;

use super::super::{Context, Exit, wall_clock};
use super::plan::Plan;
use super::rejected;
use crate::listen::{ListenError, News, Options, Summary, listen};
use crate::relay_api::RelayApi;
use crate::screen::event_lines::Layout;
use crate::screen::listen_json::Line;
use crate::screen::listen_lines::{self, ListenLines, Session, Shown};
use crate::screen::{Screen, paint};

/// News that wait to be shown; when full, the way of events waits.
const NEWS: usize = 256;

/// Rejected requests that wait to be shown; when full, the watch waits.
const REJECTED: usize = 64;

/// Listens until it ends or is stopped.
pub(super) async fn follow(
    plan: Plan,
    api: RelayApi,
    secret_from: Option<String>,
    context: &Context,
) -> anyhow::Result<Exit> {
    let mut view = View::new(&plan, secret_from, context);
    let mut signals = Signals::install()?;
    let stop = CancellationToken::new();
    let abort = CancellationToken::new();
    let (news_sender, mut news) = mpsc::channel(NEWS);
    let (rejected_sender, mut rejected) = mpsc::channel(REJECTED);
    let watch = rejected::watch(
        api.clone(),
        plan.endpoint.clone(),
        rejected_sender,
        stop.clone(),
    );
    let watching = tokio::spawn(watch);
    let options = options(plan, &api, context);
    let mut listening = tokio::spawn(listen(options, news_sender, stop.clone(), abort.clone()));
    let mut shown = Ok(());
    let ended = loop {
        tokio::select! {
            biased;
            () = signals.next() => {
                if stop.is_cancelled() {
                    abort.cancel();
                } else {
                    stop.cancel();
                    shown = view.notice("stopping: the app finishes what it has; ^C again stops at once");
                }
            }
            Some(one) = news.recv() => shown = view.news(&one),
            Some(one) = rejected.recv() => shown = view.rejected(one),
            ended = &mut listening => break ended?,
        }
        if shown.is_err() {
            // Nobody reads stdout any longer.
            stop.cancel();
            abort.cancel();
            news.close();
        }
    };
    stop.cancel();
    watching.await?;
    while let Ok(one) = news.try_recv() {
        shown = shown.and_then(|()| view.news(&one));
    }
    end(ended, shown, abort.is_cancelled(), &view)
}

fn end(
    ended: Result<Summary, ListenError>,
    shown: io::Result<()>,
    is_aborted: bool,
    view: &View,
) -> anyhow::Result<Exit> {
    shown?;
    view.summary(&ended?)?;
    Ok(if is_aborted {
        Exit::Interrupted
    } else {
        Exit::Done
    })
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
        state: context.settings.folders.state().to_owned(),
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

/// Shows what happens, as lines for a person or as JSON.
struct View {
    session: Session,
    lines: ListenLines,
    screen: Screen,
    is_json: bool,
}

impl View {
    fn new(plan: &Plan, secret_from: Option<String>, context: &Context) -> Self {
        let session = Session {
            endpoint: plan.endpoint.to_string(),
            consumer: plan.consumer.to_string(),
            target: plan.delivery.target.to_string(),
            secret_from,
            is_concurrent: plan.concurrency > 1,
        };
        Self {
            lines: ListenLines::new(session.clone()),
            session,
            screen: context.screen.clone(),
            is_json: context.global.json,
        }
    }

    fn news(&mut self, news: &News) -> io::Result<()> {
        if self.is_json {
            return self.screen.json(&Line::of(news, &self.session));
        }
        self.screen.measure();
        let layout = Layout::new(self.screen.terminal_columns(), self.screen.zone().clone());
        for shown in self.lines.lines(news, wall_clock::now(), &layout) {
            match shown {
                Shown::Data(line) => self.screen.data(&line)?,
                Shown::Notice(line) => self.screen.notice(&line),
            }
        }
        Ok(())
    }

    fn rejected(&mut self, event: EventSummary) -> io::Result<()> {
        self.news(&News::Event {
            info: Box::new(event.info),
            method: event.method,
            target: event.target,
            is_replay: false,
        })
    }

    fn notice(&self, text: &str) -> io::Result<()> {
        if self.is_json {
            return self.screen.json(&Line::notice(text));
        }
        self.screen.notice(&paint::odd(text));
        Ok(())
    }

    fn summary(&self, summary: &Summary) -> io::Result<()> {
        if self.is_json {
            return self.screen.json(&Line::summary(summary));
        }
        for line in listen_lines::summary(summary) {
            self.screen.notice(&line);
        }
        Ok(())
    }
}
