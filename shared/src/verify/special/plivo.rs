//! Plivo's signature V3: the URL with its sorted query, joined by changing glue to the sorted form.

use crate::verify::delivery::Delivery;
use crate::verify::trouble::Trouble;
use crate::verify::url::{UrlParts, pairs};

/// The text that is signed, before the nonce.
pub(super) fn signed_text(delivery: &Delivery<'_>, url: UrlParts<'_>) -> Result<Vec<u8>, Trouble> {
    let mut text = format!("{}://{}{}", url.scheme, url.authority, url.path);
    let mut query: Vec<_> = pairs(url.query).collect();
    query.sort();
    let query: Vec<_> = query
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let query = query.join("&");
    let is_post = delivery.request.head.method().eq_ignore_ascii_case("POST");
    let mut form: Vec<_> = if is_post {
        delivery.form_pairs()?.iter().collect()
    } else {
        Vec::new()
    };
    form.sort();
    if !query.is_empty() || !form.is_empty() {
        text.push('?');
        text.push_str(&query);
    }
    if !query.is_empty() && !form.is_empty() {
        text.push('.');
    }
    for (key, value) in form {
        text.push_str(key);
        text.push_str(value);
    }
    Ok(text.into_bytes())
}
