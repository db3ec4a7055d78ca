//! What makes two requests the same to a signature: the content that was signed, not the bytes of the signature.
//!
//! A signature can be written in several ways (hex in another case, base64 without padding, a second valid ECDSA
//! value), and one of two secrets' signatures can be left out; the content stays the same. What is not signed, such as
//! a date or delivery id beside it, is not part of it either: whoever sends a captured request again can change that.

use super::Body;
use super::digest::Hash;
use super::evaluate::Evaluation;
use super::scheme::Scheme;
use super::template::Template;
use super::trouble::{Failing, Trouble};

/// How many bytes of the SHA-256 are kept: two different contents meet by chance once in 2^128 pairs.
const LENGTH: usize = 16;

/// A digest of the content that a signature covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; LENGTH]);

impl Fingerprint {
    /// The fingerprint as it is kept.
    pub const fn as_bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }

    /// A kept fingerprint.
    pub const fn from_bytes(bytes: [u8; LENGTH]) -> Self {
        Self(bytes)
    }

    /// Of signed content in memory.
    pub(super) fn of(content: &[u8]) -> Self {
        Self::shortened(&Hash::Sha256.digest(content))
    }

    /// Of the message that a signature covers, which is not held in memory for it.
    pub(super) fn of_message(
        message: &Template,
        evaluation: &Evaluation<'_>,
    ) -> Result<Self, Failing> {
        let mut digester = Hash::Sha256.begin();
        evaluation
            .feed(message, &mut |piece| digester.update(piece))
            .map_err(Trouble::into_failing)?;
        Ok(Self::shortened(&digester.finish()))
    }

    fn shortened(digest: &[u8]) -> Self {
        let mut bytes = [0; LENGTH];
        bytes.copy_from_slice(&digest[..LENGTH]);
        Self(bytes)
    }
}

/// How a scheme matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Proof {
    /// The secret that matched, where the key is one.
    pub(super) signer: Option<usize>,
    /// The signed content; none for a credential, which is the same in every request.
    pub(super) signed: Option<Fingerprint>,
}

impl Proof {
    /// Whether a match of this kind may tell two events apart, and so call the second a repeat of the first.
    ///
    /// Not where the signature leaves out some of the body: two events would look the same. Nor where the body is
    /// empty: what such a request says stands in its URL or headers, and those are seldom signed.
    pub(super) fn fingerprint(&self, scheme: &Scheme, body: Body<'_>) -> Option<Fingerprint> {
        let is_empty = match body {
            Body::Bytes(bytes) => bytes.is_empty(),
            Body::Streamed(streamed) => streamed.length() == 0,
        };
        let tells_apart = scheme.covers_body && scheme.each.is_none() && !is_empty;
        self.signed.filter(|_| tells_apart)
    }
}
