//! A captured request in hand: head as received and body, fetched from the relay.

use anyhow::Context as _;
use bytes::Bytes;
use data_encoding::BASE64;
use towline_shared::api::EventDetail;
use towline_shared::head::Head;
use towline_shared::id::EventId;

use super::super::Failure;
use crate::relay_api::RelayApi;

/// Bodies that are shown, compared or turned into a command are held in memory up to this size.
const MOST_BODY_BYTES: usize = 64 * 1024 * 1024;

/// An event's request.
pub(in super::super) struct CapturedRequest {
    pub(in super::super) detail: EventDetail,
    pub(in super::super) head: Head,
}

impl CapturedRequest {
    /// Fetches everything but the body.
    pub(in super::super) async fn fetch(api: &RelayApi, id: EventId) -> anyhow::Result<Self> {
        let detail = api.event(id).await?;
        let head = decode(&detail.head_base64).context("could not read the event's head")?;
        let head = Head::parse(head).map_err(|error| {
            Failure::invalid(format!("the head of {id} cannot be read")).because(error)
        })?;
        Ok(Self { detail, head })
    }

    /// Fetches the body.
    pub(in super::super) async fn body(&self, api: &RelayApi) -> anyhow::Result<Bytes> {
        let download = api.body(self.detail.summary.info.id).await?;
        Ok(download.whole(MOST_BODY_BYTES).await?)
    }
}

/// Reads base64 of the relay.
pub(in super::super) fn decode(text: &str) -> anyhow::Result<Vec<u8>> {
    BASE64
        .decode(text.as_bytes())
        .context("the relay's base64 cannot be read")
}
