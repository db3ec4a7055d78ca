//! `/v1/endpoints`: makes, shows, changes and deletes endpoints.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use towline_shared::api::{ChangeEndpoint, CreateEndpoint, EndpointList, EndpointView, NewSecret};
use towline_shared::id::{EndpointKey, EndpointName};
use towline_shared::secret::Secret;
use towline_shared::time::Timestamp;

use super::access::{Allowed, Read, Write};
use super::input::{Json, Segment};
use super::refusal::Refusal;
use super::views;
use super::whole::whole;
use crate::auth::random;
use crate::endpoints::LiveEndpoint;
use crate::relay::Relay;
use crate::store::{EndpointSettings, NamedSecret, NewEndpoint};

pub(super) async fn list(
    _: Allowed<Read>,
    State(relay): State<Arc<Relay>>,
) -> Result<Json<EndpointList>, Refusal> {
    let uses = relay.store.secret_uses().await?;
    let all = relay.endpoints.all();
    let endpoints = all.iter().map(|live| views::endpoint(&relay, live, &uses));
    Ok(Json(EndpointList {
        endpoints: endpoints.collect(),
    }))
}

pub(super) async fn create(
    _: Allowed<Write>,
    State(relay): State<Arc<Relay>>,
    Json(asked): Json<CreateEndpoint>,
) -> Result<Response, Refusal> {
    let most = relay.config.limits.max_body_bytes;
    let max_body = asked.max_body.unwrap_or(most);
    check_max_body(max_body, most)?;
    let created_at = Timestamp::from(SystemTime::now());
    let named = |secret: NewSecret| NamedSecret {
        name: secret.name,
        secret: Secret::new(secret.secret),
        created_at,
    };
    let new = NewEndpoint {
        name: asked.name,
        key: EndpointKey::new(random()),
        settings: EndpointSettings {
            provider: asked.provider,
            own_scheme: asked.own_scheme,
            variant: asked.variant,
            parameters: asked.parameters,
            ack: asked.ack,
            on_failure: asked.on_failure,
            deliver_duplicates: asked.deliver_duplicates,
            max_body,
            await_secret: false,
            retention: asked.retention,
            limits: asked.limits,
        },
        created_at,
        secrets: asked.secrets.into_iter().map(named).collect(),
    };
    let making = Arc::clone(&relay);
    let making = async move { Ok(making.endpoints.create(new).await?) };
    let live = whole(&relay, making).await?;
    tracing::info!(endpoint = %live.endpoint.name, "endpoint made");
    Ok(views::fresh_endpoint(&relay, &live).await?.created())
}

pub(super) async fn show(
    _: Allowed<Read>,
    State(relay): State<Arc<Relay>>,
    Segment(name): Segment<EndpointName>,
) -> Result<Json<EndpointView>, Refusal> {
    let live = find(&relay, &name)?;
    views::fresh_endpoint(&relay, &live).await
}

pub(super) async fn change(
    _: Allowed<Write>,
    State(relay): State<Arc<Relay>>,
    Segment(name): Segment<EndpointName>,
    Json(asked): Json<ChangeEndpoint>,
) -> Result<Json<EndpointView>, Refusal> {
    if let Some(max_body) = asked.max_body {
        check_max_body(max_body, relay.config.limits.max_body_bytes)?;
    }
    let changing = Arc::clone(&relay);
    let changing = async move { Ok(changing.endpoints.change(&name, asked).await?) };
    let live = whole(&relay, changing).await?;
    relay.retention.notify_one();
    tracing::info!(endpoint = %live.endpoint.name, "endpoint changed");
    views::fresh_endpoint(&relay, &live).await
}

pub(super) async fn delete(
    _: Allowed<Write>,
    State(relay): State<Arc<Relay>>,
    Segment(name): Segment<EndpointName>,
) -> Result<StatusCode, Refusal> {
    let deleting = Arc::clone(&relay);
    let deleting = async move {
        let id = deleting.endpoints.delete(&name).await?.endpoint.id;
        deleting.sessions.end_of_endpoint(id);
        deleting.fanout.forget(id);
        tracing::info!(endpoint = %name, "endpoint deleted");
        Ok(StatusCode::NO_CONTENT)
    };
    whole(&relay, deleting).await
}

/// The endpoint with this name.
pub(super) fn find(relay: &Relay, name: &EndpointName) -> Result<Arc<LiveEndpoint>, Refusal> {
    let found = relay.endpoints.by_name(name);
    found.ok_or_else(|| Refusal::missing("endpoint", name))
}

fn check_max_body(asked: u64, most: u64) -> Result<(), Refusal> {
    if asked > most {
        let problem = format!("{asked} is more than the relay's limit of {most} bytes");
        return Err(Refusal::invalid("max_body", problem));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_limit_above_the_relays_own_is_refused() {
        assert!(check_max_body(100, 100).is_ok());
        assert!(check_max_body(101, 100).is_err());
    }

    #[test]
    fn an_unknown_setting_is_refused_by_its_name() {
        let new = serde_json::from_str::<CreateEndpoint>(r#"{"name":"orders","colour":"red"}"#);
        let change = serde_json::from_str::<ChangeEndpoint>(r#"{"colour":"red"}"#);

        for error in [new.unwrap_err(), change.unwrap_err()] {
            assert!(error.to_string().contains("`colour`"), "{error}");
        }
    }
}
