//! Contentful's canonical request: method, escaped URI, the headers that the request says are signed, body.

use crate::verdict::Cause;
use crate::verify::delivery::Delivery;
use crate::verify::signed_names;
use crate::verify::trouble::Trouble;
use crate::verify::url::{UrlParts, escaped};

const SIGNED_HEADERS: &str = "x-contentful-signed-headers";

/// Without these two a stranger could replay the request or leave a header out.
const ALWAYS_SIGNED: [&str; 2] = ["x-contentful-timestamp", SIGNED_HEADERS];

/// The list that names no more than that.
pub(super) const SIGNED_FIELDS: &[(&str, &str)] = &[(
    SIGNED_HEADERS,
    "x-contentful-signed-headers,x-contentful-timestamp",
)];

/// What `encodeURIComponent` leaves as it is, besides letters and digits.
const COMPONENT: &[u8] = b"!'()*~-._";

/// What `encodeURI` leaves as it is, besides letters and digits.
const URI: &[u8] = b"!'()*~-._;,/?:@&=+$#";

/// The text that is signed.
pub(super) fn canonical_request(
    delivery: &Delivery<'_>,
    url: UrlParts<'_>,
) -> Result<Vec<u8>, Trouble> {
    let listed = String::from_utf8_lossy(delivery.header(SIGNED_HEADERS)?).into_owned();
    let mut names: Vec<&str> = listed.split(',').collect();
    if let Some(missing) = ALWAYS_SIGNED.iter().find(|name| !names.contains(name)) {
        return Err(Trouble::fatal(
            Cause::MalformedSignature,
            format!("the header `{SIGNED_HEADERS}` does not list `{missing}`"),
        ));
    }
    names.sort_unstable();
    names.dedup();
    signed_names::check(&names).map_err(Trouble::Fatal)?;
    let mut headers: Vec<Vec<u8>> = Vec::new();
    for name in names {
        if delivery.header_values(name).is_empty() {
            continue;
        }
        let value = match delivery.header(name) {
            Ok(value) => value,
            Err(Trouble::Absent(_)) => b"",
            Err(trouble) => return Err(trouble),
        };
        headers.push([name.as_bytes(), b":", value.trim_ascii()].concat());
    }
    let method = delivery.request.head.method();
    let mut text = format!("{method}\n{}\n", escaped_uri(url)).into_bytes();
    text.extend_from_slice(&headers.join(&b';'));
    text.push(b'\n');
    text.extend_from_slice(delivery.body()?);
    Ok(text)
}

/// Path and search part; the search part is escaped once more as a whole.
fn escaped_uri(url: UrlParts<'_>) -> String {
    let search = url.query.split('?').next().unwrap_or_default();
    let target = if search.is_empty() {
        url.path.to_owned()
    } else {
        format!("{}?{}", url.path, escaped(search, COMPONENT))
    };
    escaped(&target, URI)
}
