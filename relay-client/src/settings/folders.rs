//! Where files go: configuration, state and data after the XDG base directories.

use std::path::{Path, PathBuf};

use super::{Environment, SettingsError};

/// The three folders; none is made before something is written there.
#[derive(Clone, Debug)]
pub struct Folders {
    config: PathBuf,
    state: PathBuf,
    data: PathBuf,
}

impl Folders {
    /// Finds them: `$XDG_…_HOME/towline`, or below `HOME`.
    ///
    /// # Errors
    /// When neither is set.
    pub fn find(environment: &Environment) -> Result<Self, SettingsError> {
        let folder = |variable: &'static str, below_home: &str| {
            let named = environment.get(variable).map(PathBuf::from);
            // The specification has relative paths ignored.
            let base = named.filter(|path| path.is_absolute()).or_else(|| {
                let home = environment.get("HOME")?;
                Some(Path::new(home).join(below_home))
            });
            base.map(|base| base.join("towline"))
                .ok_or(SettingsError::NoHome(variable))
        };
        Ok(Self {
            config: folder("XDG_CONFIG_HOME", ".config")?,
            state: folder("XDG_STATE_HOME", ".local/state")?,
            data: folder("XDG_DATA_HOME", ".local/share")?,
        })
    }

    /// The file of profiles.
    pub fn config_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    /// The folder of the listeners' journals.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The data folder of the relay on this machine.
    pub fn relay_data(&self) -> PathBuf {
        self.data.join("relay")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xdg_variables_come_before_home_and_relative_ones_do_not_count() {
        let environment = Environment::of([
            ("HOME", "/home/u"),
            ("XDG_STATE_HOME", "/state"),
            ("XDG_DATA_HOME", "relative"),
        ]);

        let folders = Folders::find(&environment).unwrap();

        assert_eq!(
            folders.config_file(),
            Path::new("/home/u/.config/towline/config.toml")
        );
        assert_eq!(folders.state(), Path::new("/state/towline"));
        assert_eq!(
            folders.relay_data(),
            Path::new("/home/u/.local/share/towline/relay")
        );
    }

    #[test]
    fn without_any_variable_there_is_an_error() {
        assert!(Folders::find(&Environment::default()).is_err());
    }
}
