//! The journal's bytes on the disk: appended with one `write` a record, and written anew when it grew long.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::records::{self, Record};

/// The file is written anew without what is forgotten when it is longer than this.
pub(super) const COMPACT_BYTES: u64 = 8 * 1024 * 1024;

/// The most that is read at the start. What lives in a journal is bounded by the window: at most
/// 1024 outcomes with the kept part of a reply, far below this.
const MAX_JOURNAL_BYTES: u64 = 1024 * 1024 * 1024;

/// The open file.
pub(super) struct JournalFile {
    path: PathBuf,
    file: File,
    length: u64,
}

impl JournalFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = open_for_append(path)?;
        Ok(Self {
            path: path.to_owned(),
            length: file.metadata()?.len(),
            file,
        })
    }

    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// Whether it is worth writing it anew.
    pub(super) const fn is_long(&self) -> bool {
        self.length > COMPACT_BYTES
    }

    /// Appends records with one `write`.
    pub(super) fn append(&mut self, records: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(records);
        if written.is_ok() {
            self.length += records.len() as u64;
        } else {
            // A part may be there; what is written after it must not stand behind a torn record.
            let _ = self.file.set_len(self.length);
        }
        written
    }

    /// Writes a new file with these records and puts it in the place of the old one.
    pub(super) fn replace<'a>(
        &mut self,
        records: impl Iterator<Item = Record<'a>>,
    ) -> io::Result<()> {
        let mut bytes = records::HEADER.to_vec();
        for record in records {
            record.append_to(&mut bytes);
        }
        let fresh = self.path.with_extension("new");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        private(&mut options).open(&fresh)?.write_all(&bytes)?;
        std::fs::rename(&fresh, &self.path)?;
        self.file = open_for_append(&self.path)?;
        self.length = bytes.len() as u64;
        Ok(())
    }
}

/// The bytes of a journal; none when there is no file yet.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(MAX_JOURNAL_BYTES + 1).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    if bytes.len() as u64 > MAX_JOURNAL_BYTES {
        return Err(io::Error::other(format!(
            "it has more than {MAX_JOURNAL_BYTES} bytes; {}",
            records::MOVE_AWAY
        )));
    }
    Ok(bytes)
}

fn open_for_append(path: &Path) -> io::Result<File> {
    private(OpenOptions::new().append(true).create(true)).open(path)
}

/// Heads and replies may hold credentials: only the owner may read them.
pub(super) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}
