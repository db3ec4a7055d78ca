//! Templates of the scheme language, compiled once: text with `{source|filter…}` and `[optional segments]`.
//! What they evaluate to is the job of `evaluate`.

use std::fmt;

use super::filters::Filter;
use super::json::Pointer;
use super::special::Special;

/// A compiled template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    /// The template as written; two schemes read the same place when these are equal.
    pub(super) text: String,
    pub(super) parts: Vec<Part>,
}

/// One piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Bytes as they stand.
    Text(Vec<u8>),
    /// `{expression}`
    Value(Expression),
    /// `[…]`, dropped when a value in it is absent.
    Segment(Vec<Part>),
}

/// `source|filter|filter`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expression {
    pub(super) source: Source,
    /// `source?`: absent means empty.
    pub(super) is_optional: bool,
    pub(super) filters: Vec<Filter>,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// `body`: its exact bytes.
    Body,
    /// `nonempty_body`: the body, absent when it is empty.
    NonemptyBody,
    /// `method`
    Method,
    /// `url`: the public URL.
    Url,
    /// `url_noquery`: scheme, host and path of the public URL.
    UrlWithoutQuery,
    /// `secret`
    Secret,
    /// `header.NAME`; `NAME-#` stands for numbered headers.
    Header(String),
    /// `header.@PARAMETER`: the parameter holds the name.
    HeaderNamedBy(String),
    /// `query.NAME`
    Query(String),
    /// `form.NAME`
    Form(String),
    /// `json.POINTER` into the body.
    Json(Pointer),
    /// `item.POINTER` into the element under `each`.
    Item(Pointer),
    /// `sig.NAME`: a named part of the signature's own value.
    Signature(String),
    /// `param.NAME`: a parameter of the endpoint.
    Parameter(String),
    /// `let.NAME`: a value that a handshake computed.
    Let(String),
    /// A builder of signed text that needs code of its own.
    Special(Special),
}

impl Template {
    /// Compiles a template; the error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader { rest: text };
        let parts = reader.parts(false)?;
        Ok(Self {
            text: text.to_owned(),
            parts,
        })
    }

    /// The expression, when the template is nothing but one.
    pub(super) fn bare(&self) -> Option<&Expression> {
        match self.parts.as_slice() {
            [Part::Value(expression)] => Some(expression),
            _ => None,
        }
    }

    /// Every expression, those in segments included.
    pub(super) fn expressions(&self) -> Vec<&Expression> {
        let mut found = Vec::new();
        collect(&self.parts, &mut found);
        found
    }
}

fn collect<'t>(parts: &'t [Part], found: &mut Vec<&'t Expression>) {
    for part in parts {
        match part {
            Part::Text(_) => {}
            Part::Value(expression) => found.push(expression),
            Part::Segment(inner) => collect(inner, found),
        }
    }
}

struct Reader<'t> {
    rest: &'t str,
}

impl Reader<'_> {
    fn parts(&mut self, is_segment: bool) -> Result<Vec<Part>, String> {
        let mut parts = Vec::new();
        let mut text = Vec::new();
        loop {
            let Some(next) = self.rest.chars().next() else {
                if is_segment {
                    return Err("`[` has no `]` (a literal bracket is written `[[`)".to_owned());
                }
                break;
            };
            let is_doubled = self.rest[next.len_utf8()..].starts_with(next);
            match next {
                '{' | '}' | '[' | ']' if is_doubled => {
                    text.push(next as u8);
                    self.rest = &self.rest[2..];
                }
                '{' => {
                    push_text(&mut parts, &mut text);
                    parts.push(Part::Value(self.expression()?));
                }
                '[' if is_segment => {
                    return Err("a segment stands inside another segment".to_owned());
                }
                '[' => {
                    push_text(&mut parts, &mut text);
                    self.rest = &self.rest[1..];
                    parts.push(Part::Segment(self.parts(true)?));
                }
                ']' if is_segment => {
                    self.rest = &self.rest[1..];
                    break;
                }
                '}' | ']' => {
                    return Err(format!(
                        "`{next}` closes nothing (a literal one is doubled)"
                    ));
                }
                _ => {
                    let length = next.len_utf8();
                    text.extend_from_slice(&self.rest.as_bytes()[..length]);
                    self.rest = &self.rest[length..];
                }
            }
        }
        push_text(&mut parts, &mut text);
        Ok(parts)
    }

    fn expression(&mut self) -> Result<Expression, String> {
        let Some(end) = self.rest.find('}') else {
            return Err("`{` has no `}` (a literal brace is written `{{`)".to_owned());
        };
        let expression = Expression::parse(&self.rest[1..end])?;
        self.rest = &self.rest[end + 1..];
        Ok(expression)
    }
}

fn push_text(parts: &mut Vec<Part>, text: &mut Vec<u8>) {
    if !text.is_empty() {
        parts.push(Part::Text(std::mem::take(text)));
    }
}

impl Expression {
    /// Compiles what stands between braces.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = text.split('|');
        let name = pieces.next().unwrap_or_default();
        let (name, is_optional) = match name.strip_suffix('?') {
            Some(shorter) => (shorter, true),
            None => (name, false),
        };
        Ok(Self {
            source: Source::parse(name)?,
            is_optional,
            filters: pieces.map(Filter::parse).collect::<Result<_, _>>()?,
        })
    }
}

impl Source {
    /// Compiles the name of a source.
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        if let Some((kind, argument)) = name.split_once('.') {
            return Self::parse_with_argument(kind, argument)
                .unwrap_or_else(|| Err(unknown_source(name)));
        }
        Ok(match name {
            "body" => Self::Body,
            "nonempty_body" => Self::NonemptyBody,
            "method" => Self::Method,
            "url" => Self::Url,
            "url_noquery" => Self::UrlWithoutQuery,
            "secret" => Self::Secret,
            _ => Self::Special(Special::parse(name).ok_or_else(|| unknown_source(name))?),
        })
    }

    fn parse_with_argument(kind: &str, argument: &str) -> Option<Result<Self, String>> {
        if argument.is_empty() {
            return Some(Err(format!("`{kind}.` names nothing")));
        }
        let owned = argument.to_owned();
        Some(Ok(match kind {
            "header" => match argument.strip_prefix('@') {
                Some(parameter) => Self::HeaderNamedBy(parameter.to_owned()),
                None => Self::Header(argument.to_ascii_lowercase()),
            },
            "query" => Self::Query(owned),
            "form" => Self::Form(owned),
            "json" => return Some(Pointer::parse(argument).map(Self::Json)),
            "item" => return Some(Pointer::parse(argument).map(Self::Item)),
            "sig" => Self::Signature(owned),
            "param" => Self::Parameter(owned),
            "let" => Self::Let(owned),
            _ => return None,
        }))
    }
}

fn unknown_source(name: &str) -> String {
    format!("`{name}` is no source of the scheme language")
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body | Self::NonemptyBody => f.write_str("the body"),
            Self::Method => f.write_str("the method"),
            Self::Url | Self::UrlWithoutQuery => f.write_str("the public URL"),
            Self::Secret => f.write_str("the secret"),
            Self::Header(name) => write!(f, "the header `{name}`"),
            Self::HeaderNamedBy(name) => write!(f, "the header named by the parameter `{name}`"),
            Self::Query(name) => write!(f, "the query parameter `{name}`"),
            Self::Form(name) => write!(f, "the form field `{name}`"),
            Self::Json(pointer) => write!(f, "the JSON field `{pointer}`"),
            Self::Item(pointer) => write!(f, "the JSON field `{pointer}` of an item"),
            Self::Signature(name) => write!(f, "the part `{name}` of the signature"),
            Self::Parameter(name) => write!(f, "the parameter `{name}` of the endpoint"),
            Self::Let(name) => write!(f, "the value `{name}`"),
            Self::Special(special) => write!(f, "`{special}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn doubled_brackets_are_literal_and_single_ones_delimit() {
        let template = Template::parse("{{\"a\":{body}}}[x{query.q?}][[").unwrap();

        assert_eq!(
            template.parts,
            [
                Part::Text(b"{\"a\":".to_vec()),
                Part::Value(Expression::parse("body").unwrap()),
                Part::Text(b"}".to_vec()),
                Part::Segment(vec![
                    Part::Text(b"x".to_vec()),
                    Part::Value(Expression::parse("query.q?").unwrap()),
                ]),
                Part::Text(b"[".to_vec()),
            ]
        );
    }

    #[test]
    fn a_mistake_in_a_template_is_named() {
        for (text, part) in [
            ("{body", "no `}`"),
            ("[x", "no `]`"),
            ("a}", "closes nothing"),
            ("{bodi}", "`bodi`"),
            ("{body|sha3}", "`sha3`"),
            ("{cookie.x}", "`cookie.x`"),
            ("[a[b]]", "inside another"),
        ] {
            let problem = Template::parse(text).unwrap_err();
            assert!(problem.contains(part), "{text}: {problem}");
        }
    }

    proptest! {
        #[test]
        fn compiling_never_panics(text in "[a-z{}\\[\\]|.?:é#@/-]{0,40}") {
            let _ = Template::parse(&text);
        }
    }
}
