//! The public URL in parts, and the name-value pairs of queries and forms (WHATWG `x-www-form-urlencoded`).

/// The parts of an absolute URL, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UrlParts<'u> {
    pub(super) scheme: &'u str,
    /// Host and port, with user information when there is some.
    pub(super) authority: &'u str,
    pub(super) path: &'u str,
    /// Without the `?`; empty when there is none.
    pub(super) query: &'u str,
}

impl<'u> UrlParts<'u> {
    /// Cuts a URL into its parts (RFC 3986, appendix B). What is not a URL is all path.
    pub(super) fn split(url: &'u str) -> Self {
        let without_fragment = url.split('#').next().unwrap_or_default();
        let (scheme, rest) = match without_fragment.split_once("://") {
            Some((scheme, rest)) if is_scheme(scheme) => (scheme, rest),
            _ => ("", without_fragment),
        };
        let (authority, rest) = if scheme.is_empty() {
            ("", rest)
        } else {
            rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()))
        };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        Self {
            scheme,
            authority,
            path,
            query,
        }
    }

    /// The host in lower case, without port and user information.
    pub(super) fn host(&self) -> String {
        self.host_and_port().0.to_ascii_lowercase()
    }

    /// The port, when one is written.
    pub(super) fn port(&self) -> Option<&'u str> {
        self.host_and_port().1
    }

    /// Whether user information stands before the host.
    pub(super) fn has_user(&self) -> bool {
        self.authority.contains('@')
    }

    /// Path, and query with its `?` when there is one.
    pub(super) fn target(&self) -> String {
        if self.query.is_empty() {
            self.path.to_owned()
        } else {
            format!("{}?{}", self.path, self.query)
        }
    }

    /// The same URL with another authority.
    pub(super) fn with_authority(&self, authority: &str) -> String {
        format!("{}://{authority}{}", self.scheme, self.target())
    }

    fn host_and_port(&self) -> (&'u str, Option<&'u str>) {
        let host_and_port = self.authority.rsplit('@').next().unwrap_or_default();
        let after_bracket = host_and_port.rfind(']').map_or(0, |end| end + 1);
        match host_and_port[after_bracket..].rfind(':') {
            Some(colon) => {
                let colon = after_bracket + colon;
                (&host_and_port[..colon], Some(&host_and_port[colon + 1..]))
            }
            None => (host_and_port, None),
        }
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

/// The decoded pairs of a query or form, in order; a name without `=` has an empty value.
pub(crate) fn pairs(text: &str) -> impl Iterator<Item = (String, String)> + '_ {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    })
}

fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut output = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        match (bytes[index], escaped_byte(bytes, index)) {
            (b'+', _) => output.push(b' '),
            (b'%', Some(byte)) => {
                output.push(byte);
                index += 2;
            }
            (byte, _) => output.push(byte),
        }
        index += 1;
    }
    String::from_utf8_lossy(&output).into_owned()
}

fn escaped_byte(bytes: &[u8], index: usize) -> Option<u8> {
    let digits = bytes.get(index + 1..index + 3)?;
    let high = char::from(digits[0]).to_digit(16)?;
    let low = char::from(digits[1]).to_digit(16)?;
    u8::try_from(high * 16 + low).ok()
}

/// Escapes every byte but ASCII letters, digits and those in `unreserved`.
pub(super) fn escaped(text: &str, unreserved: &[u8]) -> String {
    let mut output = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || unreserved.contains(&byte) {
            output.push(char::from(byte));
        } else {
            output.push('%');
            output.push_str(&data_encoding::HEXUPPER.encode(&[byte]));
        }
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_cut_at_its_delimiters() {
        let parts = UrlParts::split("https://u@Host.example:8443/a/b?x=1?y#f");

        assert_eq!(parts.scheme, "https");
        assert_eq!(parts.host(), "host.example");
        assert_eq!(parts.port(), Some("8443"));
        assert!(parts.has_user());
        assert_eq!(parts.path, "/a/b");
        assert_eq!(parts.query, "x=1?y");
        assert_eq!(UrlParts::split("https://[::1]/").port(), None);
        assert_eq!(UrlParts::split("https://[::1]:1/").port(), Some("1"));
        assert_eq!(UrlParts::split("/only/path?q").path, "/only/path");
    }

    #[test]
    fn pairs_are_decoded_leniently() {
        let found: Vec<_> = pairs("a=1+2&&b&c=%41%zz&%ff=%C3%A9").collect();

        let expected = [("a", "1 2"), ("b", ""), ("c", "A%zz"), ("\u{fffd}", "é")];
        assert_eq!(
            found,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }
}
