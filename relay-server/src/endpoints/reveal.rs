//! Shows a secret that a challenge handed over, once: some providers want it pasted into their own page before they send
//! anything. What may be shown is remembered in memory alone, so that a restart ends it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use towline_shared::id::{EndpointName, SecretName};

use super::{EndpointError, Endpoints, missing};
use crate::store::{EndpointId, NamedSecret};

/// How long a captured secret may be shown: whoever sets the provider up does it in one sitting.
const SHOWN_WITHIN: Duration = Duration::from_secs(60 * 60);

/// The secrets that may be shown, at most one for each endpoint.
#[derive(Default)]
pub(super) struct Reveals(HashMap<EndpointId, Reveal>);

/// A captured secret.
struct Reveal {
    secret: SecretName,
    captured_at: Instant,
    is_shown: bool,
}

/// Why there is nothing to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotRevealed {
    /// None was captured, or it is forgotten.
    #[error(
        "no secret was captured here since the relay started, or it has been replaced or removed since"
    )]
    Unknown,
    /// It was shown before.
    #[error("the captured secret has been shown once already, and is not shown again")]
    Shown,
    /// It is too old.
    #[error("the secret was captured more than an hour ago, and is not shown any more")]
    Late,
}

impl Reveals {
    /// A secret was captured just now.
    pub(super) fn remember(&mut self, endpoint: EndpointId, secret: SecretName, now: Instant) {
        let reveal = Reveal {
            secret,
            captured_at: now,
            is_shown: false,
        };
        self.0.insert(endpoint, reveal);
    }

    /// The endpoint's secret of this name is another one now, or none.
    pub(super) fn forget_secret(&mut self, endpoint: EndpointId, secret: &SecretName) {
        if self
            .0
            .get(&endpoint)
            .is_some_and(|reveal| reveal.secret == *secret)
        {
            self.0.remove(&endpoint);
        }
    }

    /// The endpoint is gone.
    pub(super) fn forget(&mut self, endpoint: EndpointId) {
        self.0.remove(&endpoint);
    }

    /// Whether there is one to show.
    fn has(&self, endpoint: EndpointId, now: Instant) -> bool {
        self.look(endpoint, now).is_ok()
    }

    /// The one to show, which is not shown again after that.
    fn take(&mut self, endpoint: EndpointId, now: Instant) -> Result<SecretName, NotRevealed> {
        let secret = self.look(endpoint, now)?.clone();
        if let Some(reveal) = self.0.get_mut(&endpoint) {
            reveal.is_shown = true;
        }
        Ok(secret)
    }

    fn look(&self, endpoint: EndpointId, now: Instant) -> Result<&SecretName, NotRevealed> {
        let reveal = self.0.get(&endpoint).ok_or(NotRevealed::Unknown)?;
        if reveal.is_shown {
            return Err(NotRevealed::Shown);
        }
        if now.saturating_duration_since(reveal.captured_at) > SHOWN_WITHIN {
            return Err(NotRevealed::Late);
        }
        Ok(&reveal.secret)
    }
}

impl Endpoints {
    /// Gives out the secret that the endpoint's last challenge handed over, once and within an hour.
    ///
    /// # Errors
    /// [`EndpointError::NotRevealed`] says why there is none to show.
    pub(crate) async fn reveal_captured(
        &self,
        name: &EndpointName,
        now: Instant,
    ) -> Result<NamedSecret, EndpointError> {
        let _in_order = self.changing.lock().await;
        let live = self.by_name(name).ok_or_else(|| missing(name))?;
        let secret = self.reveals.lock().take(live.endpoint.id, now)?;
        let mut secrets = live.endpoint.secrets.iter();
        let found = secrets.find(|named| named.name == secret);
        Ok(found.ok_or(NotRevealed::Unknown)?.clone())
    }

    /// Whether the endpoint has a captured secret to show.
    pub(crate) fn can_reveal(&self, endpoint: EndpointId, now: Instant) -> bool {
        self.reveals.lock().has(endpoint, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDERS: EndpointId = EndpointId(1);

    fn name() -> SecretName {
        "captured".parse().unwrap()
    }

    fn with_one(now: Instant) -> Reveals {
        let mut reveals = Reveals::default();
        reveals.remember(ORDERS, name(), now);
        reveals
    }

    #[test]
    fn a_captured_secret_is_shown_once() {
        let now = Instant::now();
        let mut reveals = with_one(now);

        assert!(reveals.has(ORDERS, now));
        assert_eq!(reveals.take(ORDERS, now), Ok(name()));
        assert_eq!(reveals.take(ORDERS, now), Err(NotRevealed::Shown));
        assert!(!reveals.has(ORDERS, now));
        assert_eq!(reveals.take(EndpointId(2), now), Err(NotRevealed::Unknown));
    }

    #[test]
    fn it_is_shown_until_an_hour_has_passed() {
        let now = Instant::now();

        assert!(with_one(now).take(ORDERS, now + SHOWN_WITHIN).is_ok());
        let late = now + SHOWN_WITHIN + Duration::from_millis(1);
        assert_eq!(with_one(now).take(ORDERS, late), Err(NotRevealed::Late));
    }

    #[test]
    fn another_secret_of_its_name_is_not_shown_and_another_captured_one_is() {
        let now = Instant::now();
        let mut reveals = with_one(now);

        reveals.forget_secret(ORDERS, &"live".parse().unwrap());
        assert!(reveals.has(ORDERS, now));
        reveals.forget_secret(ORDERS, &name());
        assert_eq!(reveals.take(ORDERS, now), Err(NotRevealed::Unknown));
        reveals.remember(ORDERS, name(), now);
        reveals.take(ORDERS, now).unwrap();
        reveals.remember(ORDERS, name(), now);
        assert!(reveals.take(ORDERS, now).is_ok());
        reveals.remember(ORDERS, name(), now);
        reveals.forget(ORDERS);
        assert_eq!(reveals.take(ORDERS, now), Err(NotRevealed::Unknown));
    }
}
