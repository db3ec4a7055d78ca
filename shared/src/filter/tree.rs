//! An expression as a tree, and how it is written.

use std::fmt;

use super::glob::Glob;

/// An expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// One holds.
    Or(Vec<Node>),
    /// All hold.
    And(Vec<Node>),
    /// It does not hold.
    Not(Box<Node>),
    /// A test of a subject.
    Test(Subject, Test),
}

/// What a test is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Method,
    Path,
    Query(String),
    Header(String),
    /// The pointer's number among those of the expression, and its text.
    Json(usize, String),
    Body,
    Event,
    Verdict,
    Provider,
    Endpoint,
    Delivery,
    Remote,
    Size,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Test {
    Compare(Comparison, Value),
    StartsWith(String),
    EndsWith(String),
    Contains(Value),
    Matches(Glob),
    In(Vec<Value>),
    Exists,
}

/// How two values compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A value of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    /// As written.
    Number(String),
    Bool(bool),
    Null,
    /// A name of a verdict; written without quotes.
    Verdict(&'static str),
}

impl Comparison {
    /// The comparison with this sign.
    pub(super) fn of_sign(sign: &str) -> Option<Self> {
        Some(match sign {
            "==" => Self::Equal,
            "!=" => Self::NotEqual,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    const fn sign(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

/// The text as it stands in an expression.
pub(super) fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text is always JSON")
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Or(nodes) => joined(f, nodes, " || ", |node| matches!(node, Self::Or(_))),
            Self::And(nodes) => joined(f, nodes, " && ", |node| {
                matches!(node, Self::Or(_) | Self::And(_))
            }),
            Self::Not(node) => match **node {
                Self::Or(_) | Self::And(_) => write!(f, "!({node})"),
                Self::Not(_) | Self::Test(..) => write!(f, "!{node}"),
            },
            Self::Test(subject, test) => write!(f, "{subject} {test}"),
        }
    }
}

fn joined(
    f: &mut fmt::Formatter<'_>,
    nodes: &[Node],
    sign: &str,
    is_grouped: impl Fn(&Node) -> bool,
) -> fmt::Result {
    for (index, node) in nodes.iter().enumerate() {
        if index > 0 {
            f.write_str(sign)?;
        }
        match is_grouped(node) {
            true => write!(f, "({node})")?,
            false => write!(f, "{node}")?,
        }
    }
    Ok(())
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query(name) => write!(f, "query({})", quoted(name)),
            Self::Header(name) => write!(f, "header({})", quoted(name)),
            Self::Json(_, pointer) => write!(f, "json({})", quoted(pointer)),
            Self::Method => f.write_str("method"),
            Self::Path => f.write_str("path"),
            Self::Body => f.write_str("body"),
            Self::Event => f.write_str("event"),
            Self::Verdict => f.write_str("verdict"),
            Self::Provider => f.write_str("provider"),
            Self::Endpoint => f.write_str("endpoint"),
            Self::Delivery => f.write_str("delivery"),
            Self::Remote => f.write_str("remote"),
            Self::Size => f.write_str("size"),
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compare(comparison, value) => write!(f, "{} {value}", comparison.sign()),
            Self::StartsWith(text) => write!(f, "startsWith {}", quoted(text)),
            Self::EndsWith(text) => write!(f, "endsWith {}", quoted(text)),
            Self::Contains(value) => write!(f, "contains {value}"),
            Self::Matches(glob) => write!(f, "matches {}", quoted(glob.as_str())),
            Self::In(values) => {
                let values: Vec<_> = values.iter().map(ToString::to_string).collect();
                write!(f, "in [{}]", values.join(", "))
            }
            Self::Exists => f.write_str("exists"),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(&quoted(text)),
            Self::Number(number) => f.write_str(number),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Null => f.write_str("null"),
            Self::Verdict(name) => f.write_str(name),
        }
    }
}
