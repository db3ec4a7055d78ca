//! The process's environment variables, read once, so that everything that depends on them can be tested.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::Chosen;

/// Variables by name. One that is set but empty counts as absent.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<String, OsString>);

impl Environment {
    /// Those of this process.
    pub fn of_this_process() -> Self {
        let named =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        Self(named.collect())
    }

    /// These.
    pub fn of<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), OsString::from(value));
        Self(variables.into_iter().map(owned).collect())
    }

    /// The value, if it is set, not empty, and text.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .and_then(|value| value.to_str())
            .filter(|value| !value.is_empty())
    }

    pub(super) fn chosen(&self, name: &str) -> Option<Chosen<String>> {
        self.get(name)
            .map(|value| Chosen::new(value.to_owned(), format!("`{name}`")))
    }
}
