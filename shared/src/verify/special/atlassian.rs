//! Atlassian Connect's query string hash: SHA-256 of the canonical request, in hex.

use std::collections::BTreeMap;

use crate::verify::delivery::Delivery;
use crate::verify::digest::Hash;
use crate::verify::url::{UrlParts, escaped, pairs};

/// What RFC 3986 calls unreserved, besides letters and digits.
const UNRESERVED: &[u8] = b"-_.~";

/// The hash that the claim `qsh` must have.
pub(super) fn query_hash(delivery: &Delivery<'_>, url: UrlParts<'_>) -> Vec<u8> {
    let method = delivery.request.head.method().to_uppercase();
    let path = if url.path.is_empty() { "/" } else { url.path };
    let path = path.replace('&', "%26");
    let text = format!("{method}&{path}&{}", canonical_query(url.query));
    data_encoding::HEXLOWER
        .encode(&Hash::Sha256.digest(text.as_bytes()))
        .into_bytes()
}

/// Parameters sorted by name, the values of one name joined by commas, without the token itself.
fn canonical_query(query: &str) -> String {
    let mut parameters: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in pairs(query).filter(|(name, _)| name != "jwt") {
        parameters.entry(name).or_default().push(value);
    }
    let written = parameters.into_iter().map(|(name, mut values)| {
        values.sort();
        let values: Vec<_> = values
            .iter()
            .map(|value| escaped(value, UNRESERVED))
            .collect();
        format!("{}={}", escaped(&name, UNRESERVED), values.join(","))
    });
    written.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_sorted_and_escaped() {
        assert_eq!(
            canonical_query("b=2&a=x+y&b=10&jwt=t&c"),
            "a=x%20y&b=10,2&c="
        );
    }
}
