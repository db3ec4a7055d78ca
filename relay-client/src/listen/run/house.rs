//! Moves in: links, and takes the journal of the endpoint that the relay has. A client that has it already is waited
//! for as long as it lives, because what its app has in hand must not reach an app twice.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::super::routes::Routes;
use super::super::tries::Patience;
use super::super::{Line, ListenError, News};
use super::{Run, again};
use crate::link::{self, Link};
use crate::seen::{Journal, JournalLock, JournalPlace};

/// Journal and line, which live longer than a session.
pub(super) struct House {
    /// The key of the endpoint that the journal is about.
    pub(super) endpoint_key: String,
    pub(super) journal: Arc<Journal>,
    pub(super) line: Arc<Line>,
    /// Cancelled when everything is done that can be done.
    pub(super) drained: CancellationToken,
}

impl Run {
    /// Links and opens the journal. Nothing when it was stopped before. The link is given only when nobody
    /// had the journal: after a wait it has brought events that nobody took.
    pub(super) async fn move_in(
        &mut self,
        routes: Routes,
    ) -> Result<Option<(House, Option<Link>)>, ListenError> {
        let (stop, abort) = (self.stop.clone(), self.abort.clone());
        tokio::select! {
            biased;
            () = stop.cancelled() => Ok(None),
            () = abort.cancelled() => Ok(None),
            moved_in = self.lock_and_open(routes) => moved_in.map(Some),
        }
    }

    async fn lock_and_open(
        &mut self,
        routes: Routes,
    ) -> Result<(House, Option<Link>), ListenError> {
        let mut is_told = false;
        loop {
            let link = self.first_link().await?;
            let key = endpoint_key(&link.welcome.public_url).to_owned();
            let place = JournalPlace::new(
                &self.options.state,
                &self.options.endpoint,
                &key,
                &self.options.consumer,
            );
            if let Some(lock) = place.try_lock()? {
                return Ok((self.open(key, lock, routes)?, Some(link)));
            }
            if !std::mem::replace(&mut is_told, true) {
                let _ = self.news.send(News::Remark(waiting(&place))).await;
            }
            if let Some(lock) = self.wait_for_lock(&place, link).await? {
                return Ok((self.open(key, lock, routes)?, None));
            }
        }
    }

    /// The first link of a run, which makes the client before end when it takes the consumer over.
    async fn first_link(&mut self) -> Result<Link, ListenError> {
        loop {
            match self.connect().await? {
                Ok(link) => return Ok(link),
                Err(again) => self.wait(again).await,
            }
        }
    }

    /// Waits for the lock with a link that keeps the consumer; nothing when that broke and it is time to link anew.
    async fn wait_for_lock(
        &mut self,
        place: &JournalPlace,
        mut link: Link,
    ) -> Result<Option<JournalLock>, ListenError> {
        self.backoff.succeeded(std::time::Instant::now());
        let ended = tokio::select! {
            biased;
            lock = place.lock() => {
                let lock = lock?;
                link.close().await;
                return Ok(Some(lock));
            }
            ended = link::keep(&mut link, &self.news) => ended,
        };
        if let Some(again) = again(ended)? {
            self.wait(again).await;
        }
        Ok(None)
    }

    fn open(
        &self,
        endpoint_key: String,
        lock: JournalLock,
        routes: Routes,
    ) -> Result<House, ListenError> {
        let journal = Arc::new(Journal::open(lock)?);
        let line = Line::new(
            self.options.concurrency,
            Patience::of(&self.options.delivery),
            routes,
            Arc::clone(&journal),
            self.news.clone(),
            (self.stop.clone(), self.abort.clone()),
        );
        Ok(House {
            endpoint_key,
            journal,
            line: Arc::new(line),
            drained: CancellationToken::new(),
        })
    }
}

fn waiting(place: &JournalPlace) -> String {
    let process = place
        .owner()
        .map_or_else(String::new, |owner| format!(" (process {owner})"));
    format!(
        "waiting for the other client of this consumer on this machine{process} to finish what its app has in hand; `--as NAME` listens beside it"
    )
}

/// The last part of an endpoint's URL, which no two endpoints share.
pub(super) fn endpoint_key(public_url: &str) -> &str {
    let url = public_url.trim_end_matches('/');
    url.rsplit('/').next().unwrap_or_default()
}
