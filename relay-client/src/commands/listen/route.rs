//! `--route 'EXPRESSION = TARGET'` and `[[route]]` of the project file: which events go to which target.

use towline_shared::filter::Filter;

use super::super::Failure;
use super::super::filter_options::{in_file, refused};
use crate::listen::Route;
use crate::settings::ProjectFile;
use crate::target::Target;

/// How many routes there may be; each event may be asked about in all of them.
const MOST_ROUTES: usize = 64;

/// The routes of the command line, or else of the project file, in order.
pub(super) fn read(typed: &[String], project: &ProjectFile) -> Result<Vec<Route>, Failure> {
    let routes: Vec<_> = if typed.is_empty() {
        let of_file = project.route.iter();
        let of_file = of_file.map(|route| {
            let place = in_file(project, "route");
            one(&place, &route.when, &route.to)
        });
        of_file.collect::<Result<_, _>>()?
    } else {
        let typed = typed.iter().map(|text| {
            let (when, to) = split(text).ok_or_else(|| no_target(text))?;
            one("--route", when, to)
        });
        typed.collect::<Result<_, _>>()?
    };
    if routes.len() > MOST_ROUTES {
        let number = routes.len();
        return Err(Failure::invalid(format!(
            "there are {number} routes, expected {MOST_ROUTES} at most"
        )));
    }
    Ok(routes)
}

fn one(place: &str, when: &str, to: &str) -> Result<Route, Failure> {
    let when = Filter::parse(when).map_err(|error| refused(place, &error))?;
    let target: Target = to.parse().map_err(|error| {
        let failure = Failure::invalid(format!("the target of `{place}` cannot be used"));
        failure.because(anyhow::Error::new(error))
    })?;
    Ok(Route { when, target })
}

fn no_target(text: &str) -> Failure {
    let shown: String = text.chars().take(200).collect();
    Failure::invalid(format!("`--route` has no `= TARGET`: {shown}"))
        .hint("such as --route 'json(\"/type\") startsWith \"invoice.\" = localhost:4000/billing'")
}

/// Splits at the first `=` that is no part of a comparison and stands in no text.
fn split(text: &str) -> Option<(&str, &str)> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let mut before = b' ';
    let bytes = text.as_bytes();
    for (index, &byte) in bytes.iter().enumerate() {
        let is_sign = byte == b'='
            && !matches!(before, b'=' | b'!' | b'<' | b'>')
            && bytes.get(index + 1) != Some(&b'=');
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b'=' if is_sign && !is_quoted => {
                return Some((&text[..index], text[index + 1..].trim()));
            }
            _ => {}
        }
        before = byte;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::ProjectRoute;

    #[test]
    fn the_example_of_the_issue_is_a_route() {
        let typed = [r#"json("/type") startsWith "invoice." = localhost:4000/billing"#.to_owned()];

        let routes = read(&typed, &ProjectFile::default()).unwrap();

        assert_eq!(
            routes[0].when.as_str(),
            r#"json("/type") startsWith "invoice.""#
        );
        assert_eq!(
            routes[0].target.to_string(),
            "http://localhost:4000/billing"
        );
    }

    #[test]
    fn only_a_sign_of_its_own_splits() {
        for (text, expected) in [
            ("size >= 1 = 4000", Some(("size >= 1 ", "4000"))),
            ("size == 1=4000/?a=b", Some(("size == 1", "4000/?a=b"))),
            (
                r#"method != "a = b" = 1"#,
                Some((r#"method != "a = b" "#, "1")),
            ),
            (r#"method == "\"=" = 1"#, Some((r#"method == "\"=" "#, "1"))),
            ("size == 1", None),
            ("", None),
        ] {
            assert_eq!(split(text), expected, "{text}");
        }
    }

    #[test]
    fn the_command_line_goes_before_the_project_file() {
        let project = ProjectFile {
            route: vec![ProjectRoute {
                when: "size > 1".into(),
                to: "4000".into(),
            }],
            ..ProjectFile::default()
        };

        assert_eq!(read(&[], &project).unwrap().len(), 1);
        let typed = ["size > 2 = 5000".to_owned()];
        assert_eq!(read(&typed, &project).unwrap()[0].when.as_str(), "size > 2");
    }

    #[test]
    fn what_is_wrong_with_a_route_is_said() {
        for (text, words) in [
            ("size > 1", "has no `= TARGET`"),
            ("size ~ 1 = 4000", "`--route` cannot be read"),
            ("size > 1 = ftp://x", "the target of `--route`"),
        ] {
            let failure = read(&[text.to_owned()], &ProjectFile::default()).unwrap_err();
            assert!(failure.to_string().contains(words), "{failure}");
        }
        let many = vec!["size > 1 = 4000".to_owned(); MOST_ROUTES + 1];
        assert!(read(&many[1..], &ProjectFile::default()).is_ok());
        assert!(read(&many, &ProjectFile::default()).is_err());
    }
}
