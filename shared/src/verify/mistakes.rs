//! Gathers everything that is wrong with a scheme file, each with its line and key, so that one reading names it all.

use std::cell::RefCell;
use std::fmt;

/// How many mistakes of one file are told; a file that is no scheme at all has no end of them.
const MAX_MISTAKES: usize = 100;

/// A scheme file has a mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemeError {
    /// The line in the file, from 1.
    pub line: usize,
    /// The column in that line, from 1, where a template is wrong at one place.
    pub column: Option<usize>,
    /// The key, such as `github.scheme.alg`.
    pub key: String,
    /// What is wrong there and what was expected.
    pub problem: String,
}

impl fmt::Display for SchemeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if let Some(column) = self.column {
            write!(f, ", column {column}")?;
        }
        write!(f, ", `{}`: {}", self.key, self.problem)
    }
}

/// All mistakes of a scheme file, in the order of its lines.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct SchemeErrors(pub Vec<SchemeError>);

impl fmt::Display for SchemeErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

/// What a closer look at a scheme file finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemeFindings {
    /// What must be mended; there may be none.
    pub errors: SchemeErrors,
    /// What is allowed but should be known.
    pub warnings: Vec<SchemeError>,
}

/// A mistake has been noted: what depends on the value cannot be made, but reading goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Noted;

/// The mistakes and doubts so far.
#[derive(Debug, Default)]
pub(super) struct Mistakes {
    errors: RefCell<Vec<SchemeError>>,
    warnings: RefCell<Vec<SchemeError>>,
}

impl Mistakes {
    /// Notes a mistake at a place in the source.
    pub(super) fn note(&self, source: &str, offset: usize, key: &str, problem: String) -> Noted {
        let (line, _) = position(source, offset);
        push(&self.errors, line, None, key, problem);
        Noted
    }

    /// Notes a mistake whose column is known too.
    pub(super) fn note_at(&self, source: &str, offset: usize, key: &str, problem: String) -> Noted {
        let (line, column) = position(source, offset);
        push(&self.errors, line, Some(column), key, problem);
        Noted
    }

    /// Notes a doubt.
    pub(super) fn warn(&self, source: &str, offset: usize, key: &str, doubt: String) {
        let (line, _) = position(source, offset);
        push(&self.warnings, line, None, key, doubt);
    }

    /// All of them, by line.
    pub(super) fn into_findings(self) -> SchemeFindings {
        SchemeFindings {
            errors: SchemeErrors(sorted(self.errors)),
            warnings: sorted(self.warnings),
        }
    }
}

fn push(
    list: &RefCell<Vec<SchemeError>>,
    line: usize,
    column: Option<usize>,
    key: &str,
    problem: String,
) {
    let mut list = list.borrow_mut();
    if list.len() < MAX_MISTAKES {
        list.push(SchemeError {
            line,
            column,
            key: key.to_owned(),
            problem,
        });
    }
}

fn sorted(list: RefCell<Vec<SchemeError>>) -> Vec<SchemeError> {
    let mut list = list.into_inner();
    list.sort_by_key(|error| (error.line, error.column));
    list
}

/// Runs to the end before it tells that something is missing, so that every mistake is noted.
pub(super) fn all<T>(results: impl Iterator<Item = Result<T, Noted>>) -> Result<Vec<T>, Noted> {
    let results: Vec<_> = results.collect();
    results.into_iter().collect()
}

/// Line and column of a place, both from 1.
fn position(source: &str, offset: usize) -> (usize, usize) {
    let before = source.get(..offset).unwrap_or(source);
    let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
    let in_line = before.rsplit('\n').next().unwrap_or_default();
    (line, in_line.chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_told_by_line_up_to_a_bound() {
        let mistakes = Mistakes::default();
        let source = "\n".repeat(MAX_MISTAKES + 1);
        for offset in (0..=MAX_MISTAKES).rev() {
            mistakes.note(&source, offset, "x", String::new());
        }

        let errors = mistakes.into_findings().errors.0;

        assert_eq!(errors.len(), MAX_MISTAKES);
        assert!(errors.is_sorted_by_key(|error| error.line));
    }

    #[test]
    fn a_column_counts_letters_and_not_bytes() {
        let mistakes = Mistakes::default();

        mistakes.note_at("a\nb = \"é?\"", 9, "x.b", "wrong".to_owned());

        let text = mistakes.into_findings().errors.to_string();
        assert_eq!(text, "line 2, column 7, `x.b`: wrong");
    }
}
