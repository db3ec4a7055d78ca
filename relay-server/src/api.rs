//! The JSON interface under `/v1` (`towline_shared::api`), `/healthz` and `/readyz`.

mod access;
mod attempts;
mod consumers;
mod download;
mod endpoints;
mod events;
mod health;
mod input;
mod masking;
mod refusal;
mod replays;
mod retention;
mod secrets;
mod tail;
mod tokens;
mod views;
mod whoami;
mod whole;

use std::sync::Arc;

use axum::Router;
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{delete, get, post, put};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};

use crate::relay::Relay;
use refusal::Refusal;

/// Routes everything but ingest and `/v1/connect`; unknown paths get a problem with 404.
pub(crate) fn router(relay: Arc<Relay>) -> Router {
    let health = Arc::new(health::Health::default());
    Router::new()
        .route("/v1/whoami", get(whoami::show))
        .route(
            "/v1/endpoints",
            get(endpoints::list).post(endpoints::create),
        )
        .route(
            "/v1/endpoints/{name}",
            get(endpoints::show)
                .patch(endpoints::change)
                .delete(endpoints::delete),
        )
        .route(
            "/v1/endpoints/{name}/secrets/{secret}",
            put(secrets::put).delete(secrets::remove),
        )
        .route(
            "/v1/endpoints/{name}/secrets/captured/reveal",
            post(secrets::reveal),
        )
        .route("/v1/endpoints/{name}/consumers", get(consumers::list))
        .route(
            "/v1/endpoints/{name}/consumers/{consumer}",
            delete(consumers::remove),
        )
        .route(
            "/v1/endpoints/{name}/consumers/{consumer}/reset",
            post(consumers::reset),
        )
        .route("/v1/endpoints/{name}/usage", get(retention::usage))
        .route("/v1/endpoints/{name}/events", delete(events::trim))
        .route("/v1/events", get(events::list))
        .route("/v1/events/stream", get(tail::stream))
        .route("/v1/events/{id}", get(events::show))
        .route("/v1/events/{id}/raw", get(download::raw))
        .route("/v1/events/{id}/body", get(download::body))
        .route(
            "/v1/events/{id}/pin",
            put(retention::pin).delete(retention::unpin),
        )
        .route("/v1/events/{id}/attempts", post(attempts::record))
        .route("/v1/replays", post(replays::ask))
        .route("/v1/tokens", get(tokens::list).post(tokens::create))
        .route("/v1/tokens/{id}", delete(tokens::revoke))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(move |state| health::ready(state, health)))
        .fallback(|| async { Refusal::UnknownPath })
        .method_not_allowed_fallback(|| async { Refusal::Method })
        .layer(map_response(harden))
        .with_state(relay)
}

/// Nothing of this interface is for caches, and what senders wrote is never a page.
async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
