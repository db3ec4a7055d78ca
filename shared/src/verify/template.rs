//! Templates of the scheme language, compiled once: text with `{source|filter…}` and `[optional segments]`.
//! What they evaluate to is the job of `evaluate`.

use std::fmt;

use super::filters::Filter;
use super::json::Pointer;
use super::nearest::did_you_mean;
use super::special::Special;

/// How many expressions a template may have, and filters an expression: each costs work at every request.
const MAX_EXPRESSIONS: usize = 64;
const MAX_FILTERS: usize = 8;

/// The names of sources, for those who mistype one.
const SOURCES: [&str; 6] = [
    "body",
    "nonempty_body",
    "method",
    "url",
    "url_noquery",
    "secret",
];

/// The kinds of sources that have a name behind a dot.
const NAMED_SOURCES: [&str; 8] = [
    "header", "query", "form", "json", "item", "sig", "param", "let",
];

/// A template has a mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TemplateError {
    /// Where in the template's text, in bytes.
    pub(super) offset: usize,
    /// What is wrong there.
    pub(super) problem: String,
}

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
    /// Compiles a template; the error says what is wrong with it, and where.
    pub(super) fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut reader = Reader { text, rest: text };
        let parts = reader.parts(false)?;
        let template = Self {
            text: text.to_owned(),
            parts,
        };
        if template.expressions().len() > MAX_EXPRESSIONS {
            return Err(TemplateError {
                offset: 0,
                problem: format!("more than {MAX_EXPRESSIONS} values in one text"),
            });
        }
        Ok(template)
    }

    /// The expression, when the template is nothing but one.
    pub(super) fn bare(&self) -> Option<&Expression> {
        match self.parts.as_slice() {
            [Part::Value(expression)] => Some(expression),
            _ => None,
        }
    }

    /// Whether any of its values comes from such a source.
    pub(super) fn mentions(&self, is_such: impl Fn(&Source) -> bool) -> bool {
        let mut expressions = self.expressions().into_iter();
        expressions.any(|expression| is_such(&expression.source))
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
    text: &'t str,
    rest: &'t str,
}

impl Reader<'_> {
    const fn offset(&self) -> usize {
        self.text.len() - self.rest.len()
    }

    fn wrong<T>(&self, problem: impl Into<String>) -> Result<T, TemplateError> {
        Err(TemplateError {
            offset: self.offset(),
            problem: problem.into(),
        })
    }

    fn parts(&mut self, is_segment: bool) -> Result<Vec<Part>, TemplateError> {
        let mut parts = Vec::new();
        let mut text = Vec::new();
        loop {
            let Some(next) = self.rest.chars().next() else {
                if is_segment {
                    return self.wrong("`[` has no `]` (a literal bracket is written `[[`)");
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
                    return self.wrong("a segment stands inside another segment");
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
                    return self.wrong(format!(
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

    fn expression(&mut self) -> Result<Expression, TemplateError> {
        let Some(end) = self.rest.find('}') else {
            return self.wrong("`{` has no `}` (a literal brace is written `{{`)");
        };
        let start = self.offset() + 1;
        let expression = Expression::parse(&self.rest[1..end]).map_err(|error| TemplateError {
            offset: start + error.offset,
            ..error
        })?;
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
    pub(super) fn parse(text: &str) -> Result<Self, TemplateError> {
        let at = |offset| move |problem| TemplateError { offset, problem };
        let mut pieces = text.split('|');
        let name = pieces.next().unwrap_or_default();
        let mut offset = name.len() + 1;
        let (name, is_optional) = match name.strip_suffix('?') {
            Some(shorter) => (shorter, true),
            None => (name, false),
        };
        let source = Source::parse(name).map_err(at(0))?;
        let mut filters = Vec::new();
        for piece in pieces {
            if filters.len() == MAX_FILTERS {
                return Err(at(offset)(format!("more than {MAX_FILTERS} filters")));
            }
            filters.push(Filter::parse(piece).map_err(at(offset))?);
            offset += piece.len() + 1;
        }
        Ok(Self {
            source,
            is_optional,
            filters,
        })
    }
}

impl Source {
    /// Whether it is the body or a part of it.
    pub(super) const fn is_of_body(&self) -> bool {
        match self {
            Self::Body | Self::NonemptyBody => true,
            Self::Form(_) | Self::Json(_) | Self::Item(_) => true,
            Self::Special(special) => special.signs_body(),
            _ => false,
        }
    }

    /// Whether it is the public URL or a part of it.
    pub(super) const fn is_of_url(&self) -> bool {
        match self {
            Self::Url | Self::UrlWithoutQuery | Self::Query(_) => true,
            Self::Special(special) => special.signs_url(),
            _ => false,
        }
    }

    /// Compiles the name of a source.
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        if let Some((kind, argument)) = name.split_once('.') {
            return Self::parse_with_argument(kind, argument)
                .unwrap_or_else(|| Err(unknown_source(name, did_you_mean(kind, NAMED_SOURCES))));
        }
        Ok(match name {
            "body" => Self::Body,
            "nonempty_body" => Self::NonemptyBody,
            "method" => Self::Method,
            "url" => Self::Url,
            "url_noquery" => Self::UrlWithoutQuery,
            "secret" => Self::Secret,
            _ => Self::Special(Special::parse(name).ok_or_else(|| {
                unknown_source(
                    name,
                    did_you_mean(name, SOURCES.into_iter().chain(Special::NAMES)),
                )
            })?),
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

fn unknown_source(name: &str, near: impl fmt::Display) -> String {
    format!("`{name}` is no source of the scheme language{near}")
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
            let problem = Template::parse(text).unwrap_err().problem;
            assert!(problem.contains(part), "{text}: {problem}");
        }
    }

    #[test]
    fn the_place_of_a_mistake_is_known_and_the_right_word_proposed() {
        for (text, offset, part) in [
            ("{body}{bodi}", 7, "`body`"),
            ("a{body|lowre}", 7, "`lower`"),
            ("a{body|hex|unhx}", 11, "`unhex`"),
            ("{heder.x}", 1, "`header`"),
            ("é]", 2, "closes nothing"),
            ("ab{body", 2, "no `}`"),
        ] {
            let error = Template::parse(text).unwrap_err();

            assert_eq!(error.offset, offset, "{text}: {error:?}");
            assert!(error.problem.contains(part), "{text}: {error:?}");
        }
    }

    #[test]
    fn one_value_or_filter_too_many_is_refused() {
        let values = |number| Template::parse(&"{body}".repeat(number));
        let filters = |number| Template::parse(&format!("{{body{}}}", "|lower".repeat(number)));

        assert!(values(MAX_EXPRESSIONS).is_ok());
        assert!(values(MAX_EXPRESSIONS + 1).is_err());
        assert!(filters(MAX_FILTERS).is_ok());
        assert!(filters(MAX_FILTERS + 1).is_err());
    }

    proptest! {
        #[test]
        fn compiling_never_panics(text in "[a-z{}\\[\\]|.?:é#@/-]{0,40}") {
            let _ = Template::parse(&text);
        }
    }
}
