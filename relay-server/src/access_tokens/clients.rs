//! The OAuth clients of one endpoint: each of its secrets is one, so that two of them overlap during a rotation.

use std::sync::Arc;

use subtle::{Choice, ConstantTimeEq};
use towline_shared::id::{EndpointKey, SecretName};
use towline_shared::secret::Secret;
use towline_shared::time::Timestamp;
use towline_shared::verify::{IssuedToken, IssuedTokens};

use super::{AccessTokens, Holder, TooMany, sha256};
use crate::store::EndpointId;

/// Stands between the endpoint's key and the secret's name in a client's id.
const SEPARATOR: char = '.';

/// The clients of an endpoint, and the tokens that they may get.
pub(crate) struct Clients {
    endpoint: EndpointId,
    clients: Vec<Client>,
    tokens: Arc<AccessTokens>,
}

/// One client.
#[derive(Debug)]
pub(crate) struct Client {
    name: SecretName,
    /// Computed once, so that a check takes the same time whatever the secret is.
    secret_sha256: [u8; 32],
}

impl Clients {
    /// A client for each of an endpoint's secrets.
    pub(crate) fn new(
        endpoint: EndpointId,
        secrets: &[(SecretName, Secret)],
        tokens: Arc<AccessTokens>,
    ) -> Self {
        let client = |(name, secret): &(SecretName, Secret)| Client {
            name: name.clone(),
            secret_sha256: sha256(secret.expose()),
        };
        Self {
            endpoint,
            clients: secrets.iter().map(client).collect(),
            tokens,
        }
    }

    /// The id of the client that has the secret of this name.
    pub(crate) fn id(key: &EndpointKey, secret: &SecretName) -> String {
        format!("{key}{SEPARATOR}{secret}")
    }

    /// A client's id as the key of an endpoint and the name of a secret.
    pub(crate) fn split_id(id: &str) -> Option<(&str, &str)> {
        id.split_once(SEPARATOR)
    }

    /// The client of this name, if any of the passwords is its secret.
    pub(crate) fn authenticate(&self, name: &str, passwords: &[Secret]) -> Option<&Client> {
        let client = self
            .clients
            .iter()
            .find(|client| client.name.as_str() == name);
        let expected = client.map_or([0; 32], |client| client.secret_sha256);
        client.filter(|_| is_any(passwords, &expected))
    }

    /// Takes as long as [`Self::authenticate`], and lets nobody in.
    pub(crate) fn authenticate_nobody(passwords: &[Secret]) {
        std::hint::black_box(is_any(passwords, &[0; 32]));
    }

    /// A new token for a client.
    pub(crate) fn give(&self, client: &Client, now: Timestamp) -> Result<Secret, TooMany> {
        self.tokens.give(self.holder(client), now)
    }

    /// The tokens as they are at a moment.
    pub(crate) const fn at(&self, now: Timestamp) -> ClientsAt<'_> {
        ClientsAt { clients: self, now }
    }

    fn holder(&self, client: &Client) -> Holder {
        Holder {
            endpoint: self.endpoint,
            client: client.name.clone(),
            secret_sha256: client.secret_sha256,
        }
    }
}

/// The clients of an endpoint at a moment.
pub(crate) struct ClientsAt<'c> {
    clients: &'c Clients,
    now: Timestamp,
}

impl IssuedTokens for ClientsAt<'_> {
    fn find(&self, token: &[u8]) -> IssuedToken {
        let clients = self.clients;
        let Some((holder, expires_at)) = clients.tokens.holder(token) else {
            return IssuedToken::Unknown;
        };
        let mut known = clients.clients.iter();
        if !known.any(|client| clients.holder(client) == holder) {
            return IssuedToken::Unknown;
        }
        if expires_at <= self.now {
            let since = self.now.as_millis().saturating_sub(expires_at.as_millis());
            return IssuedToken::Expired(since / 1000);
        }
        IssuedToken::Valid(holder.client)
    }
}

/// Compares hashes in constant time, and all of them.
fn is_any(passwords: &[Secret], expected: &[u8; 32]) -> bool {
    let hashes = passwords.iter().map(|password| sha256(password.expose()));
    let found = hashes.fold(Choice::from(0), |found, hash| {
        found | hash.as_slice().ct_eq(expected)
    });
    found.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_760_000_000_000 + seconds * 1000)
    }

    fn clients(id: i64, secrets: &[(&str, &str)], tokens: &Arc<AccessTokens>) -> Clients {
        let secrets: Vec<_> = secrets
            .iter()
            .map(|(name, secret)| (name.parse().unwrap(), Secret::new(*secret)))
            .collect();
        Clients::new(EndpointId(id), &secrets, Arc::clone(tokens))
    }

    #[test]
    fn a_client_is_let_in_with_its_own_secret_only() {
        let clients = clients(1, &[("old", "one"), ("new", "two")], &Arc::default());
        let is_let_in = |name: &str, passwords: &[&str]| {
            let passwords: Vec<_> = passwords.iter().map(|text| Secret::new(*text)).collect();
            clients.authenticate(name, &passwords).is_some()
        };

        assert!(is_let_in("old", &["one"]));
        assert!(is_let_in("new", &["x", "two"]));
        for (name, passwords) in [
            ("old", &["two"][..]),
            ("old", &[]),
            ("old", &[""]),
            ("other", &["one"]),
            ("", &["one"]),
        ] {
            assert!(!is_let_in(name, passwords), "{name} {passwords:?}");
        }
    }

    #[test]
    fn a_token_is_valid_to_its_very_millisecond() {
        let tokens = Arc::default();
        let clients = clients(1, &[("live", "one")], &tokens);
        let token = clients.give(&clients.clients[0], at(0)).unwrap();
        let token = token.expose();

        let valid = IssuedToken::Valid("live".parse().unwrap());
        assert_eq!(clients.at(at(0)).find(token), valid);
        let last = Timestamp::from_millis(at(3600).as_millis() - 1);
        assert_eq!(clients.at(last).find(token), valid);
        assert_eq!(clients.at(at(3600)).find(token), IssuedToken::Expired(0));
        assert_eq!(clients.at(at(3607)).find(token), IssuedToken::Expired(7));
    }

    #[test]
    fn a_token_is_of_one_endpoint_and_goes_with_its_secret() {
        let tokens = Arc::default();
        let before = clients(1, &[("live", "one")], &tokens);
        let token = before.give(&before.clients[0], at(0)).unwrap();
        let find = |id, secrets: &[(&str, &str)]| {
            clients(id, secrets, &tokens).at(at(1)).find(token.expose())
        };

        let valid = IssuedToken::Valid("live".parse().unwrap());
        assert_eq!(find(1, &[("next", "two"), ("live", "one")]), valid);
        assert_eq!(find(2, &[("live", "one")]), IssuedToken::Unknown);
        assert_eq!(find(1, &[("live", "replaced")]), IssuedToken::Unknown);
        assert_eq!(find(1, &[("next", "one")]), IssuedToken::Unknown);
        assert_eq!(find(1, &[]), IssuedToken::Unknown);
    }

    #[test]
    fn an_id_names_endpoint_and_secret() {
        let key = EndpointKey::new([7; 20]);
        let id = Clients::id(&key, &"2026-12".parse().unwrap());

        assert_eq!(Clients::split_id(&id), Some((key.as_str(), "2026-12")));
        assert_eq!(Clients::split_id("none"), None);
    }
}
