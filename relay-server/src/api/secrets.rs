//! `/v1/endpoints/{name}/secrets/{secret}`: puts and removes signing secrets, which never come back; but one that the relay
//! captured is shown once.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use axum::extract::State;
use towline_shared::api::{EndpointView, PutSecret, RevealedSecret};
use towline_shared::id::{EndpointName, SecretName};
use towline_shared::secret::Secret;
use towline_shared::time::Timestamp;

use super::access::{Allowed, Write};
use super::input::{Json, Segment, Segments};
use super::refusal::Refusal;
use super::views;
use super::whole::whole;
use crate::relay::Relay;
use crate::store::NamedSecret;

pub(super) async fn put(
    _: Allowed<Write>,
    State(relay): State<Arc<Relay>>,
    Segments(endpoint, name): Segments<EndpointName, SecretName>,
    Json(asked): Json<PutSecret>,
) -> Result<Json<EndpointView>, Refusal> {
    tracing::info!(%endpoint, secret = %name, replace = asked.replace, "secret to be put");
    let secret = NamedSecret {
        name,
        secret: Secret::new(asked.secret),
        created_at: Timestamp::from(SystemTime::now()),
    };
    let owned = Arc::clone(&relay);
    let putting = async move {
        let put = owned.endpoints.put_secret(&endpoint, secret, asked.replace);
        Ok(put.await?)
    };
    let live = whole(&relay, putting).await?;
    views::fresh_endpoint(&relay, &live).await
}

pub(super) async fn remove(
    _: Allowed<Write>,
    State(relay): State<Arc<Relay>>,
    Segments(endpoint, name): Segments<EndpointName, SecretName>,
) -> Result<Json<EndpointView>, Refusal> {
    tracing::info!(%endpoint, secret = %name, "secret to be removed");
    let owned = Arc::clone(&relay);
    let removing = async move {
        let removed = owned.endpoints.remove_secret(&endpoint, &name);
        Ok(removed.await?)
    };
    let live = whole(&relay, removing).await?;
    views::fresh_endpoint(&relay, &live).await
}

/// Whoever may put another secret may see this one: the write scope is enough.
pub(super) async fn reveal(
    _: Allowed<Write>,
    State(relay): State<Arc<Relay>>,
    Segment(endpoint): Segment<EndpointName>,
) -> Result<Json<RevealedSecret>, Refusal> {
    let revealing = relay.endpoints.reveal_captured(&endpoint, Instant::now());
    let revealed = revealing.await?;
    tracing::info!(%endpoint, secret = %revealed.name, "captured secret shown");
    Ok(Json(RevealedSecret {
        secret: String::from_utf8_lossy(revealed.secret.expose()).into_owned(),
        name: revealed.name,
    }))
}
