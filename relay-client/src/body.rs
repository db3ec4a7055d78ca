//! A request's body that is wholly on this machine, so that it can be sent more than once: short ones in
//! memory, long ones in a file that disappears with its last handle.
//!
//! A long body is fetched before the app is called: a slow or broken way to the relay then never shows up
//! at the app as a slow or broken request, and memory stays the same for every size.

use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

/// How much of a file is read at once; as much as a `data` frame carries.
const PIECE_BYTES: usize = 64 * 1024;

/// A whole body.
#[derive(Debug)]
pub enum Body {
    /// In memory.
    Memory(Bytes),
    /// In a file.
    File(SpoolFile),
}

impl Body {
    /// The length in bytes.
    pub const fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(file) => file.length,
        }
    }

    /// Starts to read from the beginning.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn reader(&mut self) -> io::Result<BodyReader<'_>> {
        match self {
            Self::Memory(bytes) => Ok(BodyReader::Memory(bytes.clone())),
            Self::File(spool) => {
                spool.file.seek(SeekFrom::Start(0)).await?;
                Ok(BodyReader::File {
                    file: &mut spool.file,
                    left: spool.length,
                })
            }
        }
    }
}

/// Reads a body piece by piece.
#[derive(Debug)]
pub enum BodyReader<'a> {
    /// From memory: one piece.
    Memory(Bytes),
    /// From a file.
    File {
        /// The file, at the place of the next piece.
        file: &'a mut File,
        /// How many bytes are still to come.
        left: u64,
    },
}

impl BodyReader<'_> {
    /// The next piece; an empty one is the end.
    ///
    /// # Errors
    /// When the file cannot be read or became shorter.
    pub async fn next(&mut self) -> io::Result<Bytes> {
        let (file, left) = match self {
            Self::Memory(bytes) => return Ok(std::mem::take(bytes)),
            Self::File { file, left } => (file, left),
        };
        let wanted = usize::try_from(*left)
            .unwrap_or(PIECE_BYTES)
            .min(PIECE_BYTES);
        let mut piece = BytesMut::zeroed(wanted);
        file.read_exact(&mut piece).await?;
        *left -= wanted as u64;
        Ok(piece.freeze())
    }

    /// Whether nothing is left.
    pub const fn is_at_end(&self) -> bool {
        match self {
            Self::Memory(bytes) => bytes.is_empty(),
            Self::File { left, .. } => *left == 0,
        }
    }
}

/// A file that holds a body while it is needed. It has no name in the file system where that is possible,
/// so that nothing is left when the process is killed.
#[derive(Debug)]
pub struct SpoolFile {
    file: File,
    length: u64,
    _name: FileName,
}

impl SpoolFile {
    /// Makes an empty file in a folder that exists.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub async fn create(folder: &Path) -> io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("body-{}-{count}.tmp", std::process::id()));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        #[cfg(unix)]
        options.mode(0o600);
        let file = options.open(&path).await?;
        // An open file may be removed on Unix; elsewhere it goes when it is closed.
        let name = if std::fs::remove_file(&path).is_ok() {
            None
        } else {
            Some(path)
        };
        Ok(Self {
            file,
            length: 0,
            _name: FileName(name),
        })
    }

    /// Adds bytes at the end.
    ///
    /// # Errors
    /// When the disk is full, for example.
    pub async fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes).await?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// How many bytes it has.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// The body, now that it is whole.
    ///
    /// # Errors
    /// When the last bytes cannot be written.
    pub async fn finish(mut self) -> io::Result<Body> {
        self.file.flush().await?;
        Ok(Body::File(self))
    }
}

/// The file's name where it could not be removed at once; removed when dropped.
#[derive(Debug)]
struct FileName(Option<PathBuf>);

impl Drop for FileName {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(body: &mut Body) -> (Vec<u8>, Vec<usize>) {
        let mut reader = body.reader().await.unwrap();
        let (mut bytes, mut pieces) = (Vec::new(), Vec::new());
        while !reader.is_at_end() {
            let piece = reader.next().await.unwrap();
            pieces.push(piece.len());
            bytes.extend_from_slice(&piece);
        }
        assert!(reader.next().await.unwrap().is_empty());
        (bytes, pieces)
    }

    #[tokio::test]
    async fn a_body_can_be_read_again_from_memory_and_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..PIECE_BYTES + 10).map(|i| (i % 251) as u8).collect();
        let mut spool = SpoolFile::create(folder.path()).await.unwrap();
        spool.append(&bytes[..100]).await.unwrap();
        spool.append(&bytes[100..]).await.unwrap();

        for mut body in [
            Body::Memory(bytes.clone().into()),
            spool.finish().await.unwrap(),
        ] {
            assert_eq!(body.length(), bytes.len() as u64);
            assert_eq!(read(&mut body).await.0, bytes);
            assert_eq!(read(&mut body).await.0, bytes);
        }
    }

    #[tokio::test]
    async fn a_file_is_read_in_pieces_and_leaves_no_name_behind() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = SpoolFile::create(folder.path()).await.unwrap();
        spool.append(&vec![1; 2 * PIECE_BYTES + 1]).await.unwrap();

        let mut body = spool.finish().await.unwrap();

        assert_eq!(read(&mut body).await.1, [PIECE_BYTES, PIECE_BYTES, 1]);
        drop(body);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
