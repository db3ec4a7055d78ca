//! The access tokens that OAuth senders got (RFC 6749 §4.4): short-lived, of one endpoint, kept as SHA-256 only.
//!
//! They live in memory. After a restart of the relay a sender gets 401 with `error="invalid_token"` and asks for
//! a new one, as it does every hour; what was refused in between is kept as rejected and can be replayed.

mod clients;
mod pace;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use data_encoding::BASE64URL_NOPAD;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use towline_shared::id::SecretName;
use towline_shared::secret::Secret;
use towline_shared::time::Timestamp;

pub(crate) use clients::Clients;
use pace::Pace;

use crate::auth::random;
use crate::store::EndpointId;

/// How long a token is valid: an hour, as senders expect it.
pub(crate) const LIFETIME: Duration = Duration::from_secs(3600);

/// How long an expired token is still known as one, so that its refusal names the reason.
const EXPIRED_KEPT: Duration = Duration::from_secs(600);

/// Tokens of one client; at one more the oldest stops working. A sender that asks for one each second
/// still has each for four minutes.
const MOST_OF_CLIENT: usize = 256;

/// Tokens in all; at one more none is given out. They take about 15 MB.
const MOST: usize = 50_000;

/// What every token begins with, so that scanners and people recognise one. An API token begins with `twl_`.
const PREFIX: &str = "twa_";

/// 256 random bits.
const RANDOM_BYTES: usize = 32;

/// Requests that one address may make at once, and then one each so often.
const ADDRESS_BURST: u32 = 60;
const ADDRESS_EVERY: Duration = Duration::from_secs(1);

/// Failures of one address in the name of one client, known or not, that are told as such at once, and then one each
/// so often: a client with an old secret hears when to come back. Guesses are bounded by the address's requests.
const FAILURE_BURST: u32 = 30;
const FAILURE_EVERY: Duration = Duration::from_secs(2);

/// The tokens of all endpoints, and how often they may be asked for.
pub(crate) struct AccessTokens {
    kept: Mutex<Kept>,
    by_address: Mutex<Pace<IpAddr>>,
    failures: Mutex<Pace<([u8; 32], IpAddr)>>,
}

/// No token can be given out, because too many are valid.
#[derive(Debug, thiserror::Error)]
#[error("the relay has given out {MOST} access tokens")]
pub(crate) struct TooMany;

/// Whom a token was given to. It stops working when the secret goes or changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Holder {
    endpoint: EndpointId,
    client: SecretName,
    /// SHA-256 of the client's secret.
    secret_sha256: [u8; 32],
}

/// One token.
struct Token {
    sha256: [u8; 32],
    holder: Holder,
    expires_at: Timestamp,
}

/// Tokens by the order in which they were given out, which is the order in which they expire.
#[derive(Default)]
struct Kept {
    by_order: BTreeMap<u64, Token>,
    by_sha256: HashMap<[u8; 32], u64>,
    of_holder: HashMap<Holder, VecDeque<u64>>,
    next: u64,
}

impl Default for AccessTokens {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            by_address: Mutex::new(Pace::new(ADDRESS_BURST, ADDRESS_EVERY)),
            failures: Mutex::new(Pace::new(FAILURE_BURST, FAILURE_EVERY)),
        }
    }
}

impl AccessTokens {
    /// Counts a request of an address.
    ///
    /// # Errors
    /// How long it must wait, when it asks too often.
    pub(crate) fn admit_address(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let address = pace::counted_address(address);
        self.by_address.lock().take(address, now)
    }

    /// Counts a failed request of an address in the name of a client. Unknown clients count as known ones do. Only
    /// failures count, and for their address only: a client's id is no secret, and nobody else's failures hold it up.
    ///
    /// # Errors
    /// How long the address should wait, when it fails too often.
    pub(crate) fn count_failure(
        &self,
        id: &[u8],
        address: IpAddr,
        now: Instant,
    ) -> Result<(), Duration> {
        let asker = (sha256(id), pace::counted_address(address));
        self.failures.lock().take(asker, now)
    }

    fn give(&self, holder: Holder, now: Timestamp) -> Result<Secret, TooMany> {
        let token = format!(
            "{PREFIX}{}",
            BASE64URL_NOPAD.encode(&random::<RANDOM_BYTES>())
        );
        let token = Secret::new(token);
        let kept = Token {
            sha256: sha256(token.expose()),
            holder,
            expires_at: later(now, LIFETIME),
        };
        self.kept.lock().keep(kept, now)?;
        Ok(token)
    }

    /// The holder of a token and the end of its time.
    fn holder(&self, token: &[u8]) -> Option<(Holder, Timestamp)> {
        let kept = self.kept.lock();
        let token = kept.by_order.get(kept.by_sha256.get(&sha256(token))?)?;
        Some((token.holder.clone(), token.expires_at))
    }
}

impl Kept {
    fn keep(&mut self, token: Token, now: Timestamp) -> Result<(), TooMany> {
        self.forget_expired(now);
        let of_holder = self.of_holder.get(&token.holder);
        let oldest = of_holder
            .filter(|orders| orders.len() >= MOST_OF_CLIENT)
            .and_then(VecDeque::front);
        if let Some(&oldest) = oldest {
            self.forget(oldest);
        }
        if self.by_order.len() >= MOST {
            return Err(TooMany);
        }
        let order = self.next;
        self.next += 1;
        self.by_sha256.insert(token.sha256, order);
        let orders = self.of_holder.entry(token.holder.clone()).or_default();
        orders.push_back(order);
        self.by_order.insert(order, token);
        Ok(())
    }

    fn forget_expired(&mut self, now: Timestamp) {
        while let Some((&order, token)) = self.by_order.first_key_value()
            && later(token.expires_at, EXPIRED_KEPT) <= now
        {
            self.forget(order);
        }
    }

    /// Forgets a token, which is the oldest of its holder.
    fn forget(&mut self, order: u64) {
        let Some(token) = self.by_order.remove(&order) else {
            return;
        };
        self.by_sha256.remove(&token.sha256);
        if let Some(orders) = self.of_holder.get_mut(&token.holder) {
            orders.pop_front();
            if orders.is_empty() {
                self.of_holder.remove(&token.holder);
            }
        }
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn later(time: Timestamp, after: Duration) -> Timestamp {
    let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
    Timestamp::from_millis(time.as_millis().saturating_add(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(client: &str) -> Holder {
        Holder {
            endpoint: EndpointId(1),
            client: client.parse().unwrap(),
            secret_sha256: [1; 32],
        }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_760_000_000_000 + seconds * 1000)
    }

    #[test]
    fn a_token_is_random_marked_and_kept_as_a_hash() {
        let tokens = AccessTokens::default();

        let first = tokens.give(holder("live"), at(0)).unwrap();
        let second = tokens.give(holder("live"), at(0)).unwrap();

        assert_ne!(first, second);
        assert_eq!(first.expose().len(), 47);
        assert!(first.expose().starts_with(b"twa_"));
        let found = tokens.holder(first.expose()).unwrap();
        assert_eq!(found, (holder("live"), at(3600)));
        assert_eq!(tokens.holder(b"twa_other"), None);
        let known = tokens.kept.lock();
        assert!(known.by_sha256.contains_key(&sha256(second.expose())));
    }

    #[test]
    fn a_client_with_one_token_too_many_loses_its_oldest_and_nobody_elses() {
        let tokens = AccessTokens::default();
        let other = tokens.give(holder("other"), at(0)).unwrap();
        let first = tokens.give(holder("live"), at(0)).unwrap();
        for _ in 1..MOST_OF_CLIENT {
            tokens.give(holder("live"), at(1)).unwrap();
        }
        assert!(tokens.holder(first.expose()).is_some());

        tokens.give(holder("live"), at(2)).unwrap();

        assert_eq!(tokens.holder(first.expose()), None);
        assert!(tokens.holder(other.expose()).is_some());
    }

    #[test]
    fn tokens_in_all_are_bounded_and_expired_ones_make_room() {
        let mut kept = Kept::default();
        let token = |number: usize| {
            let mut sha256 = [0; 32];
            sha256[..8].copy_from_slice(&number.to_be_bytes());
            Token {
                sha256,
                holder: holder(&format!("c{number}")),
                expires_at: at(3600),
            }
        };
        for number in 0..MOST {
            kept.keep(token(number), at(0)).unwrap();
        }

        assert!(kept.keep(token(MOST), at(1)).is_err());
        assert!(kept.keep(token(MOST), at(4199)).is_err());
        assert!(kept.keep(token(MOST), at(4200)).is_ok());

        assert_eq!(kept.by_order.len(), 1);
        assert_eq!(kept.by_sha256.len(), 1);
        assert_eq!(kept.of_holder.len(), 1);
    }

    #[test]
    fn addresses_have_a_pace_and_their_failures_for_each_client_another() {
        let tokens = AccessTokens::default();
        let now = Instant::now();
        let address = "192.0.2.1".parse().unwrap();
        let other = "192.0.2.2".parse().unwrap();
        for _ in 0..ADDRESS_BURST {
            tokens.admit_address(address, now).unwrap();
        }
        for _ in 0..FAILURE_BURST {
            tokens.count_failure(b"k.live", address, now).unwrap();
        }

        assert_eq!(tokens.admit_address(address, now), Err(ADDRESS_EVERY));
        assert_eq!(tokens.admit_address(other, now), Ok(()));
        let failed = |client: &[u8], address| tokens.count_failure(client, address, now);
        assert_eq!(failed(b"k.live", address), Err(FAILURE_EVERY));
        assert_eq!(failed(b"k.other", address), Ok(()));
        assert_eq!(failed(b"k.live", other), Ok(()));
    }
}
