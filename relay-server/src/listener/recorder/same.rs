//! Whether a recorded head and the HTTP library's view name the same request: method, target, version and fields.

use http::request::Parts;
use http::{HeaderMap, Uri};
use towline_shared::head::{Field, Head, Version};

/// Whether both are the same request.
pub(super) fn is_same_request(head: &Head, parts: &Parts) -> bool {
    head.method() == parts.method.as_str()
        && is_same_version(head.version(), parts.version)
        && is_same_target(head.target(), &parts.uri)
        && are_same_fields(head, &parts.headers)
}

fn is_same_version(recorded: Version, shown: http::Version) -> bool {
    matches!(
        (recorded, shown),
        (Version::Http10, http::Version::HTTP_10) | (Version::Http11, http::Version::HTTP_11)
    )
}

/// The library leaves a fragment out, and writes the scheme in lower case and an empty path as `/`.
fn is_same_target(recorded: &[u8], shown: &Uri) -> bool {
    let recorded = match memchr::memchr(b'#', recorded) {
        Some(fragment) => &recorded[..fragment],
        None => recorded,
    };
    let path_and_query = shown
        .path_and_query()
        .map_or(&b""[..], |both| both.as_str().as_bytes());
    let Some(authority) = shown.authority() else {
        return recorded == path_and_query;
    };
    let Some(scheme) = shown.scheme_str() else {
        return recorded == authority.as_str().as_bytes();
    };
    let rest = split_prefix(recorded, scheme.as_bytes(), true)
        .and_then(|rest| split_prefix(rest, b"://", false))
        .and_then(|rest| split_prefix(rest, authority.as_str().as_bytes(), false));
    rest.is_some_and(|rest| {
        let without_slash = path_and_query.strip_prefix(b"/");
        rest == path_and_query || (!rest.starts_with(b"/") && without_slash == Some(rest))
    })
}

fn split_prefix<'a>(bytes: &'a [u8], prefix: &[u8], ignore_case: bool) -> Option<&'a [u8]> {
    let (start, rest) = bytes.split_at_checked(prefix.len())?;
    let is_equal = start == prefix || (ignore_case && start.eq_ignore_ascii_case(prefix));
    is_equal.then_some(rest)
}

/// Without repeated names both have the same order, which is the usual case and costs one walk.
fn are_same_fields(head: &Head, shown: &HeaderMap) -> bool {
    if head.fields().len() != shown.len() {
        return false;
    }
    let is_same = |(field, (name, value)): (Field<'_>, (&http::HeaderName, &http::HeaderValue))| {
        field.name.eq_ignore_ascii_case(name.as_str().as_bytes()) && field.value == value.as_bytes()
    };
    head.fields().zip(shown).all(is_same) || have_same_values(head, shown)
}

/// The lengths are equal, so it is enough that each name of the library has the same values in the same order.
fn have_same_values(head: &Head, shown: &HeaderMap) -> bool {
    shown.keys().all(|name| {
        let values = shown.get_all(name).iter().map(http::HeaderValue::as_bytes);
        head.values(name.as_str()).eq(values)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(target: &str, fields: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder().method("POST").uri(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn head(target: &str, fields: &str) -> Head {
        Head::parse(format!("POST {target} HTTP/1.1\r\n{fields}\r\n")).unwrap()
    }

    #[test]
    fn all_forms_of_a_target_are_recognised() {
        for target in [
            "/in/k?a=%2F&b",
            "*",
            "http://h:1/in/k?x",
            "HTTP://H/in/k",
            "http://h",
            "http://h?x",
            "h:443",
            "//evil/x",
        ] {
            assert!(
                is_same_request(&head(target, ""), &parts(target, &[])),
                "{target}"
            );
        }
        assert!(is_same_request(&head("/a?b#c", ""), &parts("/a?b", &[])));
    }

    #[test]
    fn another_target_method_or_version_is_another_request() {
        for (recorded, shown) in [
            ("/a", "/b"),
            ("/a", "/a?"),
            ("http://h/a", "/a"),
            ("http://h/a", "http://g/a"),
            ("http://h/a", "https://h/a"),
        ] {
            let is_same = is_same_request(&head(recorded, ""), &parts(shown, &[]));
            assert!(!is_same, "{recorded} {shown}");
        }
        let mut get = parts("/a", &[]);
        get.method = http::Method::GET;
        let mut old = parts("/a", &[]);
        old.version = http::Version::HTTP_10;
        assert!(!is_same_request(&head("/a", ""), &get));
        assert!(!is_same_request(&head("/a", ""), &old));
    }

    #[test]
    fn fields_are_the_same_whatever_their_case_and_order_across_names() {
        let recorded = head("/", "X-A: 1\r\nb:2\r\nx-a:  3 \r\n");

        assert!(is_same_request(
            &recorded,
            &parts("/", &[("x-a", "1"), ("b", "2"), ("x-a", "3")])
        ));
        for other in [
            &[("x-a", "1"), ("b", "2")][..],
            &[("x-a", "3"), ("b", "2"), ("x-a", "1")],
            &[("x-a", "1"), ("b", "2"), ("c", "3")],
            &[("x-a", "1"), ("b", "2"), ("x-a", "3"), ("d", "4")],
        ] {
            assert!(!is_same_request(&recorded, &parts("/", other)), "{other:?}");
        }
    }
}
