//! `/v1/events/{id}/raw` and `/body`: the bytes as they came, streamed from where they are kept.

use std::io;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, Stream, StreamExt};
use http::HeaderValue;
use http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, Take};
use towline_shared::id::EventId;

use super::access::{Allowed, Read};
use super::events::find_event;
use super::input::Segment;
use super::refusal::Refusal;
use crate::relay::Relay;
use crate::store::{Body, StoreError};

/// How much of a body file is read at a time.
const PIECE_BYTES: usize = 64 * 1024;

pub(super) async fn raw(
    _: Allowed<Read>,
    State(relay): State<Arc<Relay>>,
    Segment(id): Segment<EventId>,
) -> Result<Response, Refusal> {
    let event = find_event(&relay, id).await?;
    send(
        event.head.clone(),
        &event.body,
        "application/http; msgtype=request",
    )
    .await
}

pub(super) async fn body(
    _: Allowed<Read>,
    State(relay): State<Arc<Relay>>,
    Segment(id): Segment<EventId>,
) -> Result<Response, Refusal> {
    let event = find_event(&relay, id).await?;
    send(Bytes::new(), &event.body, "application/octet-stream").await
}

async fn send(first: Bytes, body: &Body, content_type: &'static str) -> Result<Response, Refusal> {
    let length = first.len() as u64 + body.length();
    let first = stream::iter([Ok(first)]);
    let body = match body {
        Body::Inline(bytes) => {
            let rest = stream::iter([Ok(bytes.clone())]);
            axum::body::Body::from_stream(first.chain(rest))
        }
        Body::File(file) => {
            let opened = File::open(file.path()).await;
            let opened = opened.map_err(|error| StoreError::Failed(error.to_string()))?;
            let rest = pieces(opened.take(file.length()));
            axum::body::Body::from_stream(first.chain(rest))
        }
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    // What a sender wrote is never shown as a page of the relay.
    let attachment = HeaderValue::from_static("attachment");
    headers.insert(CONTENT_DISPOSITION, attachment);
    Ok(response)
}

/// A file that ends early ends the answer with an error, since its length was promised.
fn pieces(file: Take<File>) -> impl Stream<Item = io::Result<Bytes>> {
    stream::try_unfold(file, |mut file| async move {
        if file.limit() == 0 {
            return Ok(None);
        }
        let mut piece = BytesMut::with_capacity(PIECE_BYTES);
        match file.read_buf(&mut piece).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(Some((piece.freeze(), file))),
        }
    })
}
