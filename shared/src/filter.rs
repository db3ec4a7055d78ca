//! The filter language: one expression that says which events are meant. `towline listen --filter`, `--route`,
//! searches and claims all read it here. Pure and total: an expression that was read never fails on an event.
//!
//! ```text
//! json("/type") startsWith "invoice."
//! method == "POST" && header("x-github-event") in ["push", "issues"]
//! json("/data/amount") > 1000 or not (path matches "/hooks/*")
//! verdict == verified && query("dry-run") exists
//! ```
//!
//! # What can be asked about
//!
//! | subject | is |
//! |---|---|
//! | `method` | the method, letter case included |
//! | `path` | what follows the endpoint's key, raw: `/` when nothing does. It is not decoded |
//! | `query("a")` | each value of this parameter, decoded (`+` is a space) |
//! | `header("a")` | each value of this field, without the spaces around it; the name's letter case does not matter |
//! | `json("/a/0/b")` | what the JSON Pointer (RFC 6901) names in the body |
//! | `body` | the bytes of the body |
//! | `event` | the provider's name of what happened, such as `invoice.paid` |
//! | `verdict` | `verified`, `authenticated`, `failed` or `unchecked` |
//! | `provider` | the provider whose scheme was applied |
//! | `endpoint` | the endpoint's name |
//! | `delivery` | the provider's own id of the delivery |
//! | `remote` | the address that sent it |
//! | `size` | the number of bytes of the body |
//!
//! # What can be asked
//!
//! | test | holds when |
//! |---|---|
//! | `== != < <= > >=` a value | the two are of one kind and compare so: texts byte by byte, numbers exactly |
//! | `startsWith endsWith contains` a text | the text does; an array in JSON `contains` an element that equals the value |
//! | `matches` a text | the whole text is of this form; `*` stands for any run of bytes, `/` included |
//! | `in [` values `]` | it equals one of them |
//! | `exists` | there is such a thing; in JSON, `null` counts |
//!
//! Values are texts in double quotes with the escapes of JSON, numbers, `true`, `false` and `null`. A text of a
//! header, a parameter or the like is read as a number where it meets a number; in JSON, `"5"` is no number.
//! Tests are joined by `&&` or `and`, `||` or `or`, turned round by `!` or `not`, and grouped by `( )`. `!` binds
//! closest, then `&&`, then `||`.
//!
//! # Several values, and none
//!
//! A test holds when *one* of the values passes it. So with a repeated header `!=` means that one of them differs,
//! and `!(header("a") == "b")` that none equals. What is not there has no values: every test of it is false, `!=` too.
//! Nothing is an error: a body that is not JSON, a number that meets a text, a pointer to nowhere are all just false.
//!
//! # Bounds
//!
//! [`MAX_FILTER_BYTES`], [`MAX_FILTER_DEPTH`], [`MAX_POINTERS`] and [`MAX_POINTER_STEPS`] for the expression. Bodies
//! of more than [`MAX_FILTER_BODY_BYTES`] are not looked into: `json` and `body` are missing then. An object's
//! repeated key has its last value, as in most parsers. There is nothing in the language that backtracks: each
//! test costs at most one pass over its value.

mod error;
mod evaluate;
mod glob;
mod number;
mod parse;
mod scan;
mod tree;

use std::fmt;
use std::str::FromStr;

pub use error::FilterError;
pub use evaluate::Facts;

use crate::verify::Pointer;
use tree::{Node, quoted};

/// The longest expression in bytes; far more than a person types.
pub const MAX_FILTER_BYTES: usize = 4096;

/// How deep groups and negations may lie in each other, so that reading and evaluating need little stack.
pub const MAX_FILTER_DEPTH: usize = 32;

/// How many different JSON Pointers one expression may have; each costs a pass over the body.
pub const MAX_POINTERS: usize = 16;

/// How many steps the pointers of one expression may have together; each may cost a pass over the body.
pub const MAX_POINTER_STEPS: usize = 64;

/// The longest body that an expression looks into; reading one of this size for a filter takes milliseconds.
pub const MAX_FILTER_BODY_BYTES: u64 = 1024 * 1024;

/// An expression that was read.
#[derive(Clone, Debug)]
pub struct Filter {
    text: String,
    root: Node,
    pointers: Vec<Pointer>,
    reads_body: bool,
}

impl Filter {
    /// Reads an expression.
    ///
    /// # Errors
    /// Says what was expected, and points at the place.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let parsed = parse::parse(text)?;
        Ok(Self {
            text: text.trim().to_owned(),
            root: parsed.root,
            pointers: parsed.pointers,
            reads_body: parsed.reads_body,
        })
    }

    /// The short form: names of what happened with commas between them, such as `push,invoice.*`.
    ///
    /// # Errors
    /// When a name is missing, or all of them are too long together.
    pub fn of_events(list: &str) -> Result<Self, FilterError> {
        let mut tests = Vec::new();
        let mut plain = Vec::new();
        let mut position = 0;
        for item in list.split(',') {
            let name = item.trim();
            if name.is_empty() {
                let message = "expected the name of an event, such as `push` or `invoice.*`";
                return Err(FilterError::new(list, position, message));
            }
            position += item.len() + 1;
            if name.contains('*') {
                tests.push(format!("event matches {}", quoted(name)));
            } else {
                plain.push(quoted(name));
            }
        }
        if !plain.is_empty() {
            tests.insert(0, format!("event in [{}]", plain.join(", ")));
        }
        Self::parse(&tests.join(" || "))
    }

    /// The filter that wants what both want.
    ///
    /// # Errors
    /// When the two together break a bound.
    pub fn and(&self, other: &Self) -> Result<Self, FilterError> {
        Self::parse(&format!("({self}) && ({other})"))
    }

    /// Whether the event is meant.
    pub fn is_match(&self, facts: &Facts<'_>) -> bool {
        evaluate::is_match(&self.root, &self.pointers, facts)
    }

    /// Whether the body is ever looked into; without it, a body that is not at hand need not be read.
    pub const fn reads_body(&self) -> bool {
        self.reads_body
    }

    /// The expression as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        Self::parse(text)
    }
}

/// Two filters are the same when they were given in the same words.
impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Filter {}

#[cfg(test)]
mod tests;
