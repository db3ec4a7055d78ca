//! `towline status`: endpoints, who reads them and who is there, at a glance.

use clap::Args;
use serde_json::json;
use towline_shared::api::{ConsumerView, EndpointView};

use super::consumers::view;
use super::{Context, Exit};
use crate::relay_api::RelayApi;
use crate::screen::{escape, paint, quantity};

/// Show endpoints, their consumers and who is connected, at a glance
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towline status
  towline status --json | jq '.endpoints[] | select(.consumers[].backlog > 0)'")]
pub struct Arguments {}

/// Shows it.
///
/// # Errors
/// When the relay cannot be reached or refuses.
pub async fn run(context: &Context) -> anyhow::Result<Exit> {
    let api = context.api()?;
    let who = api.whoami().await?;
    let all = with_consumers(&api).await?;
    if context.global.json {
        let endpoints = all.iter().map(|(endpoint, consumers)| {
            let mut value = serde_json::to_value(endpoint)?;
            value["consumers"] = serde_json::to_value(consumers)?;
            Ok(value)
        });
        let endpoints: Vec<_> = endpoints.collect::<Result<_, serde_json::Error>>()?;
        let status =
            json!({ "relay": who.relay, "public_url": who.public_url, "endpoints": endpoints });
        context.screen.json(&status)?;
        return Ok(Exit::Done);
    }
    let screen = &context.screen;
    screen.data(&format!(
        "{} at {} as `{}`: {}, {}",
        escape::line(&who.relay),
        paint::link(escape::line(&who.public_url)),
        escape::line(&who.token),
        quantity::count(all.len() as u64, "endpoint"),
        quantity::count(connected(&all), "connected consumer"),
    ))?;
    for (endpoint, consumers) in &all {
        let provider = endpoint.provider.as_deref().unwrap_or("unchecked");
        screen.data("")?;
        screen.data(&format!(
            "{}  {}  {}",
            paint::strong(&endpoint.name),
            escape::line(provider),
            paint::quiet(escape::line(&endpoint.url)),
        ))?;
        let Some(table) = view::table(consumers) else {
            screen.data(&paint::quiet("  nobody reads it"))?;
            continue;
        };
        for line in table.lines(screen.terminal_columns().map(|columns| columns - 2), 3) {
            screen.data(&format!("  {line}"))?;
        }
    }
    Ok(Exit::Done)
}

async fn with_consumers(api: &RelayApi) -> anyhow::Result<Vec<(EndpointView, Vec<ConsumerView>)>> {
    let mut all = Vec::new();
    for endpoint in api.endpoints().await?.endpoints {
        let consumers = api.consumers(&endpoint.name).await?.consumers;
        all.push((endpoint, consumers));
    }
    Ok(all)
}

fn connected(all: &[(EndpointView, Vec<ConsumerView>)]) -> u64 {
    let consumers = all.iter().flat_map(|(_, consumers)| consumers);
    consumers.filter(|consumer| consumer.is_connected).count() as u64
}
