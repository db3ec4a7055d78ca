//! A URL that the relay may get, read strictly: host, whether TLS, and target. What is not plain is refused, so that
//! the reader that pinned the host and this one cannot read two different hosts.

/// The longest URL; those of keys and confirmations are a tenth of it, but for long tokens.
const MOST_URL_BYTES: usize = 4096;

/// A place to get something from, on the default port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) is_tls: bool,
    /// In lower case.
    pub(super) host: String,
    /// Path and query.
    pub(super) target: String,
}

impl Place {
    /// Reads an absolute URL; `None` when anything about it is unusual.
    pub(super) fn of(url: &str) -> Option<Self> {
        if url.len() > MOST_URL_BYTES || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let (scheme, rest) = url.split_once("://")?;
        let is_tls = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let without_fragment = rest.split('#').next().unwrap_or_default();
        let end = without_fragment
            .find(['/', '?'])
            .unwrap_or(without_fragment.len());
        let (authority, target) = without_fragment.split_at(end);
        let port = if is_tls { ":443" } else { ":80" };
        let host = authority.strip_suffix(port).unwrap_or(authority);
        let host = host.to_ascii_lowercase();
        is_host_name(&host).then(|| Self {
            is_tls,
            host,
            target: origin_form(target),
        })
    }

    /// The same for all ways to write the URL.
    pub(super) fn name(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}{}", self.host, self.target)
    }

    /// Whether the host's name is one that no public name server knows (RFC 6761, 6762, 8375; ICANN's `internal`).
    pub(super) fn is_private_name(&self) -> bool {
        const PRIVATE: [&str; 5] = [".localhost", ".local", ".internal", ".home.arpa", ".onion"];
        PRIVATE.iter().any(|suffix| self.host.ends_with(suffix))
    }

    /// The port of the scheme.
    pub(super) const fn port(&self) -> u16 {
        if self.is_tls { 443 } else { 80 }
    }
}

fn origin_form(target: &str) -> String {
    if target.starts_with('/') {
        target.to_owned()
    } else {
        format!("/{target}")
    }
}

/// A name with at least one dot whose last label is no number: addresses are not names.
fn is_host_name(host: &str) -> bool {
    let mut labels: Vec<&str> = host.split('.').collect();
    let is_label = |label: &&str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    host.len() <= 253
        && labels.len() > 1
        && labels.iter().all(is_label)
        && labels
            .pop()
            .is_some_and(|last| last.starts_with(|first: char| first.is_ascii_alphabetic()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_url_is_read_into_its_parts() {
        let place = Place::of("HTTPS://Sns.Example.com:443/a/b.pem?x=1#f").unwrap();

        assert_eq!(place.name(), "https://sns.example.com/a/b.pem?x=1");
        assert_eq!(place.port(), 443);
        assert_eq!(Place::of("https://a.example").unwrap().target, "/");
        assert_eq!(Place::of("https://a.example?x").unwrap().target, "/?x");
        assert_eq!(Place::of("http://a.example:80/").unwrap().port(), 80);
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for url in [
            "",
            "a.example/",
            "ftp://a.example/",
            "https://a.example:8443/",
            "https://a.example:80/",
            "https://a.example:/",
            "https://u@a.example/",
            "https://a.example\\@b.example/",
            "https://a.example\t/",
            "https://a.example/a b",
            "https://a.example/\r\nHost: b",
            "https://a.example/\u{e9}",
            "https://a%2eexample/",
            "https://localhost/",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://[::1]/",
            "https://a..example/",
            "https://a.example./",
        ] {
            assert_eq!(Place::of(url), None, "{url}");
        }
        let long = |bytes: usize| format!("https://a.example/{}", "x".repeat(bytes - 18));
        assert!(Place::of(&long(MOST_URL_BYTES)).is_some());
        assert!(Place::of(&long(MOST_URL_BYTES + 1)).is_none());
    }
}
