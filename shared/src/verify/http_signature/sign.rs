//! Makes message signatures with a key of one's own: reads an unsigned one as the check would, and signs that text.

use super::{CONTENT_DIGEST, HttpSignatureRule, SignedText, Style, body_digest, cavage, rfc9421};
use crate::verify::asymmetric::SignatureAlgorithm;
use crate::verify::delivery::Delivery;
use crate::verify::digest::Hash;
use crate::verify::encoding::Encoding;
use crate::verify::private_key::PrivateKey;
use crate::verify::timestamp::Format;
use crate::verify::trouble::Failing;

/// What a draft-cavage signature of ours covers.
const CAVAGE_PARTS: &str = "(request-target) host date digest";

/// The label of an RFC 9421 signature of ours.
const LABEL: &str = "sig1";

impl HttpSignatureRule {
    /// The fields that the signature covers or needs beside its own.
    pub(in crate::verify) fn companions(
        &self,
        delivery: &Delivery<'_>,
        key: &PrivateKey,
    ) -> Result<Vec<(String, String)>, Failing> {
        let now = delivery.settings.now;
        let digest = Encoding::Base64.encode(&body_digest(delivery, Hash::Sha256)?);
        Ok(match &self.style {
            Style::Cavage => vec![
                ("date".to_owned(), Format::HttpDate.write(now)),
                ("digest".to_owned(), format!("sha-256={digest}")),
            ],
            Style::Rfc9421 { require, .. } => {
                let mut parts = vec!["@method", "@target-uri", CONTENT_DIGEST];
                let others = require.iter().map(String::as_str);
                parts.extend(others.filter(|part| *part != CONTENT_DIGEST));
                let parts: Vec<_> = parts.iter().map(|part| format!("\"{part}\"")).collect();
                let input = format!(
                    "{LABEL}=({});created={};keyid=\"{}\";alg=\"ed25519\"",
                    parts.join(" "),
                    now.as_seconds(),
                    key.key_id()
                );
                vec![
                    (CONTENT_DIGEST.to_owned(), format!("sha-256=:{digest}:")),
                    ("signature-input".to_owned(), input),
                ]
            }
        })
    }

    /// The value of the signature; the companions are in the request already.
    pub(in crate::verify) fn sign(
        &self,
        delivery: &Delivery<'_>,
        key: &PrivateKey,
    ) -> Result<Option<Vec<u8>>, Failing> {
        let written = |signature: &str| match &self.style {
            Style::Cavage => format!(
                "keyId=\"{}\",algorithm=\"ed25519\",signature=\"{signature}\",headers=\"{CAVAGE_PARTS}\"",
                key.key_id()
            ),
            Style::Rfc9421 { .. } => format!("{LABEL}=:{signature}:"),
        };
        let text = match &self.style {
            Style::Cavage => cavage(written("").as_bytes(), delivery)?.text,
            Style::Rfc9421 { require, .. } => {
                let SignedText { text, .. } = rfc9421(delivery, require, written("").as_bytes())?;
                text
            }
        };
        let signature = key.sign(SignatureAlgorithm::Ed25519, &text);
        Ok(signature.map(|signature| written(&Encoding::Base64.encode(&signature)).into_bytes()))
    }
}
