//! Reads an expression into its tree. What can never hold, such as `size startsWith "x"`, is refused here.

use super::glob::Glob;
use super::scan::{Placed, Token, scan};
use super::tree::{Comparison, Node, Subject, Test, Value};
use super::{FilterError, MAX_FILTER_BYTES, MAX_FILTER_DEPTH, MAX_POINTER_STEPS, MAX_POINTERS};
use crate::head::is_token;
use crate::verify::Pointer;

/// The names of verdicts.
const VERDICTS: [&str; 4] = ["verified", "authenticated", "failed", "unchecked"];

const EXPECTED_SUBJECT: &str = "expected method, path, query(\"…\"), header(\"…\"), json(\"/…\"), body, event, verdict, \
     provider, endpoint, delivery, remote or size";
const EXPECTED_TEST: &str =
    "expected ==, !=, <, <=, >, >=, startsWith, endsWith, contains, matches, in or exists";

/// An expression that was read.
pub(super) struct Parsed {
    pub(super) root: Node,
    pub(super) pointers: Vec<Pointer>,
    pub(super) reads_body: bool,
}

/// Reads all of the text.
pub(super) fn parse(text: &str) -> Result<Parsed, FilterError> {
    if text.len() > MAX_FILTER_BYTES {
        let message = format!("the expression has more than {MAX_FILTER_BYTES} bytes");
        return Err(FilterError::new(text, MAX_FILTER_BYTES, message));
    }
    let mut parser = Parser {
        text,
        tokens: scan(text)?,
        next: 0,
        depth: 0,
        pointers: Vec::new(),
        pointer_texts: Vec::new(),
        reads_body: false,
    };
    let root = parser.or()?;
    if *parser.peek() != Token::End {
        return Err(parser.error("expected `&&`, `||` or the end"));
    }
    Ok(Parsed {
        root,
        pointers: parser.pointers,
        reads_body: parser.reads_body,
    })
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Placed<'t>>,
    next: usize,
    depth: usize,
    pointers: Vec<Pointer>,
    pointer_texts: Vec<String>,
    reads_body: bool,
}

/// What kind of values a subject has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Json,
    Verdict,
    Number,
}

impl<'t> Parser<'t> {
    fn or(&mut self) -> Result<Node, FilterError> {
        self.joined("||", "or", Self::and, Node::Or)
    }

    fn and(&mut self) -> Result<Node, FilterError> {
        self.joined("&&", "and", Self::not, Node::And)
    }

    fn joined(
        &mut self,
        sign: &'static str,
        word: &'static str,
        part: fn(&mut Self) -> Result<Node, FilterError>,
        join: fn(Vec<Node>) -> Node,
    ) -> Result<Node, FilterError> {
        let first = part(self)?;
        if !self.takes(sign, word) {
            return Ok(first);
        }
        let mut nodes = vec![first, part(self)?];
        while self.takes(sign, word) {
            nodes.push(part(self)?);
        }
        Ok(join(nodes))
    }

    fn not(&mut self) -> Result<Node, FilterError> {
        let is_negated = matches!(self.peek(), Token::Sign("!") | Token::Word("not"));
        let is_group = *self.peek() == Token::Sign("(");
        if !is_negated && !is_group {
            return self.test();
        }
        if self.depth == MAX_FILTER_DEPTH {
            let message =
                format!("groups and negations lie in each other more than {MAX_FILTER_DEPTH} deep");
            return Err(self.error(message));
        }
        self.depth += 1;
        self.next += 1;
        let node = if is_negated {
            Node::Not(Box::new(self.not()?))
        } else {
            let node = self.or()?;
            self.expect(")", "expected `&&`, `||` or `)`")?;
            node
        };
        self.depth -= 1;
        Ok(node)
    }

    fn test(&mut self) -> Result<Node, FilterError> {
        let (subject, kind) = self.subject()?;
        let position = self.position();
        let test = match self.take() {
            Token::Sign(sign) => {
                let comparison = Comparison::of_sign(sign)
                    .ok_or_else(|| self.error_at(position, EXPECTED_TEST))?;
                self.comparison(kind, comparison, position)?
            }
            Token::Word("in") => Test::In(self.list(kind)?),
            Token::Word("exists") if matches!(kind, Kind::Text | Kind::Json) => Test::Exists,
            Token::Word("startsWith") => Test::StartsWith(self.text(kind, position)?),
            Token::Word("endsWith") => Test::EndsWith(self.text(kind, position)?),
            Token::Word("matches") => Test::Matches(Glob::new(self.text(kind, position)?)),
            Token::Word("contains") if kind == Kind::Json => Test::Contains(self.value(kind)?),
            Token::Word("contains") => Test::Contains(Value::Text(self.text(kind, position)?)),
            Token::Word("exists") => return Err(self.error_at(position, "every event has one")),
            _ => return Err(self.error_at(position, EXPECTED_TEST)),
        };
        Ok(Node::Test(subject, test))
    }

    fn comparison(
        &mut self,
        kind: Kind,
        comparison: Comparison,
        position: usize,
    ) -> Result<Test, FilterError> {
        let is_ordered = !matches!(comparison, Comparison::Equal | Comparison::NotEqual);
        if is_ordered && kind == Kind::Verdict {
            return Err(self.error_at(position, "a verdict is compared with ==, != or in"));
        }
        let place = self.position();
        let value = self.value(kind)?;
        if is_ordered && !matches!(value, Value::Text(_) | Value::Number(_)) {
            return Err(self.error_at(place, "expected a text or a number: others have no order"));
        }
        Ok(Test::Compare(comparison, value))
    }

    fn subject(&mut self) -> Result<(Subject, Kind), FilterError> {
        let position = self.position();
        let Token::Word(word) = self.take() else {
            return Err(self.error_at(position, EXPECTED_SUBJECT));
        };
        let subject = match word {
            "method" => Subject::Method,
            "path" => Subject::Path,
            "query" => Subject::Query(self.argument(word)?.1),
            "header" => {
                let (place, name) = self.argument(word)?;
                if !is_token(name.as_bytes()) {
                    return Err(self.error_at(place, "this is not the name of a header field"));
                }
                Subject::Header(name)
            }
            "json" => return Ok((self.json(word)?, Kind::Json)),
            "body" => {
                self.reads_body = true;
                Subject::Body
            }
            "event" => Subject::Event,
            "verdict" => return Ok((Subject::Verdict, Kind::Verdict)),
            "provider" => Subject::Provider,
            "endpoint" => Subject::Endpoint,
            "delivery" => Subject::Delivery,
            "remote" => Subject::Remote,
            "size" => return Ok((Subject::Size, Kind::Number)),
            _ => return Err(self.error_at(position, EXPECTED_SUBJECT)),
        };
        Ok((subject, Kind::Text))
    }

    fn json(&mut self, word: &str) -> Result<Subject, FilterError> {
        let (place, text) = self.argument(word)?;
        self.reads_body = true;
        if let Some(index) = self.pointer_texts.iter().position(|known| *known == text) {
            return Ok(Subject::Json(index, text));
        }
        let pointer = Pointer::parse(&text).map_err(|_| {
            self.error_at(place, "expected a JSON Pointer such as \"/data/0/amount\"")
        })?;
        let steps: usize = self.pointers.iter().map(Pointer::length).sum();
        if self.pointers.len() == MAX_POINTERS || steps + pointer.length() > MAX_POINTER_STEPS {
            let message = format!(
                "more than {MAX_POINTERS} different JSON Pointers, or {MAX_POINTER_STEPS} steps in them"
            );
            return Err(self.error_at(place, message));
        }
        self.pointers.push(pointer);
        self.pointer_texts.push(text.clone());
        Ok(Subject::Json(self.pointers.len() - 1, text))
    }

    /// `("…")`: the text and its place.
    fn argument(&mut self, word: &str) -> Result<(usize, String), FilterError> {
        let expected = format!("expected `{word}(\"…\")`");
        self.expect("(", &expected)?;
        let place = self.position();
        let Token::Text(text) = self.take() else {
            return Err(self.error_at(place, "expected a text in double quotes"));
        };
        self.expect(")", "expected `)`")?;
        Ok((place, text))
    }

    fn list(&mut self, kind: Kind) -> Result<Vec<Value>, FilterError> {
        self.expect("[", "expected a list such as [\"a\", \"b\"]")?;
        let mut values = vec![self.value(kind)?];
        while self.takes(",", ",") {
            values.push(self.value(kind)?);
        }
        self.expect("]", "expected `,` or `]`")?;
        Ok(values)
    }

    /// A text, for a test that only texts can pass.
    fn text(&mut self, kind: Kind, test: usize) -> Result<String, FilterError> {
        if matches!(kind, Kind::Number | Kind::Verdict) {
            return Err(self.error_at(test, "this test is for texts"));
        }
        let place = self.position();
        match self.take() {
            Token::Text(text) => Ok(text),
            _ => Err(self.error_at(place, "expected a text in double quotes")),
        }
    }

    fn value(&mut self, kind: Kind) -> Result<Value, FilterError> {
        let place = self.position();
        let token = self.take();
        let (found, expected) = match kind {
            Kind::Verdict => (
                verdict(&token),
                "expected verified, authenticated, failed or unchecked",
            ),
            Kind::Number => (plain(token).filter(is_number), "expected a number"),
            Kind::Text => (
                plain(token).filter(|value| is_number(value) || matches!(value, Value::Text(_))),
                "expected a text in double quotes or a number",
            ),
            Kind::Json => (
                plain(token),
                "expected a text in double quotes, a number, true, false or null",
            ),
        };
        found.ok_or_else(|| self.error_at(place, expected))
    }

    fn peek(&self) -> &Token<'t> {
        // The last token is the end, and nothing goes on behind it.
        &self.tokens[self.next.min(self.tokens.len() - 1)].1
    }

    fn position(&self) -> usize {
        self.tokens[self.next.min(self.tokens.len() - 1)].0
    }

    fn take(&mut self) -> Token<'t> {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    fn takes(&mut self, sign: &'static str, word: &'static str) -> bool {
        let is_it = match self.peek() {
            Token::Sign(found) => *found == sign,
            Token::Word(found) => *found == word,
            _ => false,
        };
        self.next += usize::from(is_it);
        is_it
    }

    fn expect(&mut self, sign: &'static str, message: &str) -> Result<(), FilterError> {
        match self.takes(sign, sign) {
            true => Ok(()),
            false => Err(self.error(message)),
        }
    }

    fn error(&self, message: impl Into<String>) -> FilterError {
        self.error_at(self.position(), message)
    }

    fn error_at(&self, position: usize, message: impl Into<String>) -> FilterError {
        FilterError::new(self.text, position, message)
    }
}

fn plain(token: Token<'_>) -> Option<Value> {
    Some(match token {
        Token::Text(text) => Value::Text(text),
        Token::Number(number) => Value::Number(number.to_owned()),
        Token::Word("true") => Value::Bool(true),
        Token::Word("false") => Value::Bool(false),
        Token::Word("null") => Value::Null,
        _ => return None,
    })
}

const fn is_number(value: &Value) -> bool {
    matches!(value, Value::Number(_))
}

/// A verdict's name, with quotes or without.
fn verdict(token: &Token<'_>) -> Option<Value> {
    let name = match token {
        Token::Word(word) => *word,
        Token::Text(text) => text.as_str(),
        _ => return None,
    };
    VERDICTS
        .into_iter()
        .find(|&verdict| verdict == name)
        .map(Value::Verdict)
}
