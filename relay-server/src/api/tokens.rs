//! `/v1/tokens`: makes, lists and revokes tokens.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use towline_shared::api::{CreateToken, CreatedToken, TokenList};
use towline_shared::id::TokenId;
use towline_shared::time::Timestamp;

use super::access::{Admin, Allowed};
use super::input::{Json, Segment};
use super::refusal::Refusal;
use super::views;
use super::whole::whole;
use crate::auth::{FreshToken, random};
use crate::relay::Relay;
use crate::store::{NewToken, Scope};

/// The longest name of a token in characters.
const LONGEST_NAME: usize = 100;

pub(super) async fn list(
    _: Allowed<Admin>,
    State(relay): State<Arc<Relay>>,
) -> Result<Json<TokenList>, Refusal> {
    let tokens = relay.store.tokens().await?;
    Ok(Json(TokenList {
        tokens: tokens.into_iter().map(views::token).collect(),
    }))
}

pub(super) async fn create(
    _: Allowed<Admin>,
    State(relay): State<Arc<Relay>>,
    Json(asked): Json<CreateToken>,
) -> Result<Response, Refusal> {
    let now = Timestamp::from(SystemTime::now());
    check_name(&asked.name)?;
    check_expiry(asked.expires_at, now)?;
    let scopes = scopes(&asked.scopes)?;
    let fresh = FreshToken::make();
    let new = NewToken {
        id: TokenId::new(now, random()),
        name: asked.name,
        sha256: fresh.sha256,
        scopes,
        created_at: now,
        expires_at: asked.expires_at,
    };
    let kept = relay.store.create_token(new).await?;
    tracing::info!(token.id = %kept.id, "token made");
    let created = CreatedToken {
        token: String::from_utf8_lossy(fresh.token.expose()).into_owned(),
        view: views::token(kept),
    };
    Ok(Json(created).created())
}

/// The order counts: first the store, so that nobody can be let in anew, then the memory, then the sessions.
pub(super) async fn revoke(
    _: Allowed<Admin>,
    State(relay): State<Arc<Relay>>,
    Segment(id): Segment<TokenId>,
) -> Result<StatusCode, Refusal> {
    let now = Timestamp::from(SystemTime::now());
    let revoking = Arc::clone(&relay);
    let revoking = async move {
        revoking.store.revoke_token(id, now).await?;
        revoking.auth.forget();
        revoking.sessions.end_of_token(id);
        tracing::info!(token.id = %id, "token revoked");
        Ok(StatusCode::NO_CONTENT)
    };
    whole(&relay, revoking).await
}

fn check_name(name: &str) -> Result<(), Refusal> {
    let length = name.chars().count();
    if !(1..=LONGEST_NAME).contains(&length) || name.chars().any(char::is_control) {
        let problem =
            format!("expected 1 to {LONGEST_NAME} characters, none of them a control character");
        return Err(Refusal::invalid("name", problem));
    }
    Ok(())
}

fn check_expiry(expires_at: Option<Timestamp>, now: Timestamp) -> Result<(), Refusal> {
    if expires_at.is_some_and(|expiry| expiry <= now) {
        return Err(Refusal::invalid("expires_at", "is not in the future"));
    }
    Ok(())
}

fn scopes(names: &[String]) -> Result<Vec<Scope>, Refusal> {
    let mut scopes = Vec::new();
    for name in names {
        let name: String = name
            .chars()
            .take(50)
            .flat_map(char::escape_default)
            .collect();
        let scope = name
            .parse()
            .map_err(|error: String| Refusal::invalid("scopes", error))?;
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    if scopes.is_empty() {
        let problem = "expected one or more of read, listen, write, admin";
        return Err(Refusal::invalid("scopes", problem));
    }
    Ok(scopes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_1_to_100_characters_without_control_characters() {
        for good in ["a", &"ü".repeat(LONGEST_NAME)] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "a\nb", &"a".repeat(LONGEST_NAME + 1)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_expires_in_the_future() {
        let now = Timestamp::from_millis(10);

        assert!(check_expiry(None, now).is_ok());
        assert!(check_expiry(Some(Timestamp::from_millis(11)), now).is_ok());
        assert!(check_expiry(Some(now), now).is_err());
    }

    #[test]
    fn a_token_has_known_scopes_and_one_at_least() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();

        let found = scopes(&names(&["listen", "read", "listen"])).unwrap();
        assert_eq!(found, [Scope::Listen, Scope::Read]);
        assert!(scopes(&[]).is_err());
        let refusal = scopes(&names(&["root"])).unwrap_err();
        assert!(refusal.to_string().contains("`root`"), "{refusal}");
    }
}
