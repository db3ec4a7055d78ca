//! How endpoints are shown.

use towline_shared::api::{ConsumerList, EndpointView, OnFailure, Usage};

use super::super::consumers::view as consumers;
use super::super::{Context, Exit, wall_clock};
use super::{first_secret, intake, keep, secrets};
use crate::screen::table::{Cell, Table, Tone};
use crate::screen::{escape, paint, quantity};

/// All endpoints, one a line.
pub(super) fn table(endpoints: &[EndpointView], context: &Context) -> anyhow::Result<Exit> {
    let mut table = Table::new(&["NAME", "PROVIDER", "SECRETS", "URL"]);
    for endpoint in endpoints {
        let tone = if first_secret::is_open(endpoint) {
            Tone::Odd
        } else {
            Tone::Good
        };
        table.row([
            endpoint.name.as_str().into(),
            Cell::new(provider(endpoint), tone),
            secret_names(endpoint).into(),
            escape::line(&endpoint.url).into_owned().into(),
        ]);
    }
    if table.is_empty() {
        let hint = "there are no endpoints; make one with `towline endpoints create NAME`";
        context.screen.notice(hint);
        return Ok(Exit::Done);
    }
    // URLs are for copying and are never cut.
    for line in table.lines(None, 0) {
        context.screen.data(&line)?;
    }
    Ok(Exit::Done)
}

/// One endpoint with everything that is known of it.
pub(super) fn one(
    endpoint: &EndpointView,
    holds: Option<(&ConsumerList, &Usage)>,
    context: &Context,
) -> anyhow::Result<Exit> {
    if context.global.json {
        let mut value = serde_json::to_value(endpoint)?;
        if let (Some(object), Some((list, usage))) = (value.as_object_mut(), holds) {
            let consumers = serde_json::to_value(&list.consumers)?;
            object.insert("consumers".to_owned(), consumers);
            object.insert("usage".to_owned(), serde_json::to_value(usage)?);
        }
        context.screen.json(&value)?;
        return Ok(Exit::Done);
    }
    let mut facts = facts(endpoint, context);
    if let Some((_, usage)) = holds {
        facts.push(("holds", keep::usage(usage, context)));
    }
    for (label, value) in facts {
        let label = paint::quiet(format_args!("{label:<12}"));
        context.screen.data(&format!("{label}{value}"))?;
    }
    if let Some((list, _)) = holds {
        show_consumers(list, context)?;
        if let Some(hint) = first_secret::hint(endpoint) {
            let label = paint::strong("hint:");
            context.screen.notice(&format!("{label} {hint}"));
        }
    }
    Ok(Exit::Done)
}

/// What there is to say beside the URL of a new endpoint.
pub(super) fn notices(endpoint: &EndpointView, context: &Context) {
    context.screen.notice(&format!(
        "made the endpoint `{}`: provider {}, secrets {}",
        endpoint.name,
        provider(endpoint),
        secret_names(endpoint)
    ));
    if let Some(hint) = first_secret::hint(endpoint) {
        let label = paint::strong("hint:");
        context.screen.notice(&format!("{label} {hint}"));
    }
}

fn facts(endpoint: &EndpointView, context: &Context) -> Vec<(&'static str, String)> {
    let on_failure = match endpoint.on_failure {
        OnFailure::Reject => "reject: 401 to the sender, kept, not delivered",
        OnFailure::Deliver => "deliver: the usual answer, delivered with its verdict",
    };
    let duplicates = if endpoint.deliver_duplicates {
        "deliver: marked as repeats"
    } else {
        "keep: the usual answer, not delivered unless their delivery ids or types are others"
    };
    let made = quantity::date_and_time(endpoint.created_at, context.screen.zone());
    let mut facts = vec![
        ("name", endpoint.name.to_string()),
        ("url", paint::link(escape::line(&endpoint.url))),
        ("provider", provider(endpoint)),
        ("on failure", on_failure.to_owned()),
        ("duplicates", duplicates.to_owned()),
        ("answer", answer(endpoint)),
        ("max body", quantity::size(endpoint.max_body)),
        ("keeps", keep::bounds(&endpoint.retention)),
        ("made", made),
    ];
    if endpoint.awaits_secret {
        let text = "takes a secret from the provider's next challenge";
        facts.push(("waits", text.to_owned()));
    }
    if let Some(limits) = intake::limits(&endpoint.limits) {
        facts.push(("takes in", limits));
    }
    facts.splice(3..3, secrets::rows(endpoint, wall_clock::now()));
    if let Some(oauth) = &endpoint.oauth {
        facts.push(("token url", escape::line(&oauth.token_url).into_owned()));
        for client in &oauth.clients {
            facts.push(("client id", escape::line(&client.client_id).into_owned()));
        }
    }
    for (key, value) in &endpoint.parameters {
        let parameter = format!("{} = {}", escape::line(key), escape::line(value));
        facts.push(("parameter", parameter));
    }
    facts
}

fn provider(endpoint: &EndpointView) -> String {
    let Some(provider) = &endpoint.provider else {
        return "none (unchecked)".to_owned();
    };
    let mut text = escape::line(provider).into_owned();
    if let Some(variant) = &endpoint.variant {
        text = format!("{text}/{}", escape::line(variant));
    }
    if endpoint.has_own_scheme {
        text.push_str(" (own scheme)");
    }
    text
}

fn secret_names(endpoint: &EndpointView) -> String {
    if endpoint.secrets.is_empty() {
        return "none".to_owned();
    }
    let names = endpoint.secrets.iter().map(|secret| secret.name.as_str());
    names.collect::<Vec<_>>().join(", ")
}

fn answer(endpoint: &EndpointView) -> String {
    let ack = &endpoint.ack;
    let body = ack.body.as_deref().unwrap_or("{\"id\":\"evt_…\"}");
    format!("{} {}", ack.status, escape::line(body))
}

fn show_consumers(list: &ConsumerList, context: &Context) -> anyhow::Result<()> {
    let Some(table) = consumers::table(&list.consumers) else {
        return Ok(());
    };
    context.screen.data("")?;
    for line in table.lines(context.screen.terminal_columns(), 3) {
        context.screen.data(&line)?;
    }
    Ok(())
}
