//! Calls the app: writes the sender's head as it is but for what a hop must change, and the body, onto a
//! keep-alive connection, and reads the reply. Knows nothing of relays, lines and journals.
//!
//! A request is written at most once: when a connection that was used before dies without a reply, nobody
//! can know whether the app worked on the request, so that is reported and left to the caller.

mod options;
mod chunks;
mod exchange;
mod refusal;
mod reply;
mod retry_after;
mod socket;
mod trial;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tokio::time;
use towline_shared::head::Head;
use towline_shared::hop::{self, Rules};
use towline_shared::id::EventId;
use towline_shared::outcome::{self, Outcome, Phase};
use towline_shared::time::Timestamp;
use towline_shared::verdict::Verdict;

use self::exchange::{Broken, Request, Sent, exchange};
use self::options::check_fields;
pub use self::options::{Delivery, ForwarderError, HostHeader};
use self::reply::ReplyReader;
use self::socket::{Connector, NoSocket, Socket};
use self::trial::Trial;
pub use self::trial::Tried;
use crate::body::Body;
use crate::local_signer::{LocalSigner, Signed};
use crate::tls;

/// One request to make.
#[derive(Debug)]
pub struct Call<'a> {
    /// The event.
    pub event: EventId,
    /// The delivery.
    pub delivery: outcome::Delivery,
    /// The number of the attempt.
    pub number: u32,
    /// The sender's head.
    pub head: &'a Head,
    /// The body.
    pub body: &'a mut Body,
}

/// Calls one target.
pub struct Forwarder {
    delivery: Delivery,
    signer: Option<Arc<LocalSigner>>,
    authority: String,
    connector: Connector,
}

impl Forwarder {
    /// Checks the options and prepares the connections.
    ///
    /// Reads certificate files when the target is `https`: call it where blocking is allowed.
    ///
    /// # Errors
    /// Names the option that cannot be met.
    pub fn new(delivery: Delivery) -> Result<Self, ForwarderError> {
        check_fields(&delivery)?;
        let tls = match (delivery.target.is_https, delivery.insecure) {
            (false, _) => None,
            (true, false) => Some(tls::trusting(None)?),
            (true, true) => Some(tls::trusting_anyone()?),
        };
        let connector =
            Connector::new(&delivery.target, tls).map_err(|detail| ForwarderError::TlsName {
                host: delivery.target.host.clone(),
                detail,
            })?;
        Ok(Self {
            authority: delivery.target.authority(),
            signer: None,
            delivery,
            connector,
        })
    }

    /// The same, but what was verified is signed again with a secret of this machine.
    pub(crate) fn signing_with(mut self, signer: Option<Arc<LocalSigner>>) -> Self {
        self.signer = signer;
        self
    }

    /// The request with a local signature for the URL at which the app sees it, where one is wanted and fits.
    pub(crate) async fn signed(
        &self,
        head: &Head,
        body: &mut Body,
        verdict: &Verdict,
    ) -> Option<Result<Signed, String>> {
        let signer = self.signer.as_ref()?;
        let target = &self.delivery.target;
        let sent = hop::endpoint_target(head.target())?;
        let path = sent.joined(&target.base_path, target.base_query.as_deref());
        let host = match &self.delivery.host {
            HostHeader::Preserve => head.values("host").next(),
            HostHeader::Rewrite => None,
            HostHeader::Value(value) => Some(value.as_bytes()),
        };
        let scheme = if target.is_https { "https" } else { "http" };
        let url = format!(
            "{scheme}://{}{}",
            String::from_utf8_lossy(host.unwrap_or(self.authority.as_bytes())),
            String::from_utf8_lossy(&path)
        );
        let now = Timestamp::from(SystemTime::now());
        signer.sign(head, body, verdict, &url, now).await
    }

    /// Makes one call. `before_send` is given the URL when a connection is there and nothing was written yet: from
    /// then on the app may have the request.
    ///
    /// # Errors
    /// Only those of `before_send`; nothing is sent then. What goes wrong with the app is an [`Outcome`].
    pub async fn deliver<E>(
        &self,
        call: Call<'_>,
        before_send: impl FnOnce(&str) -> Result<(), E>,
    ) -> Result<Tried, E> {
        let trial = Trial::begin(self.delivery.timeout);
        let forwarded = match self.forwarded(&call) {
            Ok(forwarded) => forwarded,
            Err(error) => {
                let detail = format!("the request cannot be forwarded: {}", with_sources(&error));
                let mut tried = trial.end(
                    self.delivery.target.to_string(),
                    Outcome::Refused { detail },
                );
                tried.is_hopeless = true;
                return Ok(tried);
            }
        };
        let mut tried = self
            .call(&forwarded.head, call.body, trial, before_send)
            .await?;
        tried.changes = forwarded.changes;
        Ok(tried)
    }

    /// Makes one call with a head that is already the target's own: nothing of it is changed.
    pub async fn send(&self, head: &Head, body: &mut Body) -> Tried {
        let trial = Trial::begin(self.delivery.timeout);
        let called = self.call(head, body, trial, |_| Ok::<(), Infallible>(()));
        match called.await {
            Ok(tried) => tried,
            Err(never) => match never {},
        }
    }

    async fn call<E>(
        &self,
        head: &Head,
        body: &mut Body,
        mut trial: Trial,
        before_send: impl FnOnce(&str) -> Result<(), E>,
    ) -> Result<Tried, E> {
        let target = self.url(head);
        let (socket, is_reused) = match self.socket(trial.deadline).await {
            Ok(found) => found,
            Err((outcome, hint)) => {
                let mut tried = trial.end(target, outcome);
                tried.hint = hint;
                return Ok(tried);
            }
        };
        before_send(&target)?;
        let outcome = self
            .send_and_hear(socket, is_reused, head, body, &mut trial)
            .await;
        let mut tried = trial.end(target, outcome);
        tried.sent_head = head.as_bytes().clone();
        self.look_at_reply(&mut tried);
        Ok(tried)
    }

    fn forwarded(&self, call: &Call<'_>) -> Result<hop::Forwarded, hop::HopError> {
        let target = &self.delivery.target;
        let marks = self.delivery.mark.then(|| marks(call));
        let with_marks: Vec<_>;
        let add = match marks {
            Some(marks) => {
                with_marks = [self.delivery.add_headers.as_slice(), &marks].concat();
                with_marks.as_slice()
            }
            None => self.delivery.add_headers.as_slice(),
        };
        let rules = Rules {
            base_path: &target.base_path,
            base_query: target.base_query.as_deref(),
            authority: &self.authority,
            host: match &self.delivery.host {
                HostHeader::Preserve => hop::Host::Preserve,
                HostHeader::Rewrite => hop::Host::Rewrite,
                HostHeader::Value(value) => hop::Host::Value(value),
            },
            add,
            body_length: call.body.length(),
        };
        hop::forwarded(call.head, &rules)
    }

    fn url(&self, head: &Head) -> String {
        let scheme = if self.delivery.target.is_https {
            "https"
        } else {
            "http"
        };
        format!(
            "{scheme}://{}{}",
            self.authority,
            String::from_utf8_lossy(head.target())
        )
    }

    async fn socket(
        &self,
        deadline: time::Instant,
    ) -> Result<(Socket, bool), (Outcome, Option<String>)> {
        if let Some(socket) = self.connector.reuse(Instant::now()) {
            return Ok((socket, true));
        }
        match time::timeout_at(deadline, self.connector.connect()).await {
            Ok(Ok(socket)) => Ok((socket, false)),
            Ok(Err(NoSocket {
                detail,
                is_untrusted,
            })) => {
                let hint = "`--insecure` takes the app's certificate unchecked";
                Err((
                    Outcome::Refused { detail },
                    is_untrusted.then(|| hint.to_owned()),
                ))
            }
            Err(_) => Err((
                Outcome::TimedOut {
                    phase: Phase::Connect,
                },
                None,
            )),
        }
    }

    async fn send_and_hear(
        &self,
        mut socket: Socket,
        is_reused: bool,
        head: &Head,
        body: &mut Body,
        trial: &mut Trial,
    ) -> Outcome {
        let body = match body.reader().await {
            Ok(body) => body,
            Err(error) => return broken_body(&error),
        };
        let request = Request {
            head: head.as_bytes(),
            body,
            is_chunked: head.is_chunked(),
        };
        let mut reply = ReplyReader::new(head.method());
        let exchange = exchange(
            &mut socket,
            request,
            &mut trial.sent,
            &mut reply,
            &mut trial.first_byte_at,
        );
        let ended = time::timeout_at(trial.deadline, exchange).await;
        let outcome = match ended {
            Ok(Ok(())) => Outcome::Answered {
                status: reply.status(),
                body_length: reply.body_length(),
                first_byte_micros: trial.first_byte_micros(),
            },
            Ok(Err(Broken::Body(error))) => broken_body(&error),
            Ok(Err(broken)) => Outcome::Reset {
                detail: in_words(&broken, is_reused && trial.first_byte_at.is_none()),
            },
            Err(_) => Outcome::TimedOut {
                phase: phase(&trial.sent, &reply),
            },
        };
        if reply.can_stay_open() && trial.sent.is_whole {
            self.connector.keep(socket, Instant::now());
        }
        trial.reply = reply.into_parts();
        outcome
    }

    fn look_at_reply(&self, tried: &mut Tried) {
        let Outcome::Answered { status, .. } = tried.outcome else {
            return;
        };
        if status >= 400 {
            let now = Timestamp::from(SystemTime::now());
            tried.retry_after = retry_after::wanted_wait(&tried.reply_head, now);
        }
        if self.delivery.host != HostHeader::Rewrite {
            tried.hint = refusal::refuses_host(status, &tried.reply_body).map(|server| {
                format!(
                    "{server} refuses the sender's Host; `--host-header rewrite` sends {} instead",
                    self.authority
                )
            });
        }
    }
}

fn marks(call: &Call<'_>) -> Vec<(String, String)> {
    let mut marks = vec![
        ("Towline-Event-Id".to_owned(), call.event.to_string()),
        ("Towline-Attempt".to_owned(), call.number.to_string()),
    ];
    marks.extend(
        call.delivery
            .replay
            .map(|replay| ("Towline-Replay".to_owned(), replay.to_string())),
    );
    marks
}

fn phase(sent: &Sent, reply: &ReplyReader) -> Phase {
    match (reply.has_head(), sent.is_whole) {
        (true, _) => Phase::Body,
        (false, true) => Phase::Reply,
        (false, false) => Phase::Send,
    }
}

fn broken_body(error: &std::io::Error) -> Outcome {
    Outcome::Reset {
        detail: format!("the body kept on this machine cannot be read: {error}"),
    }
}

fn in_words(broken: &Broken, is_unknown: bool) -> String {
    let what = match broken {
        Broken::Io(error) => format!("the connection to the app broke: {error}"),
        Broken::Body(error) => error.to_string(),
        Broken::Reply(error) => error.to_string(),
    };
    if is_unknown {
        format!(
            "{what} (it had served before; whether the app worked on this request is not known)"
        )
    } else {
        what
    }
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
