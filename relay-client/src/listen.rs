//! Brings an endpoint's events to the app: connects, journals, forwards, reports, resumes. Prints nothing;
//! what a person should see is told as [`News`].

mod gate;
mod line;
mod routes;
mod run;
mod tries;
mod work;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use towline_shared::event::EventInfo;
use towline_shared::filter::Filter;
use towline_shared::id::{ConsumerName, EndpointName, EventId, Seq};
use towline_shared::outcome::Attempt;
use towline_shared::secret::Secret;
use towline_shared::verdict::Finding;
use towline_shared::wire::{Notice, Reason, Start, Welcome};

use crate::dial::RelayAddress;
use crate::forward::ForwarderError;
pub use crate::forward::{Delivery, HostHeader};
use crate::local_signer::LocalSigner;
use crate::seen::JournalError;
use crate::target::Target;
pub(crate) use line::{Arrived, Line, Offered};

/// What to listen to and where to deliver.
#[derive(Clone, Debug)]
pub struct Options {
    /// The relay.
    pub relay: RelayAddress,
    /// The token for it, with the scope `listen`.
    pub token: Secret,
    /// The endpoint.
    pub endpoint: EndpointName,
    /// The consumer to be.
    pub consumer: ConsumerName,
    /// Where a new consumer starts.
    pub start: Start,
    /// How many deliveries may be in hand, 1 to `MAX_WINDOW`.
    pub concurrency: u32,
    /// How to call the app.
    pub delivery: Delivery,
    /// Where events go that these expressions mean, the first that does; others go to the target of `delivery`.
    pub routes: Vec<Route>,
    /// Whether events that no route takes are skipped instead.
    pub skips_unrouted: bool,
    /// Which events are wanted; all without one.
    pub filter: Option<Filter>,
    /// Signs what was verified with a secret of this machine.
    pub signer: Option<Arc<LocalSigner>>,
    /// The folder of the journals.
    pub state: PathBuf,
}

/// A target of its own for some events.
#[derive(Clone, Debug)]
pub struct Route {
    /// Which events.
    pub when: Filter,
    /// Where they go.
    pub target: Target,
}

/// What happens while listening.
#[derive(Clone, Debug)]
pub enum News {
    /// Connected, for the first time or again.
    Ready {
        /// What the relay said.
        welcome: Welcome,
        /// Whether an earlier session of this run was connected before.
        is_again: bool,
    },
    /// An event arrived.
    Event {
        /// Its facts.
        info: Box<EventInfo>,
        /// The method.
        method: String,
        /// The request target; bytes that are not UTF-8 are replaced.
        target: String,
        /// Whether it is a replay.
        is_replay: bool,
    },
    /// An attempt ended.
    Outcome {
        /// The event.
        info: Box<EventInfo>,
        /// The attempt.
        attempt: Box<Attempt>,
        /// What may help, such as `--host-header rewrite` when the app refuses the host.
        hint: Option<String>,
    },
    /// The line waits for the app; told once for each wait, and not for waits of the same cause in a row.
    Waiting {
        /// The event that waits.
        info: Box<EventInfo>,
        /// Why, in words.
        why: String,
        /// The target that it waits for.
        target: String,
        /// Until the next try.
        retry_in: Duration,
    },
    /// The relay is gone; the client comes back by itself.
    Reconnecting {
        /// Why, in words.
        why: String,
        /// Until the next try.
        retry_in: Duration,
    },
    /// The filter has left events out.
    Filtered {
        /// How many since this was told last.
        more: u64,
        /// The place of the last one.
        through: Seq,
    },
    /// The relay no longer has these events.
    Gap {
        /// The first missing place.
        from: Seq,
        /// The last missing place.
        to: Seq,
    },
    /// What the relay found when the app turned an event away and it checked the delivered bytes again.
    Recheck {
        /// The event.
        event: EventId,
        /// What it found, most likely reason first.
        findings: Vec<Finding>,
    },
    /// A sentence from the relay.
    Notice(String),
    /// A sentence of this client.
    Remark(String),
}

impl News {
    /// What a notice of the relay tells.
    pub(crate) fn of_notice(notice: Notice) -> Self {
        match notice.event {
            Some(event) if !notice.findings.is_empty() => Self::Recheck {
                event,
                findings: notice.findings,
            },
            _ => Self::Notice(notice.message),
        }
    }
}

/// How listening went, when it was asked to stop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Deliveries settled below 400.
    pub done: u64,
    /// Deliveries settled at 400 or above.
    pub failed: u64,
    /// Deliveries parked after several calls without an answer.
    pub parked: u64,
    /// Events that no route takes.
    pub skipped: u64,
    /// Events that the filter left out.
    pub filtered: u64,
    /// Attempts that got no answer.
    pub unanswered: u64,
    /// Deliveries in hand that are made again next time.
    pub left: u64,
}

/// Why listening ended without being asked to.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The relay refused the token (401).
    #[error("the relay does not accept the token: {0}")]
    Unauthorised(String),
    /// The token lacks the scope `listen` (403).
    #[error("the token may not listen: {0}")]
    Forbidden(String),
    /// The relay ended the session for good.
    #[error("the relay ended the session ({reason:?}): {detail}")]
    Ended {
        /// Its reason.
        reason: Reason,
        /// The same in words.
        detail: String,
    },
    /// What answers at the relay's address is not a relay that speaks `towline.v1`.
    #[error("`{url}` does not answer as a relay: {detail}")]
    NotARelay {
        /// The address.
        url: String,
        /// What came instead.
        detail: String,
    },
    /// The relay does not know filters.
    #[error("the relay ({0}) does not know filters and would send every event")]
    NoFilters(String),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The app cannot be called as asked for.
    #[error(transparent)]
    Delivery(#[from] ForwarderError),
}

/// Listens until `stop` is cancelled, which drains: nothing new is begun, what the app has in hand is
/// waited for up to its time limit. `abort` stops at once.
///
/// News go to a bounded channel; when it is full, the way of events waits.
///
/// # Errors
/// Only what trying again would not mend; a relay that is away is waited for.
pub async fn listen(
    options: Options,
    news: mpsc::Sender<News>,
    stop: CancellationToken,
    abort: CancellationToken,
) -> Result<Summary, ListenError> {
    // The line cancels `stop` when it cannot go on; that must not reach the caller's token.
    run::Run::new(options, news, stop.child_token(), abort)
        .run()
        .await
}

#[cfg(test)]
mod tests;
