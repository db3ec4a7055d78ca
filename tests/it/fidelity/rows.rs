//! The table: odd requests as a sender writes them, and by hand beside each what the app must read.
//!
//! In the bytes, `{in}` stands for the endpoint's path, `{relay}` and `{app}` for `HOST:PORT`.

/// One odd request.
pub(super) struct Row {
    /// What is odd about it.
    pub(super) name: String,
    /// Head and framed body as they are sent.
    pub(super) sent: Vec<u8>,
    /// The head that arrives.
    pub(super) head: Vec<u8>,
    /// The body that arrives, its framing taken off.
    pub(super) body: Vec<u8>,
}

/// All rows.
pub(super) fn all() -> Vec<Row> {
    let parts = [
        fields(),
        dropped_fields(),
        targets(),
        methods(),
        bodies(),
        chunks(),
        old_versions(),
    ];
    parts.into_iter().flatten().collect()
}

/// Fields that arrive exactly as they were sent.
fn fields() -> Vec<Row> {
    let long = format!("X-Long: {}\r\n", "0123456789abcdef".repeat(512));
    let many: String = (0..100).map(|n| format!("X-Field-{n}: {n}\r\n")).collect();
    vec![
        same_fields("letter case of names", b"X-CamelCase: 1\r\nx-lower: 2\r\nX-UPPER: 3\r\nX-rEward: 4\r\n"),
        same_fields("order across names", b"Zebra: 1\r\nAccept: 2\r\nMiddle: 3\r\nBase: 4\r\n"),
        same_fields("repeats, not merged", b"X-A: 1\r\nX-B: 2\r\nX-A: 3\r\nX-A: 1\r\n"),
        same_fields("repeats in another letter case", b"X-Tag: a\r\nx-tag: b\r\nX-TAG: c\r\n"),
        same_fields("an empty value", b"X-Empty:\r\nX-Next: 1\r\n"),
        same_fields("a value of one space", b"X-Space: \r\nX-Next: 1\r\n"),
        same_fields("no space after the colon", b"X-Tight:value\r\n"),
        same_fields("many spaces and tabs before a value", b"X-Wide:  \t  value\r\n"),
        same_fields("spaces and tabs behind a value", b"X-Tail: value  \t\r\n"),
        same_fields("a tab within a value", b"X-Tab: a\tb\r\n"),
        same_fields("a value that is not UTF-8", b"X-Bytes: \xff\xfe\x80abc\r\n"),
        same_fields("a value in UTF-8", "X-Name: Gr\u{fc}\u{df}e \u{1f980}\r\n".as_bytes()),
        same_fields("quotes, commas and semicolons", b"X-Odd: \"a, \\\"b\\\"\";q=0.5, c=(d)\r\n"),
        same_fields("every character of a token in a name", b"!#$%&'*+-.^_`|~09aZ: 1\r\n"),
        same_fields("a name of digits", b"42: answer\r\n"),
        same_fields("a name of one letter", b"a: b\r\n"),
        same_fields("a value of 8 KiB", long.as_bytes()),
        same_fields("a hundred fields", many.as_bytes()),
        same_fields("two cookies", b"Cookie: a=1; b=2\r\nCookie: c=3\r\n"),
        same_fields("credentials of the sender", b"Authorization: Basic dXNlcjpwYXNz\r\n"),
        same_fields("an encoding the relay does not touch", b"Accept-Encoding: gzip, br\r\nContent-Encoding: x-own\r\n"),
        same_fields("traces of earlier hops", b"Via: 1.1 cdn\r\nForwarded: for=192.0.2.1\r\nX-Forwarded-For: 192.0.2.1\r\n"),
        same_fields("a signature", b"X-Hub-Signature-256: sha256=ABCdef0123\r\nStripe-Signature: t=1,v1=a,v1=b\r\n"),
        same_fields("fields of a reply", b"Date: yesterday\r\nAge: 7\r\nServer: me\r\n"),
        same_fields("names that look like pseudo-fields", b"path: /x\r\nmethod: y\r\nauthority: z\r\n"),
        row(
            "the host in the middle, in capitals, with a port",
            b"POST {in} HTTP/1.1\r\nX-A: 1\r\nHOST: Hooks.Example:8443\r\nX-B: 2\r\nContent-Length: 2\r\n\r\nok",
            b"POST / HTTP/1.1\r\nX-A: 1\r\nHOST: Hooks.Example:8443\r\nX-B: 2\r\nContent-Length: 2\r\n\r\n",
            b"ok",
        ),
        row(
            "the length before everything else",
            b"POST {in} HTTP/1.1\r\ncontent-length: 2\r\nHost: h\r\nX-A: 1\r\n\r\nok",
            b"POST / HTTP/1.1\r\ncontent-length: 2\r\nHost: h\r\nX-A: 1\r\n\r\n",
            b"ok",
        ),
        row(
            "nothing but a host",
            b"GET {in} HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
            b"",
        ),
    ]
}

/// Fields that belong to one hop (RFC 9110 §7.6.1) and do not arrive.
fn dropped_fields() -> Vec<Row> {
    vec![
        changed_fields("Connection: keep-alive", b"X-A: 1\r\nConnection: keep-alive\r\nX-B: 2\r\n", b"X-A: 1\r\nX-B: 2\r\n"),
        changed_fields("Connection: close", b"connection: close\r\nX-B: 2\r\n", b"X-B: 2\r\n"),
        changed_fields(
            "fields that Connection names",
            b"X-Hop: 1\r\nConnection: X-Hop,  x-other\r\nX-Kept: 2\r\nX-OTHER: 3\r\n",
            b"X-Kept: 2\r\n",
        ),
        changed_fields(
            "two lines of Connection",
            b"Connection: keep-alive\r\nX-Hop: 1\r\nConnection: x-hop\r\nX-B: 2\r\n",
            b"X-B: 2\r\n",
        ),
        changed_fields("Keep-Alive", b"Keep-Alive: timeout=5\r\nX-B: 2\r\n", b"X-B: 2\r\n"),
        changed_fields(
            "fields for a proxy",
            b"Proxy-Authorization: Basic eDp5\r\nProxy-Connection: keep-alive\r\nX-Proxy-Kept: 2\r\n",
            b"X-Proxy-Kept: 2\r\n",
        ),
        changed_fields("TE", b"TE: trailers\r\nX-B: 2\r\n", b"X-B: 2\r\n"),
        changed_fields(
            "the upgrade that Java's client offers",
            b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAA\r\nX-B: 2\r\n",
            b"X-B: 2\r\n",
        ),
        changed_fields("Expect: 100-continue", b"Expect: 100-continue\r\nX-B: 2\r\n", b"X-B: 2\r\n"),
    ]
}

/// Targets; what follows the endpoint's path is data.
fn targets() -> Vec<Row> {
    let long = format!("?long={}", "0123456789".repeat(3000));
    vec![
        target("a raw query", b"{in}?a=%2F&a=2&b", b"/?a=%2F&a=2&b"),
        target("an empty query", b"{in}?", b"/?"),
        target("a query within the query", b"{in}?a=?b=/c?&&=&", b"/?a=?b=/c?&&=&"),
        target("characters that should be encoded", b"{in}?q=a+b&c[]=1&d={x}|^`'", b"/?q=a+b&c[]=1&d={x}|^`'"),
        target("hex digits in both cases", b"{in}/%2f%2F%c3%A9%00%0d%0a", b"/%2f%2F%c3%A9%00%0d%0a"),
        target("a suffix", b"{in}/hooks/orders", b"/hooks/orders"),
        target("a final slash", b"{in}/", b"/"),
        target("a final slash behind a suffix", b"{in}/a/", b"/a/"),
        target("two slashes", b"{in}//evil.example/x", b"//evil.example/x"),
        target("slashes in a row", b"{in}///a//b", b"///a//b"),
        target("dots", b"{in}/../../etc/./passwd", b"/../../etc/./passwd"),
        target("encoded dots", b"{in}/%2e%2e/%2E", b"/%2e%2e/%2E"),
        target("backslashes", b"{in}/a\\b\\..\\c", b"/a\\b\\..\\c"),
        target("an at sign", b"{in}/@evil.example/", b"/@evil.example/"),
        target("a URL as suffix", b"{in}/http://evil.example/", b"/http://evil.example/"),
        target("parameters and colons", b"{in}/a;v=1:2,3!$&'()*~", b"/a;v=1:2,3!$&'()*~"),
        target("a query of 30 kB", long.as_bytes(), long.as_bytes()).below_endpoint(),
        target("the endpoint's own path twice", b"{in}{in}", b"{in}"),
        row(
            "absolute form",
            b"POST http://hooks.example{in}/a?b HTTP/1.1\r\nHost: hooks.example\r\nContent-Length: 2\r\n\r\nok",
            b"POST /a?b HTTP/1.1\r\nHost: hooks.example\r\nContent-Length: 2\r\n\r\n",
            b"ok",
        ),
        row(
            "absolute form with another host, a port and no suffix",
            b"POST https://other.example:8443{in} HTTP/1.1\r\nHost: hooks.example\r\nContent-Length: 2\r\n\r\nok",
            b"POST / HTTP/1.1\r\nHost: hooks.example\r\nContent-Length: 2\r\n\r\n",
            b"ok",
        ),
    ]
}

fn methods() -> Vec<Row> {
    [
        "GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "M-SEARCH",
        "QUERY", "pOsT", "X!",
    ]
    .iter()
    .map(|method| {
        row(
            &format!("method {method}"),
            format!("{method} {{in}}/m HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n\r\n").as_bytes(),
            format!("{method} /m HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n\r\n").as_bytes(),
            b"",
        )
    })
    .chain([
        row(
            "GET with a body",
            b"GET {in} HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nget",
            b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n",
            b"get",
        ),
        row(
            "DELETE with a body",
            b"DELETE {in}/7 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\ndel",
            b"DELETE /7 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n",
            b"del",
        ),
    ])
    .collect()
}

fn bodies() -> Vec<Row> {
    let every_byte: Vec<u8> = (0..=255).collect();
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6\x10\x36\x05\x00\x00\x00";
    vec![
        row(
            "no body and no length",
            b"POST {in} HTTP/1.1\r\nHost: h\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: h\r\n\r\n",
            b"",
        ),
        body("an empty body with its length", b""),
        body("one byte", b"x"),
        body("every byte", &every_byte),
        body("zeros", &[0; 1000]),
        body(
            "a body that looks like a request",
            b"\r\n\r\nGET / HTTP/1.1\r\nHost: evil\r\n\r\n",
        ),
        body(
            "JSON with odd spaces and a final newline",
            b" {\"a\" :1.0,\n\t\"a\":\"\\u00e9\" }\r\n",
        ),
        body("gzip", gzip),
        body(
            "64 KiB, the longest that travels with its head",
            &pattern(64 * 1024),
        ),
        body("64 KiB and one byte", &pattern(64 * 1024 + 1)),
        body(
            "320 KiB and one byte, more than the head's part and a stream's first credit",
            &pattern(320 * 1024 + 1),
        ),
    ]
}

fn chunks() -> Vec<Row> {
    let tiny: Vec<u8> = b"one byte a chunk"
        .iter()
        .flat_map(|byte| [b"1\r\n", &[*byte][..], b"\r\n"].concat())
        .collect();
    let large: Vec<u8> = pattern(300_000)
        .chunks(70_001)
        .flat_map(|part| [format!("{:X}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat())
        .collect();
    vec![
        chunked("one chunk", b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        chunked("one byte a chunk", &[&tiny[..], b"0\r\n\r\n"].concat(), b"one byte a chunk"),
        chunked("sizes with zeros and capitals", b"00A\r\n0123456789\r\n0b\r\n0123456789a\r\n000\r\n\r\n", b"01234567890123456789a"),
        chunked("extensions", b"3;name=value\r\nabc\r\n2;q=\"x\"\r\nde\r\n0;last\r\n\r\n", b"abcde"),
        chunked("an empty body", b"0\r\n\r\n", b""),
        chunked("line ends within chunks", b"4\r\n\r\n\r\n\r\n2\r\n0\r\r\n0\r\n\r\n", b"\r\n\r\n0\r"),
        chunked("large chunks", &[&large[..], b"0\r\n\r\n"].concat(), &pattern(300_000)),
        row(
            "the coding in capitals",
            b"POST {in} HTTP/1.1\r\nHost: h\r\nTRANSFER-ENCODING: Chunked\r\nX-A: 1\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: h\r\nTRANSFER-ENCODING: Chunked\r\nX-A: 1\r\n\r\n",
            b"ok",
        ),
    ]
}

/// HTTP/1.0: the version changes, and a host is added when there is none.
fn old_versions() -> Vec<Row> {
    vec![
        row(
            "HTTP/1.0 with a host",
            b"POST {in} HTTP/1.0\r\nHost: h\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nok",
            b"POST / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nContent-Length: 2\r\n\r\n",
            b"ok",
        ),
        row(
            "HTTP/1.0 without a host",
            b"POST {in}/old HTTP/1.0\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nok",
            b"POST /old HTTP/1.1\r\nX-A: 1\r\nContent-Length: 2\r\nHost: {app}\r\n\r\n",
            b"ok",
        ),
        row(
            "HTTP/1.0 that keeps its connection",
            b"GET {in} HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
            b"",
        ),
    ]
}

fn row(name: &str, sent: &[u8], head: &[u8], body: &[u8]) -> Row {
    Row {
        name: name.to_owned(),
        sent: sent.to_vec(),
        head: head.to_vec(),
        body: body.to_vec(),
    }
}

fn same_fields(name: &str, lines: &[u8]) -> Row {
    changed_fields(name, lines, lines)
}

fn changed_fields(name: &str, sent: &[u8], arriving: &[u8]) -> Row {
    let end = b"Content-Length: 2\r\n\r\n";
    row(
        name,
        &[
            b"POST {in} HTTP/1.1\r\nHost: hooks.example\r\n",
            sent,
            end,
            b"ok",
        ]
        .concat(),
        &[b"POST / HTTP/1.1\r\nHost: hooks.example\r\n", arriving, end].concat(),
        b"ok",
    )
}

fn target(name: &str, sent: &[u8], arriving: &[u8]) -> Row {
    let rest = b" HTTP/1.1\r\nHost: hooks.example\r\nX-A: 1\r\n\r\n";
    row(
        &format!("target: {name}"),
        &[b"GET ", sent, rest].concat(),
        &[b"GET ", arriving, rest].concat(),
        b"",
    )
}

fn body(name: &str, body: &[u8]) -> Row {
    let fields = format!(
        "Host: h\r\nContent-Length: {}\r\nX-A: 1\r\n\r\n",
        body.len()
    );
    row(
        &format!("body: {name}"),
        &[b"POST {in} HTTP/1.1\r\n", fields.as_bytes(), body].concat(),
        &[b"POST / HTTP/1.1\r\n", fields.as_bytes()].concat(),
        body,
    )
}

fn chunked(name: &str, framed: &[u8], body: &[u8]) -> Row {
    let fields = b"Host: h\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\n\r\n";
    row(
        &format!("chunks: {name}"),
        &[b"POST {in} HTTP/1.1\r\n", &fields[..], framed].concat(),
        &[b"POST / HTTP/1.1\r\n", &fields[..]].concat(),
        body,
    )
}

/// Bytes that differ from place to place, so that a shift or a swap shows.
pub(super) fn pattern(length: usize) -> Vec<u8> {
    (0_u32..)
        .flat_map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes())
        .take(length)
        .collect()
}

impl Row {
    /// Puts the endpoint's path before a target that is only its query, and the root before what arrives.
    fn below_endpoint(mut self) -> Self {
        self.sent.splice(4..4, *b"{in}");
        self.head.splice(4..4, *b"/");
        self
    }
}
