//! Bearer tokens: made once, kept as SHA-256, checked for a scope.

use towline_shared::secret::Secret;
use towline_shared::time::Timestamp;

use crate::store::{Scope, Store, StoreError, TokenInfo};

/// Checks tokens against the store, with a small bounded memory of recent ones.
pub(crate) struct Auth {}

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
    pub(crate) fn new(_store: Store) -> Self {
        todo!()
    }

    /// Lets a request in whose `Authorization` field is `Bearer TOKEN` and whose token has the scope.
    pub(crate) async fn allow(
        &self,
        _authorization: Option<&[u8]>,
        _scope: Scope,
        _now: Timestamp,
    ) -> Result<TokenInfo, AuthError> {
        todo!()
    }

    /// Forgets what it remembers of tokens, after one was revoked.
    pub(crate) fn forget(&self) {
        todo!()
    }
}

impl FreshToken {
    /// Makes a token of the operating system's random numbers.
    pub(crate) fn make() -> Self {
        todo!()
    }
}
