//! `towline listen`: an endpoint's events to the app on this machine.

mod backlog;
mod consumer;
mod endpoint;
mod follow;
mod plan;
mod rejected;
mod remote;
mod route;
mod translation;
mod view;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use towline_shared::id::{ConsumerName, EndpointName};
use url::{Host, Url};

use self::plan::Plan;
use self::translation::TranslationOptions;
use super::filter_options::FilterOptions;
use super::local_relay::{self, LocalRelay};
use super::provider_options::{SchemeOptions, SecretOptions};
use super::{Context, Exit};
use crate::cli::{Since, parse_duration, parse_header, parse_host_header};
use crate::listen::HostHeader;
use crate::relay_api::RelayApi;
use crate::screen::paint;
use crate::target::Target;

/// Deliver an endpoint's events to an app on this machine
#[derive(Debug, Args)]
#[command(after_help = "\
The public URL comes first, alone on stdout; two lines follow for each event. With no relay configured, one is \
started in this process; only this machine can reach it. ^C lets the app finish what it has; a second ^C stops \
at once. Whatever the app did not get waits and is delivered next time.

Examples:
  towline listen 3000
  towline listen :3000/hooks --endpoint orders --provider stripe --secret-env STRIPE_SECRET
  towline listen 3000 --endpoint rewards --provider extole --variant jwt --secret-file key.txt
  towline listen 3000 --since 10m                   what came in the last ten minutes, too
  towline listen 3000 -e push,issues                these two only; the others are passed over
  towline listen 3000 --filter 'json(\"/data/amount\") > 1000 && verdict == verified'
  towline listen 3000 --route 'json(\"/type\") startsWith \"invoice.\" = localhost:4000/billing'
  towline listen 5173 --host-header rewrite         for Vite, Rails and Django, which check the host
  towline listen 3000 --json | jq .                 one JSON object a line")]
pub struct Arguments {
    /// Where to deliver: 3000, :3000, localhost:3000/path, https://app.test [variable: TOWLINE_TARGET]
    #[arg(value_name = "TARGET", conflicts_with = "forward_to")]
    target: Option<Target>,
    /// The same as TARGET
    #[arg(short, long, value_name = "TARGET")]
    forward_to: Option<Target>,
    /// A target of its own for events that the expression means; the first that fits counts, TARGET gets the rest, and
    /// without one the rest is skipped (repeatable) [project file: [[route]] with when and to]
    #[arg(long, value_name = "EXPRESSION = TARGET")]
    route: Vec<String>,
    /// Deliver to a TARGET that is not on this machine
    #[arg(long)]
    allow_remote_target: bool,
    /// The endpoint; it is made on first use [default: the project's name] [variable: TOWLINE_ENDPOINT]
    #[arg(long, value_name = "NAME")]
    endpoint: Option<EndpointName>,
    /// The provider whose signatures a new endpoint checks, such as `github` [variable: TOWLINE_PROVIDER]
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Have a new endpoint deliver repeats too: verified requests whose signed content has come before
    #[arg(long)]
    deliver_duplicates: bool,
    /// Print the public URL, making the endpoint if it is new, and end
    #[arg(long)]
    print_url: bool,
    /// The data folder of the relay on this machine, when none is configured
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    scheme: SchemeOptions,
    #[command(flatten)]
    secret: SecretOptions,
    #[command(flatten)]
    filter: FilterOptions,
    /// The name to read as; each name has its own place in the line [default: MACHINE:PORT]
    #[arg(long = "as", value_name = "NAME", help_heading = "Line")]
    consumer: Option<ConsumerName>,
    /// Where a new name starts: now, beginning, last, a time, a time ago (10m), or an event's id
    #[arg(
        long,
        value_name = "WHEN",
        default_value = "now",
        help_heading = "Line"
    )]
    since: Since,
    /// Ask first when more events than this wait (without a terminal: stop with exit code 19)
    #[arg(long, value_name = "N", help_heading = "Line")]
    max_backlog: Option<u64>,
    /// How many deliveries may be in hand; 1 keeps the order [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024), help_heading = "Line")]
    concurrency: Option<u32>,
    /// The time limit of one attempt [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, help_heading = "Delivery")]
    timeout: Option<Duration>,
    /// How often an answer of 5xx, 408, 425 or 429 is tried again [default: 0]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100), help_heading = "Delivery")]
    retry: Option<u32>,
    /// Park an event after N calls that the app took and did not answer (timeout, reset), so that the rest
    /// goes on; it stays kept, and `towline replay` delivers it again [default: call again until answered]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000), help_heading = "Delivery")]
    park_after: Option<u32>,
    /// The Host field: preserve (the sender's), rewrite (the target's), or a value [default: preserve]
    #[arg(long, value_name = "HOW", value_parser = parse_host_header, help_heading = "Delivery")]
    host_header: Option<HostHeader>,
    /// Add a field to each request (repeatable)
    #[arg(long, value_name = "NAME: VALUE", value_parser = parse_header, help_heading = "Delivery")]
    add_header: Vec<(String, String)>,
    /// Add Towline-Event-Id, Towline-Attempt and Towline-Replay to each request
    #[arg(long, help_heading = "Delivery")]
    mark: bool,
    /// Do not check the target's certificate
    #[arg(long, help_heading = "Delivery")]
    insecure: bool,
    #[command(flatten)]
    translation: TranslationOptions,
}

/// Listens until ^C.
///
/// # Errors
/// When settings are wrong, the relay cannot be reached or ends the session for good.
pub async fn run(arguments: Arguments, context: Context) -> anyhow::Result<Exit> {
    let plan = Plan::make(&arguments, &context)?;
    remote::check(&plan, &context).await?;
    let (api, local) = reach_relay(&plan, &context).await?;
    let ended = with_relay(plan, &arguments.translation, &context, api).await;
    if let Some(local) = local {
        local.stop().await;
    }
    ended
}

async fn with_relay(
    plan: Plan,
    translation: &TranslationOptions,
    context: &Context,
    api: RelayApi,
) -> anyhow::Result<Exit> {
    let secret_from = endpoint::ensure(&plan, &api, context).await?;
    if plan.print_url {
        let endpoint = api.endpoint(&plan.endpoint).await?;
        context.screen.data(&endpoint.url)?;
        return Ok(Exit::Done);
    }
    if !backlog::is_wanted(&plan, &api, context).await? {
        context
            .screen
            .notice("nothing was delivered; the events wait");
        return Ok(Exit::Done);
    }
    let signer = translation.signer(&plan, &api, context).await?;
    follow::follow(plan, api, secret_from, signer, context).await
}

/// The configured relay; else the one that runs on this machine; else a new one in this process.
async fn reach_relay(
    plan: &Plan,
    context: &Context,
) -> anyhow::Result<(RelayApi, Option<LocalRelay>)> {
    if context.settings.relay.is_some() {
        return Ok((context.api()?, None));
    }
    if let Some(found) = local_relay::running(&plan.data) {
        let api = RelayApi::new(found.address, Some(found.token));
        if let Ok(who) = api.whoami().await {
            let text = format!(
                "using the relay that runs on this machine, {}",
                api.address()
            );
            context.screen.notice(&paint::quiet(text));
            if is_of_this_machine(&who.public_url) {
                only_here(context);
            }
            return Ok((api, None));
        }
    }
    let relay = LocalRelay::start(&plan.data).await?;
    let text = format!(
        "no relay is configured: started one here, {}",
        relay.public_url()
    );
    context.screen.notice(&paint::odd(text));
    let data = format!("its data is in {}", plan.data.display());
    context.screen.notice(&paint::quiet(data));
    only_here(context);
    let api = RelayApi::new(relay.found.address.clone(), Some(relay.found.token.clone()));
    Ok((api, Some(relay)))
}

fn is_of_this_machine(public_url: &str) -> bool {
    let url = Url::parse(public_url).ok();
    match url.as_ref().and_then(Url::host) {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn only_here(context: &Context) {
    let note = paint::strong("note:");
    context.screen.notice(&format!(
        "{note} only this machine can reach it. For webhooks from elsewhere run"
    ));
    context
        .screen
        .notice("      `towline serve` on a public host (see deploy/README.md), then here");
    context
        .screen
        .notice("      `towline login https://THAT.HOST`");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_is_of_this_machine_when_its_public_url_is() {
        for url in [
            "http://127.0.0.1:8787",
            "http://localhost",
            "http://[::1]:1",
        ] {
            assert!(is_of_this_machine(url), "{url}");
        }
        for url in [
            "https://hooks.example",
            "http://192.168.0.2:8787",
            "nonsense",
        ] {
            assert!(!is_of_this_machine(url), "{url}");
        }
    }
}
