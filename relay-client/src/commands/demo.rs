//! `towline demo`: the whole way of a webhook with real sockets, proven to the byte, in a few seconds.

mod app;
mod proof;
mod provider;
mod samples;
mod stage;
mod webhooks;

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;
use towline_shared::api::{AskReplays, EventSummary};
use towline_shared::event::EventInfo;
use towline_shared::id::EventId;
use towline_shared::outcome::Attempt;

use self::app::Received;
use self::proof::Proof;
use self::stage::Stage;
use self::webhooks::Webhook;
use super::{Exit, wall_clock};
use crate::listen::News;
use crate::relay_api::EventQuery;
use crate::screen::event_lines::{self, Arrival, Layout};
use crate::screen::{Screen, paint, quantity};

/// More than any event of the demo has.
const MOST_RAW_BYTES: usize = 64 * 1024;

/// See the whole way of webhooks in ten seconds: relay, listener and a small app, all on this machine
#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is configured and nothing is left behind. Ends with 0 only if every byte came through as promised.")]
pub struct Arguments {}

/// Runs the demo.
///
/// # Errors
/// When a part cannot be started or does not do its part in time.
pub async fn run(_: &Arguments, screen: &Screen, is_json: bool) -> anyhow::Result<Exit> {
    let began = Instant::now();
    let mut show = Show {
        layout: Layout::new(screen.terminal_columns(), screen.zone().clone()),
        screen,
        is_json,
    };
    let mut stage = Stage::set().await?;
    show.opening(&stage)?;
    let played = play(&mut stage, &mut show).await;
    let has_surplus = stage.has_surplus();
    stage.clear().await?;
    let proofs = played?;
    let held = !has_surplus && proofs.iter().all(Proof::held);
    show.closing(&proofs, held, began.elapsed())?;
    Ok(if held {
        Exit::Done
    } else {
        Exit::ExpectationNotMet
    })
}

async fn play(stage: &mut Stage, show: &mut Show<'_>) -> anyhow::Result<Vec<Proof>> {
    let mut proofs = Vec::new();
    let mut first = None;
    for webhook in webhooks::webhooks(wall_clock::now()) {
        show.title(webhook.title)?;
        if webhook.is_rejected {
            turn_away(stage, &webhook, show)
                .await
                .context(webhook.title)?;
            continue;
        }
        let sent = sent(stage, &webhook)?;
        let event = send(stage, &webhook, &sent).await.context(webhook.title)?;
        proofs.push(
            follow(stage, webhook.title, event, &sent, show)
                .await
                .context(webhook.title)?,
        );
        first.get_or_insert((event, sent));
    }
    let (event, sent) = first.context("the demo has no webhooks")?;
    show.title("the first one once more: a replay")?;
    let ask = AskReplays {
        events: vec![event],
        ..AskReplays::default()
    };
    stage.api.ask_replays(&ask).await?;
    proofs.push(
        follow(stage, "replay of the first", event, &sent, show)
            .await
            .context("replay")?,
    );
    Ok(proofs)
}

fn sent(stage: &Stage, webhook: &Webhook) -> anyhow::Result<Received> {
    let path = stage
        .paths
        .get(webhook.endpoint)
        .context("the endpoint was not made")?;
    let host = stage.relay_address()?.to_string();
    Ok(Received {
        head: webhook.head(&host, path),
        body: webhook.body.clone(),
    })
}

/// Sends a webhook that is to be kept; its id stands in the answer.
async fn send(stage: &Stage, webhook: &Webhook, sent: &Received) -> anyhow::Result<EventId> {
    #[derive(serde::Deserialize)]
    struct Kept {
        id: EventId,
    }
    let answer = provider::send(
        stage.relay_address()?,
        &sent.head,
        &webhook.body_on_the_wire(),
    )
    .await?;
    if answer.status != 200 {
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        bail!(
            "the relay answered with {} where 200 was expected: {body}",
            answer.status
        );
    }
    let kept: Kept =
        serde_json::from_slice(&answer.body).context("the relay's answer cannot be read")?;
    Ok(kept.id)
}

/// Follows an event to the app and back, and compares.
async fn follow(
    stage: &mut Stage,
    title: &str,
    event: EventId,
    sent: &Received,
    show: &mut Show<'_>,
) -> anyhow::Result<Proof> {
    let arrived = stage
        .news(|news| matches!(news, News::Event { info, .. } if info.id == event))
        .await?;
    let News::Event {
        info,
        method,
        target,
        is_replay,
    } = &arrived
    else {
        bail!("other news than were waited for");
    };
    show.arrival(Arrival {
        info,
        method,
        target,
        replayed_at: is_replay.then(wall_clock::now),
    })?;
    let delivered = stage.received().await?;
    let ended = stage
        .news(|news| matches!(news, News::Outcome { info, .. } if info.id == event))
        .await?;
    let News::Outcome { attempt, .. } = &ended else {
        bail!("other news than were waited for");
    };
    show.outcome(attempt, method)?;
    let kept = stage.api.raw(event).await?.whole(MOST_RAW_BYTES).await?;
    let mut proof = Proof::of(title, sent, &kept, delivered, &attempt.changes);
    proof.is_as_expected = is_as_expected(info, attempt);
    Ok(proof)
}

/// An accepted check, and an answer of the app that ends the delivery.
fn is_as_expected(info: &EventInfo, attempt: &Attempt) -> bool {
    info.verdict.is_accepted() && info.is_deliverable && attempt.settled.is_some()
}

/// Sends a webhook with a wrong signature: 401 to the sender, kept, explained, and never seen by the app.
async fn turn_away(
    stage: &mut Stage,
    webhook: &Webhook,
    show: &mut Show<'_>,
) -> anyhow::Result<()> {
    let sent = sent(stage, webhook)?;
    let answer = provider::send(
        stage.relay_address()?,
        &sent.head,
        &webhook.body_on_the_wire(),
    )
    .await?;
    if answer.status != 401 {
        bail!(
            "the relay answered with {} where 401 was expected",
            answer.status
        );
    }
    let query = EventQuery {
        rejected: true,
        limit: 1,
        ..EventQuery::default()
    };
    let kept = stage.api.events(&query).await?.events;
    let event = kept.first().context("the rejected event was not kept")?;
    show.rejected(event)?;
    let has_reason = matches!(&event.info.verdict, towline_shared::verdict::Verdict::Failed(failure) if !failure.findings.is_empty());
    if !has_reason || event.info.is_deliverable {
        bail!("the rejection is not explained");
    }
    Ok(())
}

/// Shows the play on the screen; for machines only the proofs.
struct Show<'a> {
    screen: &'a Screen,
    layout: Layout,
    is_json: bool,
}

impl Show<'_> {
    fn opening(&self, stage: &Stage) -> anyhow::Result<()> {
        let relay = stage.api.address();
        self.say(&format!(
            "{}  {}",
            paint::quiet("relay"),
            paint::link(relay)
        ))?;
        self.say(&format!(
            "{}    {}",
            paint::quiet("app"),
            paint::link(stage.target()?)
        ))
    }

    fn title(&self, title: &str) -> anyhow::Result<()> {
        self.say("")?;
        self.say(&paint::strong(title))
    }

    fn arrival(&self, arrival: Arrival<'_>) -> anyhow::Result<()> {
        event_lines::arrival(arrival, &self.layout)
            .iter()
            .try_for_each(|line| self.say(line))
    }

    fn outcome(&self, attempt: &Attempt, method: &str) -> anyhow::Result<()> {
        self.say(&event_lines::outcome(attempt, method, false, &self.layout))
    }

    fn rejected(&self, event: &EventSummary) -> anyhow::Result<()> {
        self.arrival(Arrival {
            info: &event.info,
            method: &event.method,
            target: &event.target,
            replayed_at: None,
        })?;
        event_lines::below(
            "answer:",
            "401 to the sender; kept, and not delivered",
            &self.layout,
        )
        .iter()
        .try_for_each(|line| self.say(line))
    }

    fn closing(&self, proofs: &[Proof], held: bool, took: Duration) -> anyhow::Result<()> {
        if self.is_json {
            for proof in proofs {
                self.screen.json(&proof.line())?;
            }
            return Ok(());
        }
        self.say("")?;
        for line in proof::table(proofs, self.screen.terminal_columns()) {
            self.say(&line)?;
        }
        self.say("")?;
        self.say(&paint::quiet(
            "what a hop must change, and nothing else did:",
        ))?;
        for reason in proof::reasons(proofs) {
            self.say(&format!("  {reason}"))?;
        }
        self.say("")?;
        let took = quantity::duration(took);
        if held {
            return self.say(&paint::good(format!("all of it held, in {took}")));
        }
        self.say(&paint::bad(format!("not all of it held, in {took}")))
    }

    fn say(&self, line: &str) -> anyhow::Result<()> {
        if self.is_json {
            return Ok(());
        }
        Ok(self.screen.data(line)?)
    }
}
