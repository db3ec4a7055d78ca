//! `towline events curl`: a command that makes the same request, safe to paste into any POSIX shell.

use std::fmt::Write as _;

use clap::Args;
use towline_shared::head::{Field, Head};
use towline_shared::hop::endpoint_target;
use towline_shared::id::EventId;

use super::super::{Context, Exit};
use super::request::CapturedRequest;
use crate::target::Target;

/// Longer bodies are piped from `events show --body` instead of standing in the command.
const MOST_INLINE_BYTES: usize = 32 * 1024;

/// Fields that curl writes of its own accord unless it is told not to.
const CURLS_OWN: [&str; 3] = ["User-Agent", "Accept", "Content-Type"];

/// The options of `curl`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towline events curl evt_06…
  towline events curl evt_06… --to 3000 | sh")]
pub struct Arguments {
    /// The event
    id: EventId,
    /// The URL to call [default: the target of its latest attempt, else http://localhost:3000]
    #[arg(long, value_name = "TARGET")]
    to: Option<Target>,
}

/// Prints the command.
pub(super) async fn run(arguments: Arguments, context: &Context) -> anyhow::Result<Exit> {
    let api = context.api()?;
    let request = CapturedRequest::fetch(&api, arguments.id).await?;
    let length = request.detail.summary.info.body_length;
    let body = if length <= MOST_INLINE_BYTES as u64 {
        RequestBody::Inline(request.body(&api).await?.to_vec())
    } else {
        RequestBody::Piped(arguments.id)
    };
    let latest = request.detail.summary.latest_attempt.as_ref();
    let recorded = latest.and_then(|attempt| recorded_url(&attempt.target));
    let url = match (&arguments.to, recorded) {
        (Some(target), _) => url(&request.head, target),
        (None, Some(recorded)) => recorded,
        (None, None) => url(&request.head, &"3000".parse()?),
    };
    let command = command(&request.head, &url, &body);
    if context.global.json {
        context
            .screen
            .json(&serde_json::json!({ "command": command }))?;
    } else {
        context.screen.raw(format!("{command}\n").as_bytes())?;
    }
    Ok(Exit::Done)
}

enum RequestBody {
    Inline(Vec<u8>),
    Piped(EventId),
}

/// The URL that an attempt called. What a client reports is free text, so only what is a target is taken.
fn recorded_url(text: &str) -> Option<Vec<u8>> {
    let target: Target = text.parse().ok()?;
    Some(target.to_string().into_bytes())
}

/// The target's URL with the sender's suffix and query behind it.
fn url(head: &Head, target: &Target) -> Vec<u8> {
    let scheme = if target.is_https { "https" } else { "http" };
    let mut url = format!("{scheme}://{}", target.authority()).into_bytes();
    if let Some(parts) = endpoint_target(head.target()) {
        let joined = parts.joined(&target.base_path, target.base_query.as_deref());
        url.extend_from_slice(&joined);
    }
    url
}

fn command(head: &Head, url: &[u8], body: &RequestBody) -> String {
    let mut lines = vec![format!(
        "{}curl --globoff --path-as-is --http1.1 {}",
        source(body),
        method(head)
    )];
    lines.extend(
        head.fields()
            .filter(|field| is_passed_on(field))
            .map(|field| format!("--header {}", header(&field))),
    );
    for name in CURLS_OWN {
        if head.values(name).next().is_none() {
            lines.push(format!("--header {}", quote(format!("{name}:").as_bytes())));
        }
    }
    match body {
        RequestBody::Inline(bytes) if bytes.is_empty() => {}
        RequestBody::Inline(bytes) if is_plain(bytes) => {
            lines.push(format!("--data-raw {}", quote(bytes)));
        }
        _ => lines.push("--data-binary @-".to_owned()),
    }
    // As the value of an option the URL cannot be taken for an option itself.
    lines.push(format!("--url {}", quote(url)));
    lines.join(" \\\n  ")
}

/// What stands before the command when the body comes through a pipe.
fn source(body: &RequestBody) -> String {
    match body {
        RequestBody::Piped(id) => format!("towline events show {id} --body | "),
        RequestBody::Inline(bytes) if !bytes.is_empty() && !is_plain(bytes) => {
            format!("printf {} | ", printf_format(bytes))
        }
        RequestBody::Inline(_) => String::new(),
    }
}

fn method(head: &Head) -> String {
    match head.method() {
        "HEAD" => "--head".to_owned(),
        method => format!("--request {}", quote(method.as_bytes())),
    }
}

/// Framing and connection are curl's own business.
fn is_passed_on(field: &Field<'_>) -> bool {
    let name = field.name.to_ascii_lowercase();
    !matches!(
        name.as_slice(),
        b"content-length" | b"connection" | b"keep-alive" | b"te" | b"upgrade" | b"expect"
    ) && !name.starts_with(b"proxy-")
}

/// curl takes `Name;` for a field without a value.
fn header(field: &Field<'_>) -> String {
    if field.value.is_empty() {
        return quote(&[field.name, b";"].concat());
    }
    quote(&[field.name, b": ", field.value].concat())
}

/// Printable ASCII and line ends, which every shell keeps inside single quotes, and UTF-8.
fn is_plain(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| {
        let is_kept = |character: char| character == '\n' || !character.is_control();
        text.chars().all(is_kept) && crate::screen::escape::block(text) == text
    })
}

/// One word of a POSIX shell. Bytes that should not stand in a terminal are written by `printf`.
fn quote(bytes: &[u8]) -> String {
    if !bytes.is_empty() && bytes.iter().all(u8::is_ascii_alphanumeric) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if is_plain(bytes) => format!("'{}'", text.replace('\'', r"'\''")),
        _ => format!("\"$(printf {})\"", printf_format(bytes)),
    }
}

/// A format of `printf` in single quotes: octal escapes are all that POSIX promises.
fn printf_format(bytes: &[u8]) -> String {
    let mut format = String::with_capacity(bytes.len() * 2 + 2);
    format.push('\'');
    for &byte in bytes {
        match byte {
            b'\\' => format.push_str(r"\\"),
            b'%' => format.push_str("%%"),
            b'\'' => format.push_str(r"\047"),
            b' '..=b'~' => format.push(char::from(byte)),
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(format, "\\{byte:03o}");
            }
        }
    }
    format.push('\'');
    format
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn head(fields: &str) -> Head {
        let line = "POST /in/0123456789abcdefghjkmnpqrstvwxyz/a/../b?x=[1] HTTP/1.1";
        Head::parse(format!("{line}\r\n{fields}\r\n").into_bytes()).unwrap()
    }

    fn body(bytes: &[u8]) -> RequestBody {
        RequestBody::Inline(bytes.to_vec())
    }

    /// The words that a shell makes of the command, one a line; line ends in them become `|`.
    fn words(command: &str) -> Vec<Vec<u8>> {
        let script = format!(
            "curl() {{ for word; do printf '%s\\0' \"$word\"; done; cat; }}\n{command} </dev/null"
        );
        let script = if command.contains("| curl") {
            script.replace(" </dev/null", "")
        } else {
            script
        };
        let output = Command::new("sh").arg("-c").arg(script).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        output
            .stdout
            .split(|&byte| byte == 0)
            .map(<[u8]>::to_vec)
            .collect()
    }

    #[test]
    fn a_shell_gives_curl_exactly_the_bytes() {
        let evil = b"{\"a\":\"$(rm -rf /) `id` 'x' \\n %s !\"}\n@file";
        let command = command(
            &head("X-Evil: $(id) 'q' \"d\"\r\nHost: relay\r\n"),
            b"http://localhost:3000/a'b?$x",
            &body(evil),
        );

        let words = words(&command);

        assert!(
            words.contains(&b"X-Evil: $(id) 'q' \"d\"".to_vec()),
            "{command}"
        );
        assert!(words.contains(&evil.to_vec()), "{command}");
        assert!(
            words.contains(&b"http://localhost:3000/a'b?$x".to_vec()),
            "{command}"
        );
    }

    #[test]
    fn a_binary_body_comes_through_a_pipe_to_the_byte() {
        let bytes: Vec<u8> = (0..=255).collect();
        let command = command(
            &head("Content-Encoding: gzip\r\n"),
            b"http://localhost:3000/",
            &body(&bytes),
        );

        let script = format!("curl() {{ cat; }}\n{command}");
        let output = Command::new("sh").arg("-c").arg(script).output().unwrap();

        assert_eq!(output.stdout, bytes);
    }

    #[test]
    fn header_values_that_are_not_text_survive() {
        let raw = [&b"GET /in/0123456789abcdefghjkmnpqrstvwxyz HTTP/1.1\r\nX-Bin: a\xff'%\r\nX-Empty:\r\n\r\n"[..]].concat();
        let command = command(&Head::parse(raw).unwrap(), b"http://localhost/", &body(b""));

        let words = words(&command);

        assert!(words.contains(&b"X-Bin: a\xff'%".to_vec()), "{command}");
        assert!(words.contains(&b"X-Empty;".to_vec()), "{command}");
    }

    #[test]
    fn a_url_is_never_taken_for_an_option() {
        let command = command(&head("Host: relay\r\n"), b"-K-", &body(b""));

        let words = words(&command);

        let url = words.iter().position(|word| word == b"-K-").unwrap();
        assert_eq!(words[url - 1], b"--url", "{command}");
    }

    #[test]
    fn only_a_recorded_target_that_is_one_is_called() {
        for text in ["--config=x", "file:///etc/passwd", "http://a b/", ""] {
            assert_eq!(recorded_url(text), None, "{text}");
        }
        let url = "http://localhost:3000/a/../b?x=[1]";
        assert_eq!(recorded_url(url).unwrap(), url.as_bytes());
    }

    #[test]
    fn the_command_reads_well() {
        let command = command(
            &head("Host: relay.example\r\nContent-Type: application/json\r\nContent-Length: 7\r\n"),
            b"http://localhost:3000/a/../b?x=[1]",
            &body(b"{\"a\":1}"),
        );

        insta::assert_snapshot!(command);
    }
}
