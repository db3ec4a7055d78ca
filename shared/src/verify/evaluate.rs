//! Evaluates templates against a request: values, whole texts, and texts fed piece by piece into a digest.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::delivery::Delivery;
use super::filters::FilterContext;
use super::json::{self, Scalar};
use super::template::{Expression, Part, Source, Template};
use super::trouble::Trouble;
use super::url::UrlParts;
use crate::verdict::Cause;

/// The value of an expression.
#[derive(Debug)]
pub(super) enum Value<'v> {
    /// Text or bytes.
    Bytes(Cow<'v, [u8]>),
    /// A JSON object or array, which is there but has no text.
    Container,
}

/// A named part of a signature's value, such as `t` in `t=1,v1=ab`.
pub(super) type NamedPart<'v> = (&'v [u8], &'v [u8]);

/// A request together with what expressions may name besides it.
#[derive(Clone, Copy)]
pub(super) struct Evaluation<'a> {
    pub(super) delivery: &'a Delivery<'a>,
    pub(super) secret: Option<&'a [u8]>,
    pub(super) signature_parts: &'a [NamedPart<'a>],
    pub(super) item: Option<&'a RawValue>,
    /// The variant of the public URL to use instead of the request's own.
    pub(super) url: Option<&'a str>,
    pub(super) lets: &'a [(String, Vec<u8>)],
    pub(super) hmac_key: Option<&'a [u8]>,
}

impl<'a> Evaluation<'a> {
    pub(super) const fn new(delivery: &'a Delivery<'a>) -> Self {
        Self {
            delivery,
            secret: None,
            signature_parts: &[],
            item: None,
            url: None,
            lets: &[],
            hmac_key: None,
        }
    }

    /// The bytes of a template.
    pub(super) fn render(&self, template: &Template) -> Result<Cow<'a, [u8]>, Trouble> {
        if let Some(expression) = template.bare() {
            return self.bytes(expression);
        }
        let mut output = Vec::new();
        self.feed(template, &mut |piece| output.extend_from_slice(piece))?;
        Ok(Cow::Owned(output))
    }

    /// The text of a template.
    pub(super) fn render_text(&self, template: &Template) -> Result<String, Trouble> {
        let bytes = self.render(template)?.into_owned();
        String::from_utf8(bytes).map_err(|_| {
            Trouble::Undecodable(format!("the value of `{}` is not UTF-8", template.text))
        })
    }

    /// Passes the bytes of a template to `sink` in order; the body is not held for that.
    pub(super) fn feed(
        &self,
        template: &Template,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Trouble> {
        self.feed_parts(&template.parts, sink)
    }

    fn feed_parts(&self, parts: &[Part], sink: &mut dyn FnMut(&[u8])) -> Result<(), Trouble> {
        for part in parts {
            match part {
                Part::Text(text) => sink(text),
                Part::Value(expression) if is_whole_body(expression) => {
                    self.delivery.feed_body(sink).map_err(Trouble::Fatal)?;
                }
                Part::Value(expression) => sink(&self.bytes(expression)?),
                Part::Segment(inner) => {
                    let mut segment = Vec::new();
                    match self.feed_parts(inner, &mut |piece| segment.extend_from_slice(piece)) {
                        Ok(()) => sink(&segment),
                        Err(Trouble::Absent(_)) => {}
                        Err(trouble) => return Err(trouble),
                    }
                }
            }
        }
        Ok(())
    }

    /// The bytes of an expression; a JSON object or array counts as absent.
    pub(super) fn bytes(&self, expression: &Expression) -> Result<Cow<'a, [u8]>, Trouble> {
        match self.value(expression)? {
            Value::Bytes(bytes) => Ok(bytes),
            Value::Container => Err(Trouble::Absent(expression.source.clone())),
        }
    }

    /// The value of an expression.
    pub(super) fn value(&self, expression: &Expression) -> Result<Value<'a>, Trouble> {
        if let Some(digest) = self.streamed_digest(expression)? {
            return Ok(digest);
        }
        let value = match self.source(&expression.source) {
            Err(Trouble::Absent(_)) if expression.is_optional => Value::Bytes(Cow::Borrowed(b"")),
            other => other?,
        };
        self.filtered(value, expression, &expression.filters)
    }

    /// The value of an expression that begins with a digest of the body, which is not held for that.
    fn streamed_digest(&self, expression: &Expression) -> Result<Option<Value<'a>>, Trouble> {
        let reads_body = match expression.source {
            Source::Body => true,
            Source::NonemptyBody => !self.delivery.has_empty_body(),
            _ => false,
        };
        let Some((first, rest)) = expression.filters.split_first().filter(|_| reads_body) else {
            return Ok(None);
        };
        let Some(mut running) = first.begin_digest() else {
            return Ok(None);
        };
        self.delivery
            .feed_body(&mut |piece| running.update(piece))
            .map_err(Trouble::Fatal)?;
        let digest = Value::Bytes(Cow::Owned(running.finish()));
        self.filtered(digest, expression, rest).map(Some)
    }

    /// A value after the filters of its expression.
    pub(super) fn filtered<'v>(
        &self,
        value: Value<'v>,
        expression: &Expression,
        filters: &[super::filters::Filter],
    ) -> Result<Value<'v>, Trouble> {
        let context = FilterContext {
            delivery: self.delivery,
            hmac_key: self.hmac_key,
            source: &expression.source,
        };
        filters.iter().try_fold(value, |value, filter| match value {
            Value::Bytes(bytes) => filter.apply(bytes, context),
            Value::Container => Err(Trouble::Absent(expression.source.clone())),
        })
    }

    /// The value of a source before any filter.
    pub(super) fn source(&self, source: &Source) -> Result<Value<'a>, Trouble> {
        let absent = || Trouble::Absent(source.clone());
        let bytes: Cow<'a, [u8]> = match source {
            Source::Body => self.delivery.body()?.into(),
            Source::NonemptyBody if self.delivery.has_empty_body() => return Err(absent()),
            Source::NonemptyBody => self.delivery.body()?.into(),
            Source::Method => self.delivery.request.head.method().as_bytes().into(),
            Source::Url => self.url().as_bytes().into(),
            Source::UrlWithoutQuery => {
                let parts = UrlParts::split(self.url());
                format!("{}://{}{}", parts.scheme, parts.host(), parts.path)
                    .into_bytes()
                    .into()
            }
            Source::Secret => self.secret.ok_or_else(absent)?.into(),
            Source::Header(name) => self.delivery.header(name)?.into(),
            Source::HeaderNamedBy(parameter) => {
                let name = self
                    .parameter(parameter)
                    .ok_or_else(|| Trouble::Absent(Source::Parameter(parameter.clone())))?;
                self.delivery.header(name)?.into()
            }
            Source::Query(name) => self.delivery.query(name)?.into_bytes().into(),
            Source::Form(name) => self.delivery.form(name)?.as_bytes().into(),
            Source::Json(pointer) => {
                let document = self.delivery.json()?;
                return json_value(pointer.find(document), source);
            }
            Source::Item(pointer) => {
                let item = self.item.ok_or_else(absent)?;
                return json_value(pointer.find(item), source);
            }
            Source::Signature(name) => self.signature_part(name).ok_or_else(absent)?.into(),
            Source::Parameter(name) => self.parameter(name).ok_or_else(absent)?.as_bytes().into(),
            Source::Let(name) => {
                let found = self.lets.iter().find(|(key, _)| key == name);
                found.ok_or_else(absent)?.1.as_slice().into()
            }
            Source::Special(special) => special.build(self.delivery, self.url())?.into(),
        };
        Ok(Value::Bytes(bytes))
    }

    fn url(&self) -> &'a str {
        self.url.unwrap_or(self.delivery.request.url)
    }

    fn parameter(&self, name: &str) -> Option<&'a str> {
        let parameters = self.delivery.settings.parameters;
        parameters.get(name).map(String::as_str)
    }

    fn signature_part(&self, name: &str) -> Option<&'a [u8]> {
        let found = self
            .signature_parts
            .iter()
            .find(|(key, _)| *key == name.as_bytes());
        found.map(|(_, value)| *value)
    }
}

/// Whether the expression is the body as it came, which is not held in memory for it.
pub(super) fn is_whole_body(expression: &Expression) -> bool {
    expression.source == Source::Body && expression.filters.is_empty()
}

fn json_value<'v>(found: Option<&RawValue>, source: &Source) -> Result<Value<'v>, Trouble> {
    let absent = || Trouble::Absent(source.clone());
    match json::scalar(found.ok_or_else(absent)?) {
        Some(Scalar::Text(text)) => Ok(Value::Bytes(Cow::Owned(text.into_bytes()))),
        Some(Scalar::Container) => Ok(Value::Container),
        Some(Scalar::Null) => Err(absent()),
        None => Err(Trouble::fatal(
            Cause::MalformedBody,
            format!("{source} has an unpaired surrogate"),
        )),
    }
}
