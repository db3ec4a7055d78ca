//! Reads a request for a token: the grant, the client by Basic (RFC 6749 §2.3.1) or in the body, the scope.

use std::fmt;

use data_encoding::BASE64;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use towline_shared::secret::Secret;

use super::form::{self, decoded};
use super::refusal::Refusal;

/// The parameters that must not be there twice, nor in the URL, where logs would show them.
const PARAMETERS: [&str; 4] = ["grant_type", "client_id", "client_secret", "scope"];

/// A client that asks for a token.
#[derive(Debug)]
pub(super) struct Grant {
    /// Who it says it is.
    pub(super) client_id: String,
    /// What it shows for it: one password, or one in two readings.
    pub(super) passwords: Vec<Secret>,
    /// Whether it did so in the `Authorization` field.
    pub(super) is_basic: bool,
    /// The scope that it asks for.
    pub(super) scope: Option<Scope>,
}

/// Names of scopes (RFC 6749 §3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope(String);

/// A client with what it shows.
#[derive(Debug)]
struct Credentials {
    client_id: String,
    passwords: Vec<Secret>,
}

/// Reads a request.
pub(super) fn read(parts: &Parts, body: &[u8]) -> Result<Grant, Refusal> {
    if !is_form(parts) {
        return Err(Refusal::InvalidRequest(
            "expected `Content-Type: application/x-www-form-urlencoded`",
        ));
    }
    let is_in_url = |pair: &(Vec<u8>, Vec<u8>)| is_parameter(&pair.0);
    let query = parts.uri.query().unwrap_or_default().as_bytes();
    if form::pairs(query).is_ok_and(|pairs| pairs.iter().any(is_in_url)) {
        return Err(Refusal::InvalidRequest("parameters belong into the body"));
    }
    let fields = Fields::read(body)?;
    match fields.text("grant_type")?.as_deref() {
        None => return Err(Refusal::InvalidRequest("`grant_type` is missing")),
        Some("client_credentials") => {}
        Some(_) => return Err(Refusal::UnsupportedGrantType),
    }
    let scope = fields.text("scope")?.map(Scope::parse).transpose()?;
    let basic = basic(parts)?;
    let is_basic = basic.is_some();
    let Credentials {
        client_id,
        passwords,
    } = match (basic, fields.credentials()?) {
        (
            Some(_),
            InBody {
                secret: Some(_), ..
            },
        ) => {
            return Err(Refusal::InvalidRequest(
                "the client authenticates in two ways: use one",
            ));
        }
        (Some(basic), InBody { id: Some(id), .. }) if id != basic.client_id => {
            return Err(Refusal::InvalidRequest(
                "`client_id` is another one than in `Authorization`",
            ));
        }
        (Some(basic), _) => basic,
        (
            None,
            InBody {
                id: Some(client_id),
                secret: Some(secret),
            },
        ) => Credentials {
            client_id,
            passwords: vec![secret],
        },
        (None, _) => return Err(Refusal::InvalidClient { is_basic: false }),
    };
    Ok(Grant {
        client_id,
        passwords,
        is_basic,
        scope,
    })
}

fn is_form(parts: &Parts) -> bool {
    let value = parts.headers.get(CONTENT_TYPE);
    let value = value.map_or(&b""[..], |value| value.as_bytes());
    let essence = value.split(|&byte| byte == b';').next();
    essence
        .unwrap_or_default()
        .trim_ascii()
        .eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
}

fn is_parameter(name: &[u8]) -> bool {
    PARAMETERS.iter().any(|known| known.as_bytes() == name)
}

/// The client of the `Authorization` field. Another scheme is a client that cannot be authenticated.
fn basic(parts: &Parts) -> Result<Option<Credentials>, Refusal> {
    let mut values = parts.headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Refusal::InvalidRequest("`Authorization` is there twice"));
    }
    let found = basic_credentials(value.as_bytes());
    found
        .map(Some)
        .ok_or(Refusal::InvalidClient { is_basic: true })
}

/// Id and secret are form-encoded before they are joined. Many clients leave that out, so a secret counts as it
/// is written, too.
fn basic_credentials(value: &[u8]) -> Option<Credentials> {
    let (scheme, rest) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let joined = BASE64.decode(rest.trim_ascii()).ok()?;
    let colon = joined.iter().position(|&byte| byte == b':')?;
    let (id, secret) = (&joined[..colon], &joined[colon + 1..]);
    let client_id = String::from_utf8(decoded(id).ok()?).ok()?;
    let mut passwords = vec![Secret::new(secret)];
    passwords.extend(decoded(secret).ok().map(Secret::new));
    Some(Credentials {
        client_id,
        passwords,
    })
}

/// The parameters of the body; those without a value count as absent (RFC 6749 §3.2).
struct Fields(Vec<(Vec<u8>, Vec<u8>)>);

/// What the body says of the client.
struct InBody {
    id: Option<String>,
    secret: Option<Secret>,
}

impl Fields {
    fn read(body: &[u8]) -> Result<Self, Refusal> {
        let pairs = form::pairs(body)
            .map_err(|_| Refusal::InvalidRequest("the body is not form-encoded"))?;
        for name in PARAMETERS {
            let of_name = pairs.iter().filter(|(other, _)| other == name.as_bytes());
            if of_name.count() > 1 {
                return Err(Refusal::InvalidRequest("a parameter is there twice"));
            }
        }
        Ok(Self(pairs))
    }

    fn bytes(&self, name: &str) -> Option<&[u8]> {
        let mut pairs = self.0.iter();
        let found = pairs.find(|(other, _)| other == name.as_bytes());
        found
            .map(|(_, value)| value.as_slice())
            .filter(|value| !value.is_empty())
    }

    fn text(&self, name: &str) -> Result<Option<String>, Refusal> {
        let text = self
            .bytes(name)
            .map(|bytes| String::from_utf8(bytes.to_vec()));
        text.transpose()
            .map_err(|_| Refusal::InvalidRequest("a parameter is not UTF-8"))
    }

    fn credentials(&self) -> Result<InBody, Refusal> {
        Ok(InBody {
            id: self.text("client_id")?,
            secret: self.bytes("client_secret").map(Secret::new),
        })
    }
}

impl Scope {
    fn parse(text: String) -> Result<Self, Refusal> {
        let is_allowed = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        let is_name = |name: &str| !name.is_empty() && name.bytes().all(is_allowed);
        if text.split(' ').all(is_name) {
            Ok(Self(text))
        } else {
            Err(Refusal::InvalidScope("the scope is malformed"))
        }
    }

    /// Whether each of its names is among those listed.
    pub(super) fn is_within(&self, listed: &str) -> bool {
        let mut names = self.0.split(' ');
        names.all(|name| listed.split(' ').any(|other| other == name))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
