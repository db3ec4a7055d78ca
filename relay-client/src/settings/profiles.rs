//! The file of profiles: relays and the tokens for them. Only its owner can read it, and a crash while it is
//! written leaves the old one.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use towline_shared::secret::Secret;
use url::Url;

use super::{DEFAULT_PROFILE, SettingsError, parse_relay, toml_file};

/// All profiles.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profiles {
    /// The one to use when nobody names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    current: Option<String>,
    #[serde(default)]
    profiles: BTreeMap<String, Profile>,
}

/// A relay and how to get in.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The relay's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<String>,
    /// The token for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// A certificate authority of the user's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

impl std::fmt::Debug for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Profile({:?})", self.relay)
    }
}

impl Profiles {
    /// Reads the file; none is as good as an empty one.
    ///
    /// # Errors
    /// When it cannot be read or has a mistake.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        Ok(toml_file::read(path)?.unwrap_or_default())
    }

    /// The profile to use when nobody names one.
    pub fn current(&self) -> &str {
        self.current.as_deref().unwrap_or(DEFAULT_PROFILE)
    }

    /// The profile with this name.
    pub fn get(&self, name: &str) -> Option<&Profile> {
        self.profiles.get(name)
    }

    /// Puts a profile in place and makes it the current one.
    pub fn put(&mut self, name: &str, profile: Profile) {
        self.profiles.insert(name.to_owned(), profile);
        self.current = Some(name.to_owned());
    }

    /// Takes a profile out; whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        if self.current.as_deref() == Some(name) {
            self.current = None;
        }
        self.profiles.remove(name).is_some()
    }

    /// The token for exactly this relay: of the preferred profile, else of any.
    pub(super) fn token_for(&self, relay: &Url, preferred: &str) -> Option<(&str, Secret)> {
        let first = self.profiles.get_key_value(preferred);
        let mut all = first.into_iter().chain(&self.profiles);
        all.find_map(|(name, profile)| {
            let token = profile.token.as_ref()?;
            profile
                .is_of(relay)
                .then(|| (name.as_str(), Secret::new(token.as_str())))
        })
    }

    /// Whether a profile is of this relay.
    pub(super) fn knows(&self, relay: &Url) -> bool {
        self.profiles.values().any(|profile| profile.is_of(relay))
    }

    pub(super) fn ca_file_for(&self, relay: &Url) -> Option<PathBuf> {
        let mut all = self.profiles.values();
        all.find(|profile| profile.ca_file.is_some() && profile.is_of(relay))?
            .ca_file
            .clone()
    }

    /// Writes the file as a whole or not at all, readable by its owner only.
    ///
    /// # Errors
    /// When the folder or the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), SettingsError> {
        let failed = |source| SettingsError::Write {
            path: path.to_owned(),
            source,
        };
        let content = toml::to_string(self).map_err(|error| failed(io::Error::other(error)))?;
        let text = format!("# Written by `towline login` and `towline logout`.\n{content}");
        write_private(path, text.as_bytes()).map_err(failed)
    }
}

impl Profile {
    fn is_of(&self, relay: &Url) -> bool {
        let own = self.relay.as_deref();
        own.is_some_and(|own| parse_relay(own, "profile").is_ok_and(|own| own == *relay))
    }
}

/// Refuses names that would be hard to type or to read.
pub(super) fn check_name(name: &str) -> Result<(), SettingsError> {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if (1..=64).contains(&name.len()) && name.bytes().all(is_fine) {
        return Ok(());
    }
    Err(SettingsError::ProfileName(
        name.chars()
            .take(100)
            .flat_map(char::escape_default)
            .collect(),
    ))
}

/// Writes beside the file and moves it into place.
fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let written = private_file(&beside)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

fn private_file(path: &Path) -> io::Result<fs::File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            options.open(path)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(relay: &str, token: &str) -> Profile {
        Profile {
            relay: Some(relay.to_owned()),
            token: Some(token.to_owned()),
            ca_file: None,
        }
    }

    #[test]
    fn what_is_written_reads_back_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("towline/config.toml");
        let mut profiles = Profiles::default();
        profiles.put("work", profile("https://work.example", "twl_x"));

        profiles.write(&path).unwrap();
        profiles.write(&path).unwrap();

        let again = Profiles::read(&path).unwrap();
        assert_eq!(again.current(), "work");
        assert_eq!(again.get("work").unwrap().token.as_deref(), Some("twl_x"));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(
                &fs::metadata(&path).unwrap().permissions(),
            );
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_removed_profile_is_no_longer_the_current_one() {
        let mut profiles = Profiles::default();
        profiles.put("work", profile("https://work.example", "twl_x"));

        assert!(profiles.remove("work"));
        assert!(!profiles.remove("work"));
        assert_eq!(profiles.current(), DEFAULT_PROFILE);
    }

    #[test]
    fn debug_output_has_no_token() {
        assert!(
            !format!("{:?}", profile("https://a.example", "twl_secret")).contains("twl_secret")
        );
    }

    #[test]
    fn names_of_profiles_are_plain() {
        assert!(check_name(&"a".repeat(64)).is_ok());
        for bad in ["", "a b", "../x", "a.b", &"a".repeat(65)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
