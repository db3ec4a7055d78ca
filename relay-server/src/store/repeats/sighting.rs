//! Decides in the writer whether a new event is a repeat, whether it is held back, and what to remember of it.
//!
//! What is remembered counts only while its event is kept: a repeat of one that is gone would point to nothing, and the
//! provider's retry would be lost.

use towline_shared::event::DeliveredRepeat;
use towline_shared::id::EventId;
use towline_shared::verify::Fingerprint;

use super::super::events::place_of;
use super::super::writer::Writing;
use super::super::{NewEvent, Remember};

/// What the memory says of a new event.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Sighting {
    /// The first event with the same signed content.
    pub(in super::super) first: Option<EventId>,
    /// Why consumers get it all the same; a repeat without a reason is held back.
    pub(in super::super) delivered: Option<DeliveredRepeat>,
    /// What to remember with it: its content, its names.
    pub(in super::super) unknown: [Option<Fingerprint>; 2],
}

impl Sighting {
    /// Whether consumers do not get it, because it is a repeat.
    pub(in super::super) const fn is_held_back(&self) -> bool {
        self.first.is_some() && self.delivered.is_none()
    }
}

/// Looks a new event up.
pub(in super::super) fn of(
    writing: &Writing<'_>,
    new: &NewEvent,
    what: Remember,
) -> rusqlite::Result<Sighting> {
    let known = |mark| {
        let repeats = &writing.memory.repeats;
        let Some(event) = repeats.first(new.endpoint, mark, new.received_at) else {
            return Ok(None);
        };
        let place = place_of(writing.connection, event)?;
        Ok::<_, rusqlite::Error>(place.map(|_| event))
    };
    let first = known(what.fingerprint)?;
    let copy = what.copy.map(known).transpose()?.flatten();
    let repeats = &writing.memory.repeats;
    let has_room = || repeats.has_room_for_copy(new.endpoint, what.fingerprint);
    Ok(decide(what, first, copy, has_room))
}

fn decide(
    what: Remember,
    first: Option<EventId>,
    copy: Option<EventId>,
    has_room: impl FnOnce() -> bool,
) -> Sighting {
    let is_new_copy = what.copy.is_some() && copy.is_none();
    // A copy by these names may be kept when the first by others is gone.
    let first = first.or(copy);
    let delivered = what
        .delivers_repeats
        .or(is_new_copy.then_some(DeliveredRepeat::OtherNames));
    Sighting {
        first,
        delivered: delivered.filter(|_| first.is_some()),
        unknown: [
            Some(what.fingerprint).filter(|_| first.is_none()),
            what.copy.filter(|_| is_new_copy && has_room()),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENT: Fingerprint = Fingerprint::from_bytes([1; 16]);
    const NAMES: Fingerprint = Fingerprint::from_bytes([2; 16]);
    const FIRST: Option<EventId> = Some(EventId::from_bytes([3; 16]));

    fn what(copy: Option<Fingerprint>, delivers_repeats: Option<DeliveredRepeat>) -> Remember {
        Remember {
            fingerprint: CONTENT,
            copy,
            delivers_repeats,
        }
    }

    #[test]
    fn the_first_is_remembered_with_its_names() {
        let first = decide(what(Some(NAMES), None), None, None, || true);

        assert_eq!((first.first, first.is_held_back()), (None, false));
        assert_eq!(first.unknown, [Some(CONTENT), Some(NAMES)]);
    }

    #[test]
    fn a_repeat_is_held_back_without_names_and_with_known_ones() {
        for (names, copy) in [(None, None), (Some(NAMES), FIRST)] {
            let held = decide(what(names, None), FIRST, copy, || true);

            assert_eq!((held.first, held.is_held_back()), (FIRST, true));
            assert_eq!(held.unknown, [None, None]);
        }
    }

    #[test]
    fn a_repeat_with_new_names_is_delivered_and_these_remembered_while_there_is_room() {
        let new = decide(what(Some(NAMES), None), FIRST, None, || true);
        let one_more = decide(what(Some(NAMES), None), FIRST, None, || false);

        for repeat in [&new, &one_more] {
            let expected = (FIRST, Some(DeliveredRepeat::OtherNames));
            assert_eq!((repeat.first, repeat.delivered), expected);
        }
        assert_eq!(new.unknown, [None, Some(NAMES)]);
        assert_eq!(one_more.unknown, [None, None]);
    }

    #[test]
    fn a_kept_copy_with_the_same_names_counts_when_the_first_is_gone() {
        let held = decide(what(Some(NAMES), None), None, FIRST, || true);

        assert_eq!((held.first, held.is_held_back()), (FIRST, true));
        assert_eq!(held.unknown, [None, None]);
    }

    #[test]
    fn a_repeat_is_marked_where_repeats_are_delivered() {
        let repeat = decide(
            what(None, Some(DeliveredRepeat::EqualBodies)),
            FIRST,
            None,
            || true,
        );

        let expected = (FIRST, Some(DeliveredRepeat::EqualBodies));
        assert_eq!((repeat.first, repeat.delivered), expected);
    }
}
