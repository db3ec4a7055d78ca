//! Rebuilds a head from the HTTP library's view, for HTTP/2 and for connections whose bytes are not recorded.

use http::header::{COOKIE, HOST};
use http::request::Parts;
use towline_shared::head::{Head, HeadError, Version};

/// The head in the library's order, names in lower case. The authority of HTTP/2 becomes `host`
/// (RFC 9113 §8.3.1), and its pieces of `cookie` become one field (§8.2.3).
pub(super) fn head(parts: &Parts) -> Result<Head, HeadError> {
    let version = match parts.version {
        http::Version::HTTP_10 => Version::Http10,
        http::Version::HTTP_2 => Version::Http2,
        _ => Version::Http11,
    };
    let cookie = joined_cookie(parts, version);
    let fields = parts
        .headers
        .iter()
        .filter(|(name, _)| cookie.is_none() || *name != COOKIE)
        .map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
    let cookie = cookie.as_deref().map(|cookie| (&b"cookie"[..], cookie));
    let authority = parts
        .uri
        .authority()
        .filter(|_| version == Version::Http2 && !parts.headers.contains_key(HOST))
        .map(|authority| (&b"host"[..], authority.as_str().as_bytes()));
    let target = target(parts, version);
    Head::build(
        parts.method.as_str(),
        target.as_bytes(),
        version,
        authority.into_iter().chain(fields).chain(cookie),
    )
}

/// The pieces of a cookie as one value, if there are several.
fn joined_cookie(parts: &Parts, version: Version) -> Option<Vec<u8>> {
    let pieces: Vec<_> = parts.headers.get_all(COOKIE).iter().collect();
    if version != Version::Http2 || pieces.len() < 2 {
        return None;
    }
    let pieces: Vec<_> = pieces.iter().map(|piece| piece.as_bytes()).collect();
    Some(pieces.join(&b"; "[..]))
}

fn target(parts: &Parts, version: Version) -> String {
    match parts.uri.path_and_query() {
        Some(path_and_query) if version == Version::Http2 => path_and_query.as_str().to_owned(),
        _ => parts.uri.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(version: http::Version, uri: &str) -> Parts {
        let request = http::Request::builder()
            .method("POST")
            .version(version)
            .uri(uri)
            .header("x-a", "1")
            .header("b", "\u{fc}")
            .header("x-a", "2");
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_authority_of_http_2_becomes_host() {
        let head = head(&parts(http::Version::HTTP_2, "https://h:1/in/k?q")).unwrap();

        assert_eq!(
            head.as_bytes(),
            "POST /in/k?q HTTP/2\r\nhost: h:1\r\nx-a: 1\r\nx-a: 2\r\nb: \u{fc}\r\n\r\n"
        );
    }

    #[test]
    fn the_pieces_of_a_cookie_are_put_together() {
        let mut parts = parts(http::Version::HTTP_2, "https://h/in/k");
        for piece in ["a=1", "b=2"] {
            parts.headers.append(COOKIE, piece.parse().unwrap());
        }

        let head = head(&parts).unwrap();

        assert_eq!(head.values("cookie").collect::<Vec<_>>(), [b"a=1; b=2"]);
    }

    #[test]
    fn http_1_keeps_its_form_of_target() {
        let absolute = head(&parts(http::Version::HTTP_11, "http://h/in/k")).unwrap();
        let origin = head(&parts(http::Version::HTTP_10, "/in/k")).unwrap();

        assert!(
            absolute
                .as_bytes()
                .starts_with(b"POST http://h/in/k HTTP/1.1\r\nx-a: 1\r\n")
        );
        assert!(
            origin
                .as_bytes()
                .starts_with(b"POST /in/k HTTP/1.0\r\nx-a: 1\r\n")
        );
    }
}
