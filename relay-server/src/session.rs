//! One live WebSocket of one consumer: sends deliveries within its window, keeps outcomes, moves the cursor.

mod actor;
mod ending;
mod handshake;
mod jobs;
mod line;
mod opening;
mod outgoing;
mod registry;
mod socket;
mod streams;
mod window;

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use towline_shared::time::Timestamp;

pub(crate) use registry::Sessions;

use crate::auth::AuthError;
use crate::problem::{not_let_in, unavailable};
use crate::relay::Relay;
use crate::store::{Scope, TokenInfo};
use actor::Actor;
use handshake::Asked;
use registry::Place;
use socket::Socket;

/// Answers `GET /v1/connect`: checks token and upgrade, then runs the session in a task of the relay's tracker.
pub(crate) async fn connect(
    relay: Arc<Relay>,
    mut request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let authorization = request.headers().get(AUTHORIZATION);
    let authorization = authorization.map(|value| value.as_bytes().to_vec());
    let (token, place) = match admit(&relay, authorization.as_deref()).await {
        Ok(admitted) => admitted,
        Err(refusal) => return refusal.answer(),
    };
    let asked = match Asked::read(&request) {
        Ok(asked) => asked,
        Err(refusal) => return refusal.answer(),
    };
    let upgrade = hyper::upgrade::on(&mut request);
    let session = serve(Arc::clone(&relay), upgrade, token, place);
    relay.tasks.spawn(session);
    asked.answer()
}

/// A session is not begun.
enum Refusal {
    Token(AuthError),
    TooMany,
}

impl Refusal {
    fn answer(&self) -> Response<Full<Bytes>> {
        match self {
            Self::Token(error) => not_let_in(error),
            Self::TooMany => unavailable("the relay has too many sessions"),
        }
    }
}

async fn admit(relay: &Relay, authorization: Option<&[u8]>) -> Result<(TokenInfo, Place), Refusal> {
    let allow = || {
        let now = Timestamp::from(SystemTime::now());
        relay.auth.allow(authorization, Scope::Listen, now)
    };
    let token = allow().await.map_err(Refusal::Token)?;
    let place = relay.sessions.enter(token.id, &relay.stopping);
    let place = place.ok_or(Refusal::TooMany)?;
    // Asked again, because a revocation before the session had its place could not end it.
    allow().await.map_err(Refusal::Token)?;
    Ok((token, place))
}

async fn serve(relay: Arc<Relay>, upgrade: OnUpgrade, token: TokenInfo, mut place: Place) {
    let limits = Arc::clone(&relay.sessions.limits);
    let Ok(Ok(upgraded)) = timeout(limits.hello, upgrade).await else {
        return;
    };
    let mut socket = Socket::new(TokioIo::new(upgraded), limits.unsent_bytes).await;
    match opening::open(&relay, &mut socket, &mut place).await {
        Ok(opened) => {
            let mut session = Actor::new(relay, socket, place, token.expires_at, opened);
            let ending = session.run().await;
            ending.log();
            session.finish(&ending).await;
        }
        Err(ending) => {
            ending.log();
            let Some(goodbye) = ending.goodbye() else {
                return;
            };
            socket.farewell(goodbye, limits.farewell).await;
            place.is_quiet();
            socket.linger(limits.farewell).await;
        }
    }
}
