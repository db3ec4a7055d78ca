//! The local URL that receives, as a person types it: `3000`, `:3000`, `localhost:3000/path`, `https://app.test`.

use std::fmt;
use std::str::FromStr;

use url::Host;

/// A target that cannot be wrong: scheme, host, port, base path and base query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Whether it is spoken to by TLS.
    pub is_https: bool,
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The base path as typed; empty for the root.
    pub base_path: String,
    /// A query that is put before the sender's.
    pub base_query: Option<String>,
}

/// The text is not a target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a target such as 3000, localhost:3000/hooks or https://app.test: {problem}"
)]
pub struct InvalidTarget {
    text: String,
    problem: String,
}

/// The longest text that is looked at; a head of 64 KiB must still fit behind its path.
const MAX_TARGET_BYTES: usize = 2048;

impl Target {
    /// `HOST[:PORT]` for a `Host` field; the port is left out when it is the scheme's own.
    pub fn authority(&self) -> String {
        if self.port == scheme_port(self.is_https) {
            self.bracketed_host()
        } else {
            self.host_and_port()
        }
    }

    /// `HOST:PORT`, the default name of a consumer.
    pub fn host_and_port(&self) -> String {
        format!("{}:{}", self.bracketed_host(), self.port)
    }

    /// Whether the host is the name `localhost`, which stands for `::1` and `127.0.0.1`.
    pub fn is_localhost(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost")
    }

    fn bracketed_host(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        }
    }
}

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        parse(text).map_err(|problem| InvalidTarget {
            text: printable(text),
            problem,
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.base_path)?;
        match &self.base_query {
            Some(query) => write!(f, "?{query}"),
            None => Ok(()),
        }
    }
}

const fn scheme_port(is_https: bool) -> u16 {
    if is_https { 443 } else { 80 }
}

fn parse(text: &str) -> Result<Target, String> {
    if text.len() > MAX_TARGET_BYTES {
        return Err(format!("it has more than {MAX_TARGET_BYTES} bytes"));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("it has a space, a control character or a letter outside ASCII; percent-encode it in a path".into());
    }
    if text.contains('#') {
        return Err("a fragment (`#…`) never reaches a server".into());
    }
    let (scheme, rest) = split_scheme(text)?;
    let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path_and_query) = rest.split_at(authority_end);
    let (path, base_query) = match path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (path_and_query, None),
    };
    if path.contains('\\') || authority.contains('\\') {
        return Err("it has a backslash".into());
    }
    let (host, port) = split_authority(authority, scheme)?;
    Ok(Target {
        is_https: scheme == Some(true),
        host,
        port,
        base_path: if path == "/" {
            String::new()
        } else {
            path.to_owned()
        },
        base_query,
    })
}

/// Whether a scheme is given and whether it is https, and what follows it.
fn split_scheme(text: &str) -> Result<(Option<bool>, &str), String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Ok((None, text));
    };
    if scheme.contains(['/', '?']) {
        return Ok((None, text));
    }
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Ok((Some(false), rest)),
        "https" => Ok((Some(true), rest)),
        _ => Err(format!("`{scheme}` is not http or https")),
    }
}

fn split_authority(authority: &str, scheme: Option<bool>) -> Result<(String, u16), String> {
    if authority.contains('@') {
        return Err("it names a user; send credentials with --add-header".into());
    }
    if scheme.is_none() && !authority.is_empty() && authority.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(("localhost".into(), parse_port(authority)?));
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']').ok_or("`[` without `]`")?;
            let port = match after {
                "" => None,
                _ => Some(
                    after
                        .strip_prefix(':')
                        .ok_or("`]` is followed by neither `:PORT` nor a path")?,
                ),
            };
            (Host::parse(&format!("[{address}]")), port)
        }
        None if authority.matches(':').count() > 1 => {
            return Err("an IPv6 address stands in brackets, as in [::1]:3000".into());
        }
        None => match authority.split_once(':') {
            Some(("", port)) if scheme.is_none() => {
                return Ok(("localhost".into(), parse_port(port)?));
            }
            Some((host, port)) => (Host::parse(host), Some(port)),
            None => (Host::parse(authority), None),
        },
    };
    let host = match host.map_err(|error| format!("its host is not valid ({error})"))? {
        Host::Domain(name) => name,
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    };
    let port = match (port, scheme) {
        (Some(port), _) => parse_port(port)?,
        (None, Some(is_https)) => scheme_port(is_https),
        (None, None) => {
            return Err(format!(
                "it has no port; write {host}:3000 or http://{host}"
            ));
        }
    };
    Ok((host, port))
}

fn parse_port(text: &str) -> Result<u16, String> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(port) if is_plain && port > 0 => Ok(port),
        _ => Err(format!("`{text}` is not a port from 1 to 65535")),
    }
}

/// The text for an error: bounded, escaped, and without what may be a password.
fn printable(text: &str) -> String {
    let start = text.find("://").map_or(0, |mark| mark + 3);
    let shown = match text[start..].rfind('@') {
        Some(at) => format!("{}…{}", &text[..start], &text[start + at..]),
        None => text.to_owned(),
    };
    let escape = |letter: char| match letter {
        '…' => letter.to_string(),
        _ => letter.escape_default().to_string(),
    };
    shown.chars().take(100).map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        text.parse::<Target>().unwrap().to_string()
    }

    fn problem(text: &str) -> String {
        text.parse::<Target>().unwrap_err().to_string()
    }

    #[test]
    fn a_port_alone_means_localhost() {
        for text in ["3000", ":3000", "localhost:3000", "http://localhost:3000/"] {
            assert_eq!(shown(text), "http://localhost:3000", "{text}");
        }
        assert_eq!(shown("3000/hooks"), "http://localhost:3000/hooks");
    }

    #[test]
    fn a_path_and_a_query_are_kept_as_typed() {
        let target: Target = "localhost:3000/a%2Fb/../c/?x=1&y".parse().unwrap();

        assert_eq!(target.base_path, "/a%2Fb/../c/");
        assert_eq!(target.base_query.as_deref(), Some("x=1&y"));
        assert_eq!(
            "3000?".parse::<Target>().unwrap().base_query.as_deref(),
            Some("")
        );
    }

    #[test]
    fn a_scheme_gives_its_own_port_which_the_authority_leaves_out() {
        let target: Target = "HTTPS://App.test".parse().unwrap();

        assert!(target.is_https);
        assert_eq!(target.authority(), "app.test");
        assert_eq!(target.host_and_port(), "app.test:443");
        assert_eq!(shown("http://app.test:443"), "http://app.test:443");
    }

    #[test]
    fn an_ipv6_address_stands_in_brackets() {
        let target: Target = "[::1]:3000".parse().unwrap();

        assert_eq!(target.host, "::1");
        assert_eq!(target.authority(), "[::1]:3000");
        assert!(problem("::1:3000").contains("[::1]:3000"));
        assert!(problem("[::1").contains('`'));
        assert!(problem("[::1]3000").contains("`]`"));
    }

    #[test]
    fn what_is_not_a_target_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "host"),
            ("localhost", "no port"),
            ("localhost:0", "`0` is not a port"),
            ("0", "`0` is not a port"),
            ("65536", "`65536` is not a port"),
            ("localhost:+5", "`+5` is not a port"),
            ("http://localhost:", "`` is not a port"),
            ("ftp://localhost", "`ftp` is not http"),
            ("localhost:3000/#top", "fragment"),
            ("localhost:3000/a b", "space"),
            ("localhost:3000/\\evil", "backslash"),
            ("http://", "host"),
            ("http://:3000", "host"),
        ] {
            assert!(problem(text).contains(reason), "{text}: {}", problem(text));
        }
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        let message = problem("http://user:hunter2@localhost:3000");

        assert!(message.contains("names a user"), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }

    #[test]
    fn the_longest_text_is_taken_and_one_byte_more_is_not() {
        let longest = format!("3000/{}", "a".repeat(MAX_TARGET_BYTES - 5));

        assert!(longest.parse::<Target>().is_ok());
        assert!(format!("{longest}a").parse::<Target>().is_err());
    }
}
