//! Where the relay of a data folder is while it runs, for commands on the same machine that are told no address.

use std::fs;
use std::path::{Path, PathBuf};

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
    // A note that stays leads to a refused connection and no further.
    let _ = fs::remove_file(file(data));
}

/// The URL that the relay of this data folder has noted. After a crash the relay need not be there.
pub fn whereabouts(data: &Path) -> Option<String> {
    let path = file(data);
    let length = fs::metadata(&path).ok()?.len();
    let note = (length <= MOST_BYTES).then(|| fs::read_to_string(&path).ok())??;
    Some(note.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_note_is_there_from_start_to_stop() {
        let folder = tempfile::tempdir().unwrap();

        assert_eq!(whereabouts(folder.path()), None);
        note(folder.path(), "http://127.0.0.1:8787");
        assert_eq!(
            whereabouts(folder.path()).as_deref(),
            Some("http://127.0.0.1:8787")
        );
        forget(folder.path());
        assert_eq!(whereabouts(folder.path()), None);
    }
}
