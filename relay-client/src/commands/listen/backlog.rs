//! `--max-backlog`: asks before a returning consumer gets more than a person expects.

use super::super::{Context, Exit, Failure};
use super::plan::Plan;
use crate::relay_api::RelayApi;
use crate::screen::quantity;

/// Whether to go on.
pub(super) async fn is_wanted(
    plan: &Plan,
    api: &RelayApi,
    context: &Context,
) -> anyhow::Result<bool> {
    let Some(most) = plan.max_backlog else {
        return Ok(true);
    };
    let list = match api.consumers(&plan.endpoint).await {
        Ok(list) => list,
        Err(error) if error.is_forbidden() => {
            context
                .screen
                .notice("how many events wait cannot be asked with this token; going on");
            return Ok(true);
        }
        Err(error) => return Err(error.into()),
    };
    let own = list
        .consumers
        .iter()
        .find(|consumer| consumer.name == plan.consumer);
    let waiting = own.map_or(0, |consumer| consumer.backlog);
    if waiting <= most {
        return Ok(true);
    }
    // The relay counts without the filter.
    let up_to = if plan.filter.is_some() { "up to " } else { "" };
    let waiting = format!(
        "{up_to}{} for `{}`",
        quantity::count(waiting, "event"),
        plan.consumer
    );
    if context.screen.can_ask() {
        return Ok(context
            .screen
            .ask(&format!("{waiting} wait. Deliver all of them?"))?);
    }
    Err(Failure::new(
        Exit::ExpectationNotMet,
        format!("{waiting} wait, more than `--max-backlog {most}`"),
    )
    .hint("raise the number, or read under another name with `--as NAME`, which starts at now")
    .into())
}
