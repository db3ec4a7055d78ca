//! Signs a captured request again: fresh signature fields in the places of the old ones, with the letter case that
//! these had, and every other line as it came. Names each change, and refuses what its own check would not take.

mod delivery_id;

use super::delivery::Delivery;
use super::scheme::{Method, Scheme};
use super::template::{Source, Template};
use super::{Body, Provider, Request, Settings, SignError, Unsigned};
use crate::head::{Field, Head};
use crate::hop::{Change, ChangeKind};
use crate::verdict::Verdict;
pub use delivery_id::{DeliveryIdPlace, fresh_delivery_id};

/// A captured request to sign again.
#[derive(Clone, Copy)]
pub struct Captured<'a> {
    /// Its head.
    pub head: &'a Head,
    /// The URL that the app takes it to be sent to, raw query included.
    pub url: &'a str,
    /// The body to sign.
    pub body: &'a [u8],
    /// The scheme that matched when it came: it signs first.
    pub matched: Option<&'a str>,
    /// Why it is signed again, for each change.
    pub reason: &'a str,
}

/// A request with a fresh signature.
#[derive(Clone, Debug)]
pub struct Resigned {
    /// The head with the fresh signature.
    pub head: Head,
    /// What differs from the captured head.
    pub changes: Vec<Change>,
    /// What the check says of it: verified or authenticated.
    pub verdict: Verdict,
}

impl Provider {
    /// Signs a captured request again with the first secret that a scheme takes.
    ///
    /// # Errors
    /// When the scheme is asymmetric or its signature does not stand in a header, when a secret or parameter is
    /// missing, and when the signed request does not pass the check.
    pub fn resign(
        &self,
        captured: &Captured<'_>,
        settings: &Settings<'_>,
    ) -> Result<Resigned, SignError> {
        let names = Names::of(self, settings);
        let fields = self.fresh_fields(captured, settings, &names)?;
        let (head, changes) = rewritten(captured, &fields, &names)?;
        let request = Request {
            head: &head,
            url: captured.url,
            body: Body::Bytes(captured.body),
        };
        let delivery = Delivery::new(&request, settings);
        if let Err(failing) = self.match_scheme(&delivery) {
            return Err(SignError::Unusable(format!(
                "the request does not pass the check after it was signed: {}",
                failing.detail
            )));
        }
        let verdict = self.judgement(&delivery).verdict;
        Ok(Resigned {
            head,
            changes,
            verdict,
        })
    }

    /// The fields of the scheme that matched, and of the others whose fields the request carries already: an app
    /// may check any of them.
    fn fresh_fields(
        &self,
        captured: &Captured<'_>,
        settings: &Settings<'_>,
        names: &Names,
    ) -> Result<Vec<(String, String)>, SignError> {
        let carried: Vec<_> = captured
            .head
            .fields()
            .filter(|field| !names.is_derived(field))
            .filter_map(text_of)
            .collect();
        let unsigned = Unsigned {
            method: captured.head.method(),
            url: captured.url,
            fields: &carried,
            body: captured.body,
        };
        let known = self.variants();
        let matched = captured.matched.filter(|matched| known.contains(matched));
        let variant = settings.variant.or(matched);
        let mut fields = self.sign(
            &unsigned,
            &Settings {
                variant,
                ..*settings
            },
        )?;
        if settings.variant.is_some() {
            return Ok(fields);
        }
        for other in known.into_iter().filter(|other| Some(*other) != variant) {
            let settings = Settings {
                variant: Some(other),
                ..*settings
            };
            let Ok(more) = self.sign(&unsigned, &settings) else {
                continue;
            };
            let is_carried = |name: &str| captured.head.values(name).next().is_some();
            if more.iter().all(|(name, _)| is_carried(name)) {
                let known = fields.clone();
                let is_new = |(name, _): &(String, String)| find(&known, name.as_bytes()).is_none();
                fields.extend(more.into_iter().filter(is_new));
            }
        }
        Ok(fields)
    }
}

/// The header fields of a provider that an old signature leaves behind.
struct Names {
    /// Fields of signatures; one of a credential that is always the same does not grow old.
    signatures: Vec<String>,
    /// Fields that must hold what is made of the rest, such as a hash of the body.
    derived: Vec<String>,
}

impl Names {
    fn of(provider: &Provider, settings: &Settings<'_>) -> Self {
        let signing = |scheme: &&Scheme| !matches!(scheme.method, Method::Equals(_));
        let places = provider.schemes.iter().filter(signing);
        let places = places.flat_map(|scheme| &scheme.places);
        let required = provider.schemes.iter().flat_map(|scheme| &scheme.require);
        Self {
            signatures: places
                .filter_map(|place| header_name(place, settings))
                .collect(),
            derived: required
                .filter_map(|(have, _)| header_name(have, settings))
                .collect(),
        }
    }

    fn is_signature(&self, field: &Field<'_>) -> bool {
        self.signatures.iter().any(|name| is_called(field, name))
    }

    fn is_derived(&self, field: &Field<'_>) -> bool {
        self.derived.iter().any(|name| is_called(field, name))
    }
}

/// The header that a template reads as it stands; with `#` at its end it stands for numbered ones.
fn header_name(template: &Template, settings: &Settings<'_>) -> Option<String> {
    match &template.bare()?.source {
        Source::Header(name) => Some(name.clone()),
        Source::HeaderNamedBy(parameter) => settings.parameters.get(parameter).cloned(),
        _ => None,
    }
}

fn is_called(field: &Field<'_>, name: &str) -> bool {
    let Some(base) = name.strip_suffix('#') else {
        return field.name.eq_ignore_ascii_case(name.as_bytes());
    };
    field
        .name
        .split_at_checked(base.len())
        .is_some_and(|(start, number)| {
            start.eq_ignore_ascii_case(base.as_bytes()) && number.iter().all(u8::is_ascii_digit)
        })
}

/// A field whose value is text; other values are no part of any signature.
fn text_of(field: Field<'_>) -> Option<(String, String)> {
    let name = String::from_utf8(field.name.to_vec()).ok()?;
    Some((name, String::from_utf8(field.value.to_vec()).ok()?))
}

fn find<'f>(fields: &'f [(String, String)], name: &[u8]) -> Option<(usize, &'f str)> {
    let index = fields
        .iter()
        .position(|(other, _)| other.as_bytes().eq_ignore_ascii_case(name))?;
    Some((index, &fields[index].1))
}

/// The captured head with the fresh fields: each in the place of the first old one, the rest at the end.
fn rewritten(
    captured: &Captured<'_>,
    fields: &[(String, String)],
    names: &Names,
) -> Result<(Head, Vec<Change>), SignError> {
    let head = captured.head;
    let mut raw = head.request_line().to_vec();
    let mut changes = Vec::new();
    let mut note = |kind, part: &[u8], why: &str| {
        changes.push(Change {
            kind,
            part: String::from_utf8_lossy(part).into_owned(),
            reason: why.to_owned(),
        });
    };
    let mut written = vec![false; fields.len()];
    for field in head.fields() {
        match find(fields, field.name) {
            Some((index, _)) if std::mem::replace(&mut written[index], true) => {
                note(ChangeKind::Removed, field.name, captured.reason);
            }
            Some((_, value)) if value.as_bytes() == field.value => push(&mut raw, &[field.line]),
            Some((_, value)) => {
                push(&mut raw, &[field.name, b": ", value.as_bytes()]);
                note(ChangeKind::Replaced, field.name, captured.reason);
            }
            None if names.is_signature(&field) => {
                let why = format!("{}: this signature cannot be made", captured.reason);
                note(ChangeKind::Removed, field.name, &why);
            }
            None => push(&mut raw, &[field.line]),
        }
    }
    for ((name, value), _) in fields
        .iter()
        .zip(&written)
        .filter(|(_, is_written)| !**is_written)
    {
        push(&mut raw, &[name.as_bytes(), b": ", value.as_bytes()]);
        note(ChangeKind::Added, name.as_bytes(), captured.reason);
    }
    raw.extend_from_slice(b"\r\n");
    let head = Head::parse(raw).map_err(|error| {
        SignError::Unusable(format!(
            "the head with the new signature cannot be sent: {error}"
        ))
    })?;
    Ok((head, changes))
}

fn push(raw: &mut Vec<u8>, line: &[&[u8]]) {
    for part in line {
        raw.extend_from_slice(part);
    }
    raw.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests;
