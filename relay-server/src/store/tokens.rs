//! Rows of access tokens: hashes only.

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use towline_shared::id::TokenId;
use towline_shared::time::Timestamp;

use super::error::Failure;
use super::readers::StoreReadError;
use super::writer::Writing;
use super::{NewToken, Scope, Store, StoreError, TokenInfo};

/// How a time stands in a row that never comes.
const NEVER: i64 = i64::MAX;

const CREATE: &str = "INSERT INTO token
    (token_id, name, sha256, scopes, created_at, expires_at, revoked_at)
    VALUES (:id, :name, :sha256, :scopes, :created_at, :expires_at, :never)";
const BY_HASH: &str = "SELECT token_id, name, scopes, created_at, expires_at, revoked_at FROM token
    WHERE sha256 = :sha256 AND expires_at > :now AND revoked_at = :never";
const ALL: &str = "SELECT token_id, name, scopes, created_at, expires_at, revoked_at FROM token
    ORDER BY token_id DESC";
const HASH_EXISTS: &str = "SELECT EXISTS (SELECT 1 FROM token WHERE sha256 = :sha256)";
const REVOKE: &str = "UPDATE token SET revoked_at = min(revoked_at, :now) WHERE token_id = :id";

/// Access tokens.
impl Store {
    /// Keeps a token's hash.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when this very token is kept already.
    pub async fn create_token(&self, token: NewToken) -> Result<TokenInfo, StoreError> {
        self.write(move |writing| create(writing, &token)).await
    }

    /// The token with this SHA-256, unless it was revoked or has expired at `now`.
    ///
    /// # Errors
    /// As [`Store::events_after`].
    pub async fn token(
        &self,
        sha256: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<TokenInfo>, StoreError> {
        let readers = &self.inner.readers;
        readers
            .read(move |connection| by_hash(connection, sha256, now))
            .await
    }

    /// Whether there is or was a token with this SHA-256, revoked and expired ones included.
    ///
    /// # Errors
    /// As [`Store::events_after`].
    pub async fn has_had_token(&self, sha256: [u8; 32]) -> Result<bool, StoreError> {
        let readers = &self.inner.readers;
        readers
            .read(move |connection| Ok(is_known(connection, sha256)?))
            .await
    }

    /// All tokens, revoked ones included, newest first.
    ///
    /// # Errors
    /// As [`Store::events_after`].
    pub async fn tokens(&self) -> Result<Vec<TokenInfo>, StoreError> {
        self.inner.readers.read(all).await
    }

    /// Revokes a token.
    ///
    /// # Errors
    /// [`StoreError::Missing`].
    pub async fn revoke_token(&self, id: TokenId, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |writing| revoke(writing, id, now)).await
    }
}

/// Keeps a token's hash.
pub(super) fn create(writing: &Writing<'_>, new: &NewToken) -> Result<TokenInfo, Failure> {
    let connection = writing.connection;
    if is_known(connection, new.sha256)? {
        return Err(StoreError::exists("token", &new.name).into());
    }
    let scopes: Vec<&str> = new.scopes.iter().map(|scope| scope.as_str()).collect();
    connection.prepare_cached(CREATE)?.execute(named_params! {
        ":id": new.id.as_bytes(),
        ":name": new.name,
        ":sha256": new.sha256,
        ":scopes": serde_json::to_string(&scopes).expect("names are plain data"),
        ":created_at": new.created_at.as_millis().cast_signed(),
        ":expires_at": new.expires_at.map_or(NEVER, |at| at.as_millis().cast_signed()),
        ":never": NEVER,
    })?;
    Ok(TokenInfo {
        id: new.id,
        name: new.name.clone(),
        scopes: new.scopes.clone(),
        created_at: new.created_at,
        expires_at: new.expires_at,
        revoked_at: None,
    })
}

/// Whether a token has this hash, whatever has become of it.
pub(super) fn is_known(connection: &Connection, sha256: [u8; 32]) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(HASH_EXISTS)?
        .query_row(named_params! { ":sha256": sha256 }, |row| row.get(0))
}

/// The token with this hash, when it works at `now`.
pub(super) fn by_hash(
    connection: &Connection,
    sha256: [u8; 32],
    now: Timestamp,
) -> Result<Option<TokenInfo>, StoreReadError> {
    let found = connection.prepare_cached(BY_HASH)?.query_row(
        named_params! { ":sha256": sha256, ":now": now.as_millis().cast_signed(), ":never": NEVER },
        read,
    );
    Ok(found.optional()?)
}

/// All tokens, newest first.
pub(super) fn all(connection: &Connection) -> Result<Vec<TokenInfo>, StoreReadError> {
    let mut query = connection.prepare_cached(ALL)?;
    let tokens = query.query_map([], read)?;
    Ok(tokens.collect::<Result<_, _>>()?)
}

/// Revokes a token; one that is revoked keeps its first time.
pub(super) fn revoke(writing: &Writing<'_>, id: TokenId, now: Timestamp) -> Result<(), Failure> {
    let revoked = writing
        .connection
        .prepare_cached(REVOKE)?
        .execute(named_params! { ":now": now.as_millis().cast_signed(), ":id": id.as_bytes() })?;
    if revoked == 0 {
        return Err(StoreError::missing("token", &id).into());
    }
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<TokenInfo> {
    let scopes: Vec<Scope> = serde_json::from_str(&row.get::<_, String>(2)?).unwrap_or_default();
    Ok(TokenInfo {
        id: TokenId::from_bytes(row.get(0)?),
        name: row.get(1)?,
        scopes,
        created_at: Timestamp::from_millis(row.get::<_, i64>(3)?.cast_unsigned()),
        expires_at: time(row.get(4)?),
        revoked_at: time(row.get(5)?),
    })
}

fn time(millis: i64) -> Option<Timestamp> {
    (millis != NEVER).then(|| Timestamp::from_millis(millis.cast_unsigned()))
}
