//! Cuts an expression into words, values and signs, each with its place.

use super::FilterError;
use super::number;

/// A piece of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token<'t> {
    /// A name or a keyword.
    Word(&'t str),
    /// A text, its escapes read.
    Text(String),
    /// A number as written.
    Number(&'t str),
    /// A sign, such as `==`.
    Sign(&'static str),
    /// The end of the expression.
    End,
}

/// A token and the byte where it begins.
pub(super) type Placed<'t> = (usize, Token<'t>);

/// Signs, longer ones before those that they begin with.
const SIGNS: [&str; 14] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "(", ")", "[", "]", ",",
];

/// Cuts the whole expression; the last token is [`Token::End`].
pub(super) fn scan(text: &str) -> Result<Vec<Placed<'_>>, FilterError> {
    let mut tokens = Vec::new();
    let mut position = 0;
    loop {
        let rest = &text[position..];
        let start = position + (rest.len() - rest.trim_start().len());
        let (token, length) = first(text, start)?;
        let is_end = token == Token::End;
        tokens.push((start, token));
        if is_end {
            return Ok(tokens);
        }
        position = start + length;
    }
}

/// The token at `start`, and how many bytes it takes.
fn first(text: &str, start: usize) -> Result<(Token<'_>, usize), FilterError> {
    let rest = &text[start..];
    let Some(character) = rest.chars().next() else {
        return Ok((Token::End, 0));
    };
    if let Some(sign) = SIGNS.into_iter().find(|&sign| rest.starts_with(sign)) {
        return Ok((Token::Sign(sign), sign.len()));
    }
    let is_word = |character: char| character.is_ascii_alphanumeric() || character == '_';
    match character {
        '"' => quoted(text, start),
        '-' | '0'..='9' => {
            let is_number = |character: char| is_word(character) || "+-.".contains(character);
            let length = rest
                .find(|character| !is_number(character))
                .unwrap_or(rest.len());
            let number = &rest[..length];
            if !number::is_number(number) {
                let message = "expected a number such as 1000, -1 or 2.5e3";
                return Err(FilterError::new(text, start, message));
            }
            Ok((Token::Number(number), length))
        }
        _ if is_word(character) => {
            let length = rest
                .find(|character| !is_word(character))
                .unwrap_or(rest.len());
            Ok((Token::Word(&rest[..length]), length))
        }
        _ => Err(FilterError::new(text, start, stray(character))),
    }
}

fn quoted(text: &str, start: usize) -> Result<(Token<'_>, usize), FilterError> {
    let rest = &text[start..];
    let mut is_escaped = false;
    for (index, byte) in rest.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => {
                let length = index + 1;
                let read = serde_json::from_str(&rest[..length]).map_err(|_| {
                    let message = "this text has an escape or a control character that JSON texts do not have";
                    FilterError::new(text, start, message)
                })?;
                return Ok((Token::Text(read), length));
            }
            _ => {}
        }
    }
    Err(FilterError::new(
        text,
        start,
        "this text has no closing `\"`",
    ))
}

fn stray(character: char) -> &'static str {
    match character {
        '\'' | '`' | '“' | '”' => "a text stands in double quotes",
        '=' => "two things are compared with `==`",
        '&' => "expected `&&`",
        '|' => "expected `||`",
        _ => "this character has no meaning here",
    }
}
