//! `.towline.toml` of a project: what its developers share. It is found in the folder of the command or above,
//! and has no place for secrets nor for files that secrets could be read from.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Chosen, SettingsError, toml_file};

/// The name of the file.
const PROJECT_FILE: &str = ".towline.toml";

/// What a project says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectFile {
    /// Where the file is.
    #[serde(skip)]
    pub path: Option<PathBuf>,
    /// The relay's address.
    pub relay: Option<String>,
    /// The profile to use.
    pub profile: Option<String>,
    /// The endpoint to listen to.
    pub endpoint: Option<String>,
    /// The target to deliver to.
    pub target: Option<String>,
    /// The provider of a new endpoint.
    pub provider: Option<String>,
    /// The name of the consumer.
    #[serde(rename = "as")]
    pub consumer: Option<String>,
    /// How many deliveries may be in hand.
    pub concurrency: Option<u32>,
    /// The time limit of one attempt, such as `"30s"`.
    pub timeout: Option<String>,
    /// How often certain answers are tried again.
    pub retry: Option<u32>,
    /// After how many calls without an answer a delivery is parked.
    pub park_after: Option<u32>,
    /// `preserve`, `rewrite` or a value.
    pub host_header: Option<String>,
    /// Which events to get, as an expression.
    pub filter: Option<String>,
    /// Which events to get, as the provider calls them.
    #[serde(default)]
    pub events: Vec<String>,
    /// Targets of their own for some events.
    #[serde(default)]
    pub route: Vec<ProjectRoute>,
}

/// A `[[route]]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectRoute {
    /// Which events, as an expression.
    pub when: String,
    /// The target.
    pub to: String,
}

impl ProjectFile {
    /// Reads the nearest one, from `directory` upwards; an empty one when there is none.
    ///
    /// # Errors
    /// When it cannot be read or has a mistake.
    pub fn find(directory: &Path) -> Result<Self, SettingsError> {
        for folder in directory.ancestors() {
            let path = folder.join(PROJECT_FILE);
            if let Some(found) = toml_file::read::<Self>(&path)? {
                return Ok(Self {
                    path: Some(path),
                    ..found
                });
            }
        }
        Ok(Self::default())
    }

    pub(super) fn chosen(&self, value: Option<String>) -> Option<Chosen<String>> {
        let path = self.path.as_ref()?;
        Some(Chosen::new(value?, format!("`{}`", path.display())))
    }
}
