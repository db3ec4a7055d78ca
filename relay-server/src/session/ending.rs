//! Why a session ends, and what its client is told.

use towline_shared::filter::FilterError;
use towline_shared::wire::{Goodbye, Reason, WireError};

use crate::store::StoreError;

/// When to come back to a relay that stops: a restart takes about a second.
const AFTER_RESTART_MILLIS: u64 = 1000;

/// When to come back after a reset, which is one write.
const AFTER_RESET_MILLIS: u64 = 100;

/// When to come back to a store that is busy or out of room.
const AFTER_OVERLOAD_MILLIS: u64 = 2000;

/// When to come back after bytes that make no sense.
const AFTER_DAMAGE_MILLIS: u64 = 1000;

/// The most characters of a goodbye's detail.
const LONGEST_DETAIL: usize = 500;

/// The end of a session.
#[derive(Clone, Debug)]
pub(super) enum Ending {
    /// The client is gone; nobody is there to be told.
    Gone,
    /// The client is told why.
    Told(Goodbye),
}

impl Ending {
    /// The relay stops.
    pub(super) fn stopping() -> Self {
        told(
            Reason::ShuttingDown,
            "the relay stops",
            Some(AFTER_RESTART_MILLIS),
        )
    }

    /// A newer session of the consumer is there.
    pub(super) fn taken_over() -> Self {
        let detail = "a newer session of the same consumer has taken over";
        told(Reason::TakenOver, detail, None)
    }

    /// Somebody has moved the consumer to another place of its endpoint.
    pub(super) fn reset() -> Self {
        let detail = "the consumer was reset to another place";
        told(Reason::Reset, detail, Some(AFTER_RESET_MILLIS))
    }

    /// The endpoint was deleted while the session was live.
    pub(super) fn endpoint_deleted() -> Self {
        told(Reason::NoEndpoint, "the endpoint was deleted", None)
    }

    /// There never was, or is no longer, an endpoint of that name.
    pub(super) fn no_endpoint(name: &str) -> Self {
        told(Reason::NoEndpoint, format!("no endpoint `{name}`"), None)
    }

    /// The token was revoked while the session was live.
    pub(super) fn token_revoked() -> Self {
        told(Reason::Unauthorised, "the token was revoked", None)
    }

    /// The token's time is over.
    pub(super) fn token_expired() -> Self {
        told(Reason::Unauthorised, "the token has expired", None)
    }

    /// The client broke the protocol; `detail` names what and where.
    pub(super) fn protocol(detail: impl Into<String>) -> Self {
        told(Reason::Protocol, detail, None)
    }

    /// The filter of `hello` cannot be read; the last two lines of the detail point at the place.
    pub(super) fn filter(error: &FilterError) -> Self {
        let detail = format!("{error}\n{}", error.pointed());
        told(Reason::Filter, detail, None)
    }

    /// A frame could not be read.
    pub(super) fn unreadable(error: &WireError) -> Self {
        let mut detail = error.to_string();
        if let Some(cause) = std::error::Error::source(error) {
            detail = format!("{detail}: {cause}");
        }
        Self::protocol(detail)
    }

    /// The same, but the client may come back: bytes that were damaged on the way look like a client that
    /// talks nonsense, and a session that begins anew mends that.
    pub(super) fn may_come_back(mut self) -> Self {
        if let Self::Told(goodbye) = &mut self {
            goodbye.reconnect_after_millis = Some(AFTER_DAMAGE_MILLIS);
        }
        self
    }

    /// The relay cannot go on with this session at the moment.
    pub(super) fn overloaded(detail: impl Into<String>) -> Self {
        told(Reason::Overloaded, detail, Some(AFTER_OVERLOAD_MILLIS))
    }

    /// The store failed. Its words stay in the log: they may name paths.
    pub(super) fn store(error: &StoreError) -> Self {
        match error {
            StoreError::Closed => return Self::stopping(),
            StoreError::Missing {
                what: "endpoint" | "consumer",
                ..
            } => {
                return Self::endpoint_deleted();
            }
            StoreError::TooMany { .. } => {
                let detail = format!("{error}: delete one that is not used any more");
                return Self::protocol(detail);
            }
            StoreError::Busy => {}
            _ => tracing::error!(%error, "store failed a session"),
        }
        Self::overloaded("the relay's store cannot be used at the moment")
    }

    /// Writes the end of a session to the log.
    pub(super) fn log(&self) {
        match self {
            Self::Gone => tracing::info!("session ended: client is gone"),
            Self::Told(goodbye) => {
                let Goodbye { reason, detail, .. } = goodbye;
                tracing::info!(?reason, detail, "session ended");
            }
        }
    }

    /// What the client is told, if it is there.
    pub(super) fn goodbye(&self) -> Option<&Goodbye> {
        match self {
            Self::Gone => None,
            Self::Told(goodbye) => Some(goodbye),
        }
    }
}

fn told(reason: Reason, detail: impl Into<String>, reconnect_after_millis: Option<u64>) -> Ending {
    let detail: String = detail.into();
    Ending::Told(Goodbye {
        reason,
        // A detail may quote what the client sent.
        detail: detail.chars().take(LONGEST_DETAIL).collect(),
        reconnect_after_millis,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_store_asks_the_client_to_come_back() {
        let ending = Ending::store(&StoreError::Busy);

        let goodbye = ending.goodbye().unwrap();
        assert_eq!(goodbye.reason, Reason::Overloaded);
        assert!(goodbye.reconnect_after_millis.is_some());
    }

    #[test]
    fn a_consumer_too_many_is_told_what_to_do_and_does_not_come_back() {
        let (what, most) = ("consumers", 1000);

        let ending = Ending::store(&StoreError::TooMany { what, most });

        let goodbye = ending.goodbye().unwrap();
        assert!(
            goodbye.detail.contains("1000 consumers"),
            "{}",
            goodbye.detail
        );
        assert_eq!(goodbye.reconnect_after_millis, None);
    }

    #[test]
    fn the_words_of_the_store_do_not_go_over_the_wire() {
        let ending = Ending::store(&StoreError::Failed("/secret/path".into()));

        assert!(!ending.goodbye().unwrap().detail.contains("secret"));
    }
}
