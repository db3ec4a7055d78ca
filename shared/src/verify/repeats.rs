//! What becomes of a repeat: of a request whose signed content has come before in its endpoint.
//!
//! Where the signature covers a time or an id of the delivery, equal content is the same delivery. Where it covers the
//! body alone, two different events may be equal to it, and only unsigned parts tell them apart: the delivery id, the
//! type, the path. They prove nothing, and whoever has captured a request can change them. But a copy too many can be
//! dropped by an app that looks at ids, and an event that is held back is lost. So other names deliver a repeat.

use super::digest::Hash;
use super::fingerprint::Fingerprint;
use super::scheme::{Method, Scheme};
use super::template::{Expression, Source, Template};
use super::{Facts, Provider};

/// How many bytes of a copy's mark are its content's, so that the copies of one content stand together; the others
/// are of its names. Two contents, or two names of one, meet by chance once in 2^64 pairs.
const CONTENT_BYTES: usize = 8;

/// What becomes of a repeat where the endpoint does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Repeats {
    /// It is held back.
    #[default]
    Held,
    /// It is held back when it bears the names of one that has come, or none.
    HeldByName,
    /// It is delivered: the provider's notifications are equal by nature.
    Delivered,
}

impl Provider {
    /// What becomes of repeats of requests that this scheme has verified.
    pub(super) fn repeats(&self, scheme: &Scheme) -> Repeats {
        if self.signs_its_deliveries(scheme) {
            Repeats::Held
        } else if self.equal_bodies {
            Repeats::Delivered
        } else {
            Repeats::HeldByName
        }
    }

    /// Whether the signed content has a time or an id of its delivery in it.
    fn signs_its_deliveries(&self, scheme: &Scheme) -> bool {
        let signed = match &scheme.method {
            Method::Signed(signed) => signed,
            Method::Jwt(rule) => return rule.is_expiry_required || rule.max_age.is_some(),
            Method::HttpSignature(_) => return true,
            Method::Equals(_) | Method::Issued => return false,
        };
        let is_id_in_body = !self.delivery_id.is_empty()
            && expressions(&self.delivery_id).all(|part| part.source.is_of_body());
        let is_own = |part: &Expression| self.tells_deliveries_apart(&part.source);
        let has_own = |message: &Template| message.expressions().into_iter().any(is_own);
        signed.signs_time() || is_id_in_body || signed.messages.iter().all(has_own)
    }

    /// A type is the same for many deliveries; what else a provider puts beside the body it signs for this.
    fn tells_deliveries_apart(&self, source: &Source) -> bool {
        let is_beside_body = matches!(
            source,
            Source::Header(_) | Source::HeaderNamedBy(_) | Source::Signature(_)
        );
        is_beside_body && !expressions(&self.event_type).any(|part| part.source == *source)
    }
}

fn expressions(templates: &[Template]) -> impl Iterator<Item = &Expression> {
    templates.iter().flat_map(Template::expressions)
}

impl Fingerprint {
    /// The mark of a copy with this content: the same for a provider's retry, another for other names. None where a
    /// request has no names. The path counts beside a delivery id only: where the body is all that a provider sends,
    /// another path would be a way around the memory.
    pub fn copy(&self, facts: &Facts, target: &[u8]) -> Option<Self> {
        let id = facts.delivery_id.as_deref();
        let kind = facts.event_type.as_deref();
        if id.is_none() && kind.is_none() {
            return None;
        }
        let target = id.map(|_| target);
        let names = [id.map(str::as_bytes), kind.map(str::as_bytes), target];
        let mut digester = Hash::Sha256.begin();
        digester.update(self.as_bytes());
        for name in names {
            // With its length in front, nothing can move from one name into the next.
            let length = name.map_or(u64::MAX, |name| name.len() as u64);
            digester.update(&length.to_be_bytes());
            digester.update(name.unwrap_or_default());
        }
        let digest = digester.finish();
        let mut bytes = *self.as_bytes();
        let rest = bytes.len() - CONTENT_BYTES;
        bytes[CONTENT_BYTES..].copy_from_slice(&digest[..rest]);
        Some(Self::from_bytes(bytes))
    }

    /// The least and the greatest mark that a copy with this content can have.
    pub fn copies(&self) -> (Self, Self) {
        let with_rest = |byte| {
            let mut bytes = *self.as_bytes();
            bytes[CONTENT_BYTES..].fill(byte);
            Self::from_bytes(bytes)
        };
        (with_rest(0), with_rest(u8::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repeats(slug: &str, scheme: usize) -> Repeats {
        let provider = Provider::builtin(slug).unwrap();
        provider.repeats(&provider.schemes[scheme])
    }

    fn facts(id: Option<&str>, kind: Option<&str>) -> Facts {
        Facts {
            delivery_id: id.map(str::to_owned),
            event_type: kind.map(str::to_owned),
        }
    }

    #[test]
    fn signed_times_and_ids_hold_repeats_whatever_stands_beside_them() {
        // By a part of the signature, a header, a time in the body, an id in the body, a builder, a token's age.
        for slug in [
            "stripe",
            "slack",
            "standard_webhooks",
            "linear",
            "intercom",
            "contentful",
        ] {
            assert_eq!(repeats(slug, 0), Repeats::Held, "{slug}");
        }
    }

    #[test]
    fn where_the_body_is_all_that_is_signed_names_count() {
        for slug in [
            "shopify",
            "github",
            "woocommerce",
            "bitbucket",
            "benji",
            "attio",
            "twilio",
        ] {
            assert_eq!(repeats(slug, 0), Repeats::HeldByName, "{slug}");
        }
    }

    #[test]
    fn notifications_that_are_equal_by_nature_are_delivered() {
        for slug in ["dropbox", "fitbit", "cronofy", "doppler"] {
            assert_eq!(repeats(slug, 0), Repeats::Delivered, "{slug}");
        }
    }

    #[test]
    fn every_name_makes_another_copy_and_none_makes_no_mark() {
        let content = Fingerprint::from_bytes([7; 16]);
        let all = [
            content.copy(&facts(Some("1"), Some("a")), b"/in/k"),
            content.copy(&facts(Some("2"), Some("a")), b"/in/k"),
            content.copy(&facts(Some("1"), Some("b")), b"/in/k"),
            content.copy(&facts(Some("1"), Some("a")), b"/in/k/x"),
            content.copy(&facts(None, Some("1a")), b"/in/k"),
            content.copy(&facts(Some("1a"), None), b"/in/k"),
            Fingerprint::from_bytes([8; 16]).copy(&facts(Some("1"), Some("a")), b"/in/k"),
        ];

        let different: std::collections::BTreeSet<_> = all.iter().flatten().collect();

        assert_eq!(different.len(), all.len());
        assert_eq!(content.copy(&facts(None, None), b"/in/k"), None);
        let (first, last) = content.copies();
        assert!(first < content && content < last);
        assert!(
            all[..6]
                .iter()
                .flatten()
                .all(|copy| first <= *copy && *copy <= last)
        );
        assert!(
            !all[6..]
                .iter()
                .flatten()
                .any(|copy| first <= *copy && *copy <= last)
        );
    }

    #[test]
    fn another_path_is_no_name_of_its_own() {
        let content = Fingerprint::from_bytes([7; 16]);
        let facts = facts(None, Some("user.created"));

        assert_eq!(
            content.copy(&facts, b"/in/k"),
            content.copy(&facts, b"/in/k/x")
        );
    }
}
