//! Which events a reader of the stream wants, by its filter.

use std::sync::Arc;

use towline_shared::filter::{Facts, Filter, MAX_FILTER_BODY_BYTES};
use towline_shared::id::EventId;

use crate::store::{Body, Store, StoredEvent};

/// What the reader wants; everything without a filter.
#[derive(Default)]
pub(super) struct Wanted(Option<Filter>);

impl Wanted {
    pub(super) const fn new(filter: Option<Filter>) -> Self {
        Self(filter)
    }

    /// Whether the event is wanted.
    pub(super) async fn wants(&self, event: &Arc<StoredEvent>) -> bool {
        let Some(filter) = &self.0 else {
            return true;
        };
        let from_file = match &event.body {
            Body::File(file) if filter.reads_body() && file.length() <= MAX_FILTER_BODY_BYTES => {
                tokio::fs::read(file.path()).await.ok()
            }
            _ => None,
        };
        let body = match &event.body {
            Body::Inline(bytes) => Some(bytes.as_ref()),
            Body::File(_) => from_file.as_deref(),
        };
        filter.is_match(&Facts {
            info: &event.info,
            head: &event.head,
            body,
        })
    }

    /// Whether an event that was missed is wanted; one that was removed meanwhile is not.
    pub(super) async fn wants_kept(&self, store: &Store, id: EventId) -> bool {
        if self.0.is_none() {
            return true;
        }
        match store.event(id).await {
            Ok(Some(event)) => self.wants(&event).await,
            Ok(None) | Err(_) => false,
        }
    }
}
