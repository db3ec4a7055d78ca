//! The admin token of a relay: made at the first start, and anew when it was revoked; written to `admin.token` for its owner alone.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use towline_shared::id::TokenId;
use towline_shared::time::Timestamp;

use super::StartError;
use crate::auth::{Auth, AuthError, FreshToken};
use crate::store::{NewToken, Scope, Store};

/// Where the admin token of a data folder is.
pub(super) fn file(data: &Path) -> PathBuf {
    data.join("admin.token")
}

/// Makes the token at the first start, and another when that was revoked; else makes sure that the file still
/// opens this store.
pub(super) async fn ensure(data: &Path, store: &Store, auth: &Auth) -> Result<(), StartError> {
    let path = file(data);
    let now = Timestamp::from(SystemTime::now());
    let written = match std::fs::read(&path) {
        Ok(written) => written,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return make(&path, store, now).await;
        }
        Err(error) => return Err(refuse(&path, &error)),
    };
    let token = written.trim_ascii();
    match auth.allow(Some(&bearer(token)), Scope::Admin, now).await {
        Ok(_) => Ok(()),
        Err(AuthError::Store(error)) => Err(error.into()),
        // The relay ended between the file and the store at its first start.
        Err(_) if store.tokens().await?.is_empty() => {
            keep(store, Sha256::digest(token).into(), now).await
        }
        // It was revoked, and stays so. Whoever owns the folder owns the relay, and gets another.
        Err(AuthError::Unauthorised)
            if store.has_had_token(Sha256::digest(token).into()).await? =>
        {
            make(&path, store, now).await?;
            tracing::warn!(file = %path.display(), "admin token was revoked; the file has a new one");
            Ok(())
        }
        Err(error) => Err(refuse(&path, &error)),
    }
}

async fn make(path: &Path, store: &Store, now: Timestamp) -> Result<(), StartError> {
    let fresh = FreshToken::make();
    // The file comes first: a token without its file would be of no use to anybody.
    write_for_owner(path, fresh.token.expose()).map_err(|error| refuse(path, &error))?;
    keep(store, fresh.sha256, now).await
}

async fn keep(store: &Store, sha256: [u8; 32], now: Timestamp) -> Result<(), StartError> {
    let mut random = [0; 10];
    getrandom::fill(&mut random)
        .map_err(|error| crate::store::StoreError::Failed(error.to_string()))?;
    let token = NewToken {
        id: TokenId::new(now, random),
        name: "admin".to_owned(),
        sha256,
        scopes: vec![Scope::Admin],
        created_at: now,
        expires_at: None,
    };
    store.create_token(token).await?;
    Ok(())
}

fn bearer(token: &[u8]) -> Vec<u8> {
    [b"Bearer ", token].concat()
}

fn refuse(path: &Path, why: &impl std::fmt::Display) -> StartError {
    StartError::AdminToken {
        path: path.to_owned(),
        detail: why.to_string(),
    }
}

/// Writes beside the file and renames, so that it is either whole or not there.
fn write_for_owner(path: &Path, token: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("token.new");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&beside)?;
    file.write_all(token)?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}
