//! `--filter` and `-e/--events`: which events are meant, read before anything is connected.

use std::path::Path;

use clap::Args;
use towline_shared::filter::{Filter, FilterError};

use super::Failure;
use crate::settings::ProjectFile;

/// Which events are meant.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct FilterOptions {
    /// Only events that this expression means, such as 'json("/type") startsWith "invoice."'; the others are passed
    /// over for good. Subjects: method, path, query("a"), header("a"), json("/a/0"), body, event, verdict, provider,
    /// endpoint, delivery, remote, size. Tests: == != < <= > >= startsWith endsWith contains matches in exists,
    /// joined by && || ! and ( )
    #[arg(long, value_name = "EXPRESSION", help_heading = "Filter")]
    filter: Option<String>,
    /// Only what the provider calls so; * stands for anything (with commas, or repeated)
    #[arg(
        short,
        long,
        value_name = "NAME,…",
        value_delimiter = ',',
        help_heading = "Filter"
    )]
    events: Vec<String>,
}

impl FilterOptions {
    /// The filter of the command line alone.
    pub(super) fn read(&self) -> Result<Option<Filter>, Failure> {
        self.read_with(&ProjectFile::default())
    }

    /// The filter, each part from the first place that has it: the command line, then the project file.
    pub(super) fn read_with(&self, project: &ProjectFile) -> Result<Option<Filter>, Failure> {
        let expression = match (&self.filter, &project.filter) {
            (Some(text), _) => {
                Some(Filter::parse(text).map_err(|error| refused("--filter", &error))?)
            }
            (None, Some(text)) => {
                let read = Filter::parse(text);
                Some(read.map_err(|error| refused(&in_file(project, "filter"), &error))?)
            }
            (None, None) => None,
        };
        let events = match (self.events.as_slice(), project.events.as_slice()) {
            ([], []) => None,
            ([], events) => {
                let read = Filter::of_events(&events.join(","));
                Some(read.map_err(|error| refused(&in_file(project, "events"), &error))?)
            }
            (events, _) => {
                let read = Filter::of_events(&events.join(","));
                Some(read.map_err(|error| refused("--events", &error))?)
            }
        };
        match (events, expression) {
            (Some(events), Some(expression)) => {
                let both = events.and(&expression);
                Ok(Some(both.map_err(|error| refused("--filter", &error))?))
            }
            (events, expression) => Ok(events.or(expression)),
        }
    }
}

/// What is wrong with an expression that was given there, and where in it.
pub(super) fn refused(place: &str, error: &FilterError) -> Failure {
    Failure::invalid(format!(
        "`{place}` cannot be read: {error}\n{}",
        error.pointed()
    ))
}

/// How a key of the project file is named.
pub(super) fn in_file(project: &ProjectFile, key: &str) -> String {
    let path = project.path.as_deref();
    let path = path.unwrap_or(Path::new(".towline.toml"));
    format!("{key}` in `{}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_an_expression_are_both_asked_for() {
        let options = FilterOptions {
            filter: Some("size > 1".into()),
            events: vec!["push".into(), "invoice.*".into()],
        };

        assert_eq!(
            options
                .read_with(&ProjectFile::default())
                .unwrap()
                .unwrap()
                .as_str(),
            r#"(event in ["push"] || event matches "invoice.*") && (size > 1)"#
        );
    }

    #[test]
    fn the_command_line_goes_before_the_project_file() {
        let project = ProjectFile {
            filter: Some("size > 1".into()),
            events: vec!["push".into()],
            ..ProjectFile::default()
        };
        let typed = FilterOptions {
            filter: Some("size > 2".into()),
            events: Vec::new(),
        };

        let filter = typed.read_with(&project).unwrap().unwrap();

        assert_eq!(filter.as_str(), r#"(event in ["push"]) && (size > 2)"#);
        assert!(
            FilterOptions::default()
                .read_with(&ProjectFile::default())
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn a_mistake_is_pointed_at() {
        let options = FilterOptions {
            filter: Some("size = 1".into()),
            events: Vec::new(),
        };

        let failure = options.read_with(&ProjectFile::default()).unwrap_err();

        assert_eq!(
            failure.to_string(),
            "`--filter` cannot be read: two things are compared with `==` (column 6)\n  size = 1\n       ^"
        );
    }
}
