//! `towline verify PROVIDER`: checks a request's signature without any relay, and explains a failure.

mod raw_request;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use towline_shared::hop::endpoint_target;
use towline_shared::id::{EventId, SecretName};
use towline_shared::secret::Secret;
use towline_shared::time::Timestamp;
use towline_shared::verdict::{Match, Verdict};
use towline_shared::verify::{Body, Provider, Request, Settings};

use self::raw_request::RawRequest;
use super::events::CapturedRequest;
use super::provider_options::{SchemeOptions, check_provider};
use super::{Context, Exit, Failure, wall_clock};
use crate::screen::event_lines::cause_code;
use crate::screen::{escape, paint};
use crate::settings::SecretSource;

/// The longest request that is read.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// Check the signature of a request, and say why it fails
#[derive(Debug, Args)]
#[command(after_help = "\
The request is raw HTTP, head and body, from a file, stdin, or a kept event, as `towline events show --raw` writes \
it. Ends with 0 when it is valid and with 15 when it is not.

Examples:
  towline verify github request.http --secret-env GITHUB_SECRET
  towline events show evt_06… --raw | towline verify stripe --secret-file live.txt
  towline verify extole evt_06… --secret-file key.txt --variant jwt
  towline verify mine request.http --scheme mine.toml --secret-file key.txt")]
pub struct Arguments {
    /// The provider, such as `github`
    provider: String,
    /// A file, an event's id, or `-` for stdin
    #[arg(default_value = "-", value_name = "REQUEST")]
    request: String,
    /// The time to check at, RFC 3339 [default: now; for a kept event when it was received]
    #[arg(long, value_name = "TIME")]
    now: Option<Timestamp>,
    /// The public URL as the provider knows it [default: by the Host field, or the kept event's]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    #[command(flatten)]
    scheme: SchemeOptions,
    /// A file with a signing secret; `-` is stdin (repeatable)
    #[arg(long, value_name = "FILE", help_heading = "Secret")]
    secret_file: Vec<PathBuf>,
    /// A variable that holds a signing secret (repeatable)
    #[arg(long, value_name = "VARIABLE", help_heading = "Secret")]
    secret_env: Vec<String>,
}

/// The result as JSON.
#[derive(Serialize)]
struct CheckResult<'a> {
    provider: &'a str,
    is_valid: bool,
    verdict: &'a Verdict,
}

/// A request and what is known of its arrival.
struct Given {
    request: RawRequest,
    url: Option<String>,
    received_at: Option<Timestamp>,
}

/// Checks.
///
/// # Errors
/// When the request, a secret or the provider cannot be read.
pub async fn run(arguments: Arguments, context: &Context) -> anyhow::Result<Exit> {
    let provider = provider(&arguments)?;
    let secrets = secrets(&arguments, context)?;
    let given = given(&arguments, context).await?;
    for note in &given.request.notes {
        context
            .screen
            .notice(&format!("{} {note}", paint::odd("note:")));
    }
    let url = arguments
        .url
        .clone()
        .or(given.url)
        .unwrap_or_else(|| given.request.url_by_host());
    let parameters = arguments.scheme.parameters()?;
    let request = Request {
        head: &given.request.head,
        url: &url,
        body: Body::Bytes(&given.request.body),
    };
    let verdict = provider.check(
        &request,
        &Settings {
            secrets: &secrets,
            parameters: &parameters,
            variant: arguments.scheme.variant.as_deref(),
            now: arguments
                .now
                .or(given.received_at)
                .unwrap_or_else(wall_clock::now),
            fetched: &BTreeMap::new(),
        },
    );
    show(&verdict, &provider, context)
}

fn provider(arguments: &Arguments) -> anyhow::Result<Arc<Provider>> {
    let slug = &arguments.provider;
    match arguments.scheme.own_scheme(slug)? {
        Some(text) => Ok(Arc::new(Provider::parse(slug, &text)?)),
        None => Ok(check_provider(slug)?),
    }
}

fn secrets(arguments: &Arguments, context: &Context) -> anyhow::Result<Vec<(SecretName, Secret)>> {
    let files = arguments
        .secret_file
        .iter()
        .cloned()
        .map(SecretSource::File);
    let variables = arguments
        .secret_env
        .iter()
        .cloned()
        .map(SecretSource::Variable);
    let sources: Vec<_> = files.chain(variables).collect();
    if sources.is_empty() {
        let usage = Failure::usage("no secret is given");
        return Err(usage
            .hint("name its source with `--secret-file` or `--secret-env`")
            .into());
    }
    let stdin = SecretSource::File("-".into());
    let readers = sources.iter().filter(|source| **source == stdin).count()
        + usize::from(arguments.request == "-");
    if readers > 1 {
        return Err(Failure::usage("stdin cannot be both the request and a secret").into());
    }
    let mut secrets = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        let name = if sources.len() == 1 {
            "given".to_owned()
        } else {
            format!("given-{}", index + 1)
        };
        secrets.push((name.parse()?, source.read(&context.settings.environment)?));
    }
    Ok(secrets)
}

async fn given(arguments: &Arguments, context: &Context) -> anyhow::Result<Given> {
    if let Ok(id) = arguments.request.parse::<EventId>() {
        return kept(id, context).await;
    }
    let bytes = read(&arguments.request)?;
    let request = RawRequest::parse(&bytes).map_err(|error| {
        Failure::invalid("the request cannot be read")
            .because(error)
            .hint("expected raw HTTP: a line such as `POST /path HTTP/1.1`, header fields, an empty line, the body")
    })?;
    Ok(Given {
        request,
        url: None,
        received_at: None,
    })
}

/// The URL of a kept event is its endpoint's, with the suffix and query that were called.
async fn kept(id: EventId, context: &Context) -> anyhow::Result<Given> {
    let api = context.api()?;
    let captured = CapturedRequest::fetch(&api, id).await?;
    let info = captured.detail.summary.info.clone();
    let body = captured.body(&api).await?;
    let endpoint = api.endpoint(&info.endpoint).await?;
    let mut url = endpoint.url;
    if let Some(parts) = endpoint_target(captured.head.target()) {
        url.push_str(&String::from_utf8_lossy(parts.suffix));
        if let Some(query) = parts.query {
            url.push('?');
            url.push_str(&String::from_utf8_lossy(query));
        }
    }
    Ok(Given {
        request: RawRequest {
            head: captured.head,
            body: body.to_vec(),
            notes: Vec::new(),
        },
        url: Some(url),
        received_at: Some(info.received_at),
    })
}

fn read(place: &str) -> Result<Vec<u8>, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::invalid(format!("could not read the request from `{place}`")).because(error)
    };
    let reader: Box<dyn Read> = if place == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(Path::new(place)).map_err(unreadable)?)
    };
    let mut bytes = Vec::new();
    reader
        .take(MOST_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(Failure::invalid(format!(
            "the request has more than {MOST_BYTES} bytes"
        )));
    }
    Ok(bytes)
}

fn show(verdict: &Verdict, provider: &Provider, context: &Context) -> anyhow::Result<Exit> {
    let is_valid = matches!(verdict, Verdict::Verified(_) | Verdict::Authenticated(_));
    if context.global.json {
        context.screen.json(&CheckResult {
            provider: provider.slug(),
            is_valid,
            verdict,
        })?;
    } else {
        for line in lines(verdict, provider) {
            context.screen.data(&line)?;
        }
    }
    Ok(if is_valid {
        Exit::Done
    } else {
        Exit::VerificationFailed
    })
}

fn lines(verdict: &Verdict, provider: &Provider) -> Vec<String> {
    let name = escape::line(provider.name()).into_owned();
    match verdict {
        Verdict::Verified(found) => vec![format!("{} {name}{}", paint::good("verified"), by(found))],
        Verdict::Authenticated(found) => vec![
            format!("{} {name}{}", paint::good("authenticated"), by(found)),
            "this scheme does not sign the body: the sender is known, the body could have been changed".to_owned(),
        ],
        Verdict::Unchecked => vec![format!("{} {name}: nothing was checked", paint::bad("not verified"))],
        Verdict::Failed(failure) => {
            let label = |label: &str| paint::strong(format_args!("{label:<7}"));
            let mut lines = vec![
                format!("{} {name}: {}", paint::bad("not verified"), cause_code(failure)),
                format!("{}{}", label("cause:"), escape::line(&failure.detail)),
            ];
            for finding in &failure.findings {
                lines.push(format!("{}{}", label("found:"), escape::line(&finding.sentence)));
                lines.push(format!("{}{}", label("hint:"), escape::line(&finding.hint)));
            }
            lines
        }
    }
}

fn by(found: &Match) -> String {
    let scheme = found
        .scheme
        .as_deref()
        .map_or_else(String::new, |scheme| format!("/{}", escape::line(scheme)));
    match &found.secret {
        Some(secret) => format!("{scheme} with secret `{secret}`"),
        None => format!("{scheme} with the provider's public key"),
    }
}
