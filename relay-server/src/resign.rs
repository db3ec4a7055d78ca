//! Makes the request of a replay that is not exact: edited, signed again with the endpoint's secret, or both.
//! The secret stays here; what comes out is a signed request, so whoever may ask for it may sign.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;
use towline_shared::api::DeliveryIdChoice;
use towline_shared::event::EventKind;
use towline_shared::head::Head;
use towline_shared::hop::{Change, ChangeKind, endpoint_target};
use towline_shared::id::SecretName;
use towline_shared::secret::Secret;
use towline_shared::time::Timestamp;
use towline_shared::verdict::{Cause, Verdict};
use towline_shared::verify::{
    self, Captured, DeliveryIdPlace, Provider, Settings, SignError, fresh_delivery_id,
};

use crate::endpoints::{Check, LiveEndpoint};
use crate::store::{Body, StoredEvent};

/// The longest body that is signed: it must be in memory for that, and the default limit of a relay is below it.
pub(crate) const MOST_SIGNED_BYTES: u64 = 32 * 1024 * 1024;

/// Requests that are made at the same time; further ones wait. This bounds the bodies in memory.
const AT_ONCE: usize = 2;

static TURNS: Semaphore = Semaphore::const_new(AT_ONCE);

/// What a replay is to have in place of the captured request.
#[derive(Clone)]
pub(crate) struct Wish {
    /// Whether it is signed again, and with which delivery id.
    pub(crate) resign: Option<DeliveryIdChoice>,
    /// Another body.
    pub(crate) body: Option<Bytes>,
    /// The time that is signed.
    pub(crate) now: Timestamp,
    /// Randomness for a new delivery id.
    pub(crate) seed: [u8; 32],
}

/// A request for a replay; the body is that of the wish or the captured one.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) head: Head,
    pub(crate) changes: Vec<Change>,
    pub(crate) verdict: Verdict,
    pub(crate) delivery_id: Option<String>,
}

/// The request cannot be made as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResignError {
    /// The endpoint checks nothing, so there is no scheme to sign by.
    #[error(
        "the endpoint has no provider, so there is nothing to sign by: `towline endpoints update --provider` sets one"
    )]
    NoScheme,
    /// The endpoint's scheme cannot be used.
    #[error("the endpoint's scheme cannot be used: {0}")]
    BrokenScheme(String),
    /// The event's own check failed.
    #[error(
        "the event failed its check (`{0}`), and signing it would make somebody else's request a good one: \
         `towline sign` and `towline trigger` sign what you write yourself"
    )]
    NotGenuine(String),
    /// Nobody checked the event.
    #[error(
        "the event was never checked, so nobody knows who sent it, and signing it could make a stranger's request a \
         good one: `towline sign` and `towline trigger` sign what you write yourself"
    )]
    NeverChecked,
    /// The event is a challenge.
    #[error("the event is a provider's challenge, which is never delivered")]
    Handshake,
    /// The body is too long to be signed.
    #[error("the body has more than {MOST_SIGNED_BYTES} bytes, the most that is signed again")]
    TooLong,
    /// Only the provider can sign.
    #[error(
        "`{0}` signs with a private key that only the provider has; for tests make a key pair of your own \
         (`towline keys new`), trust its public half in the app, and send with `towline trigger --key-file`"
    )]
    Asymmetric(String),
    /// The new delivery id has no header to stand in.
    #[error("{0}")]
    DeliveryId(String),
    /// The scheme, the secret or the request does not allow it.
    #[error("it cannot be signed again: {0}")]
    Unusable(String),
    /// The body cannot be read, or the engine failed.
    #[error("the request could not be made; the relay's log says more")]
    Broken,
}

impl From<SignError> for ResignError {
    fn from(error: SignError) -> Self {
        match error {
            SignError::Asymmetric { provider } => Self::Asymmetric(provider),
            SignError::Unusable(why) => Self::Unusable(why),
        }
    }
}

/// The public URL that a captured request was sent to, as the provider knows it.
pub(crate) fn public_url(base: &str, head: &Head) -> String {
    let Some(target) = endpoint_target(head.target()) else {
        return base.to_owned();
    };
    let suffix = String::from_utf8_lossy(target.suffix);
    let query = target.query.map(String::from_utf8_lossy);
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    format!("{base}/in/{}{suffix}{query}", target.key)
}

/// Makes the request apart from the threads that serve connections.
pub(crate) async fn request_of(
    live: Arc<LiveEndpoint>,
    base_url: &str,
    event: Arc<StoredEvent>,
    wish: Wish,
) -> Result<Made, ResignError> {
    let base_url = base_url.to_owned();
    let turn = TURNS.acquire().await.map_err(|_| ResignError::Broken)?;
    let making = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let making = AssertUnwindSafe(|| make(&live, &base_url, &event, &wish));
        catch_unwind(making).unwrap_or_else(|_| {
            tracing::error!(event.id = %event.info.id, "making the request of a replay panicked");
            Err(ResignError::Broken)
        })
    });
    making.await.map_err(|_| ResignError::Broken)?
}

fn make(
    live: &LiveEndpoint,
    base_url: &str,
    event: &StoredEvent,
    wish: &Wish,
) -> Result<Made, ResignError> {
    if wish.resign.is_some() {
        check_is_genuine(&live.check, event.info.kind, &event.info.verdict)?;
    }
    let mut head = Head::parse(event.head.clone()).map_err(|error| {
        tracing::error!(event.id = %event.info.id, %error, "kept head cannot be read");
        ResignError::Broken
    })?;
    let body = match &wish.body {
        Some(body) => body.clone(),
        None => whole_body(event)?,
    };
    let mut changes = Vec::new();
    if wish.body.is_some() {
        head = edited(head, body.len(), &mut changes)?;
    }
    let url = public_url(base_url, &head);
    let secrets = secrets_of(live, &event.info.verdict);
    let settings = Settings {
        secrets: &secrets,
        parameters: &live.endpoint.settings.parameters,
        variant: live.endpoint.settings.variant.as_deref(),
        now: wish.now,
        fetched: &BTreeMap::new(),
    };
    let verdict = match (&live.check, wish.resign) {
        (Check::By(provider), Some(delivery_id)) => {
            let signing = Signing {
                provider,
                settings: &settings,
                url: &url,
                body: &body,
            };
            signing.sign(&mut head, event, delivery_id, wish.seed, &mut changes)?
        }
        (Check::By(provider), None) => provider.check(
            &verify::Request {
                head: &head,
                url: &url,
                body: verify::Body::Bytes(&body),
            },
            &settings,
        ),
        (Check::Broken(why), _) => return Err(ResignError::BrokenScheme(why.clone())),
        (Check::Unchecked, Some(_)) => return Err(ResignError::NoScheme),
        (Check::Unchecked, None) => Verdict::Unchecked,
    };
    let delivery_id = match &live.check {
        Check::By(provider) => {
            let request = verify::Request {
                head: &head,
                url: &url,
                body: verify::Body::Bytes(&body),
            };
            provider.facts(&request).delivery_id
        }
        _ => None,
    };
    Ok(Made {
        head,
        changes,
        verdict,
        delivery_id,
    })
}

/// What a stranger sent must not get a good signature by mistake. One that was only late was signed rightly.
fn check_is_genuine(check: &Check, kind: EventKind, verdict: &Verdict) -> Result<(), ResignError> {
    if kind == EventKind::Handshake {
        return Err(ResignError::Handshake);
    }
    match verdict {
        Verdict::Failed(failure)
            if !matches!(
                failure.cause,
                Cause::TimestampExpired | Cause::TimestampFuture
            ) =>
        {
            Err(ResignError::NotGenuine(failure.detail.clone()))
        }
        // Without a provider there is nothing to sign by, which is the better thing to say.
        Verdict::Unchecked if !matches!(check, Check::Unchecked) => Err(ResignError::NeverChecked),
        Verdict::Unchecked
        | Verdict::Failed(_)
        | Verdict::Verified(_)
        | Verdict::Authenticated(_) => Ok(()),
    }
}

fn whole_body(event: &StoredEvent) -> Result<Bytes, ResignError> {
    match &event.body {
        Body::Inline(bytes) => Ok(bytes.clone()),
        Body::File(file) if file.length() > MOST_SIGNED_BYTES => Err(ResignError::TooLong),
        Body::File(file) => match std::fs::read(file.path()) {
            Ok(bytes) => Ok(bytes.into()),
            Err(error) => {
                tracing::warn!(event.id = %event.info.id, %error, "body cannot be read");
                Err(ResignError::Broken)
            }
        },
    }
}

/// The head for another body: its length, where the sender framed by one.
fn edited(head: Head, length: usize, changes: &mut Vec<Change>) -> Result<Head, ResignError> {
    changes.push(Change {
        kind: ChangeKind::Replaced,
        part: "body".to_owned(),
        reason: "edited for this replay".to_owned(),
    });
    let length = length.to_string();
    let is_right = |value: &[u8]| value == length.as_bytes();
    if head.is_chunked() || head.values("content-length").all(is_right) {
        return Ok(head);
    }
    changes.push(Change {
        kind: ChangeKind::Replaced,
        part: "Content-Length".to_owned(),
        reason: "the length of the edited body".to_owned(),
    });
    head.with_value("content-length", length.as_bytes())
        .map_err(|error| ResignError::Unusable(error.to_string()))
}

/// The secrets, that which matched when the event came first: an app that still holds it goes on working
/// while another one is being introduced.
fn secrets_of(live: &LiveEndpoint, verdict: &Verdict) -> Vec<(SecretName, Secret)> {
    let matched = match verdict {
        Verdict::Verified(found) | Verdict::Authenticated(found) => found.secret.as_ref(),
        Verdict::Failed(_) | Verdict::Unchecked => None,
    };
    let mut secrets = live.secrets.clone();
    secrets.sort_by_key(|(name, _)| Some(name) != matched);
    secrets
}

/// One request about to be signed.
struct Signing<'a> {
    provider: &'a Provider,
    settings: &'a Settings<'a>,
    url: &'a str,
    body: &'a [u8],
}

impl Signing<'_> {
    fn sign(
        &self,
        head: &mut Head,
        event: &StoredEvent,
        delivery_id: DeliveryIdChoice,
        seed: [u8; 32],
        changes: &mut Vec<Change>,
    ) -> Result<Verdict, ResignError> {
        if delivery_id == DeliveryIdChoice::New {
            let (with_id, change) = fresh_delivery_id(head, &self.id_header(head)?, seed)?;
            *head = with_id;
            changes.push(change);
        }
        let matched = match &event.info.verdict {
            Verdict::Verified(found) | Verdict::Authenticated(found) => found.scheme.as_deref(),
            Verdict::Failed(_) | Verdict::Unchecked => None,
        };
        let captured = Captured {
            head,
            url: self.url,
            body: self.body,
            matched,
            reason: "signed again with the endpoint's secret",
        };
        let resigned = self.provider.resign(&captured, self.settings)?;
        changes.extend(resigned.changes);
        *head = resigned.head;
        Ok(resigned.verdict)
    }

    fn id_header(&self, head: &Head) -> Result<String, ResignError> {
        let request = verify::Request {
            head,
            url: self.url,
            body: verify::Body::Bytes(self.body),
        };
        let slug = self.provider.slug();
        match self.provider.delivery_id_place(&request, self.settings) {
            DeliveryIdPlace::Header(name) => Ok(name),
            DeliveryIdPlace::Body(place) => Err(ResignError::DeliveryId(format!(
                "the delivery id of `{slug}` is {place}: edit the body to change it (`--set /POINTER=VALUE`, `--edit`)"
            ))),
            DeliveryIdPlace::Nowhere => Err(ResignError::DeliveryId(format!(
                "the request has no delivery id that the scheme of `{slug}` knows of"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_url_is_that_of_the_captured_target() {
        const KEY: &str = "0123456789abcdefghjkmnpqrstvwxyz";
        for (target, expected) in [
            (format!("/in/{KEY}"), format!("https://r.example/in/{KEY}")),
            (
                format!("/in/{KEY}//a/../b?x=%2F&y"),
                format!("https://r.example/in/{KEY}//a/../b?x=%2F&y"),
            ),
            (
                format!("http://other/in/{KEY}/?"),
                format!("https://r.example/in/{KEY}/?"),
            ),
        ] {
            let head = Head::parse(format!("POST {target} HTTP/1.1\r\n\r\n")).unwrap();

            assert_eq!(public_url("https://r.example", &head), expected);
        }
    }

    #[test]
    fn an_edited_body_gets_its_length_where_the_sender_had_one() {
        let lengths = |fields: &str| {
            let head = Head::parse(format!("POST / HTTP/1.1\r\n{fields}\r\n")).unwrap();
            let mut changes = Vec::new();
            let head = edited(head, 5, &mut changes).unwrap();
            let values: Vec<_> = head.values("content-length").map(<[u8]>::to_vec).collect();
            (values, changes.len())
        };

        assert_eq!(lengths("content-LENGTH: 3\r\n"), (vec![b"5".to_vec()], 2));
        assert_eq!(lengths("Content-Length: 5\r\n"), (vec![b"5".to_vec()], 1));
        assert_eq!(lengths("Transfer-Encoding: chunked\r\n"), (vec![], 1));
    }

    #[test]
    fn what_nobody_checked_is_not_signed() {
        let has_scheme = Check::Broken("a scheme of one's own".to_owned());
        let check =
            |check: &Check| check_is_genuine(check, EventKind::Webhook, &Verdict::Unchecked);

        assert!(matches!(check(&has_scheme), Err(ResignError::NeverChecked)));
        assert!(
            check(&Check::Unchecked).is_ok(),
            "there is no scheme to sign by"
        );
    }
}
