//! `towline trigger PROVIDER.EVENT`: a signed sample webhook, sent over real HTTP to an endpoint of the relay or
//! straight to an app.

mod answer;
mod catalogue;
mod change;
mod destination;
mod editor;
mod message;

use std::time::Duration;

use clap::Args;
use towline_shared::id::EndpointName;
use towline_shared::time::Timestamp;

pub(super) use self::change::Change;
use self::destination::Destination;
use self::message::Composer;
use super::provider_options::SchemeOptions;
use super::signer::SecretChoice;
use super::{Context, Exit, Failure};
use crate::body::Body;
use crate::cli::{parse_duration, parse_header};
use crate::forward::{Delivery, Forwarder, HostHeader};
use crate::target::Target;

/// The most webhooks of one call; load is made with other tools.
const MOST_REPEATS: u32 = 1000;

/// Send a signed sample webhook
#[derive(Debug, Args)]
#[command(after_help = "\
Without --to it goes to the relay's endpoint of that provider, from there to whoever listens, as a real one would. \
Ids and times are fresh each time. Ends with 0 when the answer is 2xx, with 19 when it is another, and with 16 \
when there is none; with --forged it is 0 when the app refuses it (4xx).

Examples:
  towline trigger --list stripe
  towline trigger github.push --to 3000/hooks --secret-env GITHUB_SECRET
  towline trigger stripe.invoice.paid --secret-file key.txt --set /data/object/amount_paid=4200
  towline trigger benji.user_updated --endpoint rewards --secret-file salt.txt
  towline trigger slack.app_mention --to 3000 --secret-file key.txt --forged
  towline trigger github.push --to 3000 --secret-file key.txt --dry-run")]
pub struct Arguments {
    /// The provider and the event, such as `github.push`
    #[arg(required_unless_present = "list", value_name = "PROVIDER.EVENT")]
    event: Option<String>,
    /// List the samples, all or a provider's
    #[arg(long, num_args = 0..=1, value_name = "PROVIDER", conflicts_with = "event")]
    list: Option<Option<String>>,
    /// Call this target instead of the relay
    #[arg(long, value_name = "TARGET", conflicts_with = "endpoint")]
    to: Option<Target>,
    /// The relay's endpoint [default: the only one of the provider]
    #[arg(long, value_name = "NAME")]
    endpoint: Option<EndpointName>,
    /// The public URL to sign for and to name in Host [default: the one that is called]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The time to sign at, RFC 3339 [default: now]
    #[arg(long, value_name = "TIME")]
    now: Option<Timestamp>,
    /// Print the request instead of sending it
    #[arg(long)]
    dry_run: bool,
    /// Send it that many times, each with fresh ids, 1 to 1000
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_REPEATS)))]
    repeat: u32,
    /// The time limit of one call
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "30s")]
    timeout: Duration,
    /// Do not check the certificate of what is called
    #[arg(long)]
    insecure: bool,
    #[command(flatten)]
    content: Content,
    #[command(flatten)]
    scheme: SchemeOptions,
    #[command(flatten)]
    secret: SecretChoice,
}

/// What is sent instead of the sample as it is.
#[derive(Debug, Args)]
#[command(next_help_heading = "Content")]
struct Content {
    /// Change a value: a JSON Pointer, or `/FIELD` of a form (repeatable)
    #[arg(long = "set", value_name = "/POINTER=VALUE")]
    changes: Vec<Change>,
    /// Change the body in $VISUAL or $EDITOR before it is signed
    #[arg(long)]
    edit: bool,
    /// Send this file's bytes as the body
    #[arg(long, value_name = "FILE")]
    body_file: Option<String>,
    /// The provider's id of the delivery [default: a fresh one]
    #[arg(long, value_name = "ID")]
    delivery_id: Option<String>,
    /// Add a field, or replace the sample's (repeatable)
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = parse_header)]
    headers: Vec<(String, String)>,
    /// Send it without a signature
    #[arg(long, conflicts_with = "forged")]
    unsigned: bool,
    /// Send it with a wrong signature, to see it refused
    #[arg(long)]
    forged: bool,
}

/// Sends, prints or lists.
///
/// # Errors
/// When the sample, the secret, the endpoint or the target cannot be found or used.
pub async fn run(arguments: Arguments, context: &Context) -> anyhow::Result<Exit> {
    if let Some(provider) = &arguments.list {
        return catalogue::list(provider.as_deref(), context);
    }
    let event = arguments.event.as_deref().unwrap_or_default();
    let named = catalogue::named(event, arguments.content.body_file.is_some())?;
    let destination = match &arguments.to {
        Some(target) => Destination::of_target(target),
        None => {
            let api = context.api()?;
            Destination::at_relay(&api, named.provider, arguments.endpoint.as_ref()).await?
        }
    };
    let composer = Composer::new(named, &arguments, &destination, context)?;
    if arguments.dry_run {
        let message = composer.compose()?;
        context.screen.raw(message.head.as_bytes())?;
        context.screen.raw(&message.body)?;
        return Ok(Exit::Done);
    }
    let forwarder = forwarder(&arguments, &destination)?;
    let mut exit = Exit::Done;
    for _ in 0..arguments.repeat {
        let message = composer.compose()?;
        answer::show_request(&message, context)?;
        let mut body = Body::Memory(message.body.clone().into());
        let tried = forwarder.send(&message.head, &mut body).await;
        answer::show(&message, &tried, context)?;
        let one = answer::exit(&tried.outcome, arguments.content.forged);
        if one != Exit::Done {
            exit = one;
        }
    }
    Ok(exit)
}

fn forwarder(arguments: &Arguments, destination: &Destination) -> Result<Forwarder, Failure> {
    let delivery = Delivery {
        target: destination.target.clone(),
        timeout: arguments.timeout,
        retries: 0,
        park_after: None,
        host: HostHeader::Preserve,
        add_headers: Vec::new(),
        mark: false,
        insecure: arguments.insecure,
    };
    Forwarder::new(delivery)
        .map_err(|error| Failure::invalid("the target cannot be called as asked").because(error))
}
