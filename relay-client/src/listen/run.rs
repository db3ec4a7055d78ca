//! One run of `listen`: journal, line and sessions, one session after the other, to the end.

mod house;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time;
use tokio_util::sync::CancellationToken;
use towline_shared::backoff::Backoff;
use towline_shared::wire::{Goodbye, Hello, Reason};

use self::house::House;
use super::routes::Routes;
use super::work::random;
use super::{Line, ListenError, News, Options, Summary};
use crate::link::{self, ClockWatch, Ended, Link, NoLink, Session};
use crate::seen::Journal;

/// How long the last outcomes may take to be stored when listening ends; later they come from the journal.
const LAST_REPORTS_TIMEOUT: Duration = Duration::from_secs(5);

/// What the app's time limit is exceeded by when the line ends, for all that is not waiting for the app.
const DRAIN_GRACE: Duration = Duration::from_secs(2);

/// The longest time to stay away that a relay can ask for.
const LONGEST_GOODBYE: Duration = Duration::from_secs(300);

/// A run and what it needs throughout.
pub(super) struct Run {
    options: Options,
    hello: Hello,
    news: mpsc::Sender<News>,
    stop: CancellationToken,
    abort: CancellationToken,
    backoff: Backoff,
    was_ready: bool,
}

/// Why to come back, and when at the earliest.
struct Again {
    why: String,
    not_before: Option<Duration>,
    at_once: bool,
}

impl Run {
    pub(super) fn new(
        options: Options,
        news: mpsc::Sender<News>,
        stop: CancellationToken,
        abort: CancellationToken,
    ) -> Self {
        let hello = Hello {
            client: link::client_name(),
            endpoint: options.endpoint.clone(),
            consumer: options.consumer.clone(),
            start: options.start,
            window: options.concurrency,
            filter: options.filter.as_ref().map(ToString::to_string),
        };
        Self {
            options,
            hello,
            news,
            stop,
            abort,
            backoff: Backoff::reconnect(),
            was_ready: false,
        }
    }

    pub(super) async fn run(mut self) -> Result<Summary, ListenError> {
        let routes = self.routes().await?;
        let Some((house, first_link)) = self.move_in(routes).await? else {
            return Ok(Summary::default());
        };
        let ended = self.sessions(&house, first_link).await;
        self.stop.cancel();
        let patience = self.options.delivery.timeout.saturating_add(DRAIN_GRACE);
        if time::timeout(patience, house.line.idle()).await.is_err() {
            self.abort.cancel();
            house.line.idle().await;
        }
        let summary = house.line.summary();
        house.journal.flush();
        if let Some(error) = house.line.failure() {
            return Err(error.into());
        }
        ended.map(|()| summary)
    }

    async fn routes(&self) -> Result<Routes, ListenError> {
        let options = self.options.clone();
        let made = tokio::task::spawn_blocking(move || Routes::new(&options)).await;
        Ok(made.expect("preparing targets does not panic")?)
    }

    /// Session after session, until everything is drained or coming back does not help.
    async fn sessions(
        &mut self,
        house: &House,
        first_link: Option<Link>,
    ) -> Result<(), ListenError> {
        let drain = tokio::spawn(drain(
            Arc::clone(&house.journal),
            Arc::clone(&house.line),
            self.stop.clone(),
            house.drained.clone(),
        ));
        let abort = self.abort.clone();
        let ended = tokio::select! {
            biased;
            () = abort.cancelled() => Ok(()),
            ended = self.sessions_until_drained(house, first_link) => ended,
        };
        drain.abort();
        ended
    }

    async fn sessions_until_drained(
        &mut self,
        house: &House,
        mut first_link: Option<Link>,
    ) -> Result<(), ListenError> {
        let drained = house.drained.clone();
        loop {
            let linked = match first_link.take() {
                Some(link) => Ok(link),
                None => tokio::select! {
                    biased;
                    () = drained.cancelled() => return Ok(()),
                    linked = self.connect() => linked?,
                },
            };
            let again = match linked {
                Ok(link) => match self.session(house, link).await? {
                    Some(again) => again,
                    None => return Ok(()),
                },
                Err(again) => again,
            };
            tokio::select! {
                biased;
                () = drained.cancelled() => return Ok(()),
                () = self.wait(again) => {}
            }
        }
    }

    async fn connect(&mut self) -> Result<Result<Link, Again>, ListenError> {
        let linked = link::connect(&self.options.relay, &self.options.token, &self.hello).await;
        let away = |why| {
            Ok(Err(Again {
                why,
                not_before: None,
                at_once: false,
            }))
        };
        match linked {
            Ok(link) if self.hello.filter.is_some() && link.welcome.filter.is_none() => {
                Err(ListenError::NoFilters(link.welcome.relay))
            }
            Ok(link) => Ok(Ok(link)),
            Err(NoLink::Away(why)) => away(why),
            Err(NoLink::Unauthorised(detail)) => Err(ListenError::Unauthorised(detail)),
            Err(NoLink::Forbidden(detail)) => Err(ListenError::Forbidden(detail)),
            // What stands before a relay may answer for it while it restarts.
            Err(NoLink::NotARelay(detail)) if self.was_ready => away(detail),
            Err(NoLink::NotARelay(detail)) => Err(ListenError::NotARelay {
                url: self.options.relay.url.to_string(),
                detail,
            }),
            Err(NoLink::Goodbye(goodbye)) => after_goodbye(goodbye).map(Err),
        }
    }

    /// One session. Nothing when this side ended it.
    async fn session(&mut self, house: &House, link: Link) -> Result<Option<Again>, ListenError> {
        self.backoff.succeeded(Instant::now());
        let is_again = std::mem::replace(&mut self.was_ready, true);
        if house::endpoint_key(&link.welcome.public_url) != house.endpoint_key {
            return Err(ListenError::Ended {
                reason: Reason::NoEndpoint,
                detail: "the endpoint was deleted and made anew".to_owned(),
            });
        }
        let ready = News::Ready {
            welcome: link.welcome.clone(),
            is_again,
        };
        let _ = self.news.send(ready).await;
        let session = Session {
            line: &house.line,
            journal: &house.journal,
            news: &self.news,
            folder: self.options.state.clone(),
            window: self.options.concurrency,
        };
        let ended = session.run(link, &house.drained).await;
        house.line.forget_queue();
        again(ended)
    }

    /// Tells that the relay is gone, and waits for the next try; waking from sleep ends the wait.
    async fn wait(&mut self, again: Again) {
        let backoff = self.backoff.next_wait(Instant::now(), random());
        let wait = match again.not_before {
            _ if again.at_once => Duration::ZERO,
            Some(not_before) => backoff.max(not_before),
            None => backoff,
        };
        let reconnecting = News::Reconnecting {
            why: again.why,
            retry_in: wait,
        };
        let _ = self.news.send(reconnecting).await;
        let mut clock = ClockWatch::new();
        tokio::select! {
            () = time::sleep(wait) => {}
            () = clock.slept() => {}
        }
    }
}

/// After `stop`: lets the app end what it has in hand and the relay store what came of it.
async fn drain(
    journal: Arc<Journal>,
    line: Arc<Line>,
    stop: CancellationToken,
    drained: CancellationToken,
) {
    stop.cancelled().await;
    line.idle().await;
    let _ = time::timeout(LAST_REPORTS_TIMEOUT, journal.emptied()).await;
    drained.cancel();
}

/// Whether and when to come back after a session; nothing when this side ended it.
fn again(ended: Ended) -> Result<Option<Again>, ListenError> {
    let away = |why| Again {
        why,
        not_before: None,
        at_once: false,
    };
    Ok(match ended {
        Ended::Closed => None,
        Ended::Lost(why) => Some(away(why)),
        Ended::Slept => Some(Again {
            at_once: true,
            ..away("this machine slept".into())
        }),
        Ended::Breach(why) => Some(away(format!("the relay broke the protocol: {why}"))),
        Ended::Goodbye(goodbye) => Some(after_goodbye(goodbye)?),
    })
}

fn after_goodbye(goodbye: Goodbye) -> Result<Again, ListenError> {
    let Goodbye {
        reason,
        detail,
        reconnect_after_millis,
    } = goodbye;
    match reconnect_after_millis {
        None => Err(ListenError::Ended { reason, detail }),
        Some(millis) => Ok(Again {
            why: detail,
            not_before: Some(Duration::from_millis(millis).min(LONGEST_GOODBYE)),
            at_once: false,
        }),
    }
}
