//! One session: reads frames as long as the relay is there, while the writing half sends what is to be
//! told. Never waits for the app.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::SplitStream;
use tokio::sync::mpsc;
use tokio::time::{self, Instant};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use towline_shared::wire::Goodbye;

use super::clock::ClockWatch;
use super::heard::Heard;
use super::streams::{Fetched, Streams};
use super::told::{self, Outgoing};
use super::{Link, Socket};
use crate::listen::{Line, News};
use crate::seen::Journal;

/// A relay that is silent for this long is gone (wire.rs); it pings every 20 s.
pub(super) const SILENCE: Duration = Duration::from_secs(45);

/// How long the last frames may take on their way out.
pub(super) const CLOSING_TIMEOUT: Duration = Duration::from_secs(2);

/// The longest reason in a close message (RFC 6455 §5.5).
const MAX_CLOSE_REASON: usize = 123;

/// Why a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// This side closed it.
    Closed,
    /// The relay is gone.
    Lost(String),
    /// The machine slept; nobody knows what became of the link.
    Slept,
    /// The relay broke the protocol.
    Breach(String),
    /// The relay said why.
    Goodbye(Goodbye),
}

/// What a session works with.
pub(crate) struct Session<'a> {
    pub(crate) line: &'a Line,
    pub(crate) journal: &'a Arc<Journal>,
    pub(crate) news: &'a mpsc::Sender<News>,
    /// Where long bodies are kept meanwhile.
    pub(crate) folder: PathBuf,
    pub(crate) window: u32,
}

impl Session<'_> {
    /// Runs until the link ends or `close` is cancelled.
    pub(crate) async fn run(self, link: Link, close: &CancellationToken) -> Ended {
        let (sink, stream) = link.socket.split();
        let (outgoing, incoming) = Outgoing::channel();
        let write = told::write(sink, incoming, Arc::clone(self.journal));
        let mut writing = AbortOnDropHandle::new(tokio::spawn(write));
        let (streams, whole) = Streams::new(self.folder, self.window as usize, outgoing.clone());
        let heard = Heard {
            line: self.line,
            journal: self.journal,
            news: self.news,
            streams,
            filtered: 0,
        };
        let mut reading = Box::pin(read(stream, heard, whole));
        let ended = tokio::select! {
            biased;
            () = close.cancelled() => Ended::Closed,
            ended = &mut reading => ended,
            written = &mut writing => {
                let written = written.unwrap_or_else(|error| Ended::Lost(error.to_string()));
                return last_words(reading).await.unwrap_or(written);
            }
        };
        if let Some(close) = close_message(&ended) {
            let _ = outgoing.push(close);
        }
        drop((outgoing, reading));
        let _ = time::timeout(CLOSING_TIMEOUT, &mut writing).await;
        ended
    }
}

/// What the relay said before it went: when it takes nothing any more, a goodbye may still wait to be read,
/// and it decides whether coming back helps.
async fn last_words(reading: impl Future<Output = Ended>) -> Option<Ended> {
    match time::timeout(CLOSING_TIMEOUT, reading).await {
        Ok(Ended::Goodbye(goodbye)) => Some(Ended::Goodbye(goodbye)),
        _ => None,
    }
}

async fn read(
    mut stream: SplitStream<Socket>,
    mut heard: Heard<'_>,
    mut whole: mpsc::Receiver<Fetched>,
) -> Ended {
    let mut clock = ClockWatch::new();
    let silence = time::sleep(SILENCE);
    tokio::pin!(silence);
    loop {
        let taken = tokio::select! {
            message = stream.next() => {
                let frame = match frame(message) {
                    Ok(frame) => frame,
                    Err(ended) => return ended,
                };
                silence.as_mut().reset(Instant::now() + SILENCE);
                match frame {
                    Some(frame) => heard.take(&frame).await,
                    None => Ok(()),
                }
            }
            Some(fetched) = whole.recv() => heard.fetched(fetched),
            () = clock.slept() => return Ended::Slept,
            () = &mut silence => return Ended::Lost(format!("the relay was silent for {} s", SILENCE.as_secs())),
        };
        if let Err(ended) = taken {
            return ended;
        }
    }
}

/// The frame in a message, if it carries one.
pub(super) fn frame(
    message: Option<Result<Message, tokio_tungstenite::tungstenite::Error>>,
) -> Result<Option<Bytes>, Ended> {
    match message {
        Some(Ok(Message::Binary(frame))) => Ok(Some(frame)),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
        Some(Ok(Message::Text(_) | Message::Frame(_))) => {
            Err(Ended::Breach("a message is not binary".into()))
        }
        Some(Ok(Message::Close(close))) => Err(Ended::Lost(closed(close.as_ref()))),
        Some(Err(tokio_tungstenite::tungstenite::Error::Capacity(error))) => {
            Err(Ended::Breach(error.to_string()))
        }
        Some(Err(error)) => Err(Ended::Lost(format!("the link broke: {error}"))),
        None => Err(Ended::Lost("the relay closed the link".into())),
    }
}

fn closed(close: Option<&CloseFrame>) -> String {
    match close {
        Some(close) if !close.reason.is_empty() => format!(
            "the relay closed the link ({}: {})",
            close.code, close.reason
        ),
        Some(close) => format!("the relay closed the link ({})", close.code),
        None => "the relay closed the link".into(),
    }
}

/// What to say before closing; nothing where nobody would hear it.
fn close_message(ended: &Ended) -> Option<Message> {
    let (code, reason) = match ended {
        Ended::Closed | Ended::Goodbye(_) => (CloseCode::Normal, ""),
        Ended::Breach(reason) => (CloseCode::Protocol, reason.as_str()),
        Ended::Slept => (CloseCode::Away, "slept"),
        Ended::Lost(_) => return None,
    };
    let end = reason.floor_char_boundary(MAX_CLOSE_REASON);
    Some(Message::Close(Some(CloseFrame {
        code,
        reason: reason[..end].into(),
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_breach_is_told_with_1002_and_as_much_of_its_reason_as_fits() {
        let reason = "ü".repeat(100);

        let Some(Message::Close(Some(close))) = close_message(&Ended::Breach(reason.clone()))
        else {
            panic!("no close");
        };

        assert_eq!(close.code, CloseCode::Protocol);
        assert_eq!(close.reason.as_str(), &reason[..122]);
    }

    #[tokio::test]
    async fn a_goodbye_that_waits_to_be_read_counts_more_than_a_failed_write() {
        let goodbye = Goodbye {
            reason: towline_shared::wire::Reason::TakenOver,
            detail: "test".into(),
            reconnect_after_millis: None,
        };

        let told = last_words(std::future::ready(Ended::Goodbye(goodbye.clone()))).await;
        let not_told = last_words(std::future::ready(Ended::Lost("reset".into()))).await;

        assert_eq!(told, Some(Ended::Goodbye(goodbye)));
        assert_eq!(not_told, None);
    }
}
