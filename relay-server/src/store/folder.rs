//! The data folder: what lies where, made readable for its owner only, and held by one relay at a time.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::StoreError;

/// The mode of a file that only its owner reads and writes.
const PRIVATE_FILE: u32 = 0o600;

/// The data folder of an open store; its lock ends with it.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder when it is not there, and takes its lock.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let unwritable = |error: io::Error| StoreError::writing(path, &error);
        make_private(path).map_err(unwritable)?;
        make_private(&path.join("bodies")).map_err(unwritable)?;
        let lock = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .mode(PRIVATE_FILE)
            .open(path.join("lock"))
            .map_err(unwritable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse {
                folder: path.to_owned(),
            }),
            Err(TryLockError::Error(error)) => Err(unwritable(error)),
        }
    }

    /// Whether an open store has this folder.
    pub(super) fn is_held(path: &Path) -> bool {
        let lock = File::open(path.join("lock"));
        lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// Makes the file of the database before SQLite does, which would let the folder's group and others read
    /// it; the files beside it get the same mode. One that stands there already is closed to them.
    pub(super) fn make_database(&self) -> Result<(), StoreError> {
        let make = || {
            let database = self.database();
            OpenOptions::new()
                .create(true)
                .append(true)
                .mode(PRIVATE_FILE)
                .open(&database)?
                .set_permissions(Permissions::from_mode(PRIVATE_FILE))?;
            for ending in ["-wal", "-shm"] {
                let mut beside = database.clone().into_os_string();
                beside.push(ending);
                close_to_others(Path::new(&beside))?;
            }
            Ok(())
        };
        make().map_err(|error: io::Error| StoreError::writing(&self.path, &error))
    }

    /// The folder itself.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The database.
    pub(super) fn database(&self) -> PathBuf {
        self.path.join("towline.db")
    }

    /// The key that encrypts secrets.
    pub(super) fn key_file(&self) -> PathBuf {
        self.path.join("secrets.key")
    }

    /// Where bodies lie that are too long for their rows.
    pub(super) fn bodies(&self) -> PathBuf {
        self.path.join("bodies")
    }
}

fn make_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn close_to_others(path: &Path) -> io::Result<()> {
    match fs::set_permissions(path, Permissions::from_mode(PRIVATE_FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Removes a file; one that is not there is as good as removed.
pub(super) fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_held_by_one_store_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        let first = Folder::open(&path).unwrap();

        let error = Folder::open(&path).unwrap_err();

        assert!(matches!(error, StoreError::InUse { .. }), "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()));
        drop(first);
        assert!(Folder::open(&path).is_ok());
    }

    #[test]
    fn a_folder_is_for_its_owner_only() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/data");

        let folder = Folder::open(&path).unwrap();

        for private in [path, folder.bodies()] {
            let mode = fs::metadata(private).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
        }
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let parent = tempfile::tempdir().unwrap();
        let file = parent.path().join("file");
        fs::write(&file, "").unwrap();

        let error = Folder::open(&file.join("data")).unwrap_err();

        assert!(matches!(error, StoreError::Unwritable { .. }), "{error}");
        assert!(error.to_string().contains("file/data"), "{error}");
    }
}
