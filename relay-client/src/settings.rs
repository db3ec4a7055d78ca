//! Finds what a command runs with, each value from the first place that has it: flag, `TOWLINE_*`, project file,
//! profile, default. A profile's token goes to that profile's relay and to no other, so that a project file can name
//! a relay but never have a token sent there that was not meant for it.

mod environment;
mod error;
mod folders;
mod profiles;
mod project_file;
mod secret_source;
mod toml_file;

use std::path::{Path, PathBuf};

use towline_shared::secret::Secret;
use url::Url;

pub use environment::Environment;
pub use error::SettingsError;
pub use folders::Folders;
pub use profiles::{Profile, Profiles};
pub use project_file::{ProjectFile, ProjectRoute};
pub use secret_source::{SecretSource, read_secret_file};

use crate::dial::RelayAddress;

/// What the global flags say.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--relay`
    pub relay: Option<String>,
    /// `--token-file`
    pub token_file: Option<PathBuf>,
    /// `--profile`
    pub profile: Option<String>,
    /// `--ca-file`
    pub ca_file: Option<PathBuf>,
}

/// What commands run with.
#[derive(Debug)]
pub struct Settings {
    /// The relay; `None` when nothing names one.
    pub relay: Option<Chosen<RelayAddress>>,
    /// The token; see [`Settings::token_for_relay`] before it is sent anywhere.
    pub token: Option<Chosen<Secret>>,
    /// Whether the person, and not a project's file alone, says where the token may go.
    is_trusted: bool,
    /// What the project file says of `listen`.
    pub project: ProjectFile,
    /// The profiles.
    pub profiles: Profiles,
    /// The profile in use or to be made.
    pub profile: String,
    /// Where files go.
    pub folders: Folders,
    /// The process's variables.
    pub environment: Environment,
}

/// A value and where it comes from, in words.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "said above")]
pub struct Chosen<T> {
    pub value: T,
    pub from: String,
}

impl<T> Chosen<T> {
    fn new(value: T, from: impl Into<String>) -> Self {
        Self {
            value,
            from: from.into(),
        }
    }
}

/// The profile when nobody names one.
pub const DEFAULT_PROFILE: &str = "default";

impl Settings {
    /// Reads the files that there are and decides.
    ///
    /// # Errors
    /// When a file is malformed (with file, line and key), or a value cannot be used.
    pub fn load(
        flags: &Flags,
        environment: Environment,
        directory: &Path,
    ) -> Result<Self, SettingsError> {
        let folders = Folders::find(&environment)?;
        let project = ProjectFile::find(directory)?;
        let profiles = Profiles::read(&folders.config_file())?;
        let profile = Self::profile_name(flags, &environment, &project, &profiles)?;
        let ca_file = Self::ca_file(flags, &environment);
        let relay = Self::relay(flags, &environment, &project, &profiles, &profile)?;
        let relay = relay.map(|chosen| Chosen {
            value: RelayAddress {
                ca_file: ca_file.or_else(|| profiles.ca_file_for(&chosen.value)),
                url: chosen.value,
            },
            from: chosen.from,
        });
        let token = Self::token(flags, &environment, &profiles, &profile, relay.as_ref())?;
        let is_trusted = flags.relay.is_some()
            || flags.token_file.is_some()
            || environment.chosen("TOWLINE_RELAY").is_some()
            || project.relay.is_none();
        Ok(Self {
            relay,
            token,
            is_trusted,
            project,
            profiles,
            profile,
            folders,
            environment,
        })
    }

    fn profile_name(
        flags: &Flags,
        environment: &Environment,
        project: &ProjectFile,
        profiles: &Profiles,
    ) -> Result<String, SettingsError> {
        let asked_for = flags
            .profile
            .clone()
            .map(|name| Chosen::new(name, "`--profile`"))
            .or_else(|| environment.chosen("TOWLINE_PROFILE"))
            .or_else(|| project.chosen(project.profile.clone()));
        let name = match asked_for {
            Some(chosen) => chosen.value,
            None => return Ok(profiles.current().to_owned()),
        };
        profiles::check_name(&name)?;
        Ok(name)
    }

    fn ca_file(flags: &Flags, environment: &Environment) -> Option<PathBuf> {
        let named = environment.get("TOWLINE_CA_FILE").map(PathBuf::from);
        flags.ca_file.clone().or(named)
    }

    fn relay(
        flags: &Flags,
        environment: &Environment,
        project: &ProjectFile,
        profiles: &Profiles,
        profile: &str,
    ) -> Result<Option<Chosen<Url>>, SettingsError> {
        let of_profile = || {
            let relay = profiles.get(profile)?.relay.clone()?;
            Some(Chosen::new(relay, format!("profile `{profile}`")))
        };
        let chosen = flags
            .relay
            .clone()
            .map(|relay| Chosen::new(relay, "`--relay`"))
            .or_else(|| environment.chosen("TOWLINE_RELAY"))
            .or_else(|| project.chosen(project.relay.clone()))
            .or_else(of_profile);
        chosen
            .map(|Chosen { value, from }| Ok(Chosen::new(parse_relay(&value, &from)?, from)))
            .transpose()
    }

    /// The token to send to the relay. Whoever writes a project's file must not get a token that the
    /// environment holds for another relay.
    ///
    /// # Errors
    /// When only the project's file names the relay, and no profile knows it.
    pub fn token_for_relay(&self) -> Result<Option<&Chosen<Secret>>, SettingsError> {
        let (Some(relay), Some(token)) = (&self.relay, &self.token) else {
            return Ok(self.token.as_ref());
        };
        if self.is_trusted || self.profiles.knows(&relay.value.url) {
            return Ok(Some(token));
        }
        Err(SettingsError::UntrustedRelay {
            token: token.from.clone(),
            relay: relay.value.url.to_string(),
            from: relay.from.clone(),
        })
    }

    fn token(
        flags: &Flags,
        environment: &Environment,
        profiles: &Profiles,
        profile: &str,
        relay: Option<&Chosen<RelayAddress>>,
    ) -> Result<Option<Chosen<Secret>>, SettingsError> {
        if let Some(path) = &flags.token_file {
            let token = read_secret_file(path)?;
            return Ok(Some(Chosen::new(token, "`--token-file`")));
        }
        if let Some(token) = environment.chosen("TOWLINE_TOKEN") {
            return Ok(Some(Chosen::new(Secret::new(token.value), token.from)));
        }
        if let Some(path) = environment.chosen("TOWLINE_TOKEN_FILE") {
            let token = read_secret_file(Path::new(&path.value))?;
            return Ok(Some(Chosen::new(token, path.from)));
        }
        let Some(relay) = relay else {
            return Ok(None);
        };
        let found = profiles.token_for(&relay.value.url, profile);
        Ok(found.map(|(name, token)| Chosen::new(token, format!("profile `{name}`"))))
    }
}

/// Reads the address of a relay; `relay.example` alone means `https://relay.example`.
///
/// # Errors
/// Names what is wrong with it, and where it stands.
pub fn parse_relay(text: &str, from: &str) -> Result<Url, SettingsError> {
    let invalid = |problem: &str| SettingsError::Relay {
        text: text.to_owned(),
        from: from.to_owned(),
        problem: problem.to_owned(),
    };
    let trimmed = text.trim();
    let with_scheme = if trimmed.contains("://") {
        trimmed.to_owned()
    } else {
        format!("https://{trimmed}")
    };
    let url = Url::parse(&with_scheme).map_err(|error| invalid(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid("only http and https are spoken"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("a name or password does not belong into it"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("a `?` or `#` does not belong into it"));
    }
    Ok(without_last_slash(url))
}

/// `https://a.example/base/` and `https://a.example/base` are one address.
fn without_last_slash(mut url: Url) -> Url {
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    url
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A home folder and a project folder of its own.
    struct Place {
        root: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            fs::create_dir_all(root.path().join("project/deep")).unwrap();
            Self { root }
        }

        fn config(&self, text: &str) {
            let folder = self.root.path().join("config/towline");
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("config.toml"), text).unwrap();
        }

        fn project(&self, text: &str) {
            fs::write(self.root.path().join("project/.towline.toml"), text).unwrap();
        }

        fn load(
            &self,
            flags: &Flags,
            variables: &[(&str, &str)],
        ) -> Result<Settings, SettingsError> {
            let config = self.root.path().join("config");
            let home = [
                ("HOME", self.root.path().to_str().unwrap()),
                ("XDG_CONFIG_HOME", config.to_str().unwrap()),
            ];
            let environment = Environment::of(home.iter().chain(variables).copied());
            Settings::load(flags, environment, &self.root.path().join("project/deep"))
        }
    }

    const TWO_PROFILES: &str = r#"
        current = "work"
        [profiles.work]
        relay = "https://work.example"
        token = "twl_work"
        [profiles.home]
        relay = "https://home.example"
        token = "twl_home"
    "#;

    fn relay(settings: &Settings) -> String {
        settings.relay.as_ref().unwrap().value.url.to_string()
    }

    fn token(settings: &Settings) -> Option<String> {
        let token = settings.token.as_ref()?;
        Some(String::from_utf8(token.value.expose().to_vec()).unwrap())
    }

    #[test]
    fn nothing_configured_names_no_relay() {
        let settings = Place::new().load(&Flags::default(), &[]).unwrap();

        assert!(settings.relay.is_none());
        assert!(settings.token.is_none());
        assert_eq!(settings.profile, "default");
    }

    #[test]
    fn each_place_gives_way_to_the_one_before_it() {
        let place = Place::new();
        place.config(TWO_PROFILES);
        let by_profile = place.load(&Flags::default(), &[]).unwrap();
        place.project("relay = \"https://project.example\"");
        let by_project = place.load(&Flags::default(), &[]).unwrap();
        let variable = [("TOWLINE_RELAY", "https://variable.example")];
        let by_variable = place.load(&Flags::default(), &variable).unwrap();
        let flags = Flags {
            relay: Some("flag.example".to_owned()),
            ..Flags::default()
        };
        let by_flag = place.load(&flags, &variable).unwrap();

        assert_eq!(relay(&by_profile), "https://work.example/");
        assert_eq!(relay(&by_project), "https://project.example/");
        assert_eq!(relay(&by_variable), "https://variable.example/");
        assert_eq!(relay(&by_flag), "https://flag.example/");
    }

    #[test]
    fn a_profiles_token_is_never_sent_to_another_relay() {
        let place = Place::new();
        place.config(TWO_PROFILES);
        place.project("relay = \"https://evil.example\"");

        let settings = place.load(&Flags::default(), &[]).unwrap();

        assert_eq!(relay(&settings), "https://evil.example/");
        assert_eq!(token(&settings), None);
    }

    #[test]
    fn a_token_of_the_environment_is_not_sent_to_a_relay_that_only_the_project_names() {
        let place = Place::new();
        place.project("relay = \"https://evil.example\"");
        let token = ("TOWLINE_TOKEN", "twl_mine");
        let relay = ("TOWLINE_RELAY", "https://evil.example");

        let untrusted = place.load(&Flags::default(), &[token]).unwrap();
        let meant = place.load(&Flags::default(), &[token, relay]).unwrap();
        place.config("[profiles.a]\nrelay = \"https://evil.example\"");
        let known = place.load(&Flags::default(), &[token]).unwrap();

        let refused = untrusted.token_for_relay().unwrap_err().to_string();
        assert!(
            refused.contains("TOWLINE_TOKEN") && refused.contains("evil.example"),
            "{refused}"
        );
        assert!(meant.token_for_relay().unwrap().is_some());
        assert!(known.token_for_relay().unwrap().is_some());
    }

    #[test]
    fn a_relay_named_elsewhere_finds_its_token_in_any_profile() {
        let place = Place::new();
        place.config(TWO_PROFILES);
        place.project("relay = \"https://home.example/\"");

        let settings = place.load(&Flags::default(), &[]).unwrap();

        assert_eq!(token(&settings).as_deref(), Some("twl_home"));
    }

    #[test]
    fn an_empty_variable_is_as_if_it_were_not_set() {
        let place = Place::new();
        place.config(TWO_PROFILES);
        let variables = [("TOWLINE_RELAY", ""), ("TOWLINE_TOKEN", "")];

        let settings = place.load(&Flags::default(), &variables).unwrap();

        assert_eq!(relay(&settings), "https://work.example/");
        assert_eq!(token(&settings).as_deref(), Some("twl_work"));
    }

    #[test]
    fn an_unknown_key_is_named_with_its_file_and_line() {
        let place = Place::new();
        place.project("endpoint = \"orders\"\n\nrelais = \"https://x.example\"\n");

        let error = place.load(&Flags::default(), &[]).unwrap_err().to_string();

        assert!(error.contains(".towline.toml:3"), "{error}");
        assert!(error.contains("relais"), "{error}");
    }

    #[test]
    fn an_unknown_key_of_a_profile_is_named_too() {
        let place = Place::new();
        place.config("[profiles.work]\nrelay = \"https://a.example\"\ntokken = \"x\"\n");

        let error = place.load(&Flags::default(), &[]).unwrap_err().to_string();

        assert!(error.contains("config.toml:3"), "{error}");
        assert!(error.contains("tokken"), "{error}");
    }

    #[test]
    fn relay_addresses_are_checked_where_they_stand() {
        for (text, problem) in [
            ("ftp://a.example", "only http and https"),
            ("https://user:pw@a.example", "password"),
            ("https://a.example/?x", "`?`"),
            ("https://", "host"),
        ] {
            let error = parse_relay(text, "`--relay`").unwrap_err().to_string();

            assert!(error.contains(problem), "{text}: {error}");
            assert!(error.contains("`--relay`"), "{error}");
        }
        assert_eq!(
            parse_relay("http://127.0.0.1:8787/", "x").unwrap().as_str(),
            "http://127.0.0.1:8787/"
        );
    }
}
