//! Keeps a link that is not used yet: answers pings and leaves events alone, which come again in the next session.

use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::time::{self, Instant};
use towline_shared::wire::{FromRelay, Gap};

use super::Link;
use super::clock::ClockWatch;
use super::session::{Ended, SILENCE, frame};
use crate::listen::News;

/// Reads until the link ends, and says why it did. Cancel-safe, but for the news.
pub(crate) async fn keep(link: &mut Link, news: &mpsc::Sender<News>) -> Ended {
    let mut clock = ClockWatch::new();
    let silence = time::sleep(SILENCE);
    tokio::pin!(silence);
    loop {
        let message = tokio::select! {
            message = link.socket.next() => message,
            () = clock.slept() => return Ended::Slept,
            () = &mut silence => return Ended::Lost(format!("the relay was silent for {} s", SILENCE.as_secs())),
        };
        silence.as_mut().reset(Instant::now() + SILENCE);
        let frame = match frame(message) {
            Ok(Some(frame)) => frame,
            Ok(None) => continue,
            Err(ended) => return ended,
        };
        let told = match FromRelay::decode(&frame) {
            Ok(FromRelay::Goodbye(goodbye)) => return Ended::Goodbye(goodbye),
            Ok(FromRelay::Gap(Gap { from, to })) => News::Gap { from, to },
            Ok(FromRelay::Notice(notice)) => News::of_notice(notice),
            Ok(_) => continue,
            Err(error) => return Ended::Breach(error.to_string()),
        };
        // When nobody reads them, the news are not worth waiting for.
        let _ = news.try_send(told);
    }
}
