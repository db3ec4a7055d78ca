//! `towline replay --to URL`: fetches the request, calls the target from here, and has the relay keep the outcome.

use std::convert::Infallible;

use anyhow::Context as _;
use bytes::Bytes;
use serde::Serialize;
use towline_shared::api::ReplayView;
use towline_shared::event::INLINE_BODY_BYTES;
use towline_shared::head::Head;
use towline_shared::id::{EventId, ReplayId};
use towline_shared::outcome::{self, Attempt, Outcome, Settled};

use super::super::events::{CapturedRequest, decode};
use super::super::{Context, Exit, Failure, wall_clock};
use super::CallOptions;
use crate::body::{Body, SpoolFile};
use crate::forward::{Call, Delivery, Forwarder};
use crate::relay_api::RelayApi;
use crate::screen::event_lines::{self, Arrival, Layout};
use crate::screen::paint;
use crate::target::Target;

/// One replay as JSON.
#[derive(Serialize)]
struct Done<'a> {
    attempt: &'a Attempt,
    is_recorded: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

/// What is sent.
pub(super) struct Requests<'a> {
    pub(super) events: &'a [EventId],
    /// The requests that the relay made, in the order of the events; `None` sends what was captured.
    pub(super) replays: Option<&'a [ReplayView]>,
    /// The edited body.
    pub(super) body: Option<Bytes>,
}

/// Makes the calls one after the other.
pub(super) async fn replay(
    requests: Requests<'_>,
    target: Target,
    options: CallOptions,
    context: &Context,
) -> anyhow::Result<Exit> {
    let api = context.api()?;
    let delivery = Delivery {
        target,
        timeout: options.timeout,
        retries: 0,
        park_after: None,
        host: options.host_header,
        add_headers: options.add_header,
        mark: options.mark,
        insecure: options.insecure,
    };
    let forwarder = Forwarder::new(delivery)
        .map_err(|error| Failure::invalid("the target cannot be called as asked").because(error))?;
    let mut exit = Exit::Done;
    for (index, &event) in requests.events.iter().enumerate() {
        let own = match requests.replays {
            Some(replays) => Some(OwnRequest::of(event, replays.get(index), &requests)?),
            None => None,
        };
        if !one(event, own, &forwarder, &api, context).await? {
            exit = Exit::TargetUnreachable;
        }
    }
    Ok(exit)
}

/// A request that the relay made in place of the captured one.
struct OwnRequest {
    id: ReplayId,
    head: Head,
    body: Option<Bytes>,
}

impl OwnRequest {
    fn of(
        event: EventId,
        replay: Option<&ReplayView>,
        requests: &Requests<'_>,
    ) -> anyhow::Result<Self> {
        let unreadable =
            || Failure::invalid(format!("the relay's request for {event} cannot be read"));
        let replay = replay.filter(|replay| replay.event == event);
        let (id, head) = replay
            .and_then(|replay| Some((replay.id, replay.head_base64.as_ref()?)))
            .ok_or_else(unreadable)?;
        let head = Head::parse(decode(head)?).map_err(|error| unreadable().because(error))?;
        Ok(Self {
            id,
            head,
            body: requests.body.clone(),
        })
    }
}

/// Whether the target answered.
async fn one(
    event: EventId,
    own: Option<OwnRequest>,
    forwarder: &Forwarder,
    api: &RelayApi,
    context: &Context,
) -> anyhow::Result<bool> {
    let request = CapturedRequest::fetch(api, event).await?;
    let (replay, head, edited) = match own {
        Some(own) => (own.id, own.head, own.body),
        None => (replay_id()?, request.head.clone(), None),
    };
    let mut body = match edited {
        Some(edited) => Body::Memory(edited),
        None => body(&request, api, context).await?,
    };
    if !context.global.json {
        let summary = &request.detail.summary;
        let arrival = Arrival {
            info: &summary.info,
            method: &summary.method,
            target: &summary.target,
            replayed_at: Some(wall_clock::now()),
        };
        let lines = event_lines::arrival(arrival, &layout(context));
        context.screen.data(&lines[0])?;
    }
    let delivery = outcome::Delivery {
        seq: request.detail.summary.info.seq,
        replay: Some(replay),
    };
    let call = Call {
        event,
        delivery,
        number: 1,
        head: &head,
        body: &mut body,
    };
    let tried = match forwarder.deliver(call, |_| Ok::<(), Infallible>(())).await {
        Ok(tried) => tried,
        Err(never) => match never {},
    };
    let hint = tried.hint.clone();
    let settled = match tried.outcome {
        Outcome::Answered { status, .. } => Some(Settled::by_status(status)),
        _ => None,
    };
    let report = tried.into_report(event, delivery, 1, settled);
    let mut attempt = report.attempt.clone();
    let recorded = api.record_attempt(event, report).await;
    if let Ok(recorded) = &recorded {
        attempt.findings.clone_from(&recorded.findings);
    }
    if context.global.json {
        context.screen.json(&Done {
            attempt: &attempt,
            is_recorded: recorded.is_ok(),
            hint: hint.as_deref(),
        })?;
    } else {
        show(
            &attempt,
            &request.detail.summary.method,
            hint.as_deref(),
            context,
        )?;
    }
    if let Err(error) = recorded {
        context.screen.notice(&format!(
            "{} the relay did not keep the outcome: {error}",
            paint::odd("note:")
        ));
    }
    Ok(settled.is_some())
}

fn show(
    attempt: &Attempt,
    method: &str,
    hint: Option<&str>,
    context: &Context,
) -> anyhow::Result<()> {
    let layout = layout(context);
    context
        .screen
        .data(&event_lines::outcome(attempt, method, false, &layout))?;
    if let Some(hint) = hint {
        for line in event_lines::below("hint:", hint, &layout) {
            context.screen.notice(&line);
        }
    }
    for line in event_lines::findings(&attempt.findings, &layout) {
        context.screen.notice(&line);
    }
    Ok(())
}

fn layout(context: &Context) -> Layout {
    Layout::new(
        context.screen.terminal_columns(),
        context.screen.zone().clone(),
    )
}

/// Long bodies go through a file, as in `listen`.
async fn body(
    request: &CapturedRequest,
    api: &RelayApi,
    context: &Context,
) -> anyhow::Result<Body> {
    let info = &request.detail.summary.info;
    if info.body_length <= INLINE_BODY_BYTES as u64 {
        return Ok(Body::Memory(request.body(api).await?));
    }
    let folder = context.settings.folders.state();
    std::fs::create_dir_all(folder)
        .with_context(|| format!("could not make `{}`", folder.display()))?;
    let mut spool = SpoolFile::create(folder)
        .await
        .context("could not make a file for the body")?;
    let mut download = api.body(info.id).await?;
    while let Some(bytes) = download.next().await? {
        spool
            .append(&bytes)
            .await
            .context("could not keep the body")?;
    }
    spool.finish().await.context("could not keep the body")
}

fn replay_id() -> anyhow::Result<ReplayId> {
    let mut random = [0; 10];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    Ok(ReplayId::new(wall_clock::now(), random))
}
