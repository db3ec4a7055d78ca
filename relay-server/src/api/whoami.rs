//! `GET /v1/whoami`: whose token it is and which relay answers.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::State;
use towline_shared::api::WhoAmI;
use towline_shared::time::Timestamp;

use super::access::{Allowed, Anything};
use super::input::Json;
use crate::relay::Relay;

pub(super) async fn show(
    Allowed { token, .. }: Allowed<Anything>,
    State(relay): State<Arc<Relay>>,
) -> Json<WhoAmI> {
    let scopes = token.scopes.iter().map(|scope| scope.as_str().to_owned());
    Json(WhoAmI {
        scopes: scopes.collect(),
        token: token.name,
        relay: concat!("towline/", env!("CARGO_PKG_VERSION")).to_owned(),
        public_url: relay.public_url.clone(),
        now: Timestamp::from(SystemTime::now()),
    })
}
