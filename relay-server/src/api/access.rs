//! Lets a request in: the token of its `Authorization` field must have the scope that the handler asks for.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use towline_shared::time::Timestamp;

use super::refusal::Refusal;
use crate::auth::AuthError;
use crate::relay::Relay;
use crate::store::{Scope, TokenInfo};

/// The token of a request that may do what needs the scope `S`. It stands first among a handler's
/// arguments, so that nothing else of a request is looked at without it.
pub(super) struct Allowed<S> {
    pub(super) token: TokenInfo,
    scope: PhantomData<S>,
}

/// What a handler asks for.
pub(super) trait Needs {
    /// The scope; `None` lets every valid token in.
    const SCOPE: Option<Scope>;
}

/// Any valid token.
pub(super) struct Anything;
/// The scope `read`.
pub(super) struct Read;
/// The scope `listen`.
pub(super) struct Listen;
/// The scope `write`.
pub(super) struct Write;
/// The scope `admin`.
pub(super) struct Admin;

impl Needs for Anything {
    const SCOPE: Option<Scope> = None;
}
impl Needs for Read {
    const SCOPE: Option<Scope> = Some(Scope::Read);
}
impl Needs for Listen {
    const SCOPE: Option<Scope> = Some(Scope::Listen);
}
impl Needs for Write {
    const SCOPE: Option<Scope> = Some(Scope::Write);
}
impl Needs for Admin {
    const SCOPE: Option<Scope> = Some(Scope::Admin);
}

impl<S: Needs> FromRequestParts<Arc<Relay>> for Allowed<S> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, relay: &Arc<Relay>) -> Result<Self, Refusal> {
        let token = allow(relay, &parts.headers, S::SCOPE).await?;
        Ok(Self {
            token,
            scope: PhantomData,
        })
    }
}

/// Whose token these fields carry, if it may do what needs the scope.
pub(super) async fn allow(
    relay: &Relay,
    headers: &HeaderMap,
    scope: Option<Scope>,
) -> Result<TokenInfo, AuthError> {
    let authorization = headers.get(AUTHORIZATION).map(|value| value.as_bytes());
    let now = Timestamp::from(SystemTime::now());
    match scope {
        Some(scope) => relay.auth.allow(authorization, scope, now).await,
        None => relay.auth.identify(authorization, now).await,
    }
}
