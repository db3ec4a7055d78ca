//! Frames to bytes and back. Reading never panics and never reads past the frame.

use bytes::{BufMut, Bytes, BytesMut};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{
    Credit, Data, EventFrame, EventHeader, Filtered, Gap, Goodbye, Hello, MAX_DATA_BYTES,
    MAX_FRAME_BYTES, MAX_HEADER_BYTES, Notice, Report, Reset, Stored, Welcome,
};
use crate::head::MAX_HEAD_BYTES;
use crate::outcome::{Attempt, KEPT_REPLY_BYTES};

/// Length of kind and header length.
const PREFIX_BYTES: usize = 5;

/// A message that is not a frame of this wire.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// It is longer than [`MAX_FRAME_BYTES`].
    #[error("frame has {0} bytes, more than {MAX_FRAME_BYTES}")]
    TooLong(usize),
    /// It is shorter than it says.
    #[error("frame is shorter than its lengths say")]
    Short,
    /// The kind is not one that this side takes.
    #[error("frame of kind {0} is not expected here")]
    Kind(u8),
    /// The header is longer than [`MAX_HEADER_BYTES`].
    #[error("header of `{frame}` has more than {MAX_HEADER_BYTES} bytes")]
    HeaderTooLong {
        /// The frame's name.
        frame: &'static str,
    },
    /// The header is not the JSON object of its kind.
    #[error("header of `{frame}` cannot be read")]
    Header {
        /// The frame's name.
        frame: &'static str,
        /// What the JSON reader said.
        source: serde_json::Error,
    },
    /// The payload's lengths do not fit.
    #[error("payload of `{frame}` does not have the lengths of its header")]
    Payload {
        /// The frame's name.
        frame: &'static str,
    },
}

/// What a client may send.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each frame is documented at its type")]
pub enum FromClient {
    Hello(Hello),
    Outcome(Box<Report>),
    Credit(Credit),
    Reset(Reset),
}

/// What a relay may send.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each frame is documented at its type")]
pub enum FromRelay {
    Welcome(Welcome),
    Event(Box<EventFrame>),
    Data(Data),
    Reset(Reset),
    Stored(Stored),
    Gap(Gap),
    Notice(Notice),
    Goodbye(Goodbye),
    Filtered(Filtered),
}

#[derive(Serialize, Deserialize)]
struct DataHeader {
    stream: u32,
    end: bool,
}

#[derive(Serialize, Deserialize)]
struct ReportHeader<A> {
    attempt: A,
    sent_head_length: u32,
    reply_head_length: u32,
}

impl FromClient {
    /// Writes the frame.
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Hello(hello) => encode(1, hello, &[]),
            Self::Outcome(report) => encode_report(2, report),
            Self::Credit(credit) => encode(5, credit, &[]),
            Self::Reset(reset) => encode(6, reset, &[]),
        }
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// Names what is wrong with the frame.
    pub fn decode(message: &Bytes) -> Result<Self, WireError> {
        let frame = Frame::split(message)?;
        match frame.kind {
            1 => Ok(Self::Hello(frame.header_only("hello")?)),
            2 => Ok(Self::Outcome(Box::new(frame.report()?))),
            5 => Ok(Self::Credit(frame.header_only("credit")?)),
            6 => Ok(Self::Reset(frame.header_only("reset")?)),
            kind => Err(WireError::Kind(kind)),
        }
    }
}

impl FromRelay {
    /// Writes the frame.
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Welcome(welcome) => encode(129, welcome, &[]),
            Self::Event(event) => encode(130, &event.header, &[&event.head, &event.body]),
            Self::Data(data) => encode(
                132,
                &DataHeader {
                    stream: data.stream,
                    end: data.end,
                },
                &[&data.bytes],
            ),
            Self::Reset(reset) => encode(134, reset, &[]),
            Self::Stored(stored) => encode(135, stored, &[]),
            Self::Gap(gap) => encode(136, gap, &[]),
            Self::Notice(notice) => encode(137, notice, &[]),
            Self::Goodbye(goodbye) => encode(138, goodbye, &[]),
            Self::Filtered(filtered) => encode(139, filtered, &[]),
        }
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// Names what is wrong with the frame.
    pub fn decode(message: &Bytes) -> Result<Self, WireError> {
        let frame = Frame::split(message)?;
        match frame.kind {
            129 => Ok(Self::Welcome(frame.header_only("welcome")?)),
            130 => Ok(Self::Event(Box::new(frame.event()?))),
            132 => Ok(Self::Data(frame.data()?)),
            134 => Ok(Self::Reset(frame.header_only("reset")?)),
            135 => Ok(Self::Stored(frame.header_only("stored")?)),
            136 => Ok(Self::Gap(frame.header_only("gap")?)),
            137 => Ok(Self::Notice(frame.header_only("notice")?)),
            138 => Ok(Self::Goodbye(frame.header_only("goodbye")?)),
            139 => Ok(Self::Filtered(frame.header_only("filtered")?)),
            kind => Err(WireError::Kind(kind)),
        }
    }
}

/// A message taken apart: kind, JSON header, payload.
struct Frame {
    kind: u8,
    header: Bytes,
    payload: Bytes,
}

impl Frame {
    fn split(message: &Bytes) -> Result<Self, WireError> {
        if message.len() > MAX_FRAME_BYTES {
            return Err(WireError::TooLong(message.len()));
        }
        let Some(&[kind, a, b, c, d]) = message.first_chunk::<PREFIX_BYTES>() else {
            return Err(WireError::Short);
        };
        let header_length = u32::from_be_bytes([a, b, c, d]) as usize;
        if header_length > message.len() - PREFIX_BYTES {
            return Err(WireError::Short);
        }
        let header = message.slice(PREFIX_BYTES..PREFIX_BYTES + header_length);
        Ok(Self {
            kind,
            header,
            payload: message.slice(PREFIX_BYTES + header_length..),
        })
    }

    fn header<T: DeserializeOwned>(&self, frame: &'static str) -> Result<T, WireError> {
        if self.header.len() > MAX_HEADER_BYTES {
            return Err(WireError::HeaderTooLong { frame });
        }
        serde_json::from_slice(&self.header).map_err(|source| WireError::Header { frame, source })
    }

    fn header_only<T: DeserializeOwned>(&self, frame: &'static str) -> Result<T, WireError> {
        if !self.payload.is_empty() {
            return Err(WireError::Payload { frame });
        }
        self.header(frame)
    }

    fn event(mut self) -> Result<EventFrame, WireError> {
        let header: EventHeader = self.header("event")?;
        let head = self.take(header.head_length, MAX_HEAD_BYTES, "event")?;
        let is_expected = self.payload.len() <= MAX_DATA_BYTES
            && self.payload.len() as u64 <= header.event.body_length
            && (header.event.body_length > MAX_DATA_BYTES as u64
                || self.payload.len() as u64 == header.event.body_length);
        if !is_expected {
            return Err(WireError::Payload { frame: "event" });
        }
        Ok(EventFrame {
            header,
            head,
            body: self.payload,
        })
    }

    fn data(self) -> Result<Data, WireError> {
        let header: DataHeader = self.header("data")?;
        if self.payload.len() > MAX_DATA_BYTES {
            return Err(WireError::Payload { frame: "data" });
        }
        Ok(Data {
            stream: header.stream,
            end: header.end,
            bytes: self.payload,
        })
    }

    fn report(mut self) -> Result<Report, WireError> {
        let header: ReportHeader<Attempt> = self.header("outcome")?;
        let sent_head = self.take(header.sent_head_length, MAX_HEAD_BYTES, "outcome")?;
        let reply_head = self.take(header.reply_head_length, MAX_HEAD_BYTES, "outcome")?;
        if self.payload.len() > KEPT_REPLY_BYTES {
            return Err(WireError::Payload { frame: "outcome" });
        }
        Ok(Report {
            attempt: header.attempt,
            sent_head,
            reply_head,
            reply_body: self.payload,
        })
    }

    fn take(&mut self, length: u32, most: usize, frame: &'static str) -> Result<Bytes, WireError> {
        let length = length as usize;
        if length > most || length > self.payload.len() {
            return Err(WireError::Payload { frame });
        }
        Ok(self.payload.split_to(length))
    }
}

fn encode_report(kind: u8, report: &Report) -> Bytes {
    let header = ReportHeader {
        attempt: &report.attempt,
        sent_head_length: length(&report.sent_head),
        reply_head_length: length(&report.reply_head),
    };
    encode(
        kind,
        &header,
        &[&report.sent_head, &report.reply_head, &report.reply_body],
    )
}

fn encode<T: Serialize>(kind: u8, header: &T, payload: &[&Bytes]) -> Bytes {
    let payload_length: usize = payload.iter().map(|part| part.len()).sum();
    let mut frame = BytesMut::with_capacity(PREFIX_BYTES + 512 + payload_length);
    frame.put_u8(kind);
    frame.put_u32(0);
    let mut writer = frame.writer();
    serde_json::to_writer(&mut writer, header).expect("frame headers are plain data");
    let mut frame = writer.into_inner();
    let header_length = u32::try_from(frame.len() - PREFIX_BYTES).expect("headers are bounded");
    frame[1..PREFIX_BYTES].copy_from_slice(&header_length.to_be_bytes());
    for part in payload {
        frame.extend_from_slice(part);
    }
    frame.freeze()
}

fn length(bytes: &Bytes) -> u32 {
    u32::try_from(bytes.len()).expect("heads are bounded by MAX_HEAD_BYTES")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::{EventInfo, EventKind, HeadSource};
    use crate::id::{EventId, Seq};
    use crate::outcome::{Delivery, Outcome, Settled};
    use crate::time::Timestamp;
    use crate::verdict::Verdict;
    use crate::wire::{Reason, Start};

    fn event(body: &[u8], body_length: u64) -> FromRelay {
        let event = EventInfo {
            id: EventId::new(Timestamp::from_millis(1), [1; 10]),
            seq: Seq(7),
            endpoint: "orders".parse().unwrap(),
            received_at: Timestamp::from_millis(1),
            remote: "127.0.0.1".parse().unwrap(),
            tls: false,
            kind: EventKind::Webhook,
            verdict: Verdict::Unchecked,
            is_deliverable: true,
            head_source: HeadSource::Recorded,
            body_length,
            delivery_id: None,
            event_type: None,
            duplicate_of: None,
            delivered_repeat: None,
            answered: None,
        };
        let head = Bytes::from_static(b"POST / HTTP/1.1\r\n\r\n");
        let delivery = Delivery {
            seq: Seq(7),
            replay: None,
        };
        let header = EventHeader {
            stream: 1,
            delivery,
            attempts: 0,
            event,
            head_length: length(&head),
        };
        FromRelay::Event(Box::new(EventFrame {
            header,
            head,
            body: Bytes::copy_from_slice(body),
        }))
    }

    fn report(sent_head: Vec<u8>, reply_body: Vec<u8>) -> FromClient {
        let attempt = Attempt {
            event: EventId::new(Timestamp::from_millis(1), [1; 10]),
            delivery: Delivery {
                seq: Seq(7),
                replay: None,
            },
            number: 1,
            started_at: Timestamp::from_millis(1),
            duration_micros: 900,
            target: "http://localhost:3000/".into(),
            outcome: Outcome::Answered {
                status: 200,
                body_length: 2,
                first_byte_micros: 800,
            },
            settled: Some(Settled::Done),
            retry_after_millis: None,
            changes: Vec::new(),
            sent_body_sha256: None,
            sent_body_length: 0,
            findings: Vec::new(),
        };
        let reply_head = Bytes::from_static(b"HTTP/1.1 200 OK\r\n\r\n");
        FromClient::Outcome(Box::new(Report {
            attempt,
            sent_head: sent_head.into(),
            reply_head,
            reply_body: reply_body.into(),
        }))
    }

    #[test]
    fn an_event_frame_has_the_bytes_of_the_specification() {
        let bytes = event(b"hi", 2).encode();

        assert_eq!(bytes[0], 130);
        let header_length = u32::from_be_bytes(bytes[1..5].try_into().unwrap()) as usize;
        let header: serde_json::Value =
            serde_json::from_slice(&bytes[5..5 + header_length]).unwrap();
        assert_eq!(header["delivery"], serde_json::json!({"seq": 7}));
        assert_eq!(&bytes[5 + header_length..], b"POST / HTTP/1.1\r\n\r\nhi");
    }

    #[test]
    fn frames_read_back_as_they_were_written() {
        for frame in [
            event(b"hi", 2),
            event(&[0; MAX_DATA_BYTES], 1 << 20),
            FromRelay::Data(Data {
                stream: 3,
                end: true,
                bytes: Bytes::from_static(b"\0\xff"),
            }),
            FromRelay::Stored(Stored {
                delivery: Delivery {
                    seq: Seq(1),
                    replay: None,
                },
                attempt: 2,
            }),
            FromRelay::Gap(Gap {
                from: Seq(1),
                to: Seq(9),
            }),
            FromRelay::Notice(Notice {
                message: "x".into(),
                event: None,
                findings: Vec::new(),
            }),
            FromRelay::Goodbye(Goodbye {
                reason: Reason::TakenOver,
                detail: "d".into(),
                reconnect_after_millis: None,
            }),
        ] {
            assert_eq!(FromRelay::decode(&frame.encode()).unwrap(), frame);
        }
    }

    #[test]
    fn unknown_header_fields_are_ignored() {
        let header = br#"{"stream":4,"bytes":9,"later":true}"#;
        let mut frame = vec![5, 0, 0, 0, u8::try_from(header.len()).unwrap()];
        frame.extend_from_slice(header);

        let decoded = FromClient::decode(&frame.into()).unwrap();

        assert_eq!(
            decoded,
            FromClient::Credit(Credit {
                stream: 4,
                bytes: 9
            })
        );
    }

    #[test]
    fn bad_frames_name_what_is_wrong() {
        let text = |bytes: &'static [u8]| {
            FromClient::decode(&Bytes::from_static(bytes))
                .unwrap_err()
                .to_string()
        };

        assert_eq!(text(b"\x01\0\0"), "frame is shorter than its lengths say");
        assert_eq!(
            text(b"\x01\0\0\0\x09{}"),
            "frame is shorter than its lengths say"
        );
        assert_eq!(
            text(b"\x63\0\0\0\x02{}"),
            "frame of kind 99 is not expected here"
        );
        assert_eq!(
            text(b"\x01\0\0\0\x02{}"),
            "header of `hello` cannot be read"
        );
        assert_eq!(
            text(b"\x05\0\0\0\x16{\"stream\":1,\"bytes\":1}x"),
            "payload of `credit` does not have the lengths of its header"
        );
    }

    #[test]
    fn an_event_with_more_or_less_body_than_it_says_is_refused() {
        assert!(FromRelay::decode(&event(b"hi", 3).encode()).is_err());
        assert!(FromRelay::decode(&event(b"hi", 1).encode()).is_err());
        assert!(FromRelay::decode(&event(&[0; MAX_DATA_BYTES + 1], 1 << 20).encode()).is_err());
    }

    #[test]
    fn a_frame_one_byte_over_the_limit_is_refused() {
        let over = Bytes::from(vec![1; MAX_FRAME_BYTES + 1]);

        assert!(matches!(
            FromClient::decode(&over),
            Err(WireError::TooLong(_))
        ));
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let bytes = Bytes::from(bytes);
            let _ = FromClient::decode(&bytes);
            let _ = FromRelay::decode(&bytes);
        }

        #[test]
        fn damaged_frames_never_panic(at in 0_usize..400, byte in any::<u8>(), cut in 0_usize..400) {
            let mut bytes = event(b"body", 4).encode().to_vec();
            let length = bytes.len();
            bytes[at % length] = byte;
            bytes.truncate(length - cut % length);
            let _ = FromRelay::decode(&bytes.into());
        }

        #[test]
        fn reports_round_trip(head in proptest::collection::vec(any::<u8>(), 0..100), body in proptest::collection::vec(any::<u8>(), 0..1000)) {
            let frame = report(head, body);
            prop_assert_eq!(FromClient::decode(&frame.encode()).unwrap(), frame);
        }

        #[test]
        fn hellos_round_trip(window in any::<u32>(), millis in any::<u64>(), filter in any::<Option<String>>(), name in "[a-z0-9][a-z0-9_-]{0,20}") {
            let hello = Hello {
                client: "towline/test".into(),
                endpoint: name.parse().unwrap(),
                consumer: name.parse().unwrap(),
                start: Start::Time(Timestamp::from_millis(millis)),
                window,
                filter,
            };
            let frame = FromClient::Hello(hello);
            prop_assert_eq!(FromClient::decode(&frame.encode()).unwrap(), frame);
        }
    }
}
