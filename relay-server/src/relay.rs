//! What the parts of a running relay share.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::Auth;
use crate::config::Config;
use crate::endpoints::Endpoints;
use crate::fanout::Fanout;
use crate::keys::Keys;
use crate::recheck::Recheck;
use crate::session::Sessions;
use crate::store::Store;

/// The shared state of one running relay.
pub struct Relay {
    /// The settings it runs with.
    pub config: Config,
    /// Where providers reach it, without a final `/`.
    pub public_url: String,
    /// Where everything is kept.
    pub store: Store,
    /// Wakes sessions when events are committed.
    pub(crate) fanout: Arc<Fanout>,
    /// The keys that providers publish.
    pub(crate) keys: Keys,
    /// The endpoints, in memory.
    pub(crate) endpoints: Endpoints,
    /// Who may do what.
    pub(crate) auth: Auth,
    /// The live sessions by consumer.
    pub(crate) sessions: Sessions,
    /// Rung when what an endpoint may keep has changed.
    pub(crate) retention: Notify,
    /// Ends everything; `serve` cancels it when the drain begins.
    pub(crate) stopping: CancellationToken,
    /// Waits for every task of the relay.
    pub(crate) tasks: TaskTracker,
}

impl Relay {
    /// What a second look at a delivery needs.
    pub(crate) fn recheck(&self) -> Recheck<'_> {
        Recheck {
            store: &self.store,
            endpoints: &self.endpoints,
            keys: &self.keys,
            public_url: &self.public_url,
        }
    }
}
