//! The relay's stream of events as they arrive (server-sent events, WHATWG HTML §9.2).

use towline_shared::api::EventSummary;

use super::error::ApiError;
use super::exchange::Download;

/// The longest message; a summary is far shorter.
const MOST_MESSAGE_BYTES: usize = 1024 * 1024;

/// Events as they arrive.
pub struct Tail {
    download: Download,
    reader: MessageReader,
}

/// What a stream brings.
#[derive(Debug)]
pub enum TailItem {
    /// An event was kept.
    Event(Box<EventSummary>),
    /// Events are left out here: more was missed than the relay reads back, or some was removed.
    Gap,
    /// Something of another kind, which this version does not know.
    Other(String),
}

impl Tail {
    pub(super) fn new(download: Download) -> Self {
        Self {
            download,
            reader: MessageReader::default(),
        }
    }

    /// The next item; `None` when the relay ends the stream. Not cancel-safe.
    ///
    /// # Errors
    /// When the connection breaks, or what comes is not such a stream.
    pub async fn next(&mut self) -> Result<Option<TailItem>, ApiError> {
        loop {
            if let Some(message) = self.reader.message() {
                return Ok(Some(item(message)?));
            }
            let Some(bytes) = self.download.next().await? else {
                return Ok(None);
            };
            self.reader.push(&bytes)?;
        }
    }
}

fn item(message: Message) -> Result<TailItem, ApiError> {
    match message.event.as_str() {
        "event" => {}
        "gap" => return Ok(TailItem::Gap),
        _ => return Ok(TailItem::Other(message.event)),
    }
    let summary = serde_json::from_str(&message.data).map_err(|error| ApiError::Unreadable {
        what: "an event of the stream".to_owned(),
        detail: error.to_string(),
    })?;
    Ok(TailItem::Event(Box::new(summary)))
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Message {
    event: String,
    data: String,
}

/// Puts messages together from bytes that come in any pieces.
#[derive(Default)]
struct MessageReader {
    waiting: Vec<u8>,
    current: Message,
    ready: std::collections::VecDeque<Message>,
}

impl MessageReader {
    fn push(&mut self, bytes: &[u8]) -> Result<(), ApiError> {
        self.waiting.extend_from_slice(bytes);
        let mut start = 0;
        while let Some(length) = memchr::memchr(b'\n', &self.waiting[start..]) {
            let line = &self.waiting[start..start + length];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let line = String::from_utf8_lossy(line).into_owned();
            start += length + 1;
            self.line(&line);
        }
        self.waiting.drain(..start);
        if self.waiting.len() + self.current.data.len() > MOST_MESSAGE_BYTES {
            return Err(ApiError::Unreadable {
                what: "the stream of events".to_owned(),
                detail: format!("a message has more than {MOST_MESSAGE_BYTES} bytes"),
            });
        }
        Ok(())
    }

    fn line(&mut self, line: &str) {
        if line.is_empty() {
            let mut message = std::mem::take(&mut self.current);
            if !message.data.is_empty() {
                message.data.pop();
                self.ready.push_back(message);
            }
            return;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut self.current.event),
            "data" => {
                self.current.data.push_str(value);
                self.current.data.push('\n');
            }
            // Comments keep the connection alive; ids are in the data as well.
            _ => {}
        }
    }

    fn message(&mut self) -> Option<Message> {
        self.ready.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn messages(pieces: &[&[u8]]) -> Vec<(String, String)> {
        let mut reader = MessageReader::default();
        for piece in pieces {
            reader.push(piece).unwrap();
        }
        std::iter::from_fn(|| reader.message())
            .map(|message| (message.event, message.data))
            .collect()
    }

    const STREAM: &[u8] = b": hello\n\nevent: event\r\nid: evt_1\r\ndata: {\"a\":\ndata: 1}\n\nevent:ping\ndata:x\n\n";

    #[test]
    fn messages_are_put_together_from_their_lines() {
        assert_eq!(
            messages(&[STREAM]),
            [
                ("event".to_owned(), "{\"a\":\n1}".to_owned()),
                ("ping".to_owned(), "x".to_owned())
            ]
        );
    }

    #[test]
    fn a_message_over_the_limit_ends_the_stream() {
        let mut reader = MessageReader::default();

        assert!(reader.push(&vec![b'x'; MOST_MESSAGE_BYTES]).is_ok());
        assert!(reader.push(b"x").is_err());
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_give_the_same_messages(cut in 0..STREAM.len()) {
            let (first, second) = STREAM.split_at(cut);

            prop_assert_eq!(messages(&[first, second]), messages(&[STREAM]));
        }

        #[test]
        fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = messages(&[&bytes]);
        }
    }
}
