//! Rows of endpoints and their sealed secrets.

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use towline_shared::id::{EndpointName, SecretName};
use towline_shared::time::Timestamp;

use super::error::Failure;
use super::sealing::{Sealed, Sealer};
use super::trimming::{Removed, clear_step};
use super::writer::Writing;
use super::{
    Endpoint, EndpointId, EndpointSettings, NamedSecret, NewEndpoint, Store, StoreError, repeats,
    uses,
};

const ALL: &str = "SELECT endpoint_id, name, key, settings, created_at FROM endpoint
    WHERE is_deleted = 0 ORDER BY name";
const BY_NAME: &str = "SELECT endpoint_id, name, key, settings, created_at FROM endpoint
    WHERE is_deleted = 0 AND name = :name";
const CREATE: &str = "INSERT INTO endpoint (name, key, settings, created_at)
    VALUES (:name, :key, :settings, :created_at)";
const CHANGE: &str = "UPDATE endpoint SET settings = :settings WHERE endpoint_id = :endpoint";
const SECRETS: &str = "SELECT name, key_id, nonce, sealed, created_at FROM endpoint_secret
    WHERE endpoint = :endpoint ORDER BY created_at, name";
const HAS_SECRETS: &str = "SELECT EXISTS (SELECT 1 FROM endpoint_secret)";
const HAS_SECRET: &str = "SELECT EXISTS (SELECT 1 FROM endpoint_secret
    WHERE endpoint = :endpoint AND name = :name)";
const PUT_SECRET: &str = "INSERT OR REPLACE INTO endpoint_secret
    (endpoint, name, key_id, nonce, sealed, created_at)
    VALUES (:endpoint, :name, :key_id, :nonce, :sealed, :created_at)";
const REMOVE_SECRET: &str =
    "DELETE FROM endpoint_secret WHERE endpoint = :endpoint AND name = :name";
const MARK_DELETED: &str = "UPDATE endpoint SET is_deleted = 1 WHERE endpoint_id = :endpoint";
const REMOVE_SECRETS: &str = "DELETE FROM endpoint_secret WHERE endpoint = :endpoint";
const REMOVE_CONSUMERS: &str = "DELETE FROM consumer WHERE endpoint = :endpoint";
const REMOVE: &str = "DELETE FROM endpoint WHERE endpoint_id = :endpoint";
const DELETED: &str = "SELECT endpoint_id FROM endpoint WHERE is_deleted = 1 LIMIT 1";

/// Endpoints.
impl Store {
    /// All endpoints with their secrets decrypted.
    ///
    /// # Errors
    /// [`StoreError::Key`] when a secret does not decrypt.
    pub async fn endpoints(&self) -> Result<Vec<Endpoint>, StoreError> {
        self.write(|writing| all(writing.connection, writing.sealer))
            .await
    }

    /// Makes an endpoint.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the name is taken.
    pub async fn create_endpoint(&self, endpoint: NewEndpoint) -> Result<Endpoint, StoreError> {
        self.write(move |writing| create(writing, &endpoint)).await
    }

    /// Gives an endpoint other settings.
    ///
    /// # Errors
    /// [`StoreError::Missing`].
    pub async fn change_endpoint(
        &self,
        name: &EndpointName,
        settings: EndpointSettings,
    ) -> Result<Endpoint, StoreError> {
        let name = name.clone();
        self.write(move |writing| change(writing, &name, &settings))
            .await
    }

    /// Adds a named secret, replacing one of the same name only when `replace` is set.
    ///
    /// # Errors
    /// [`StoreError::Missing`], and [`StoreError::Exists`] when the name is taken.
    pub async fn put_secret(
        &self,
        name: &EndpointName,
        secret: NamedSecret,
        replace: bool,
    ) -> Result<Endpoint, StoreError> {
        let name = name.clone();
        self.write(move |writing| put_secret(writing, &name, &secret, replace))
            .await
    }

    /// Removes a named secret.
    ///
    /// # Errors
    /// [`StoreError::Missing`].
    pub async fn remove_secret(
        &self,
        name: &EndpointName,
        secret: &SecretName,
    ) -> Result<Endpoint, StoreError> {
        let (name, secret) = (name.clone(), secret.clone());
        self.write(move |writing| remove_secret(writing, &name, &secret))
            .await
    }

    /// Deletes an endpoint with all that belongs to it. Its key never works again.
    ///
    /// It is gone when this returns, and its name is free; the disk is given back in steps after that.
    ///
    /// # Errors
    /// [`StoreError::Missing`].
    pub async fn delete_endpoint(&self, name: &EndpointName) -> Result<(), StoreError> {
        let name = name.clone();
        self.write(move |writing| mark_deleted(writing, &name))
            .await?;
        if let Some(sweeper) = &*self.inner.sweeper.lock() {
            sweeper.ring();
        }
        Ok(())
    }
}

/// Whether any secret was ever encrypted and is still kept.
pub(super) fn has_secrets(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row(HAS_SECRETS, [], |row| row.get(0))
}

/// All endpoints with their secrets.
pub(super) fn all(connection: &Connection, sealer: &Sealer) -> Result<Vec<Endpoint>, Failure> {
    let mut query = connection.prepare_cached(ALL)?;
    let mut rows = query.query([])?;
    let mut endpoints = Vec::new();
    while let Some(row) = rows.next()? {
        endpoints.push(read(connection, sealer, row)?);
    }
    Ok(endpoints)
}

/// The endpoint with this name.
pub(super) fn by_name(writing: &Writing<'_>, name: &EndpointName) -> Result<Endpoint, Failure> {
    let mut query = writing.connection.prepare_cached(BY_NAME)?;
    let mut rows = query.query(named_params! { ":name": name.as_str() })?;
    let Some(row) = rows.next()? else {
        return Err(StoreError::missing("endpoint", name).into());
    };
    read(writing.connection, writing.sealer, row)
}

fn read(connection: &Connection, sealer: &Sealer, row: &Row<'_>) -> Result<Endpoint, Failure> {
    let id = EndpointId(row.get(0)?);
    let text = |column: usize| row.get::<_, String>(column);
    Ok(Endpoint {
        id,
        name: text(1)?.parse().map_err(damaged)?,
        key: text(2)?.parse().map_err(damaged)?,
        settings: serde_json::from_str(&text(3)?).map_err(damaged)?,
        created_at: Timestamp::from_millis(row.get::<_, i64>(4)?.cast_unsigned()),
        secrets: secrets(connection, sealer, id)?,
    })
}

fn secrets(
    connection: &Connection,
    sealer: &Sealer,
    endpoint: EndpointId,
) -> Result<Vec<NamedSecret>, Failure> {
    let mut query = connection.prepare_cached(SECRETS)?;
    let mut rows = query.query(named_params! { ":endpoint": endpoint.0 })?;
    let mut secrets = Vec::new();
    while let Some(row) = rows.next()? {
        let name: SecretName = row.get::<_, String>(0)?.parse().map_err(damaged)?;
        let sealed = Sealed {
            key_id: row.get(1)?,
            nonce: row.get(2)?,
            bytes: row.get(3)?,
        };
        secrets.push(NamedSecret {
            secret: sealer.unseal(endpoint, &name, &sealed)?,
            name,
            created_at: Timestamp::from_millis(row.get::<_, i64>(4)?.cast_unsigned()),
        });
    }
    Ok(secrets)
}

fn damaged(error: impl std::fmt::Display) -> Failure {
    StoreError::Failed(format!("an endpoint's row cannot be read: {error}")).into()
}

/// Makes an endpoint with its first secrets.
pub(super) fn create(writing: &mut Writing<'_>, new: &NewEndpoint) -> Result<Endpoint, Failure> {
    let connection = writing.connection;
    match by_name(writing, &new.name) {
        Ok(_) => return Err(StoreError::exists("endpoint", &new.name).into()),
        Err(Failure::Refused(StoreError::Missing { .. })) => {}
        Err(failure) => return Err(failure),
    }
    connection.prepare_cached(CREATE)?.execute(named_params! {
        ":name": new.name.as_str(),
        ":key": new.key.as_str(),
        ":settings": as_json(&new.settings),
        ":created_at": new.created_at.as_millis().cast_signed(),
    })?;
    let id = EndpointId(connection.last_insert_rowid());
    for secret in &new.secrets {
        seal_into(writing, id, secret)?;
    }
    by_name(writing, &new.name)
}

fn as_json(settings: &EndpointSettings) -> String {
    serde_json::to_string(settings).expect("settings are plain data")
}

fn seal_into(
    writing: &Writing<'_>,
    endpoint: EndpointId,
    secret: &NamedSecret,
) -> Result<(), Failure> {
    let sealed = writing
        .sealer
        .seal(endpoint, &secret.name, &secret.secret)?;
    writing
        .connection
        .prepare_cached(PUT_SECRET)?
        .execute(named_params! {
            ":endpoint": endpoint.0,
            ":name": secret.name.as_str(),
            ":key_id": sealed.key_id,
            ":nonce": sealed.nonce,
            ":sealed": sealed.bytes,
            ":created_at": secret.created_at.as_millis().cast_signed(),
        })?;
    uses::begin(writing.connection, endpoint, &secret.name)?;
    Ok(())
}

/// Gives an endpoint other settings.
pub(super) fn change(
    writing: &mut Writing<'_>,
    name: &EndpointName,
    settings: &EndpointSettings,
) -> Result<Endpoint, Failure> {
    let endpoint = by_name(writing, name)?.id;
    writing
        .connection
        .prepare_cached(CHANGE)?
        .execute(named_params! {
            ":settings": as_json(settings),
            ":endpoint": endpoint.0,
        })?;
    by_name(writing, name)
}

/// Puts a secret under its name.
pub(super) fn put_secret(
    writing: &mut Writing<'_>,
    name: &EndpointName,
    secret: &NamedSecret,
    replace: bool,
) -> Result<Endpoint, Failure> {
    let endpoint = by_name(writing, name)?.id;
    let exists: bool = writing.connection.prepare_cached(HAS_SECRET)?.query_row(
        named_params! { ":endpoint": endpoint.0, ":name": secret.name.as_str() },
        |row| row.get(0),
    )?;
    if exists && !replace {
        return Err(StoreError::exists("secret", &secret.name).into());
    }
    seal_into(writing, endpoint, secret)?;
    by_name(writing, name)
}

/// Removes a secret.
pub(super) fn remove_secret(
    writing: &mut Writing<'_>,
    name: &EndpointName,
    secret: &SecretName,
) -> Result<Endpoint, Failure> {
    let endpoint = by_name(writing, name)?.id;
    let removed = writing
        .connection
        .prepare_cached(REMOVE_SECRET)?
        .execute(named_params! { ":endpoint": endpoint.0, ":name": secret.as_str() })?;
    if removed == 0 {
        return Err(StoreError::missing("secret", secret).into());
    }
    uses::end(writing.connection, endpoint, secret)?;
    by_name(writing, name)
}

/// Makes an endpoint invisible, without secrets and consumers; its events go by [`sweep_step`].
pub(super) fn mark_deleted(writing: &mut Writing<'_>, name: &EndpointName) -> Result<(), Failure> {
    let endpoint = by_name(writing, name)?.id;
    let which = named_params! { ":endpoint": endpoint.0 };
    writing
        .connection
        .prepare_cached(MARK_DELETED)?
        .execute(which)?;
    writing
        .connection
        .prepare_cached(REMOVE_SECRETS)?
        .execute(which)?;
    writing
        .connection
        .prepare_cached(REMOVE_CONSUMERS)?
        .execute(which)?;
    uses::end_all(writing.connection, endpoint)?;
    writing.memory.forget_endpoint(endpoint);
    Ok(())
}

/// Removes a few events or signatures of a deleted endpoint, or its row when none is left; nothing when there is none.
pub(super) fn sweep_step(connection: &Connection) -> Result<Option<Removed>, Failure> {
    let deleted = connection
        .prepare_cached(DELETED)?
        .query_row([], |row| row.get(0).map(EndpointId))
        .optional()?;
    let Some(endpoint) = deleted else {
        return Ok(None);
    };
    let removed = clear_step(connection, endpoint)?;
    if removed.is_done && !repeats::clear_step(connection, endpoint)? {
        let which = named_params! { ":endpoint": endpoint.0 };
        connection.prepare_cached(REMOVE)?.execute(which)?;
    }
    Ok(Some(removed))
}
