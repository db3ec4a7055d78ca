//! Gets the keys that providers publish, and the pages that confirm subscriptions: cached, rationed, each place asked once at a
//! time, nothing outside the public internet. Says whether what cannot be had may come later.

mod address;
mod cache;
mod fetch;
mod freshness;
mod key_set;
mod place;
mod ration;

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Mutex as Turn, Semaphore};
use tokio::time::timeout;
use towline_shared::time::Timestamp;
use towline_shared::verify::{CertificateRule, ChainError, WantedKey};
use tracing::{info, warn};

use crate::config::Outbound;
use crate::store::EndpointId;
use cache::{Cache, Kept};
use fetch::{Answer, FetchError, Fetcher};
use place::Place;
use ration::Rations;

/// Fetches at the same time; further ones wait.
const MOST_FETCHES: usize = 8;

/// How long a request may wait for its key, with all that it takes: senders give up after 10 s or more.
const LONGEST_WAIT: Duration = Duration::from_secs(8);

/// How often a key set is fetched again for the sake of a key that it does not have.
const NEW_SET_EVERY: Duration = Duration::from_secs(60);

/// Issuers that are fetched for one certificate; public chains miss one.
const MOST_ISSUERS: usize = 2;

/// Why a key is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyTrouble {
    /// It may be there later: the sender should come again.
    #[error("{0}")]
    Late(String),
    /// There is no such key, or it is not the provider's.
    #[error("{0}")]
    Absent(String),
}

/// Who named a place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NamedBy {
    /// An unknown sender of this endpoint, among the provider's hosts.
    Sender(EndpointId),
    /// The scheme or the endpoint's owner.
    Owner,
    /// A certificate from the provider's hosts. Plain HTTP will do: a root must vouch for what comes.
    Certificate,
}

/// The keys of providers.
pub(crate) struct Keys {
    fetcher: Fetcher,
    state: Mutex<State>,
    fetches: Semaphore,
}

#[derive(Default)]
struct State {
    cache: Cache,
    rations: Rations,
    /// The fetches that are under way, by URL: whoever needs the same waits for its end.
    under_way: HashMap<String, Weak<Turn<()>>>,
}

impl Keys {
    /// Nothing is fetched before it is asked for.
    pub(crate) fn new(outbound: &Outbound) -> Self {
        Self {
            fetcher: Fetcher::new(outbound),
            state: Mutex::default(),
            fetches: Semaphore::new(MOST_FETCHES),
        }
    }

    /// A key as the check takes it. `endpoint` is the one whose request asks for it.
    pub(crate) async fn find(
        &self,
        wanted: &WantedKey,
        endpoint: EndpointId,
        now: Timestamp,
    ) -> Result<String, KeyTrouble> {
        let finding = async {
            match wanted {
                WantedKey::Url(url) => {
                    let kept = self.document(url, NamedBy::Sender(endpoint), None).await?;
                    text(&kept)
                }
                WantedKey::Certificate { url, rule } => {
                    self.certificate(url, rule, endpoint, now).await
                }
                WantedKey::InSet { url, id } => self.key_in_set(url, id).await,
                WantedKey::Id(_) => Err(KeyTrouble::Absent(
                    "the provider publishes it only to its customers".to_owned(),
                )),
            }
        };
        timeout(LONGEST_WAIT, finding)
            .await
            .unwrap_or_else(|_| Err(late("it did not come in time")))
    }

    /// Gets a page of a provider, which confirms something there.
    pub(crate) async fn confirm(&self, url: &str) -> Result<(), KeyTrouble> {
        let place = Place::of(url).filter(|place| place.is_tls);
        let place = place.ok_or_else(|| trouble_of(&FetchError::Place))?;
        let getting = async {
            let _turn = self.fetches.acquire().await;
            self.fetcher.get(&place).await
        };
        let got = timeout(LONGEST_WAIT, getting)
            .await
            .unwrap_or(Err(FetchError::Timeout));
        match got {
            Ok(_) => Ok(()),
            Err(error) => Err(trouble_of(&error)),
        }
    }

    async fn certificate(
        &self,
        url: &str,
        rule: &CertificateRule,
        endpoint: EndpointId,
        now: Timestamp,
    ) -> Result<String, KeyTrouble> {
        let pem = text(&self.document(url, NamedBy::Sender(endpoint), None).await?)?;
        let mut issuers = Vec::new();
        loop {
            match rule.trusted(&pem, &issuers, self.fetcher.roots(), now) {
                Ok(trusted) => return Ok(trusted),
                Err(ChainError::MissingIssuer(place)) if issuers.len() < MOST_ISSUERS => {
                    let issuer = self.document(&place, NamedBy::Certificate, None).await?;
                    issuers.push(issuer.bytes.to_vec());
                }
                Err(problem) => return Err(self.distrust(url, &problem)),
            }
        }
    }

    /// Forgets a certificate that is not the provider's, so that it takes no room from one that is.
    fn distrust(&self, url: &str, problem: &ChainError) -> KeyTrouble {
        let trouble = KeyTrouble::Absent(problem.to_string());
        if let Some(place) = Place::of(url) {
            warn!(host = place.host, %problem, "a certificate of a provider is not trusted");
            let mut state = self.state.lock();
            state.cache.forget(&place.name());
            state
                .cache
                .refuse(place.name(), trouble.clone(), Instant::now());
        }
        trouble
    }

    async fn key_in_set(&self, url: &str, id: &str) -> Result<String, KeyTrouble> {
        let began = Instant::now();
        let set = self.document(url, NamedBy::Owner, None).await?;
        if let Some(key) = key_set::key(&set.bytes, id)? {
            return Ok(key);
        }
        let unknown = "the provider's key set has no key of this id";
        if set.fetched_at >= began {
            return Err(KeyTrouble::Absent(unknown.to_owned()));
        }
        if set.fetched_at.elapsed() < NEW_SET_EVERY {
            return Err(late(unknown));
        }
        let newer = self
            .document(url, NamedBy::Owner, Some(set.fetched_at))
            .await?;
        match key_set::key(&newer.bytes, id)? {
            Some(key) => Ok(key),
            None if newer.fetched_at > set.fetched_at => {
                Err(KeyTrouble::Absent(unknown.to_owned()))
            }
            None => Err(late(unknown)),
        }
    }

    /// What stands at a URL, from the cache or fetched by one of those who need it. With `since`, it must be
    /// newer than that, where a newer one can be had.
    async fn document(
        &self,
        url: &str,
        named_by: NamedBy,
        since: Option<Instant>,
    ) -> Result<Kept, KeyTrouble> {
        let place = Place::of(url).filter(|place| is_allowed(place, named_by));
        let place = place.ok_or_else(|| trouble_of(&FetchError::Place))?;
        let name = place.name();
        if let Some(at_hand) = self.at_hand(&name, since) {
            return at_hand;
        }
        let turn = self.turn_at(&name);
        let _alone = turn.lock().await;
        if let Some(at_hand) = self.at_hand(&name, since) {
            return at_hand;
        }
        self.ration(&name, named_by)?;
        let _fetch = self.fetches.acquire().await;
        let got = self.fetcher.get(&place).await;
        self.settle(&place, got)
    }

    /// What needs no fetch: a fresh document, or one that must do because its server is left alone for a while.
    fn at_hand(&self, name: &str, since: Option<Instant>) -> Option<Result<Kept, KeyTrouble>> {
        let state = self.state.lock();
        let now = Instant::now();
        if let Some(fresh) = state.cache.fresh(name, since, now) {
            return Some(Ok(fresh));
        }
        let trouble = state.cache.refusal(name, now)?;
        Some(state.cache.usable(name, now).ok_or(trouble))
    }

    fn turn_at(&self, name: &str) -> Arc<Turn<()>> {
        let mut state = self.state.lock();
        state.under_way.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = state.under_way.get(name).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::new(Turn::new(()));
        state
            .under_way
            .insert(name.to_owned(), Arc::downgrade(&turn));
        turn
    }

    /// A place that is known already costs nothing: whoever names new ones must not keep the old from being
    /// fetched again.
    fn ration(&self, name: &str, named_by: NamedBy) -> Result<(), KeyTrouble> {
        let NamedBy::Sender(endpoint) = named_by else {
            return Ok(());
        };
        let mut state = self.state.lock();
        let now = Instant::now();
        if state.cache.is_known(name) || state.rations.take(endpoint, now) {
            return Ok(());
        }
        Err(late(
            "requests of this endpoint name too many different keys",
        ))
    }

    fn settle(&self, place: &Place, got: Result<Answer, FetchError>) -> Result<Kept, KeyTrouble> {
        let now = Instant::now();
        let name = place.name();
        let mut state = self.state.lock();
        match got {
            Ok(answer) => {
                info!(host = place.host, "a provider's key was fetched");
                Ok(state.cache.keep(name, answer.body, answer.lifetime, now))
            }
            Err(error) => {
                warn!(host = place.host, %error, "a provider's key could not be fetched");
                let trouble = trouble_of(&error);
                state.cache.refuse(name.clone(), trouble.clone(), now);
                state.cache.usable(&name, now).ok_or(trouble)
            }
        }
    }
}

/// Whether a URL that an endpoint's owner names can be one of the public internet's by its form. Its addresses are looked
/// at with every fetch.
pub(crate) fn may_be_fetched(url: &str) -> bool {
    Place::of(url).is_some_and(|place| place.is_tls && !place.is_private_name())
}

/// A sender may name no query: one file would have any number of names.
fn is_allowed(place: &Place, named_by: NamedBy) -> bool {
    match named_by {
        NamedBy::Sender(_) => place.is_tls && !place.target.contains('?'),
        NamedBy::Owner => place.is_tls,
        NamedBy::Certificate => true,
    }
}

fn late(what: &str) -> KeyTrouble {
    KeyTrouble::Late(what.to_owned())
}

fn trouble_of(error: &FetchError) -> KeyTrouble {
    let what = error.to_string();
    match error {
        FetchError::Place | FetchError::Address | FetchError::TooLong => KeyTrouble::Absent(what),
        FetchError::Status(status) => {
            let is_passing = status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429);
            if is_passing {
                KeyTrouble::Late(what)
            } else {
                KeyTrouble::Absent(what)
            }
        }
        FetchError::Unreachable | FetchError::Tls | FetchError::Timeout | FetchError::Broken => {
            KeyTrouble::Late(what)
        }
    }
}

fn text(kept: &Kept) -> Result<String, KeyTrouble> {
    let text = std::str::from_utf8(&kept.bytes);
    let text = text.map_err(|_| KeyTrouble::Absent("what is there is no text".to_owned()));
    text.map(str::to_owned)
}

#[cfg(test)]
#[path = "../tests/journeys/key_server.rs"]
mod key_server;
#[cfg(test)]
mod tests;
