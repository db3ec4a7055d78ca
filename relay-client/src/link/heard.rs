//! What each frame of the relay leads to.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time;
use towline_shared::event::INLINE_BODY_BYTES;
use towline_shared::wire::{EventFrame, Filtered, FromRelay, Gap, Reset};

use super::session::Ended;
use super::streams::{Fetched, Streams};
use crate::body::Body;
use crate::listen::{Arrived, Line, News, Offered};
use crate::seen::Journal;

/// How long news of the relay itself may wait for the screen. They hold up the reading of the link, which
/// must go on to answer pings.
const NEWS_TIMEOUT: Duration = Duration::from_secs(5);

/// The reading half's view of everything else.
pub(super) struct Heard<'a> {
    pub(super) line: &'a Line,
    pub(super) journal: &'a Arc<Journal>,
    pub(super) news: &'a mpsc::Sender<News>,
    pub(super) streams: Streams,
    /// How many events the filter has left out in this session.
    pub(super) filtered: u64,
}

impl Heard<'_> {
    /// Acts on a frame.
    pub(super) async fn take(&mut self, frame: &Bytes) -> Result<(), Ended> {
        let frame = FromRelay::decode(frame).map_err(|error| Ended::Breach(error.to_string()))?;
        match frame {
            FromRelay::Event(event) => self.event(*event)?,
            FromRelay::Data(data) => self.streams.take(data)?,
            FromRelay::Reset(reset) => self.reset(reset).await?,
            FromRelay::Stored(stored) => self.journal.forget(stored),
            FromRelay::Gap(Gap { from, to }) => self.tell(News::Gap { from, to }).await,
            FromRelay::Filtered(filtered) => self.filtered(filtered).await,
            FromRelay::Notice(notice) => self.tell(News::of_notice(notice)).await,
            FromRelay::Goodbye(goodbye) => return Err(Ended::Goodbye(goodbye)),
            FromRelay::Welcome(_) => return Err(Ended::Breach("`welcome` came twice".into())),
        }
        Ok(())
    }

    /// Takes an event whose body was fetched.
    pub(super) fn fetched(&self, fetched: Fetched) -> Result<(), Ended> {
        match fetched {
            Fetched::Arrived(arrived) => self.offer(*arrived),
            Fetched::Failed(error) => Err(Ended::Lost(format!(
                "this machine cannot keep a long body: {error}"
            ))),
        }
    }

    fn event(&mut self, event: EventFrame) -> Result<(), Ended> {
        let is_whole = event.header.event.body_length <= INLINE_BODY_BYTES as u64;
        if self.line.knows(event.header.delivery) {
            return if is_whole {
                Ok(())
            } else {
                self.streams.refuse(event.header.stream)
            };
        }
        if !is_whole {
            return self.streams.fetch(event);
        }
        let EventFrame { header, head, body } = event;
        self.offer(Arrived {
            header,
            head,
            body: Body::Memory(body),
        })
    }

    fn offer(&self, arrived: Arrived) -> Result<(), Ended> {
        match self.line.offer(arrived) {
            Offered::Taken | Offered::Known | Offered::Stopping => Ok(()),
            Offered::TooMany => Err(Ended::Breach(
                "more deliveries were sent than asked for".into(),
            )),
        }
    }

    async fn filtered(&mut self, Filtered { count, through }: Filtered) {
        let more = count.saturating_sub(self.filtered);
        self.filtered = count;
        self.line.filtered(more);
        self.tell(News::Filtered { more, through }).await;
    }

    async fn reset(&mut self, Reset { stream, reason }: Reset) -> Result<(), Ended> {
        if self.streams.reset(stream)? {
            let remark = format!("the relay cannot read a long body to its end: {reason}");
            self.tell(News::Remark(remark)).await;
        }
        Ok(())
    }

    async fn tell(&self, news: News) {
        let _ = time::timeout(NEWS_TIMEOUT, self.news.send(news)).await;
    }
}
