//! What the check of an event said, in a few words. A challenge that the relay answered counts by its answer: few are
//! signed, and the verdict on one says nothing of its success.

use towline_shared::event::{EventInfo, EventKind};
use towline_shared::verdict::{Failure, Match, Verdict};

use super::event_lines::cause_code;
use super::table::Tone;
use super::width::cut;
use super::{escape, paint};

/// What stands for the verdict of an answered challenge.
const HANDSHAKE: &str = "handshake";

/// The verdict on an event, its first word coloured; in one word when it is to be short, and within the columns when
/// there is a limit.
pub fn of_event(info: &EventInfo, is_short: bool, room: Option<usize>) -> String {
    let (word, rest, tone) = words(info, is_short);
    let painted = match tone {
        Tone::Good => paint::good(word),
        Tone::Bad => paint::bad(word),
        _ => paint::quiet(word),
    };
    if is_short {
        return painted;
    }
    match room {
        Some(room) => format!("{painted}{}", cut(&rest, room.saturating_sub(word.len()))),
        None => format!("{painted}{rest}"),
    }
}

/// One word for a table's cell.
pub fn in_a_word(info: &EventInfo) -> (&'static str, Tone) {
    if info.is_answered_challenge() {
        return (HANDSHAKE, Tone::Good);
    }
    match info.verdict {
        Verdict::Verified(_) => ("verified", Tone::Good),
        Verdict::Authenticated(_) => ("authenticated", Tone::Good),
        Verdict::Failed(_) => ("FAILED", Tone::Bad),
        Verdict::Unchecked => ("unchecked", Tone::Quiet),
    }
}

/// Why the check failed, where that matters.
pub fn failure(info: &EventInfo) -> Option<&Failure> {
    match &info.verdict {
        Verdict::Failed(failure) if !info.is_answered_challenge() => Some(failure),
        _ => None,
    }
}

/// What the relay did with a challenge.
pub fn challenge_note(info: &EventInfo) -> Option<String> {
    if info.kind != EventKind::Handshake {
        return None;
    }
    let status = info.answered.map(|status| format!(" with {status}"));
    let status = status.unwrap_or_default();
    Some(if info.is_answered_challenge() {
        format!("the relay answered this challenge of the provider itself{status}")
    } else {
        format!("the relay refused this challenge{status}")
    })
}

fn words(info: &EventInfo, is_short: bool) -> (&'static str, String, Tone) {
    if info.is_answered_challenge() {
        let answered = info.answered.map(|status| format!(", answered {status}"));
        return (HANDSHAKE, answered.unwrap_or_default(), Tone::Good);
    }
    match &info.verdict {
        Verdict::Verified(found) => ("verified", matched(found), Tone::Good),
        Verdict::Authenticated(_) if is_short => ("auth only", String::new(), Tone::Good),
        Verdict::Authenticated(found) => ("authenticated", matched(found), Tone::Good),
        Verdict::Failed(failure) => {
            let provider = escape::line(&failure.provider);
            let rest = format!(" {provider}: {}", cause_code(failure));
            ("FAILED", rest, Tone::Bad)
        }
        Verdict::Unchecked => ("unchecked", String::new(), Tone::Quiet),
    }
}

fn matched(found: &Match) -> String {
    let scheme = found
        .scheme
        .as_deref()
        .map_or_else(String::new, |scheme| format!("/{}", escape::line(scheme)));
    let secret = found
        .secret
        .as_ref()
        .map_or_else(String::new, |name| format!(" ({name})"));
    format!(" {}{scheme}{secret}", escape::line(&found.provider))
}
