//! Bearer tokens: made once, kept as SHA-256, checked for a scope.
//!
//! A token is looked up by its hash, so no comparison runs over the token's own bytes and its time tells
//! nothing. A token may do what its scopes name and nothing else, but that `admin` includes all of them.

use std::collections::HashMap;
use std::sync::LazyLock;

use data_encoding::{Encoding, Specification};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use towline_shared::secret::Secret;
use towline_shared::time::Timestamp;

use crate::store::{Scope, Store, StoreError, TokenInfo};

/// What every token begins with, so that scanners and people recognise one.
const PREFIX: &str = "twl_";

/// 160 random bits, as in endpoint keys.
const RANDOM_BYTES: usize = 20;

/// A typing error passes once in 2^40.
const CHECKSUM_BYTES: usize = 5;

/// How many tokens are remembered; at one more all are forgotten, and looked up again when they come back.
const REMEMBERED_TOKENS: usize = 1024;

/// The alphabet of identifiers: Crockford's base32 in lower case.
static BASE32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    let symbols = "0123456789abcdefghjkmnpqrstvwxyz";
    specification.symbols.push_str(symbols);
    specification.encoding().expect("the alphabet is valid")
});

/// Checks tokens against the store, with a small bounded memory of recent ones.
pub(crate) struct Auth {
    store: Store,
    remembered: Mutex<Remembered>,
}

/// Tokens that the store knew a moment ago. Unknown ones are not remembered, so guesses cannot fill it.
#[derive(Default)]
struct Remembered {
    tokens: HashMap<[u8; 32], TokenInfo>,
    /// Counts the times that all was forgotten: an answer asked for before must not be remembered after.
    forgotten: u64,
}

/// A request is not let in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthError {
    /// There is no usable bearer token.
    #[error("no valid bearer token")]
    Unauthorised,
    /// The token lacks a scope.
    #[error("the token lacks the scope `{}`", .0.as_str())]
    Forbidden(Scope),
    /// The store could not be asked.
    #[error("could not look the token up")]
    Store(#[from] StoreError),
}

/// A new token: `twl_`, random characters and a checksum.
pub(crate) struct FreshToken {
    /// The token, to be shown once.
    pub(crate) token: Secret,
    /// Its SHA-256, to be kept.
    pub(crate) sha256: [u8; 32],
}

impl Auth {
    /// Checks tokens of this store.
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            remembered: Mutex::default(),
        }
    }

    /// Lets a request in whose `Authorization` field is `Bearer TOKEN` and whose token has the scope.
    pub(crate) async fn allow(
        &self,
        authorization: Option<&[u8]>,
        scope: Scope,
        now: Timestamp,
    ) -> Result<TokenInfo, AuthError> {
        let token = self.identify(authorization, now).await?;
        if !token.scopes.iter().any(|&held| includes(held, scope)) {
            return Err(AuthError::Forbidden(scope));
        }
        Ok(token)
    }

    /// Finds out whose token a request carries, whatever its scopes.
    pub(crate) async fn identify(
        &self,
        authorization: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<TokenInfo, AuthError> {
        let token = authorization
            .and_then(bearer)
            .filter(|token| is_well_formed(token))
            .ok_or(AuthError::Unauthorised)?;
        let sha256: [u8; 32] = Sha256::digest(token).into();
        let found = match self.recall(&sha256) {
            Some(found) => found,
            None => self.look_up(sha256, now).await?,
        };
        if found.expires_at.is_some_and(|expiry| expiry <= now) {
            return Err(AuthError::Unauthorised);
        }
        Ok(found)
    }

    /// Forgets what it remembers of tokens, after one was revoked.
    pub(crate) fn forget(&self) {
        let mut remembered = self.remembered.lock();
        remembered.tokens.clear();
        remembered.forgotten += 1;
    }

    fn recall(&self, sha256: &[u8; 32]) -> Option<TokenInfo> {
        self.remembered.lock().tokens.get(sha256).cloned()
    }

    async fn look_up(&self, sha256: [u8; 32], now: Timestamp) -> Result<TokenInfo, AuthError> {
        let forgotten_before = self.remembered.lock().forgotten;
        let found = self.store.token(sha256, now).await?;
        let found = found.ok_or(AuthError::Unauthorised)?;
        let mut remembered = self.remembered.lock();
        if remembered.forgotten == forgotten_before {
            remembered.keep(sha256, found.clone());
        }
        Ok(found)
    }
}

impl Remembered {
    fn keep(&mut self, sha256: [u8; 32], token: TokenInfo) {
        if self.tokens.len() >= REMEMBERED_TOKENS {
            self.tokens.clear();
        }
        self.tokens.insert(sha256, token);
    }
}

impl FreshToken {
    /// Makes a token of the operating system's random numbers.
    pub(crate) fn make() -> Self {
        Self::of(random())
    }

    fn of(random: [u8; RANDOM_BYTES]) -> Self {
        let mut bytes = random.to_vec();
        bytes.extend_from_slice(&checksum(&random));
        let token = format!("{PREFIX}{}", BASE32.encode(&bytes));
        Self {
            sha256: Sha256::digest(&token).into(),
            token: Secret::new(token),
        }
    }
}

/// Random bytes of the operating system, for tokens, keys and identifiers.
pub(crate) fn random<const LENGTH: usize>() -> [u8; LENGTH] {
    let mut random = [0; LENGTH];
    getrandom::fill(&mut random).expect("the operating system has random numbers");
    random
}

/// Whether a token with the scope `held` may do what needs `wanted`.
fn includes(held: Scope, wanted: Scope) -> bool {
    held == wanted || held == Scope::Admin
}

/// The token of `Bearer TOKEN` (RFC 6750 §2.1); the scheme's letter case does not matter (RFC 9110 §11.1).
fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = authorization.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}

/// Whether prefix, length and checksum are right, so that typing errors cost no look-up.
fn is_well_formed(token: &[u8]) -> bool {
    token
        .strip_prefix(PREFIX.as_bytes())
        .and_then(|rest| BASE32.decode(rest).ok())
        .and_then(|bytes| <[u8; RANDOM_BYTES + CHECKSUM_BYTES]>::try_from(bytes).ok())
        .is_some_and(|bytes| bytes[RANDOM_BYTES..] == checksum(&bytes[..RANDOM_BYTES]))
}

fn checksum(random: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hash = Sha256::new();
    hash.update(PREFIX);
    hash.update(random);
    let hash: [u8; 32] = hash.finalize().into();
    let mut checksum = [0; CHECKSUM_BYTES];
    checksum.copy_from_slice(&hash[..CHECKSUM_BYTES]);
    checksum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_is_twl_and_40_characters_and_no_two_are_the_same() {
        let first = FreshToken::make();
        let second = FreshToken::make();

        assert_eq!(first.token.expose().len(), 44);
        assert!(first.token.expose().starts_with(b"twl_"));
        assert!(is_well_formed(first.token.expose()));
        assert_ne!(first.sha256, second.sha256);
        assert_eq!(
            first.sha256,
            <[u8; 32]>::from(Sha256::digest(first.token.expose()))
        );
    }

    #[test]
    fn the_scheme_is_bearer_in_any_letter_case() {
        assert_eq!(bearer(b"Bearer twl_x"), Some(&b"twl_x"[..]));
        assert_eq!(bearer(b"bEARER  twl_x "), Some(&b"twl_x"[..]));
        assert_eq!(bearer(b"Basic twl_x"), None);
        assert_eq!(bearer(b"Bearer"), None);
    }

    #[test]
    fn admin_may_do_all_and_the_others_only_what_they_name() {
        for wanted in [Scope::Read, Scope::Listen, Scope::Write, Scope::Admin] {
            assert!(includes(Scope::Admin, wanted));
            assert!(includes(wanted, wanted));
        }
        assert!(!includes(Scope::Write, Scope::Read));
        assert!(!includes(Scope::Write, Scope::Listen));
        assert!(!includes(Scope::Write, Scope::Admin));
        assert!(!includes(Scope::Listen, Scope::Read));
        assert!(!includes(Scope::Read, Scope::Write));
    }

    #[test]
    fn the_memory_of_tokens_is_bounded() {
        let mut remembered = Remembered::default();
        for number in 0..=REMEMBERED_TOKENS {
            let mut sha256 = [0; 32];
            sha256[..8].copy_from_slice(&number.to_be_bytes());
            remembered.keep(sha256, token());
            assert!(remembered.tokens.len() <= REMEMBERED_TOKENS);
        }

        assert_eq!(remembered.tokens.len(), 1);
    }

    proptest! {
        #[test]
        fn a_wrong_character_is_noticed(random: [u8; RANDOM_BYTES], place in 4_usize..44, by in 1_usize..32) {
            let mut token = FreshToken::of(random).token.expose().to_vec();
            let alphabet = b"0123456789abcdefghjkmnpqrstvwxyz";
            let was = alphabet.iter().position(|&letter| letter == token[place]).unwrap();
            token[place] = alphabet[(was + by) % 32];

            prop_assert!(!is_well_formed(&token));
        }

        #[test]
        fn any_bytes_can_be_checked(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = bearer(&bytes);
            let _ = is_well_formed(&bytes);
        }
    }

    fn token() -> TokenInfo {
        TokenInfo {
            id: towline_shared::id::TokenId::from_bytes([0; 16]),
            name: "laptop".into(),
            scopes: vec![Scope::Listen],
            created_at: Timestamp::default(),
            expires_at: None,
            revoked_at: None,
        }
    }
}
