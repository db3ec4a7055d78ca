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
mod wanted;
mod window;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
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
use opening::Visitor;
use registry::Place;
use socket::Socket;

/// What a session runs on.
type Connection = TokioIo<Upgraded>;

/// Answers `GET /v1/connect`: checks token and upgrade, then runs the session in a task of the relay's tracker.
pub(crate) async fn connect(
    relay: Arc<Relay>,
    mut request: Request<Incoming>,
    remote: IpAddr,
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
    let visitor = Visitor { token, remote };
    let session = serve(Arc::clone(&relay), upgrade, visitor, place);
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

async fn serve(relay: Arc<Relay>, upgrade: OnUpgrade, visitor: Visitor, place: Place) {
    // The opening is in a box of its own, so that an open session does not carry its memory.
    let opening = Box::pin(begin(relay, upgrade, visitor, place));
    let Some(mut session) = opening.await else {
        return;
    };
    let ending = session.run().await;
    ending.log();
    session.finish(&ending).await;
}

/// Opens a session, or says goodbye to one that cannot be opened.
async fn begin(
    relay: Arc<Relay>,
    upgrade: OnUpgrade,
    visitor: Visitor,
    mut place: Place,
) -> Option<Box<Actor<Connection>>> {
    let limits = Arc::clone(&relay.sessions.limits);
    let upgraded = timeout(limits.hello, upgrade).await.ok()?.ok()?;
    let mut socket = Socket::new(TokioIo::new(upgraded), limits.unsent_bytes).await;
    let ending = match opening::open(&relay, &mut socket, &mut place, &visitor).await {
        Ok(opened) => {
            let session = Actor::new(relay, socket, place, visitor.token.expires_at, opened);
            return Some(Box::new(session));
        }
        Err(ending) => ending,
    };
    ending.log();
    let goodbye = ending.goodbye()?;
    socket.farewell(goodbye, limits.farewell).await;
    place.is_quiet();
    socket.linger(limits.farewell).await;
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With its socket's read buffer (4 KiB) and hyper's upgraded connection an idle session stays under 12 kB.
    #[test]
    fn the_task_of_a_session_is_small() {
        let (task, session) = (size_of_future(serve), size_of::<Actor<Connection>>());

        assert!(task + session <= 3072, "{task} + {session} bytes");
    }

    fn size_of_future<A, B, C, D, F>(_: fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }
}
