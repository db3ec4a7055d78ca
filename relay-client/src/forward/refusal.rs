//! Recognises development servers that refuse the sender's `Host`, so that the way out can be named.

use memchr::memmem;

/// The server that refuses the host, by the words of its reply.
pub(super) fn refuses_host(status: u16, body: &[u8]) -> Option<&'static str> {
    let says = |words: &str| memmem::find(body, words.as_bytes()).is_some();
    match status {
        403 if says("Blocked request. This host") => Some("Vite"),
        403 if says("Blocked host") => Some("Rails"),
        400 if says("Invalid HTTP_HOST header") || says("DisallowedHost") => Some("Django"),
        // Old versions of webpack-dev-server say so with 200.
        200 | 403 if body.trim_ascii() == b"Invalid Host header" => Some("webpack-dev-server"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_servers_are_recognised_by_their_words() {
        for (status, body, server) in [
            (
                403,
                "Blocked request. This host (\"relay.test\") is not allowed.\nTo allow this host, add",
                "Vite",
            ),
            (403, "<h1>Blocked hosts: relay.test</h1>", "Rails"),
            (403, "<h2>Blocked host: relay.test</h2>", "Rails"),
            (
                400,
                "<h1>DisallowedHost at /</h1><pre>Invalid HTTP_HOST header: 'relay.test'.",
                "Django",
            ),
            (403, "Invalid Host header\n", "webpack-dev-server"),
            (200, "Invalid Host header", "webpack-dev-server"),
        ] {
            assert_eq!(
                refuses_host(status, body.as_bytes()),
                Some(server),
                "{body}"
            );
        }
    }

    #[test]
    fn other_replies_are_not() {
        for (status, body) in [
            (403, "Forbidden"),
            (200, "Invalid Host header was logged"),
            (500, "DisallowedHost"),
        ] {
            assert_eq!(refuses_host(status, body.as_bytes()), None, "{body}");
        }
    }
}
