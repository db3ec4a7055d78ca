//! Where a secret comes from: a file, stdin, a variable or a prompt, and never an argument, which other users of
//! the machine and the shell's history would see.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use towline_shared::secret::Secret;

use super::{Environment, SettingsError};

/// Longer than any key file in PEM or JWKS form.
const MOST_BYTES: u64 = 64 * 1024;

/// Where to take a secret from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// A file; `-` is stdin.
    File(PathBuf),
    /// A variable.
    Variable(String),
    /// The person, who types it unseen; the text says what for.
    Prompt(String),
}

impl SecretSource {
    /// Reads the secret. One line end at the end of a file is the editor's and is left out.
    ///
    /// # Errors
    /// When it cannot be read, or is empty.
    pub fn read(&self, environment: &Environment) -> Result<Secret, SettingsError> {
        match self {
            Self::File(path) => read_secret_file(path),
            Self::Variable(name) => match environment.get(name) {
                Some(value) => Ok(Secret::new(value)),
                None => Err(SettingsError::NoSecret {
                    place: format!("variable `{name}`"),
                }),
            },
            Self::Prompt(what) => {
                let typed = rpassword::prompt_password(format!("{what}: "))
                    .map_err(SettingsError::Prompt)?;
                non_empty(typed.into_bytes(), "the answer")
            }
        }
    }

    /// Where it comes from, in words.
    pub fn describe(&self) -> String {
        match self {
            Self::File(path) if path == Path::new("-") => "stdin".to_owned(),
            Self::File(path) => format!("file {}", path.display()),
            Self::Variable(name) => format!("variable {name}"),
            Self::Prompt(_) => "prompt".to_owned(),
        }
    }
}

/// Reads a secret from a file, or from stdin when the path is `-`.
///
/// # Errors
/// When it cannot be read, is empty or far too long.
pub fn read_secret_file(path: &Path) -> Result<Secret, SettingsError> {
    let failed = |source| SettingsError::Read {
        path: path.to_owned(),
        source,
    };
    let content = if path == Path::new("-") {
        read_bounded(io::stdin().lock())
    } else {
        File::open(path).and_then(read_bounded)
    };
    let content = content.map_err(failed)?;
    if content.len() as u64 > MOST_BYTES {
        return Err(SettingsError::TooLong {
            path: path.to_owned(),
            most: MOST_BYTES,
        });
    }
    non_empty(content, &format!("`{}`", path.display()))
}

fn read_bounded(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    reader.take(MOST_BYTES + 1).read_to_end(&mut content)?;
    Ok(content)
}

fn non_empty(mut content: Vec<u8>, place: &str) -> Result<Secret, SettingsError> {
    if content.ends_with(b"\n") {
        content.pop();
        if content.ends_with(b"\r") {
            content.pop();
        }
    }
    if content.is_empty() {
        return Err(SettingsError::NoSecret {
            place: place.to_owned(),
        });
    }
    Ok(Secret::new(content))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8]) -> Result<Secret, SettingsError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, content).unwrap();
        read_secret_file(&path)
    }

    #[test]
    fn exactly_one_line_end_is_left_out() {
        assert_eq!(read(b"salt\n").unwrap(), Secret::new("salt"));
        assert_eq!(read(b"salt\r\n").unwrap(), Secret::new("salt"));
        assert_eq!(read(b"salt\n\n").unwrap(), Secret::new("salt\n"));
        assert_eq!(read(b" salt ").unwrap(), Secret::new(" salt "));
    }

    #[test]
    fn an_empty_secret_is_refused() {
        assert!(read(b"").is_err());
        assert!(read(b"\n").is_err());
    }

    #[test]
    fn a_secret_over_the_limit_is_refused_and_one_at_the_limit_is_not() {
        let most = usize::try_from(MOST_BYTES).unwrap();

        assert!(read(&vec![b'x'; most]).is_ok());
        assert!(read(&vec![b'x'; most + 1]).is_err());
    }

    #[test]
    fn a_variable_that_is_not_set_is_named() {
        let source = SecretSource::Variable("BENJI_SALT".to_owned());

        let error = source.read(&Environment::default()).unwrap_err();

        assert!(error.to_string().contains("`BENJI_SALT`"));
    }
}
