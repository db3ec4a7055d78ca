//! The live sessions: who is connected as which consumer, and the way to end a session from outside.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use towline_shared::id::{ConsumerName, SessionId, TokenId};
use towline_shared::time::Timestamp;

use super::ending::Ending;
use crate::limits::SessionLimits;
use crate::store::{ConsumerId, EndpointId};

/// The live sessions, one at most of each consumer.
pub(crate) struct Sessions {
    pub(super) limits: Arc<SessionLimits>,
    live: Arc<Mutex<Live>>,
}

#[derive(Default)]
struct Live {
    newest: u64,
    by_number: HashMap<u64, Arc<Ticket>>,
    /// The newest session that claims each consumer.
    by_consumer: HashMap<(EndpointId, ConsumerName), Arc<Ticket>>,
    /// The session that serves each consumer.
    serving: HashMap<ConsumerId, Serving>,
}

/// A session that serves a consumer, as people see it.
#[derive(Clone, Debug)]
pub(crate) struct SessionInfo {
    /// Its id.
    pub(crate) id: SessionId,
    /// The name of the token that opened it.
    pub(crate) token: String,
    /// Where it came from.
    pub(crate) remote: IpAddr,
    /// Name and version of the client, as it says itself.
    pub(crate) client: String,
    /// Since when.
    pub(crate) since: Timestamp,
}

struct Serving {
    number: u64,
    info: SessionInfo,
}

/// One session, as others see it.
struct Ticket {
    number: u64,
    token: TokenId,
    endpoint: OnceLock<EndpointId>,
    /// Why it was told to end; empty when the relay stops.
    told: OnceLock<Ending>,
    ended: CancellationToken,
    /// It sends no more events and takes no more outcomes.
    quiet: CancellationToken,
}

/// A session's own place among the live ones; it is free again when this is dropped.
pub(super) struct Place {
    ticket: Arc<Ticket>,
    live: Arc<Mutex<Live>>,
    claimed: Option<(EndpointId, ConsumerName)>,
    serves: Option<ConsumerId>,
}

impl Sessions {
    /// No sessions yet.
    pub(crate) fn new(limits: SessionLimits) -> Self {
        Self {
            limits: Arc::new(limits),
            live: Arc::default(),
        }
    }

    /// Whether the consumer has a live session.
    pub(crate) fn is_connected(&self, consumer: ConsumerId) -> bool {
        self.live.lock().serving.contains_key(&consumer)
    }

    /// The session that serves the consumer.
    pub(crate) fn serving(&self, consumer: ConsumerId) -> Option<SessionInfo> {
        let live = self.live.lock();
        live.serving
            .get(&consumer)
            .map(|serving| serving.info.clone())
    }

    /// Ends the session that serves the consumer, or is about to, which then comes back; returns when it is quiet.
    pub(crate) async fn begin_anew(
        &self,
        consumer: ConsumerId,
        endpoint: EndpointId,
        name: &ConsumerName,
    ) {
        let tickets: Vec<_> = {
            let live = self.live.lock();
            let serving = live.serving.get(&consumer);
            let serving = serving.and_then(|serving| live.by_number.get(&serving.number));
            // One that has read the cursor already serves nothing yet, but has its claim.
            let claiming = live.by_consumer.get(&(endpoint, name.clone()));
            serving.into_iter().chain(claiming).cloned().collect()
        };
        for ticket in &tickets {
            ticket.tell(Ending::reset());
        }
        for ticket in &tickets {
            ticket.quiet.cancelled().await;
        }
    }

    /// How many sessions are live.
    pub(crate) fn count(&self) -> usize {
        self.live.lock().by_number.len()
    }

    /// Ends the sessions of a deleted endpoint, with the reason `no_endpoint`.
    pub(crate) fn end_of_endpoint(&self, endpoint: EndpointId) {
        let is_of = |ticket: &Ticket| ticket.endpoint.get() == Some(&endpoint);
        self.tell(is_of, &Ending::endpoint_deleted());
    }

    /// Ends the sessions that a revoked token opened, with the reason `unauthorised`.
    pub(crate) fn end_of_token(&self, token: TokenId) {
        self.tell(|ticket| ticket.token == token, &Ending::token_revoked());
    }

    /// A place for a new session of this token, or `None` when there are too many. The session ends when
    /// `stopping` is cancelled.
    pub(super) fn enter(&self, token: TokenId, stopping: &CancellationToken) -> Option<Place> {
        let mut live = self.live.lock();
        if live.by_number.len() >= self.limits.most_sessions {
            return None;
        }
        live.newest += 1;
        let ticket = Arc::new(Ticket {
            number: live.newest,
            token,
            endpoint: OnceLock::new(),
            told: OnceLock::new(),
            ended: stopping.child_token(),
            quiet: CancellationToken::new(),
        });
        live.by_number.insert(ticket.number, Arc::clone(&ticket));
        Some(Place {
            ticket,
            live: Arc::clone(&self.live),
            claimed: None,
            serves: None,
        })
    }

    fn tell(&self, is_meant: impl Fn(&Ticket) -> bool, why: &Ending) {
        let live = self.live.lock();
        for ticket in live.by_number.values().filter(|ticket| is_meant(ticket)) {
            ticket.tell(why.clone());
        }
    }
}

impl Ticket {
    /// Tells the session to end; what it was told first counts.
    fn tell(&self, why: Ending) {
        let _ = self.told.set(why);
        self.ended.cancel();
    }
}

impl Place {
    /// Takes the consumer over: tells the session that has it to end, and waits until that one is quiet.
    /// Sessions that wait behind each other become quiet in turn, so two never send at the same time.
    pub(super) async fn claim(&mut self, endpoint: EndpointId, consumer: &ConsumerName) {
        let claim = (endpoint, consumer.clone());
        let _ = self.ticket.endpoint.set(endpoint);
        self.claimed = Some(claim.clone());
        let mine = Arc::clone(&self.ticket);
        let older = self.live.lock().by_consumer.insert(claim, mine);
        if let Some(older) = older {
            older.tell(Ending::taken_over());
            older.quiet.cancelled().await;
        }
    }

    /// The session serves this consumer from now on.
    pub(super) fn serves(&mut self, consumer: ConsumerId, info: SessionInfo) {
        self.serves = Some(consumer);
        let number = self.ticket.number;
        let mut live = self.live.lock();
        live.serving.insert(consumer, Serving { number, info });
    }

    /// Waits until the session is told to end.
    pub(super) async fn told(&self) -> Ending {
        self.ticket.ended.cancelled().await;
        let told = self.ticket.told.get().cloned();
        told.unwrap_or_else(Ending::stopping)
    }

    /// The session neither sends events nor takes outcomes from now on.
    pub(super) fn is_quiet(&self) {
        self.ticket.quiet.cancel();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let number = self.ticket.number;
        let mut live = self.live.lock();
        live.by_number.remove(&number);
        if let Some(claim) = &self.claimed
            && live
                .by_consumer
                .get(claim)
                .is_some_and(|it| it.number == number)
        {
            live.by_consumer.remove(claim);
        }
        if let Some(consumer) = self.serves
            && live
                .serving
                .get(&consumer)
                .is_some_and(|serving| serving.number == number)
        {
            live.serving.remove(&consumer);
        }
        drop(live);
        self.ticket.quiet.cancel();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use towline_shared::wire::Reason;

    use super::*;

    const ORDERS: EndpointId = EndpointId(1);

    #[test]
    fn one_session_above_the_bound_is_refused() {
        let (sessions, stopping) = sessions(2);
        let first = enter(&sessions, &stopping);
        let _second = enter(&sessions, &stopping);
        assert!(sessions.enter(token(1), &stopping).is_none());

        drop(first);

        assert!(sessions.enter(token(1), &stopping).is_some());
    }

    #[test]
    fn the_newer_session_waits_until_the_older_is_quiet() {
        let (sessions, stopping) = sessions(9);
        let (mut older, mut newer) = (enter(&sessions, &stopping), enter(&sessions, &stopping));
        assert!(older.claim(ORDERS, &laptop()).now_or_never().is_some());

        {
            let name = laptop();
            let mut claim = Box::pin(newer.claim(ORDERS, &name));
            assert!((&mut claim).now_or_never().is_none());
            let told = older.told().now_or_never().unwrap();
            assert_eq!(told.goodbye().unwrap().reason, Reason::TakenOver);
            older.is_quiet();
            assert!((&mut claim).now_or_never().is_some());
        }

        assert!(newer.told().now_or_never().is_none());
    }

    #[test]
    fn a_third_session_waits_for_the_second_which_waits_for_the_first() {
        let (sessions, stopping) = sessions(9);
        let mut places: Vec<_> = (0..3).map(|_| enter(&sessions, &stopping)).collect();
        let mut third = places.pop().unwrap();
        let mut second = places.pop().unwrap();
        let mut first = places.pop().unwrap();
        first.claim(ORDERS, &laptop()).now_or_never().unwrap();
        assert!(second.claim(ORDERS, &laptop()).now_or_never().is_none());
        assert!(third.claim(ORDERS, &laptop()).now_or_never().is_none());

        assert!(second.told().now_or_never().is_some());
        assert!(third.told().now_or_never().is_none());
    }

    #[test]
    fn a_consumer_is_connected_while_a_session_serves_it() {
        let (sessions, stopping) = sessions(9);
        let (mut older, mut newer) = (enter(&sessions, &stopping), enter(&sessions, &stopping));
        older.serves(ConsumerId(7), info(1));
        newer.serves(ConsumerId(7), info(2));

        drop(older);
        let serving = sessions.serving(ConsumerId(7)).unwrap();
        assert_eq!(serving.since, Timestamp::from_millis(2));
        assert!(sessions.is_connected(ConsumerId(7)));
        drop(newer);

        assert!(!sessions.is_connected(ConsumerId(7)));
        assert_eq!(sessions.count(), 0);
    }

    #[test]
    fn a_session_that_begins_anew_is_told_and_waited_for() {
        let (sessions, stopping) = sessions(9);
        let mut place = enter(&sessions, &stopping);
        place.serves(ConsumerId(7), info(1));
        let name = laptop();
        let other = sessions.begin_anew(ConsumerId(8), ORDERS, &name);
        assert!(other.now_or_never().is_some());

        let mut waiting = Box::pin(sessions.begin_anew(ConsumerId(7), ORDERS, &name));
        assert!((&mut waiting).now_or_never().is_none());
        let told = place.told().now_or_never().unwrap();
        assert_eq!(told.goodbye().unwrap().reason, Reason::Reset);
        place.is_quiet();

        assert!((&mut waiting).now_or_never().is_some());
    }

    #[test]
    fn a_session_that_claims_a_consumer_but_does_not_serve_it_yet_begins_anew_too() {
        let (sessions, stopping) = sessions(9);
        let mut place = enter(&sessions, &stopping);
        let name = laptop();
        place.claim(ORDERS, &name).now_or_never().unwrap();

        let mut waiting = Box::pin(sessions.begin_anew(ConsumerId(7), ORDERS, &name));

        assert!((&mut waiting).now_or_never().is_none());
        let told = place.told().now_or_never().unwrap();
        assert_eq!(told.goodbye().unwrap().reason, Reason::Reset);
        drop(place);
        assert!((&mut waiting).now_or_never().is_some());
    }

    #[test]
    fn a_revoked_token_ends_its_own_sessions_only() {
        let (sessions, stopping) = sessions(9);
        let mine = sessions.enter(token(1), &stopping).unwrap();
        let other = sessions.enter(token(2), &stopping).unwrap();

        sessions.end_of_token(token(1));

        let told = mine.told().now_or_never().unwrap();
        assert_eq!(told.goodbye().unwrap().reason, Reason::Unauthorised);
        assert!(other.told().now_or_never().is_none());
    }

    #[test]
    fn a_stopping_relay_ends_every_session() {
        let (sessions, stopping) = sessions(9);
        let place = enter(&sessions, &stopping);

        stopping.cancel();

        let told = place.told().now_or_never().unwrap();
        assert_eq!(told.goodbye().unwrap().reason, Reason::ShuttingDown);
    }

    fn sessions(most_sessions: usize) -> (Sessions, CancellationToken) {
        let limits = SessionLimits {
            most_sessions,
            ..SessionLimits::default()
        };
        (Sessions::new(limits), CancellationToken::new())
    }

    fn enter(sessions: &Sessions, stopping: &CancellationToken) -> Place {
        sessions.enter(token(1), stopping).unwrap()
    }

    fn info(since: u64) -> SessionInfo {
        SessionInfo {
            id: SessionId::new(Timestamp::from_millis(since), [0; 10]),
            token: "laptop".to_owned(),
            remote: [127, 0, 0, 1].into(),
            client: "towline/0".to_owned(),
            since: Timestamp::from_millis(since),
        }
    }

    fn token(number: u8) -> TokenId {
        TokenId::from_bytes([number; 16])
    }

    fn laptop() -> ConsumerName {
        "laptop:3000".parse().unwrap()
    }
}
