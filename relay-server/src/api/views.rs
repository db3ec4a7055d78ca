//! What the store and the live endpoints hold, as the interface shows it; never a secret's content.

use std::time::Instant;

use data_encoding::BASE64;
use towline_shared::api::{
    AttemptView, EndpointView, EventSummary, OauthClient, OauthView, SecretView, TokenView,
};

use super::input::Json;
use super::masking;
use super::refusal::Refusal;
use crate::access_tokens::Clients;
use crate::endpoints::LiveEndpoint;
use crate::oauth::TOKEN_PATH;
use crate::relay::Relay;
use crate::store::{self, SecretUses, StoredAttempt, TokenInfo};

/// An endpoint with the present use of its secrets.
pub(super) async fn fresh_endpoint(
    relay: &Relay,
    live: &LiveEndpoint,
) -> Result<Json<EndpointView>, Refusal> {
    let uses = relay.store.secret_uses().await?;
    Ok(Json(endpoint(relay, live, &uses)))
}

pub(super) fn endpoint(relay: &Relay, live: &LiveEndpoint, uses: &SecretUses) -> EndpointView {
    let endpoint = &live.endpoint;
    let settings = &endpoint.settings;
    let secrets = endpoint.secrets.iter().map(|secret| {
        let used = uses.get(&(endpoint.id, secret.name.clone()));
        let used = used.copied().unwrap_or_default();
        SecretView {
            name: secret.name.clone(),
            created_at: secret.created_at,
            uses: used.uses,
            last_used_at: used.last_used_at,
        }
    });
    EndpointView {
        name: endpoint.name.clone(),
        url: live.url(&relay.public_url),
        provider: settings.provider.clone(),
        has_own_scheme: settings.own_scheme.is_some(),
        variant: settings.variant.clone(),
        parameters: settings.parameters.clone(),
        ack: settings.ack.clone(),
        on_failure: settings.on_failure,
        awaits_secret: live.awaits_secret(),
        can_reveal: relay.endpoints.can_reveal(endpoint.id, Instant::now()),
        deliver_duplicates: settings.deliver_duplicates,
        max_body: settings.max_body,
        retention: settings.retention.within(relay.config.retention),
        limits: live.meters.limits(),
        created_at: endpoint.created_at,
        secrets: secrets.collect(),
        oauth: oauth(relay, live),
    }
}

fn oauth(relay: &Relay, live: &LiveEndpoint) -> Option<OauthView> {
    live.clients.as_ref()?;
    let secrets = live.endpoint.secrets.iter();
    let clients = secrets.map(|secret| OauthClient {
        client_id: Clients::id(&live.endpoint.key, &secret.name),
        secret: secret.name.clone(),
    });
    Some(OauthView {
        token_url: format!("{}{TOKEN_PATH}", relay.public_url),
        clients: clients.collect(),
    })
}

pub(super) fn event(relay: &Relay, summary: store::EventSummary) -> EventSummary {
    masked(
        relay,
        EventSummary {
            info: summary.info,
            method: summary.method,
            target: summary.target,
            latest_attempt: summary.latest_attempt,
        },
    )
}

/// The summary without secrets in its target.
pub(super) fn masked(relay: &Relay, mut summary: EventSummary) -> EventSummary {
    if let Some(live) = relay.endpoints.by_name(&summary.info.endpoint) {
        summary.target = masking::target(&live.endpoint, summary.target);
    }
    summary
}

pub(super) fn attempt(stored: StoredAttempt) -> AttemptView {
    AttemptView {
        consumer: stored.consumer,
        attempt: stored.attempt,
        replay_changes: stored.replay_changes,
        sent_head_base64: BASE64.encode(&stored.sent_head),
        reply_head_base64: BASE64.encode(&stored.reply_head),
        reply_body_base64: BASE64.encode(&stored.reply_body),
        recorded_at: stored.recorded_at,
    }
}

pub(super) fn token(token: TokenInfo) -> TokenView {
    let scopes = token.scopes.iter().map(|scope| scope.as_str().to_owned());
    TokenView {
        scopes: scopes.collect(),
        id: token.id,
        name: token.name,
        created_at: token.created_at,
        expires_at: token.expires_at,
        revoked_at: token.revoked_at,
    }
}
