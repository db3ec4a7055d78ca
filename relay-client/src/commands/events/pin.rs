//! `towline events pin` and `unpin`: what retention leaves alone.

use clap::Args;
use serde_json::json;
use towline_shared::id::EventId;

use super::super::{Context, Exit};

/// Which events.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The events
    #[arg(required = true, value_name = "ID")]
    ids: Vec<EventId>,
}

/// Pins them one by one; what was pinned before an error stays pinned.
pub(super) async fn pin(arguments: Arguments, context: &Context) -> anyhow::Result<Exit> {
    let api = context.api()?;
    for id in arguments.ids {
        api.pin(id).await?;
        let said = format!("pinned {id}: it stays until it is unpinned or its endpoint is deleted");
        say(context, &json!({ "pinned": id }), &said)?;
    }
    Ok(Exit::Done)
}

/// Unpins them one by one.
pub(super) async fn unpin(arguments: Arguments, context: &Context) -> anyhow::Result<Exit> {
    let api = context.api()?;
    for id in arguments.ids {
        let is_removed = api.unpin(id).await?.is_removed;
        let said = if is_removed {
            format!("unpinned {id}: only its pin had kept it, and it is removed now")
        } else {
            format!("unpinned {id}")
        };
        let value = json!({ "unpinned": id, "is_removed": is_removed });
        say(context, &value, &said)?;
    }
    Ok(Exit::Done)
}

fn say(context: &Context, value: &serde_json::Value, said: &str) -> anyhow::Result<()> {
    if context.global.json {
        context.screen.json(value)?;
    } else {
        context.screen.notice(said);
    }
    Ok(())
}
