//! Where the relay of a data folder is while it runs, for commands on the same machine that are told no address.

use std::fs;
use std::path::{Path, PathBuf};

use crate::store::Store;

/// The longest note that is read; an address is far shorter.
const MOST_BYTES: u64 = 1024;

fn file(data: &Path) -> PathBuf {
    data.join("relay.address")
}

/// Notes the URL under which this machine reaches the relay. It is a convenience: when it cannot be written, other
/// commands have to be told the address.
pub(super) fn note(data: &Path, url: &str) {
    if let Err(error) = fs::write(file(data), format!("{url}\n")) {
        tracing::warn!(%error, "address of the relay not noted in its data folder");
    }
}

/// Takes the note away.
pub(super) fn forget(data: &Path) {
    // A note that stays is not believed once the folder is free.
    let _ = fs::remove_file(file(data));
}

/// The URL that the relay of this data folder has noted; nothing when no relay holds the folder. A note that
/// a crash left behind leads nowhere: somebody else may have the port by then, and must not get a token.
pub fn whereabouts(data: &Path) -> Option<String> {
    let path = file(data);
    if !Store::is_held(data) {
        return None;
    }
    let length = fs::metadata(&path).ok()?.len();
    let note = (length <= MOST_BYTES).then(|| fs::read_to_string(&path).ok())??;
    Some(note.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn the_note_is_believed_from_start_to_stop_and_not_after_a_crash() {
        let folder = tempfile::tempdir().unwrap();
        let url = "http://127.0.0.1:8787";
        let lock = File::create(folder.path().join("lock")).unwrap();

        note(folder.path(), url);
        assert_eq!(whereabouts(folder.path()), None, "nobody holds the folder");
        lock.lock().unwrap();
        assert_eq!(whereabouts(folder.path()).as_deref(), Some(url));
        forget(folder.path());
        assert_eq!(whereabouts(folder.path()), None);
    }
}
