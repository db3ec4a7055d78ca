//! Removes what endpoints may not keep any longer, in small steps beside live writes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::time::{MissedTickBehavior, interval, sleep};
use towline_shared::id::Seq;
use towline_shared::time::Timestamp;
use tracing::{info, warn};

use crate::endpoints::LiveEndpoint;
use crate::relay::Relay;
use crate::store::{EndpointId, StoreError};

/// How often every endpoint is looked at; for so long it may exceed its bounds.
const INTERVAL: Duration = Duration::from_secs(5);

/// Events of one step: under a millisecond of the writer's time (LIMITS.md: 20 to 35 µs each), so that a
/// live write that waits for it hardly notices.
const STEP: usize = 25;

/// Steps for one endpoint before the others have their turn.
const STEPS_IN_A_ROW: usize = 400;

/// Works until the relay stops.
pub(crate) async fn run(relay: Arc<Relay>) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pace = Pace::default();
    let mut has_failed = false;
    loop {
        tokio::select! {
            biased;
            () = relay.stopping.cancelled() => return,
            () = relay.retention.notified() => {}
            _ = ticks.tick() => {}
        }
        match round(&relay, &mut pace).await {
            Ok(()) => has_failed = false,
            Err(StoreError::Closed) => return,
            // Once, and not every few seconds while a disk is full.
            Err(error) if !has_failed => {
                warn!(%error, "old events could not be removed; later again");
                has_failed = true;
            }
            Err(_) => {}
        }
    }
}

/// Looks at every endpoint until none has anything to remove.
async fn round(relay: &Relay, pace: &mut Pace) -> Result<(), StoreError> {
    let mut is_over = false;
    while !is_over && !relay.stopping.is_cancelled() {
        is_over = true;
        for live in relay.endpoints.all() {
            is_over &= look_at(relay, &live, pace).await?;
        }
    }
    Ok(())
}

/// Removes what an endpoint has too much, up to a bound; whether nothing is left to remove.
async fn look_at(relay: &Relay, live: &LiveEndpoint, pace: &mut Pace) -> Result<bool, StoreError> {
    let endpoint = live.endpoint.id;
    let keep = live
        .endpoint
        .settings
        .retention
        .within(relay.config.retention);
    let now = Timestamp::from(SystemTime::now());
    let Some(through) = relay.store.overdue(endpoint, keep, now).await? else {
        pace.is_done(endpoint);
        return Ok(true);
    };
    let is_hurried = pace.is_falling_behind(endpoint, through);
    let mut removed = 0;
    for _ in 0..STEPS_IN_A_ROW {
        if relay.stopping.is_cancelled() {
            return Ok(true);
        }
        let began = Instant::now();
        let Some(events) = relay.store.trim_step(endpoint, through, STEP).await? else {
            tell(live, through, removed);
            return Ok(true);
        };
        relay.fanout.forget_through(endpoint, through);
        removed += events;
        if !is_hurried {
            sleep(began.elapsed()).await;
        }
    }
    tell(live, through, removed);
    Ok(false)
}

fn tell(live: &LiveEndpoint, through: Seq, removed: u64) {
    if removed > 0 {
        let name = &live.endpoint.name;
        info!(endpoint = %name, through = through.0, removed, "events past their retention removed");
    }
}

/// How far each endpoint that has too much has come: the writer gets a rest after each step, unless events
/// come faster than they go.
#[derive(Default)]
struct Pace {
    targets: HashMap<EndpointId, Target>,
}

struct Target {
    through: Seq,
    is_hurried: bool,
}

impl Pace {
    /// Takes note of how far must be removed now. The target moves with what comes in: when it moves by more than
    /// a turn removes, the turns must be faster, until nothing is left.
    fn is_falling_behind(&mut self, endpoint: EndpointId, through: Seq) -> bool {
        let a_turn = (STEPS_IN_A_ROW * STEP) as u64;
        let target = self.targets.entry(endpoint).or_insert(Target {
            through,
            is_hurried: false,
        });
        target.is_hurried |= through.0 - target.through.0.min(through.0) > a_turn;
        target.through = through;
        target.is_hurried
    }

    fn is_done(&mut self, endpoint: EndpointId) {
        self.targets.remove(&endpoint);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDERS: EndpointId = EndpointId(1);
    const A_TURN: u64 = (STEPS_IN_A_ROW * STEP) as u64;

    #[test]
    fn it_hurries_only_when_more_comes_than_a_turn_removes_and_until_nothing_is_left() {
        let mut pace = Pace::default();
        assert!(!pace.is_falling_behind(ORDERS, Seq(500_000)));
        assert!(!pace.is_falling_behind(ORDERS, Seq(500_000 + A_TURN)));

        assert!(pace.is_falling_behind(ORDERS, Seq(500_001 + 2 * A_TURN)));
        assert!(pace.is_falling_behind(ORDERS, Seq(500_002 + 2 * A_TURN)));
        pace.is_done(ORDERS);

        assert!(!pace.is_falling_behind(ORDERS, Seq(900_000)));
    }
}
