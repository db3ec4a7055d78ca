//! HTTP message signatures with Ed25519: RFC 9421 and the older draft-cavage-http-signatures.

mod sign;

use super::asymmetric::{PublicKey, SignatureAlgorithm};
use super::delivery::Delivery;
use super::digest::{Hash, is_equal};
use super::encoding::Encoding;
use super::evaluate::Evaluation;
use super::fingerprint::{Fingerprint, Proof};
use super::jwt::IndexedSecret;
use super::signed_names;
use super::template::Template;
use super::trouble::{Failing, Trouble};
use crate::verdict::Cause;

/// The component that ties the signature to the body.
pub(super) const CONTENT_DIGEST: &str = "content-digest";

/// How a message signature is written, and what it must cover.
#[derive(Debug)]
pub(super) struct HttpSignatureRule {
    pub(super) style: Style,
    /// Makes a public key of a secret.
    pub(super) key: Template,
}

/// The two ways to write a message signature.
#[derive(Debug)]
pub(super) enum Style {
    /// draft-cavage-http-signatures-12; `digest` must be signed.
    Cavage,
    /// RFC 9421.
    Rfc9421 {
        /// Components that must be signed.
        require: Vec<String>,
        /// How far `created` may be from the clock, in seconds.
        tolerance: u32,
    },
}

/// A signature with the text that it signs.
struct SignedText {
    text: Vec<u8>,
    signature: Vec<u8>,
    created: Option<i64>,
}

impl HttpSignatureRule {
    /// Checks the signature in `value`; tells which secret matched and what is signed.
    pub(super) fn check(
        &self,
        value: &[u8],
        evaluation: &Evaluation<'_>,
        secrets: &[IndexedSecret<'_>],
    ) -> Result<Proof, Failing> {
        let delivery = evaluation.delivery;
        let signed = match &self.style {
            Style::Cavage => cavage(value, delivery)?,
            Style::Rfc9421 { require, .. } => rfc9421(delivery, require, value)?,
        };
        let signer = self.signer(&signed, evaluation, secrets)?;
        if let Style::Rfc9421 { tolerance, .. } = &self.style {
            check_content_digest(delivery)?;
            check_created(signed.created, *tolerance, delivery)?;
        }
        Ok(Proof {
            signer: Some(signer),
            signed: Some(Fingerprint::of(&signed.text)),
        })
    }

    fn signer(
        &self,
        signed: &SignedText,
        evaluation: &Evaluation<'_>,
        secrets: &[IndexedSecret<'_>],
    ) -> Result<usize, Failing> {
        let mut has_key = false;
        for (index, secret) in secrets {
            let evaluation = Evaluation {
                secret: Some(secret),
                ..*evaluation
            };
            let der = match evaluation.render(&self.key) {
                Ok(der) => der,
                Err(Trouble::Undecodable(_)) => continue,
                Err(trouble) => return Err(trouble.into_failing()),
            };
            let Some(key) = PublicKey::from_der(&der) else {
                continue;
            };
            has_key = true;
            if key.verifies(SignatureAlgorithm::Ed25519, &signed.text, &signed.signature) {
                return Ok(*index);
            }
        }
        if has_key {
            return Err(Failing::new(
                Cause::SignatureMismatch,
                "the message signature matches no key of the endpoint",
            ));
        }
        Err(Failing::new(
            Cause::BadSecret,
            "no secret of the endpoint is a public key",
        ))
    }
}

fn malformed(what: impl Into<String>) -> Failing {
    Failing::new(Cause::MalformedSignature, what)
}

fn unsupported(algorithm: &str) -> Failing {
    Failing::new(
        Cause::UnsupportedAlgorithm,
        format!(
            "the algorithm of the message signature is `{}`, not ed25519",
            algorithm.escape_debug()
        ),
    )
}

/// `keyId="…",algorithm="ed25519",signature="…",headers="(request-target) host date digest"`
fn cavage(value: &[u8], delivery: &Delivery<'_>) -> Result<SignedText, Failing> {
    let value = String::from_utf8_lossy(value);
    let parameter = |name: &str| quoted_parameter(&value, name);
    let (Some(signature), Some(names)) = (parameter("signature"), parameter("headers")) else {
        return Err(malformed(
            "the message signature has no `signature` or no `headers`",
        ));
    };
    let algorithm = parameter("algorithm").unwrap_or("ed25519");
    if algorithm != "ed25519" {
        return Err(unsupported(algorithm));
    }
    let signature = Encoding::Base64
        .decode(signature.as_bytes())
        .ok_or_else(|| malformed("the message signature is not base64"))?;
    let names: Vec<&str> = names.split_ascii_whitespace().collect();
    signed_names::check(&names)?;
    if !names.contains(&"digest") {
        return Err(malformed("the message signature does not cover `digest`"));
    }
    let mut lines: Vec<Vec<u8>> = Vec::new();
    for name in names {
        let value = match name {
            "(request-target)" => {
                let method = delivery.request.head.method().to_ascii_lowercase();
                format!("{method} {}", delivery.url().target()).into_bytes()
            }
            "host" => delivery.url().authority.as_bytes().to_vec(),
            "digest" => {
                let digest = Encoding::Base64.encode(&body_digest(delivery, Hash::Sha256)?);
                format!("sha-256={digest}").into_bytes()
            }
            _ => header(delivery, name)?.to_vec(),
        };
        lines.push([name.as_bytes(), b": ", &value].concat());
    }
    Ok(SignedText {
        text: lines.join(&b'\n'),
        signature,
        created: None,
    })
}

fn quoted_parameter<'v>(value: &'v str, name: &str) -> Option<&'v str> {
    let mut rest = value;
    let mut found = None;
    while let Some((before, after)) = rest.split_once("=\"") {
        let is_word = |character: char| character.is_ascii_alphanumeric() || character == '_';
        let start = before
            .rfind(|character| !is_word(character))
            .map_or(0, |index| {
                index + before[index..].chars().next().map_or(1, char::len_utf8)
            });
        let (text, tail) = after.split_once('"')?;
        if &before[start..] == name {
            found = Some(text);
        }
        rest = tail;
    }
    found
}

/// `Signature-Input: label=("@method" "content-digest");created=1;alg="ed25519"`, `Signature: label=:…:`
fn rfc9421(
    delivery: &Delivery<'_>,
    require: &[String],
    value: &[u8],
) -> Result<SignedText, Failing> {
    let text = |bytes, name| -> Result<&str, Failing> {
        std::str::from_utf8(bytes)
            .map_err(|_| malformed(format!("the header `{name}` is not text")))
    };
    let input = text(header(delivery, "signature-input")?, "signature-input")?;
    if delivery.header_values("signature").len() > 1 {
        header(delivery, "signature")?;
    }
    let value = text(value, "signature")?;
    let unreadable =
        || malformed("`Signature-Input` and `Signature` are not one labelled signature");
    let (label, parameters) = input.split_once('=').ok_or_else(unreadable)?;
    let (value_label, value) = value.split_once('=').ok_or_else(unreadable)?;
    if label != value_label || !is_label(label) {
        return Err(unreadable());
    }
    let inner = parameters
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(')'));
    let (components, attributes) = inner.ok_or_else(unreadable)?;
    let components = quoted_names(components).ok_or_else(unreadable)?;
    signed_names::check(&components)?;
    let attributes = attributes_of(attributes).ok_or_else(unreadable)?;
    let signature = value
        .strip_prefix(':')
        .and_then(|rest| rest.strip_suffix(':'))
        .and_then(|encoded| Encoding::Base64.decode(encoded.as_bytes()))
        .ok_or_else(|| malformed("the message signature is not base64"))?;
    let attribute = |name: &str| {
        let mut attributes = attributes.iter().rev();
        attributes
            .find(|(key, _)| *key == name)
            .map(|(_, value)| *value)
    };
    if let Some(algorithm) = attribute("alg")
        && algorithm != "ed25519"
    {
        return Err(unsupported(algorithm));
    }
    if let Some(missing) = require
        .iter()
        .find(|name| !components.contains(&name.as_str()))
    {
        return Err(malformed(format!(
            "the message signature does not cover `{missing}`"
        )));
    }
    let mut text = Vec::new();
    for component in &components {
        text.extend_from_slice(format!("\"{component}\": ").as_bytes());
        text.extend_from_slice(&component_value(delivery, component)?);
        text.push(b'\n');
    }
    text.extend_from_slice(format!("\"@signature-params\": {parameters}").as_bytes());
    Ok(SignedText {
        text,
        signature,
        created: match attribute("created") {
            None => None,
            Some(created) => Some(created.parse().map_err(|_| unreadable())?),
        },
    })
}

fn component_value(delivery: &Delivery<'_>, component: &str) -> Result<Vec<u8>, Failing> {
    let url = delivery.url();
    Ok(match component {
        "@method" => delivery.request.head.method().as_bytes().to_vec(),
        "@path" => url.path.as_bytes().to_vec(),
        "@authority" => url.authority.to_ascii_lowercase().into_bytes(),
        "@target-uri" => delivery.request.url.as_bytes().to_vec(),
        "@query" => format!("?{}", url.query).into_bytes(),
        _ => header(delivery, component)?.to_vec(),
    })
}

fn header<'d>(delivery: &'d Delivery<'_>, name: &str) -> Result<&'d [u8], Failing> {
    delivery.header(name).map_err(Trouble::into_failing)
}

fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_*.-".contains(&byte))
}

/// `"a" "b"`: names without parameters of their own.
fn quoted_names(text: &str) -> Option<Vec<&str>> {
    text.split(' ')
        .filter(|item| !item.is_empty())
        .map(|item| {
            let name = item.strip_prefix('"')?.strip_suffix('"')?;
            (!name.is_empty() && !name.contains('"')).then_some(name)
        })
        .collect()
}

/// `;created=1;alg="ed25519"`
fn attributes_of(text: &str) -> Option<Vec<(&str, &str)>> {
    let mut attributes = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (key, after) = rest.strip_prefix(';')?.split_once('=')?;
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_lowercase()) {
            return None;
        }
        let (value, tail) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => {
                let digits = after.bytes().take_while(u8::is_ascii_digit).count();
                (digits > 0).then(|| after.split_at(digits))?
            }
        };
        attributes.push((key, value));
        rest = tail;
    }
    Some(attributes)
}

fn body_digest(delivery: &Delivery<'_>, hash: Hash) -> Result<Vec<u8>, Failing> {
    let mut digester = hash.begin();
    delivery.feed_body(&mut |piece| digester.update(piece))?;
    Ok(digester.finish())
}

/// `Content-Digest: sha-256=:…:` (RFC 9530) must be the digest of the body.
fn check_content_digest(delivery: &Delivery<'_>) -> Result<(), Failing> {
    let mismatch = || {
        Failing::new(
            Cause::SignatureMismatch,
            "the header `content-digest` is not the digest of the body",
        )
    };
    let value = String::from_utf8_lossy(header(delivery, CONTENT_DIGEST)?);
    let (name, encoded) = value.split_once('=').ok_or_else(mismatch)?;
    let hash = match name {
        "sha-256" => Hash::Sha256,
        "sha-512" => Hash::Sha512,
        _ => return Err(mismatch()),
    };
    let encoded = encoded
        .strip_prefix(':')
        .and_then(|rest| rest.strip_suffix(':'));
    let digest = encoded.and_then(|encoded| Encoding::Base64.decode(encoded.as_bytes()));
    let is_right = is_equal(&digest.ok_or_else(mismatch)?, &body_digest(delivery, hash)?);
    if is_right { Ok(()) } else { Err(mismatch()) }
}

fn check_created(
    created: Option<i64>,
    tolerance: u32,
    delivery: &Delivery<'_>,
) -> Result<(), Failing> {
    let Some(created) = created else {
        return Ok(());
    };
    let age = delivery.settings.now.as_seconds().saturating_sub(created);
    if age > i64::from(tolerance) {
        let detail = format!("the message signature is {age} s old, {tolerance} s are allowed");
        return Err(Failing::new(Cause::TimestampExpired, detail));
    }
    if age.saturating_neg() > i64::from(tolerance) {
        let detail = format!(
            "the message signature was created {} s in the future",
            age.saturating_neg()
        );
        return Err(Failing::new(Cause::TimestampFuture, detail));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parameters_are_found_by_their_whole_name() {
        let value = r#"keyid="k",algorithm="ed25519",signature="s=",headers="a b""#;

        assert_eq!(quoted_parameter(value, "signature"), Some("s="));
        assert_eq!(quoted_parameter(value, "headers"), Some("a b"));
        assert_eq!(quoted_parameter(value, "id"), None);
    }

    #[test]
    fn attributes_are_numbers_or_quoted() {
        assert_eq!(
            attributes_of(r#";created=1;alg="x""#),
            Some(vec![("created", "1"), ("alg", "x")])
        );
        for bad in [
            "created=1",
            ";created=",
            ";created=1a",
            ";alg=\"x",
            ";Alg=1",
            ";",
        ] {
            assert_eq!(attributes_of(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "[a-z=\";: é()]{0,40}") {
            let _ = quoted_parameter(&text, "a");
            let _ = attributes_of(&text);
            let _ = quoted_names(&text);
        }
    }
}
