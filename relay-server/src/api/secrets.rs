//! `/v1/endpoints/{name}/secrets/{secret}`: puts and removes signing secrets, which never come back.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::State;
use towline_shared::api::{EndpointView, PutSecret};
use towline_shared::id::{EndpointName, SecretName};
use towline_shared::secret::Secret;
use towline_shared::time::Timestamp;

use super::access::{Allowed, Write};
use super::input::{Json, Segments};
use super::refusal::Refusal;
use super::views;
use crate::relay::Relay;
use crate::store::NamedSecret;

pub(super) async fn put(
    _: Allowed<Write>,
    State(relay): State<Arc<Relay>>,
    Segments(endpoint, name): Segments<EndpointName, SecretName>,
    Json(asked): Json<PutSecret>,
) -> Result<Json<EndpointView>, Refusal> {
    tracing::info!(%endpoint, secret = %name, replace = asked.replace, "secret put");
    let secret = NamedSecret {
        name,
        secret: Secret::new(asked.secret),
        created_at: Timestamp::from(SystemTime::now()),
    };
    let put = relay.endpoints.put_secret(&endpoint, secret, asked.replace);
    Ok(Json(views::endpoint(&relay, &*put.await?)))
}

pub(super) async fn remove(
    _: Allowed<Write>,
    State(relay): State<Arc<Relay>>,
    Segments(endpoint, name): Segments<EndpointName, SecretName>,
) -> Result<Json<EndpointView>, Refusal> {
    let live = relay.endpoints.remove_secret(&endpoint, &name).await?;
    tracing::info!(%endpoint, secret = %name, "secret removed");
    Ok(Json(views::endpoint(&relay, &live)))
}
