//! What a hop must change of a request on its way to the app, and nothing else (DESIGN.md §5).
//! A pure function from the sender's head to the delivered head, with the reason of every change.

use serde::{Deserialize, Serialize};

use crate::head::{Field, Head, HeadError, Version, trim};
use crate::id::EndpointKey;

/// Where the path of every public endpoint URL begins.
pub const INGEST_PREFIX: &str = "/in/";

/// How the reason of a change begins that a client made when it signed a request again with a secret of its own; what
/// follows says with which.
pub const LOCAL_SIGNATURE: &str = "signed again on this machine";

/// One change between the sent and the delivered request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What happened to it.
    pub kind: ChangeKind,
    /// `version`, `target`, or the name of the field.
    pub part: String,
    /// Why, with the section of the RFC or the flag that asked for it.
    pub reason: String,
}

/// What happened to a part of the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It was left out.
    Removed,
    /// It has another value.
    Replaced,
    /// It was not there before.
    Added,
}

/// A head made ready for the target.
#[derive(Clone, Debug)]
pub struct Forwarded {
    /// The head to write.
    pub head: Head,
    /// What differs from the sender's head, in order.
    pub changes: Vec<Change>,
}

/// How the delivered head differs from the sent one, besides what every hop must change.
#[derive(Clone, Debug)]
pub struct Rules<'a> {
    /// Path of the target's base URL; empty for the root.
    pub base_path: &'a str,
    /// Query of the target's base URL, put before the sender's.
    pub base_query: Option<&'a str>,
    /// `HOST[:PORT]` of the target, for senders that named no host and for `Host::Rewrite`.
    pub authority: &'a str,
    /// What becomes of the `Host` field.
    pub host: Host<'a>,
    /// Fields to add at the end, names and values valid (RFC 9110 §5).
    pub add: &'a [(String, String)],
    /// Length of the body in bytes.
    pub body_length: u64,
}

/// What becomes of the sender's `Host` field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host<'a> {
    /// It stays the sender's.
    Preserve,
    /// It names the target.
    Rewrite,
    /// It has this value.
    Value(&'a str),
}

/// The request cannot be forwarded.
#[derive(Debug, thiserror::Error)]
pub enum HopError {
    /// The request target is not below an endpoint.
    #[error("request target is not the path of an endpoint")]
    Target,
    /// The built head is malformed or too large.
    #[error("could not build the head for the target")]
    Head(#[from] HeadError),
}

/// The parts of a request target below an endpoint's public URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointTarget<'a> {
    /// The endpoint's key as it stands in the path.
    pub key: &'a str,
    /// What follows the key, raw: empty or beginning with `/`.
    pub suffix: &'a [u8],
    /// The raw query without its `?`, if there is a `?`.
    pub query: Option<&'a [u8]>,
    /// Whether the target was in absolute form.
    pub is_absolute_form: bool,
}

impl EndpointTarget<'_> {
    /// The request target at a base URL: its path, then the suffix, then both queries. A final `/` of the
    /// base stands when there is no suffix, and is not doubled when there is one.
    pub fn joined(&self, base_path: &str, base_query: Option<&str>) -> Vec<u8> {
        let base = match self.suffix {
            [] => base_path,
            _ => base_path.strip_suffix('/').unwrap_or(base_path),
        };
        let mut joined = [base.as_bytes(), self.suffix].concat();
        if joined.is_empty() {
            joined.push(b'/');
        }
        let queries = [base_query.map(str::as_bytes), self.query];
        for (index, query) in queries.into_iter().flatten().enumerate() {
            joined.push(if index == 0 { b'?' } else { b'&' });
            joined.extend_from_slice(query);
        }
        joined
    }
}

/// Splits a request target (origin or absolute form, RFC 9112 §3.2) into key, suffix and query.
///
/// Gives nothing for targets that are not below `/in/{key}`. The suffix is opaque: `//host`, `..` or a
/// backslash in it are data.
pub fn endpoint_target(target: &[u8]) -> Option<EndpointTarget<'_>> {
    let (path_and_query, is_absolute_form) = match target {
        [b'/', ..] => (target, false),
        _ => (strip_authority(target)?, true),
    };
    let (path, query) = match path_and_query.iter().position(|&byte| byte == b'?') {
        Some(mark) => (&path_and_query[..mark], Some(&path_and_query[mark + 1..])),
        None => (path_and_query, None),
    };
    let rest = path.strip_prefix(INGEST_PREFIX.as_bytes())?;
    let key_end = rest
        .iter()
        .position(|&byte| byte == b'/')
        .unwrap_or(rest.len());
    let key = std::str::from_utf8(&rest[..key_end]).ok()?;
    key.parse::<EndpointKey>().ok()?;
    Some(EndpointTarget {
        key,
        suffix: &rest[key_end..],
        query,
        is_absolute_form,
    })
}

fn strip_authority(target: &[u8]) -> Option<&[u8]> {
    let scheme_end = target.windows(3).position(|three| three == b"://")?;
    let is_http = |scheme: &[u8]| {
        scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https")
    };
    if !is_http(&target[..scheme_end]) {
        return None;
    }
    let rest = &target[scheme_end + 3..];
    rest.iter()
        .position(|&byte| byte == b'/')
        .map(|slash| &rest[slash..])
}

/// Makes the sender's head ready for the target, and lists every change with its reason.
///
/// # Errors
/// When the sender's target is not below an endpoint, or the new head breaks a limit of [`Head`].
pub fn forwarded(sent: &Head, rules: &Rules<'_>) -> Result<Forwarded, HopError> {
    let mut delivered = Delivered::default();
    delivered.request_line(sent, rules)?;
    let nominated = nominated_fields(sent);
    for field in sent.fields() {
        match fate(&field, &nominated) {
            Fate::Keep => delivered.line(field.line),
            Fate::Host => delivered.host(&field, rules),
            Fate::Length => delivered.length(&field, sent, rules.body_length),
            Fate::Drop(reason) => delivered.note(ChangeKind::Removed, &name(&field), reason),
        }
    }
    delivered.missing_host(rules);
    delivered.missing_framing(sent, rules.body_length);
    for (name, value) in rules.add {
        delivered.pair(name, value);
        delivered.note(
            ChangeKind::Added,
            name,
            "asked for by `--add-header` or `--mark`",
        );
    }
    delivered.finish()
}

/// What becomes of a field line.
enum Fate {
    Keep,
    Host,
    Length,
    Drop(&'static str),
}

fn fate(field: &Field<'_>, nominated: &[Vec<u8>]) -> Fate {
    let name = field.name.to_ascii_lowercase();
    match name.as_slice() {
        b"host" => Fate::Host,
        b"content-length" => Fate::Length,
        b"transfer-encoding" => Fate::Keep,
        b"connection" | b"keep-alive" | b"te" | b"upgrade" => {
            Fate::Drop("hop-by-hop (RFC 9110 §7.6.1)")
        }
        b"expect" => Fate::Drop("already met by the relay (RFC 9110 §10.1.1)"),
        _ if name.starts_with(b"proxy-") => {
            Fate::Drop("meant for a proxy (RFC 9110 §7.6.1, §11.7)")
        }
        _ if nominated.contains(&name) => Fate::Drop("named by `Connection` (RFC 9110 §7.6.1)"),
        _ => Fate::Keep,
    }
}

fn nominated_fields(head: &Head) -> Vec<Vec<u8>> {
    head.values("connection")
        .flat_map(|value| value.split(|&byte| byte == b','))
        .map(|option| trim(option).to_ascii_lowercase())
        .collect()
}

fn name(field: &Field<'_>) -> String {
    String::from_utf8_lossy(field.name).into_owned()
}

/// The head for the target while it is being written.
#[derive(Default)]
struct Delivered {
    raw: Vec<u8>,
    changes: Vec<Change>,
    has_host: bool,
    has_length: bool,
}

impl Delivered {
    fn request_line(&mut self, sent: &Head, rules: &Rules<'_>) -> Result<(), HopError> {
        let target = endpoint_target(sent.target()).ok_or(HopError::Target)?;
        self.raw.reserve(sent.as_bytes().len() + 128);
        self.raw.extend_from_slice(sent.method().as_bytes());
        self.raw.push(b' ');
        let joined = target.joined(rules.base_path, rules.base_query);
        self.raw.extend_from_slice(&joined);
        self.raw.extend_from_slice(b" HTTP/1.1\r\n");
        self.note(
            ChangeKind::Replaced,
            "target",
            "the endpoint's public path gives way to the target's",
        );
        if target.is_absolute_form {
            self.note(
                ChangeKind::Replaced,
                "target",
                "absolute form is for proxies (RFC 9112 §3.2.2)",
            );
        }
        if sent.version() != Version::Http11 {
            self.note(
                ChangeKind::Replaced,
                "version",
                "each hop speaks its own version (RFC 9110 §2.5)",
            );
        }
        Ok(())
    }

    fn host(&mut self, field: &Field<'_>, rules: &Rules<'_>) {
        let is_repeated = std::mem::replace(&mut self.has_host, true);
        let value = match rules.host {
            Host::Preserve => return self.line(field.line),
            Host::Rewrite => rules.authority,
            Host::Value(value) => value,
        };
        if !is_repeated {
            self.pair(&name(field), value);
        }
        self.note(
            ChangeKind::Replaced,
            &name(field),
            "asked for by `--host-header`",
        );
    }

    /// Framing is this hop's own: the length of the body in hand, at the place where the sender had it.
    fn length(&mut self, field: &Field<'_>, sent: &Head, body_length: u64) {
        if sent.is_chunked() || std::mem::replace(&mut self.has_length, true) {
            return self.note(
                ChangeKind::Removed,
                &name(field),
                "one framing only (RFC 9112 §6.3)",
            );
        }
        let length = body_length.to_string();
        if field.value == length.as_bytes() {
            return self.line(field.line);
        }
        self.pair(&name(field), &length);
        self.note(
            ChangeKind::Replaced,
            &name(field),
            "the length of the body in hand (RFC 9112 §6.3)",
        );
    }

    fn missing_host(&mut self, rules: &Rules<'_>) {
        if self.has_host {
            return;
        }
        let value = if let Host::Value(value) = rules.host {
            value
        } else {
            rules.authority
        };
        self.pair("Host", value);
        self.note(
            ChangeKind::Added,
            "Host",
            "HTTP/1.1 demands it (RFC 9112 §3.2)",
        );
    }

    fn missing_framing(&mut self, sent: &Head, body_length: u64) {
        if body_length == 0 || self.has_length || sent.is_chunked() {
            return;
        }
        self.pair("Content-Length", &body_length.to_string());
        self.note(
            ChangeKind::Added,
            "Content-Length",
            "HTTP/1.1 frames a body by it (RFC 9112 §6.3)",
        );
    }

    fn line(&mut self, line: &[u8]) {
        self.raw.extend_from_slice(line);
        self.raw.extend_from_slice(b"\r\n");
    }

    fn pair(&mut self, name: &str, value: &str) {
        self.line(format!("{name}: {value}").as_bytes());
    }

    fn note(&mut self, kind: ChangeKind, part: &str, reason: &str) {
        self.changes.push(Change {
            kind,
            part: part.to_owned(),
            reason: reason.to_owned(),
        });
    }

    fn finish(mut self) -> Result<Forwarded, HopError> {
        self.raw.extend_from_slice(b"\r\n");
        Ok(Forwarded {
            head: Head::parse(self.raw)?,
            changes: self.changes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdefghjkmnpqrstvwxyz";

    fn rules(body_length: u64) -> Rules<'static> {
        Rules {
            base_path: "/hooks",
            base_query: None,
            authority: "localhost:3000",
            host: Host::Preserve,
            add: &[],
            body_length,
        }
    }

    fn sent(line: &str, fields: &str) -> Head {
        Head::parse(format!("{}\r\n{fields}\r\n", line.replace("KEY", KEY))).unwrap()
    }

    fn text(forwarded: &Forwarded) -> String {
        String::from_utf8(forwarded.head.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn only_the_target_changes_of_a_plain_webhook() {
        let head = sent(
            "POST /in/KEY/a%2Fb?x=%2F&x HTTP/1.1",
            "HOST: relay\r\nX-b:  1 \r\nx-B: 2\r\ncontent-LENGTH: 3\r\n",
        );

        let forwarded = forwarded(&head, &rules(3)).unwrap();

        assert_eq!(
            text(&forwarded),
            "POST /hooks/a%2Fb?x=%2F&x HTTP/1.1\r\nHOST: relay\r\nX-b:  1 \r\nx-B: 2\r\ncontent-LENGTH: 3\r\n\r\n"
        );
        assert_eq!(forwarded.changes.len(), 1);
    }

    #[test]
    fn hop_by_hop_fields_go_and_each_is_listed() {
        let head = sent(
            "POST /in/KEY HTTP/1.1",
            "Host: r\r\nConnection: close, X-Gone\r\nX-Gone: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\nUpgrade: h2c\r\nExpect: 100-continue\r\nProxy-Authorization: x\r\nX-Stays: 1\r\n",
        );

        let forwarded = forwarded(&head, &rules(0)).unwrap();

        assert_eq!(
            text(&forwarded),
            "POST /hooks HTTP/1.1\r\nHost: r\r\nX-Stays: 1\r\n\r\n"
        );
        assert_eq!(
            forwarded
                .changes
                .iter()
                .filter(|change| change.kind == ChangeKind::Removed)
                .count(),
            7
        );
    }

    #[test]
    fn connection_cannot_remove_host_or_framing() {
        let head = sent(
            "POST /in/KEY HTTP/1.1",
            "Host: r\r\nConnection: host, content-length\r\nContent-Length: 2\r\n",
        );

        let forwarded = forwarded(&head, &rules(2)).unwrap();

        assert_eq!(
            text(&forwarded),
            "POST /hooks HTTP/1.1\r\nHost: r\r\nContent-Length: 2\r\n\r\n"
        );
    }

    #[test]
    fn framing_is_our_own() {
        let wrong = sent(
            "POST /in/KEY HTTP/1.1",
            "Host: r\r\nContent-Length: 005\r\n",
        );
        let absent = sent("POST /in/KEY HTTP/2", "host: r\r\n");
        let chunked = sent(
            "POST /in/KEY HTTP/1.1",
            "Host: r\r\nTransfer-encoding: chunked\r\n",
        );

        assert!(text(&forwarded(&wrong, &rules(5)).unwrap()).contains("Content-Length: 5\r\n"));
        assert!(text(&forwarded(&absent, &rules(5)).unwrap()).contains("Content-Length: 5\r\n"));
        assert!(!text(&forwarded(&chunked, &rules(5)).unwrap()).contains("Content-Length"));
    }

    #[test]
    fn a_suffix_is_data_and_never_an_authority() {
        for suffix in [
            "//evil",
            "/@evil",
            "/http://evil/",
            "/../..",
            "/%2e%2e/%5cevil",
            "/:80",
        ] {
            let head = sent(&format!("GET /in/KEY{suffix} HTTP/1.1"), "Host: r\r\n");

            let forwarded = forwarded(&head, &rules(0)).unwrap();

            assert_eq!(
                forwarded.head.target(),
                format!("/hooks{suffix}").as_bytes()
            );
        }
        assert_eq!(endpoint_target(format!("/in/{KEY}@evil").as_bytes()), None);
        assert_eq!(endpoint_target(format!("/in/{KEY}\\evil").as_bytes()), None);
    }

    #[test]
    fn the_root_target_and_both_queries_are_joined() {
        let head = sent("GET /in/KEY?b=2 HTTP/1.0", "");
        let rules = Rules {
            base_path: "",
            base_query: Some("a=1"),
            ..rules(0)
        };

        let forwarded = forwarded(&head, &rules).unwrap();

        assert_eq!(
            text(&forwarded),
            "GET /?a=1&b=2 HTTP/1.1\r\nHost: localhost:3000\r\n\r\n"
        );
    }

    #[test]
    fn a_final_slash_of_the_base_stands_and_is_not_doubled() {
        let rules = Rules {
            base_path: "/webhooks/",
            ..rules(0)
        };
        for (sent_target, delivered) in [
            ("/in/KEY", "/webhooks/"),
            ("/in/KEY/", "/webhooks/"),
            ("/in/KEY/a//", "/webhooks/a//"),
            ("/in/KEY?x", "/webhooks/?x"),
        ] {
            let head = sent(&format!("GET {sent_target} HTTP/1.1"), "Host: r\r\n");

            let forwarded = forwarded(&head, &rules).unwrap();

            assert_eq!(forwarded.head.target(), delivered.as_bytes());
        }
    }

    #[test]
    fn an_absolute_form_becomes_origin_form() {
        let head = sent(
            "GET http://relay.test/in/KEY/x HTTP/1.1",
            "Host: relay.test\r\n",
        );

        assert_eq!(
            forwarded(&head, &rules(0)).unwrap().head.target(),
            b"/hooks/x"
        );
    }

    #[test]
    fn the_host_is_rewritten_on_request() {
        let head = sent("GET /in/KEY HTTP/1.1", "host: relay.test\r\n");
        let rewrite = Rules {
            host: Host::Rewrite,
            ..rules(0)
        };
        let value = Rules {
            host: Host::Value("app.test"),
            ..rules(0)
        };

        assert!(text(&forwarded(&head, &rewrite).unwrap()).contains("host: localhost:3000\r\n"));
        assert!(text(&forwarded(&head, &value).unwrap()).contains("host: app.test\r\n"));
    }
}
