//! `towline verify PROVIDER`: checks a request's signature without any relay, and explains a failure.

mod raw_request;
mod fetched;
mod answer;
mod case;
mod cases;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use towline_shared::hop::endpoint_target;
use towline_shared::id::{EventId, SecretName};
use towline_shared::secret::Secret;
use towline_shared::time::Timestamp;
use towline_shared::verdict::Verdict;
use towline_shared::verify::{Body, Provider, Request, Settings};

use self::answer::{Answer, Validity};
use self::raw_request::RawRequest;
use super::events::CapturedRequest;
use super::provider_options::{SchemeOptions, check_provider};
use super::{Context, Exit, Failure, input, wall_clock};
use crate::screen::paint;
use crate::settings::{SecretSource, SettingsError};

/// The longest request that is read.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// Check the signature of a request, and say why it fails
#[derive(Debug, Args)]
#[command(after_help = "\
The request is raw HTTP, head and body, from a file, stdin, or a kept event, as `towline events show --raw` writes \
it. Ends with 0 when it is valid and with 15 when it is not. With --json: `verdict` (valid, invalid), `reason` (ok, \
or the code of the cause), `result` (verified; authenticated when the body is not signed; failed), `detail`, and \
`diagnosis`, a list of what was found, each with `code`, `sentence` and `hint`.

Examples:
  towline verify github request.http --secret-env GITHUB_SECRET
  towline events show evt_06… --raw | towline verify stripe --secret-file live.txt
  towline verify extole evt_06… --secret-file key.txt --variant jwt
  towline verify paypal request.http --fetched keys.json --param webhook_id=4JH8…
  towline verify mine request.http --scheme mine.toml --secret-file key.txt
  towline verify --cases shared/tests/vectors")]
pub struct Arguments {
    /// The provider, such as `github`
    #[arg(required_unless_present = "cases")]
    provider: Option<String>,
    /// A file, an event's id, or `-` for stdin
    #[arg(default_value = "-", value_name = "REQUEST")]
    request: String,
    /// The time to check at, RFC 3339 or unix seconds [default: now; for a kept event when it was received]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    now: Option<Timestamp>,
    /// The public URL as the provider knows it [default: by the Host field, or the kept event's]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Keys that the provider publishes, as a JSON object: URL or key id to PEM or JWK
    #[arg(long, value_name = "FILE")]
    fetched: Option<PathBuf>,
    #[command(flatten)]
    scheme: SchemeOptions,
    /// A file with a signing secret; `-` is stdin (repeatable)
    #[arg(long, value_name = "FILE", help_heading = "Secret")]
    secret_file: Vec<PathBuf>,
    /// A variable that holds a signing secret (repeatable)
    #[arg(long, value_name = "VARIABLE", help_heading = "Secret")]
    secret_env: Vec<String>,
    /// Run test vectors instead, from files or folders of `*.json`; a line for each case that differs
    #[arg(
        long,
        value_name = "FILE",
        num_args = 1..,
        help_heading = "Test vectors",
        conflicts_with_all = ["now", "url", "fetched", "secret_file", "secret_env", "variant", "parameters"]
    )]
    cases: Vec<PathBuf>,
    /// Let the same verdict for another reason count as a difference too
    #[arg(long, help_heading = "Test vectors", requires = "cases")]
    reasons: bool,
}

/// The result as JSON.
#[derive(Serialize)]
struct CheckResult<'a> {
    #[serde(flatten)]
    answer: Answer<'a>,
    provider: &'a str,
    notes: &'a [String],
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
    if !arguments.cases.is_empty() {
        return run_cases(&arguments, provider, context);
    }
    let provider = provider.ok_or_else(|| Failure::usage("no provider is given"))?;
    let parameters = arguments.scheme.parameters()?;
    let variant = arguments.scheme.variant.as_deref();
    check_variant(&provider, variant)?;
    let secrets = secrets(&arguments, &provider, context)?;
    let fetched = match &arguments.fetched {
        Some(path) => fetched::read(path)?,
        None => BTreeMap::new(),
    };
    let given = given(&arguments, context).await?;
    for note in &given.request.notes {
        context
            .screen
            .notice(&format!("{} {note}", paint::odd("note:")));
    }
    for note in needs(&provider, variant, &parameters) {
        context
            .screen
            .notice(&format!("{} {note}", paint::odd("note:")));
    }
    let url = arguments
        .url
        .clone()
        .or(given.url)
        .unwrap_or_else(|| given.request.url_by_host());
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
            variant,
            now: arguments
                .now
                .or(given.received_at)
                .unwrap_or_else(wall_clock::now),
            fetched: &fetched,
        },
    );
    show(&verdict, &provider, &given.request.notes, context)
}

fn run_cases(
    arguments: &Arguments,
    provider: Option<Arc<Provider>>,
    context: &Context,
) -> anyhow::Result<Exit> {
    let run = cases::Run {
        places: &arguments.cases,
        only: arguments.provider.as_deref(),
        own: provider,
        compares_reasons: arguments.reasons,
    };
    run.run(context)
}

/// The named provider, by its own file if there is one.
fn provider(arguments: &Arguments) -> anyhow::Result<Option<Arc<Provider>>> {
    let Some(slug) = &arguments.provider else {
        let has_scheme = arguments.scheme.scheme.is_some();
        return match has_scheme {
            true => Err(Failure::usage("`--scheme` needs PROVIDER, the name of its table").into()),
            false => Ok(None),
        };
    };
    match arguments.scheme.own_scheme(slug)? {
        Some(text) => Ok(Some(Arc::new(Provider::parse(slug, &text)?))),
        None => Ok(Some(check_provider(slug)?)),
    }
}

/// What a relay would ask for, and the check goes without.
fn needs(
    provider: &Provider,
    variant: Option<&str>,
    parameters: &BTreeMap<String, String>,
) -> Vec<String> {
    let missing = provider.missing_parameters(variant, parameters).into_iter();
    let note = |name: &str| {
        format!(
            "without `--param {name}=…` requests for others of the provider's customers are valid too"
        )
    };
    missing.map(note).collect()
}

fn check_variant(provider: &Provider, variant: Option<&str>) -> Result<(), Failure> {
    let known = provider.variants();
    match variant {
        Some(variant) if !known.contains(&variant) => {
            let slug = provider.slug();
            let hint = if known.is_empty() {
                format!("`{slug}` has one scheme only, without a name")
            } else {
                format!("`{slug}` has {}", known.join(", "))
            };
            Err(Failure::usage(format!("`{slug}` has no scheme `{variant}`")).hint(hint))
        }
        _ => Ok(()),
    }
}

/// Reads RFC 3339 or unix seconds.
fn parse_time(text: &str) -> Result<Timestamp, String> {
    // From here on the number is one of milliseconds: as seconds it would be after the year 5000.
    const FIRST_MILLIS: u64 = 100_000_000_000;
    match text.parse::<u64>() {
        Ok(number) if number < FIRST_MILLIS => Ok(Timestamp::from_millis(number * 1000)),
        Ok(number) => Ok(Timestamp::from_millis(number)),
        Err(_) => text
            .parse::<Timestamp>()
            .map_err(|error| format!("{error}; expected RFC 3339 or unix seconds")),
    }
}

fn secrets(
    arguments: &Arguments,
    provider: &Provider,
    context: &Context,
) -> anyhow::Result<Vec<(SecretName, Secret)>> {
    let files = arguments.secret_file.iter().cloned();
    let variables = arguments.secret_env.iter().cloned();
    let sources: Vec<_> = files
        .map(SecretSource::File)
        .chain(variables.map(SecretSource::Variable))
        .collect();
    if sources.is_empty() && provider.needs_secret(arguments.scheme.variant.as_deref()) {
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
        secrets.push((name.parse()?, secret(source, context)?));
    }
    Ok(secrets)
}

/// An empty secret is one that matches nothing: the check is to say so, not the reading of it.
fn secret(source: &SecretSource, context: &Context) -> anyhow::Result<Secret> {
    match source.read(&context.settings.environment) {
        Err(SettingsError::NoSecret { .. }) if matches!(source, SecretSource::File(_)) => {
            Ok(Secret::new(""))
        }
        other => Ok(other?),
    }
}

async fn given(arguments: &Arguments, context: &Context) -> anyhow::Result<Given> {
    if let Ok(id) = arguments.request.parse::<EventId>() {
        return kept(id, context).await;
    }
    let bytes = input::read(&arguments.request, "request", MOST_BYTES)?;
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

fn show(
    verdict: &Verdict,
    provider: &Provider,
    notes: &[String],
    context: &Context,
) -> anyhow::Result<Exit> {
    let answer = Answer::of(verdict);
    let validity = answer.validity;
    if context.global.json {
        context.screen.json(&CheckResult {
            answer,
            provider: provider.slug(),
            notes,
        })?;
    } else {
        for line in answer::lines(verdict, provider.name()) {
            context.screen.data(&line)?;
        }
    }
    Ok(match validity {
        Validity::Valid => Exit::Done,
        Validity::Invalid | Validity::Unchecked => Exit::VerificationFailed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_rfc_3339_or_unix_seconds_or_milliseconds() {
        let time = Timestamp::from_millis(1_760_000_000_000);

        for text in ["1760000000", "1760000000000", "2025-10-09T08:53:20Z"] {
            assert_eq!(parse_time(text), Ok(time), "{text}");
        }
        for bad in ["", "-1", "now", "2025-10-09"] {
            assert!(parse_time(bad).is_err(), "{bad}");
        }
    }
}
