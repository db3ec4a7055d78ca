//! `towline sign PROVIDER`: the header fields that make a body a valid webhook.

use std::io::{IsTerminal, Read};
use std::path::Path;

use clap::Args;
use serde::Serialize;
use towline_shared::time::Timestamp;
use towline_shared::verify::Unsigned;

use super::provider_options::SchemeOptions;
use super::signer::{SecretChoice, Signer};
use super::{Context, Exit, Failure};
use crate::cli::parse_header;
use crate::screen::paint;

/// The longest body that is read.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// Print the header fields that make a body a valid webhook
#[derive(Debug, Args)]
#[command(after_help = "\
The fields are written one a line, `Name: value`, as curl reads them. Send the same bytes that were signed: \
`--data-binary`, not `--data`. Times are of now, ids are made up unless the request has them (-H).

Examples:
  towline sign github payload.json --secret-env GITHUB_SECRET
  curl -H @<(towline sign stripe payload.json --secret-file key.txt) --data-binary @payload.json localhost:3000
  towline sign square payload.json --secret-file key.txt --url https://app.example/hooks
  towline sign twilio body.txt --secret-file token.txt --url https://app.example/sms \\
      -H 'Content-Type: application/x-www-form-urlencoded'
  towline sign mine payload.json --scheme mine.toml --secret-file key.txt --json")]
pub struct Arguments {
    /// The provider, such as `github`
    provider: String,
    /// The file with the body, or `-` for stdin
    #[arg(default_value = "-", value_name = "BODY")]
    body: String,
    /// The URL that is going to be called, for schemes that sign it
    #[arg(long, value_name = "URL", default_value = "http://localhost/")]
    url: String,
    /// The method, for schemes that sign it
    #[arg(long, value_name = "METHOD", default_value = "POST")]
    method: String,
    /// A field that the request has already (repeatable)
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = parse_header)]
    headers: Vec<(String, String)>,
    /// The time to sign at, RFC 3339 [default: now]
    #[arg(long, value_name = "TIME")]
    now: Option<Timestamp>,
    #[command(flatten)]
    scheme: SchemeOptions,
    #[command(flatten)]
    secret: SecretChoice,
}

/// The result as JSON.
#[derive(Serialize)]
struct SignedRequest<'a> {
    provider: &'a str,
    method: &'a str,
    url: &'a str,
    headers: &'a [(String, String)],
}

/// Signs.
///
/// # Errors
/// When the body or the secret cannot be read, or the scheme cannot be signed.
pub fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<Exit> {
    if arguments.body == "-" && arguments.secret.reads_stdin() {
        return Err(Failure::usage("stdin cannot be both the body and the secret").into());
    }
    let signer = Signer::new(
        &arguments.provider,
        &arguments.scheme,
        &arguments.secret,
        arguments.now,
        context,
    )?;
    if signer.lacks_secret() {
        let usage = Failure::usage("no secret is given");
        return Err(usage.hint(signer.secret_hint()).into());
    }
    let body = read_body(&arguments.body, context)?;
    let fields = signer.sign(&Unsigned {
        method: &arguments.method,
        url: &arguments.url,
        fields: &arguments.headers,
        body: &body,
    })?;
    if context.global.json {
        context.screen.json(&SignedRequest {
            provider: &arguments.provider,
            method: &arguments.method,
            url: &arguments.url,
            headers: &fields,
        })?;
        return Ok(Exit::Done);
    }
    for (name, value) in &fields {
        context
            .screen
            .raw(format!("{name}: {value}\n").as_bytes())?;
    }
    Ok(Exit::Done)
}

/// Reads a body from a file, or from stdin when the place is `-`.
///
/// # Errors
/// When it cannot be read or is far too long.
pub(super) fn read_body(place: &str, context: &Context) -> Result<Vec<u8>, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::invalid(format!("could not read the body from `{place}`")).because(error)
    };
    let reader: Box<dyn Read> = if place == "-" {
        if std::io::stdin().is_terminal() {
            let note = "the body is read from here; end it with ^D";
            context
                .screen
                .notice(&format!("{} {note}", paint::odd("note:")));
        }
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(Path::new(place)).map_err(unreadable)?)
    };
    let mut bytes = Vec::new();
    let read = reader.take(MOST_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(unreadable)?;
    if bytes.len() as u64 > MOST_BYTES {
        let message = format!("the body has more than {MOST_BYTES} bytes");
        return Err(Failure::invalid(message));
    }
    Ok(bytes)
}
