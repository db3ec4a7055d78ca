//! Why an expression cannot be read, with the place in it.

use std::fmt;

/// How many characters of the expression are shown on each side of the place.
const SHOWN: usize = 60;

/// An expression that cannot be read. [`fmt::Display`] is one line; [`FilterError::pointed`] shows the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    message: String,
    position: usize,
    column: usize,
    excerpt: String,
    caret: usize,
}

impl FilterError {
    /// An error at a byte of an expression.
    pub(super) fn new(text: &str, position: usize, message: impl Into<String>) -> Self {
        let position = (0..=position.min(text.len()))
            .rev()
            .find(|&at| text.is_char_boundary(at))
            .unwrap_or(0);
        let (before, behind) = text.split_at(position);
        let column = before.chars().count() + 1;
        let skipped = (column - 1).saturating_sub(SHOWN);
        let mut excerpt = String::new();
        if skipped > 0 {
            excerpt.push('…');
        }
        excerpt.extend(before.chars().skip(skipped).map(shown));
        let caret = excerpt.chars().count();
        excerpt.extend(behind.chars().take(SHOWN).map(shown));
        if behind.chars().nth(SHOWN).is_some() {
            excerpt.push('…');
        }
        Self {
            message: message.into(),
            position,
            column,
            excerpt,
            caret,
        }
    }

    /// The byte of the expression where it stopped making sense.
    pub const fn position(&self) -> usize {
        self.position
    }

    /// What was expected there, in words.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The expression around the place, and a caret under it: two lines.
    pub fn pointed(&self) -> String {
        format!("  {}\n  {}^", self.excerpt, " ".repeat(self.caret))
    }
}

/// Control characters would break the line of the excerpt.
fn shown(character: char) -> char {
    if character.is_control() {
        ' '
    } else {
        character
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (column {})", self.message, self.column)
    }
}

impl std::error::Error for FilterError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_place() {
        let error = FilterError::new("méthod == 3", 3, "expected a subject");

        assert_eq!(error.to_string(), "expected a subject (column 3)");
        assert_eq!(error.pointed(), "  méthod == 3\n    ^");
    }

    #[test]
    fn a_long_expression_is_cut_around_the_place() {
        let text = format!("{}?{}", "a".repeat(200), "b".repeat(200));

        let pointed = FilterError::new(&text, 200, "x").pointed();

        let (excerpt, caret) = pointed.split_once('\n').unwrap();
        assert_eq!(excerpt.chars().count(), 2 + 1 + SHOWN + SHOWN + 1);
        assert_eq!(excerpt.chars().nth(caret.len() - 1), Some('?'));
    }

    #[test]
    fn a_place_outside_the_text_or_inside_a_character_is_no_panic() {
        assert_eq!(FilterError::new("é", 1, "x").position(), 0);
        assert_eq!(FilterError::new("é\n", 99, "x").pointed(), "  é \n    ^");
    }
}
