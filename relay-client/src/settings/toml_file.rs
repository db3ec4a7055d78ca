//! Reads a small TOML file strictly: unknown keys are mistakes, and each mistake has file and line.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::de::DeserializeOwned;

use super::SettingsError;

/// Far more than any settings file needs.
const MOST_BYTES: u64 = 256 * 1024;

/// The file's content; `None` when there is no such file.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, SettingsError> {
    let Some(text) = read_text(path)? else {
        return Ok(None);
    };
    toml::from_str(&text)
        .map(Some)
        .map_err(|error| SettingsError::Malformed {
            path: path.to_owned(),
            line: line_of(&text, error.span().map_or(0, |span| span.start)),
            problem: error.message().trim().replace('\n', ", "),
        })
}

fn read_text(path: &Path) -> Result<Option<String>, SettingsError> {
    let failed = |source| SettingsError::Read {
        path: path.to_owned(),
        source,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut text = String::new();
    let read = file.take(MOST_BYTES + 1).read_to_string(&mut text);
    read.map_err(failed)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(SettingsError::TooLong {
            path: path.to_owned(),
            most: MOST_BYTES,
        });
    }
    Ok(Some(text))
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or_default();
    memchr::memchr_iter(b'\n', before).count() + 1
}
