//! Encrypts secrets at rest with XChaCha20-Poly1305 and the key of a file beside the database.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use towline_shared::id::SecretName;
use towline_shared::secret::Secret;
use zeroize::Zeroizing;

use super::folder::sync_folder;
use super::{EndpointId, StoreError};

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// Seals and opens secrets with one key.
pub(super) struct Sealer {
    cipher: XChaCha20Poly1305,
    key_id: String,
    file: PathBuf,
}

/// A secret as the database keeps it.
pub(super) struct Sealed {
    pub(super) key_id: String,
    pub(super) nonce: Vec<u8>,
    pub(super) bytes: Vec<u8>,
}

impl Sealer {
    /// Reads the key file, which is made when there is none and no secret needs it yet.
    pub(super) fn open(file: &Path, has_secrets: bool) -> Result<Self, StoreError> {
        if has_secrets && !file.exists() {
            let detail = "it is not there, and the database has secrets encrypted with it";
            return Err(unusable(file, detail.to_owned()));
        }
        let key = read_or_make(file).map_err(|error| unusable(file, error.to_string()))?;
        if key.len() != KEY_BYTES {
            let detail = format!("it has {} bytes, not {KEY_BYTES}", key.len());
            return Err(unusable(file, detail));
        }
        let cipher = XChaCha20Poly1305::new_from_slice(&key)
            .map_err(|error| unusable(file, error.to_string()))?;
        let key_id = HEXLOWER.encode(&Sha256::digest(key.as_slice())[..8]);
        Ok(Self {
            cipher,
            key_id,
            file: file.to_owned(),
        })
    }

    /// Encrypts a secret for its place; it opens nowhere else.
    pub(super) fn seal(
        &self,
        endpoint: EndpointId,
        name: &SecretName,
        secret: &Secret,
    ) -> Result<Sealed, StoreError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|error| StoreError::Failed(error.to_string()))?;
        let payload = Payload {
            msg: secret.expose(),
            aad: &place(endpoint, name),
        };
        let bytes = self
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|error| StoreError::Failed(error.to_string()))?;
        Ok(Sealed {
            key_id: self.key_id.clone(),
            nonce: nonce.to_vec(),
            bytes,
        })
    }

    /// Decrypts a secret of this place.
    pub(super) fn unseal(
        &self,
        endpoint: EndpointId,
        name: &SecretName,
        sealed: &Sealed,
    ) -> Result<Secret, StoreError> {
        if sealed.key_id != self.key_id {
            let detail = format!(
                "secret `{name}` was encrypted with key {}, the file has key {}",
                sealed.key_id, self.key_id
            );
            return Err(unusable(&self.file, detail));
        }
        let damaged = || unusable(&self.file, format!("secret `{name}` does not decrypt"));
        let nonce: [u8; NONCE_BYTES] = sealed.nonce.as_slice().try_into().map_err(|_| damaged())?;
        let payload = Payload {
            msg: &sealed.bytes,
            aad: &place(endpoint, name),
        };
        let bytes = self
            .cipher
            .decrypt(&XNonce::from(nonce), payload)
            .map_err(|_| damaged())?;
        Ok(Secret::new(bytes))
    }
}

fn place(endpoint: EndpointId, name: &SecretName) -> Vec<u8> {
    format!("{}/{name}", endpoint.0).into_bytes()
}

fn unusable(file: &Path, detail: String) -> StoreError {
    StoreError::Key {
        path: file.to_owned(),
        detail,
    }
}

fn read_or_make(file: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut key = Zeroizing::new(Vec::with_capacity(KEY_BYTES + 1));
    match OpenOptions::new().read(true).open(file) {
        Ok(open) => {
            open.take(KEY_BYTES as u64 + 1).read_to_end(&mut key)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            key.resize(KEY_BYTES, 0);
            getrandom::fill(&mut key).map_err(io::Error::other)?;
            write_durably(file, &key)?;
        }
        Err(error) => return Err(error),
    }
    Ok(key)
}

/// Whole or not at all: a key that a crash cut short, or lost, would take every secret with it.
fn write_durably(file: &Path, key: &[u8]) -> io::Result<()> {
    let temporary = file.with_extension("tmp");
    let mut made = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    made.write_all(key)?;
    made.sync_all()?;
    fs::rename(&temporary, file)?;
    match file.parent() {
        Some(folder) => sync_folder(folder),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn name(text: &str) -> SecretName {
        text.parse().unwrap()
    }

    #[test]
    fn a_secret_opens_only_in_its_own_place() {
        let folder = tempfile::tempdir().unwrap();
        let sealer = Sealer::open(&folder.path().join("key"), false).unwrap();
        let sealed = sealer
            .seal(EndpointId(1), &name("live"), &Secret::new("salt"))
            .unwrap();

        let opened = sealer
            .unseal(EndpointId(1), &name("live"), &sealed)
            .unwrap();

        assert_eq!(opened.expose(), b"salt");
        assert!(
            sealer
                .unseal(EndpointId(2), &name("live"), &sealed)
                .is_err()
        );
        assert!(sealer.unseal(EndpointId(1), &name("old"), &sealed).is_err());
        assert!(!sealed.bytes.windows(4).any(|four| four == b"salt"));
    }

    #[test]
    fn the_key_file_is_made_once_and_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");

        let first = Sealer::open(&file, false).unwrap();
        let second = Sealer::open(&file, false).unwrap();

        assert_eq!(first.key_id, second.key_id);
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn a_key_file_of_another_length_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for (length, message) in [
            (31, "it has 31 bytes, not 32"),
            (33, "it has 33 bytes, not 32"),
        ] {
            let file = folder.path().join("key");
            fs::write(&file, vec![1; length]).unwrap();

            let error = Sealer::open(&file, false).err().unwrap().to_string();

            assert!(error.ends_with(message), "{error}");
            fs::remove_file(&file).unwrap();
        }
    }
}
