//! The JSON interface under `/v1` (`towline_shared::api`), `/healthz` and `/readyz`.

use std::sync::Arc;

use axum::Router;

use crate::relay::Relay;

/// Routes everything but ingest and `/v1/connect`; unknown paths get a problem with 404.
pub(crate) fn router(_relay: Arc<Relay>) -> Router {
    todo!()
}
