//! The request under check as templates see it: headers, query, form, JSON and body, each read at most once.

use std::cell::OnceCell;

use serde_json::value::RawValue;

use super::effort::Effort;
use super::json;
use super::template::Source;
use super::trouble::{Failing, Trouble};
use super::url::{UrlParts, pairs};
use super::{Body, Request, Settings, Surroundings};
use crate::verdict::Cause;

/// The longest streamed body that a scheme may read whole in order to parse it.
/// Twice the default limit for bodies: longer ones only pass schemes that hash.
pub(super) const MAX_PARSED_BYTES: u64 = 50 * 1024 * 1024;

/// A request with its settings.
pub(super) struct Delivery<'r> {
    pub(super) request: &'r Request<'r>,
    pub(super) settings: &'r Settings<'r>,
    pub(super) surroundings: Surroundings<'r>,
    /// What its check has cost.
    pub(super) effort: Effort,
    streamed_whole: OnceCell<Result<Vec<u8>, Failing>>,
    is_json: OnceCell<bool>,
    form: OnceCell<Result<Vec<(String, String)>, Failing>>,
}

impl<'r> Delivery<'r> {
    pub(super) fn new(request: &'r Request<'r>, settings: &'r Settings<'r>) -> Self {
        Self {
            request,
            settings,
            surroundings: Surroundings::default(),
            effort: Effort::new(length_of(request.body)),
            streamed_whole: OnceCell::new(),
            is_json: OnceCell::new(),
            form: OnceCell::new(),
        }
    }

    /// The public URL in parts.
    pub(super) fn url(&self) -> UrlParts<'r> {
        UrlParts::split(self.request.url)
    }

    /// The values of all fields with this name; `NAME-#` stands for numbered fields, in their order.
    pub(super) fn header_values(&self, name: &str) -> Vec<&'r [u8]> {
        match name.strip_suffix('#') {
            Some(base) => self.numbered_values(base),
            None => {
                let fields = self.request.head.fields();
                fields
                    .filter(|field| field.name.eq_ignore_ascii_case(name.as_bytes()))
                    .map(|field| field.value)
                    .collect()
            }
        }
    }

    fn numbered_values(&self, base: &str) -> Vec<&'r [u8]> {
        let mut found: Vec<(u64, &'r [u8])> = self
            .request
            .head
            .fields()
            .filter_map(|field| Some((number_after(field.name, base.as_bytes())?, field.value)))
            .collect();
        found.sort_by_key(|(number, _)| *number);
        found.into_iter().map(|(_, value)| value).collect()
    }

    /// The value of a header that must be there once (LANGUAGE.md, rule 3).
    pub(super) fn header(&self, name: &str) -> Result<&'r [u8], Trouble> {
        match self.header_values(name).as_slice() {
            [] | [[]] => Err(Trouble::Absent(Source::Header(name.to_owned()))),
            [value] => Ok(value),
            several => Err(Trouble::fatal(
                Cause::AmbiguousHeader,
                format!("the header `{name}` is there {} times", several.len()),
            )),
        }
    }

    /// The decoded value of a query parameter that must be there once.
    pub(super) fn query(&self, name: &str) -> Result<String, Trouble> {
        let mut values = pairs(self.url().query).filter(|(key, _)| key == name);
        let source = || Source::Query(name.to_owned());
        let (_, value) = values.next().ok_or_else(|| Trouble::Absent(source()))?;
        match values.next() {
            None => Ok(value),
            Some(_) => Err(repeated(Cause::AmbiguousQuery, &source())),
        }
    }

    /// The decoded value of a form field that must be there once.
    pub(super) fn form(&self, name: &str) -> Result<&str, Trouble> {
        let mut values = self.form_pairs()?.iter().filter(|(key, _)| key == name);
        let source = || Source::Form(name.to_owned());
        let (_, value) = values.next().ok_or_else(|| Trouble::Absent(source()))?;
        match values.next() {
            None => Ok(value),
            Some(_) => Err(repeated(Cause::AmbiguousForm, &source())),
        }
    }

    /// All form fields, decoded, in order; none when the body is not a form.
    pub(super) fn form_pairs(&self) -> Result<&[(String, String)], Trouble> {
        let form = self.form.get_or_init(|| {
            if !self.is_form() {
                return Ok(Vec::new());
            }
            let body = self.whole_body_or_failing()?;
            let text = std::str::from_utf8(body).map_err(|_| {
                Failing::new(Cause::MalformedBody, "the form in the body is not UTF-8")
            })?;
            Ok(pairs(text).collect())
        });
        match form {
            Ok(fields) => Ok(fields),
            Err(failing) => Err(Trouble::Fatal(failing.clone())),
        }
    }

    /// Whether the content type says that the body is a form.
    pub(super) fn is_form(&self) -> bool {
        const FORM: &[u8] = b"application/x-www-form-urlencoded";
        let types = self.header_values("content-type");
        types.first().is_some_and(|value| {
            let media_type = value.split(|&byte| byte == b';').next().unwrap_or_default();
            media_type.trim_ascii().eq_ignore_ascii_case(FORM)
        })
    }

    /// The body as JSON.
    pub(super) fn json(&self) -> Result<&RawValue, Trouble> {
        let not_json = || Trouble::fatal(Cause::MalformedBody, "the body is not JSON");
        let body = self.body()?;
        if self.is_json.get() == Some(&false) {
            return Err(not_json());
        }
        let document = json::document(body);
        let _ = self.is_json.set(document.is_some());
        document.ok_or_else(not_json)
    }

    /// The whole body in memory.
    pub(super) fn body(&self) -> Result<&[u8], Trouble> {
        self.whole_body_or_failing().map_err(Trouble::Fatal)
    }

    fn whole_body_or_failing(&self) -> Result<&[u8], Failing> {
        let body = match self.request.body {
            Body::Bytes(bytes) => return Ok(bytes),
            Body::Streamed(body) => body,
        };
        let whole = self.streamed_whole.get_or_init(|| {
            if body.length() > MAX_PARSED_BYTES {
                return Err(Failing::new(
                    Cause::MalformedBody,
                    format!(
                        "the scheme must read the body, which has over {MAX_PARSED_BYTES} bytes"
                    ),
                ));
            }
            let mut whole = Vec::new();
            self.feed_body(&mut |piece| whole.extend_from_slice(piece))?;
            Ok(whole)
        });
        whole.as_deref().map_err(Clone::clone)
    }

    /// Whether the body has no bytes.
    pub(super) fn has_empty_body(&self) -> bool {
        self.body_length() == 0
    }

    /// The length of the body in bytes.
    pub(super) fn body_length(&self) -> u64 {
        length_of(self.request.body)
    }

    /// Passes the body to `sink` piece by piece.
    pub(super) fn feed_body(&self, sink: &mut dyn FnMut(&[u8])) -> Result<(), Failing> {
        match self.request.body {
            Body::Bytes(bytes) => {
                sink(bytes);
                Ok(())
            }
            Body::Streamed(body) => body.read(sink).map_err(|error| {
                Failing::new(
                    Cause::ConfigError,
                    format!("the kept body cannot be read: {error}"),
                )
            }),
        }
    }
}

fn length_of(body: Body<'_>) -> u64 {
    match body {
        Body::Bytes(bytes) => bytes.len() as u64,
        Body::Streamed(body) => body.length(),
    }
}

fn repeated(cause: Cause, source: &Source) -> Trouble {
    Trouble::fatal(cause, format!("{source} is there more than once"))
}

/// The number after `base` in a field name such as `x-signature-2`.
fn number_after(name: &[u8], base: &[u8]) -> Option<u64> {
    let (start, digits) = name.split_at_checked(base.len())?;
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    if !is_number || !start.eq_ignore_ascii_case(base) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}
