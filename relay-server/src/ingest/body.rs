//! Reads a request body within its limit: a short one into memory, a long one into the store while it arrives.

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt;
use towline_shared::event::INLINE_BODY_BYTES;

use super::IngestError;
use crate::listener::PacedBody;
use crate::store::{Body, BodyWriter, Store};

/// How much room an announced length gets before its bytes come: enough for nearly all webhooks, and
/// not so much that announcements alone could fill the memory.
const MOST_ROOM_AHEAD: usize = 16 * 1024;

/// Reads all of a body. A body that announces too much is refused before any of it is read, so that a
/// sender that asks with `Expect: 100-continue` gets its refusal instead.
pub(super) async fn read(
    mut body: PacedBody,
    max: u64,
    store: &Store,
) -> Result<Body, IngestError> {
    let announced = body.size_hint().lower();
    if announced > max {
        return Err(IngestError::BodyTooLarge { max });
    }
    if body.is_end_stream() {
        return Ok(Body::Inline(Bytes::new()));
    }
    let mut received = Received::new(announced);
    while let Some(frame) = body.frame().await {
        let Ok(bytes) = frame?.into_data() else {
            // Trailers are the hop's own and no part of the body.
            continue;
        };
        if received.length + bytes.len() as u64 > max {
            return Err(IngestError::BodyTooLarge { max });
        }
        received.take(bytes, store).await?;
    }
    received.finish().await
}

/// What has arrived of a body.
struct Received {
    length: u64,
    inline: BytesMut,
    writer: Option<Box<BodyWriter>>,
}

impl Received {
    fn new(announced: u64) -> Self {
        let room = usize::try_from(announced).unwrap_or(usize::MAX);
        Self {
            length: 0,
            inline: BytesMut::with_capacity(room.min(MOST_ROOM_AHEAD)),
            writer: None,
        }
    }

    /// Copies short bodies: a slice would keep the whole read buffer of the connection alive.
    async fn take(&mut self, bytes: Bytes, store: &Store) -> Result<(), IngestError> {
        self.length += bytes.len() as u64;
        if let Some(writer) = &mut self.writer {
            writer.write(bytes).await?;
            return Ok(());
        }
        if self.length <= INLINE_BODY_BYTES as u64 {
            self.inline.extend_from_slice(&bytes);
            return Ok(());
        }
        let mut writer = Box::new(store.new_body().await?);
        let so_far = std::mem::take(&mut self.inline);
        if !so_far.is_empty() {
            writer.write(so_far.freeze()).await?;
        }
        writer.write(bytes).await?;
        self.writer = Some(writer);
        Ok(())
    }

    async fn finish(self) -> Result<Body, IngestError> {
        Ok(match self.writer {
            Some(writer) => Body::File(writer.finish().await?),
            None => Body::Inline(self.inline.freeze()),
        })
    }
}
