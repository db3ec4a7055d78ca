//! What the bench prints: one line a figure, beside it the aim.

use std::time::Duration;

/// Prints a headline.
pub(crate) fn headline(text: &str) {
    println!("\n{text}");
}

/// Prints a figure without an aim.
pub(crate) fn figure(name: &str, value: &str) {
    println!("  {name:<46} {value}");
}

/// Prints a figure with its aim and whether it is met.
pub(crate) fn aimed(name: &str, value: &str, aim: &str, is_met: bool) {
    let verdict = if is_met { "met" } else { "MISSED" };
    println!("  {name:<46} {value:<28} aim {aim}: {verdict}");
}

/// A time in the unit that suits it.
pub(crate) fn time(duration: Duration) -> String {
    let micros = duration.as_secs_f64() * 1e6;
    if micros < 1_000.0 {
        format!("{micros:.0} µs")
    } else if micros < 1_000_000.0 {
        format!("{:.2} ms", micros / 1e3)
    } else {
        format!("{:.2} s", micros / 1e6)
    }
}

/// Bytes in the unit that suits them.
pub(crate) fn bytes(count: u64) -> String {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a figure of three digits is read"
    )]
    let count = count as f64;
    if count < 1e6 {
        format!("{:.1} kB", count / 1e3)
    } else {
        format!("{:.1} MB", count / 1e6)
    }
}

/// Events in a time, as a rate.
pub(crate) fn rate(events: usize, time: Duration) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a figure of three digits is read"
    )]
    let events = events as f64;
    events / time.as_secs_f64().max(1e-9)
}
