//! What of a checked request is remembered, so that a repeat of it is known.

use towline_shared::event::DeliveredRepeat;
use towline_shared::verify::{Facts, Judgement, Repeats};

use crate::store::Remember;

/// What to remember; nothing where the signature is alike in different events. The rule stands with [`Repeats`].
pub(super) fn of(judgement: &Judgement, facts: &Facts, target: &[u8]) -> Option<Remember> {
    let fingerprint = judgement.fingerprint?;
    let copy = match judgement.repeats {
        Repeats::Held | Repeats::Delivered => None,
        Repeats::HeldByName => fingerprint.copy(facts, target),
    };
    Some(Remember {
        fingerprint,
        copy,
        delivers_repeats: (judgement.repeats == Repeats::Delivered)
            .then_some(DeliveredRepeat::EqualBodies),
    })
}
