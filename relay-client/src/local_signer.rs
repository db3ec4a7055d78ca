//! Secret translation: what the relay has verified with the real secret is signed again, just before the app is
//! called, with a secret that only this machine and its app know. The real one never leaves the relay.

use std::collections::BTreeMap;
use std::sync::Arc;

use towline_shared::head::Head;
use towline_shared::hop::{Change, LOCAL_SIGNATURE};
use towline_shared::id::SecretName;
use towline_shared::secret::Secret;
use towline_shared::time::Timestamp;
use towline_shared::verdict::Verdict;
use towline_shared::verify::{Captured, Provider, Settings, SignError, Unsigned};

use crate::body::Body;

/// The longest body that is signed: it must be in memory for that.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// Signs deliveries with a local secret.
pub struct LocalSigner {
    provider: Arc<Provider>,
    variant: Option<String>,
    parameters: BTreeMap<String, String>,
    secrets: Vec<(SecretName, Secret)>,
    reason: String,
}

/// A delivery with a local signature.
pub(crate) struct Signed {
    pub(crate) head: Head,
    pub(crate) changes: Vec<Change>,
}

impl std::fmt::Debug for LocalSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LocalSigner({}, {})", self.provider.slug(), self.reason)
    }
}

impl LocalSigner {
    /// Signs by the provider's schemes with this secret; `from` says where it comes from.
    ///
    /// # Errors
    /// When the provider's signatures cannot be made, or not with this secret. A sample is signed to see that.
    pub fn new(
        provider: Arc<Provider>,
        variant: Option<String>,
        parameters: BTreeMap<String, String>,
        secret: Secret,
        from: &str,
    ) -> Result<Self, SignError> {
        let name = "local".parse().expect("the name is valid");
        let signer = Self {
            provider,
            variant,
            parameters,
            secrets: vec![(name, secret)],
            reason: format!("{LOCAL_SIGNATURE} with {from}"),
        };
        signer.try_out()?;
        Ok(signer)
    }

    /// JSON and form are tried, since some schemes sign one of them only.
    fn try_out(&self) -> Result<(), SignError> {
        let sample = |kind: &str, body: &[u8]| {
            let unsigned = Unsigned {
                method: "POST",
                url: "http://localhost/",
                fields: &[("Content-Type".to_owned(), kind.to_owned())],
                body,
            };
            let now = Timestamp::from(std::time::SystemTime::now());
            self.with_settings(now, |settings| self.provider.sign(&unsigned, settings))
        };
        let json = sample("application/json", b"{}");
        if json.is_ok() || sample("application/x-www-form-urlencoded", b"a=b").is_ok() {
            return Ok(());
        }
        json.map(drop)
    }

    fn with_settings<T>(&self, now: Timestamp, apply: impl FnOnce(&Settings<'_>) -> T) -> T {
        apply(&Settings {
            secrets: &self.secrets,
            parameters: &self.parameters,
            variant: self.variant.as_deref(),
            now,
            fetched: &BTreeMap::new(),
        })
    }

    /// The delivery signed anew for the URL at which the app sees it. `None` for one that was not verified: what may
    /// come from anybody gets no good signature.
    ///
    /// # Errors
    /// Why it cannot be signed.
    pub(crate) async fn sign(
        &self,
        head: &Head,
        body: &mut Body,
        verdict: &Verdict,
        url: &str,
        now: Timestamp,
    ) -> Option<Result<Signed, String>> {
        let (Verdict::Verified(found) | Verdict::Authenticated(found)) = verdict else {
            return None;
        };
        let bytes = match whole(body).await {
            Ok(bytes) => bytes,
            Err(why) => return Some(Err(why)),
        };
        let captured = Captured {
            head,
            url,
            body: &bytes,
            matched: found.scheme.as_deref(),
            reason: &self.reason,
        };
        let resigned =
            self.with_settings(now, |settings| self.provider.resign(&captured, settings));
        Some(match resigned {
            Ok(resigned) => Ok(Signed {
                head: resigned.head,
                changes: resigned.changes,
            }),
            Err(error) => Err(error.to_string()),
        })
    }
}

async fn whole(body: &mut Body) -> Result<Vec<u8>, String> {
    if body.length() > MOST_BYTES {
        return Err(format!("the body has more than {MOST_BYTES} bytes"));
    }
    let unreadable = |error: std::io::Error| format!("the body cannot be read: {error}");
    let mut reader = body.reader().await.map_err(unreadable)?;
    let mut bytes = Vec::new();
    loop {
        let piece = reader.next().await.map_err(unreadable)?;
        if piece.is_empty() {
            return Ok(bytes);
        }
        bytes.extend_from_slice(&piece);
    }
}

#[cfg(test)]
mod tests {
    use towline_shared::verdict::{Failure, Match};

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_760_000_000_000);

    fn signer(slug: &str, secret: &str) -> Result<LocalSigner, SignError> {
        let provider = Provider::builtin(slug).unwrap();
        LocalSigner::new(
            provider,
            None,
            BTreeMap::new(),
            Secret::new(secret),
            "variable LOCAL",
        )
    }

    fn verified() -> Verdict {
        Verdict::Verified(Match {
            provider: "stripe".to_owned(),
            scheme: None,
            secret: None,
        })
    }

    #[tokio::test]
    async fn a_verified_delivery_is_signed_in_its_place_and_the_change_says_with_what() {
        let head = Head::parse(
            &b"POST / HTTP/1.1\r\nA: 1\r\nSTRIPE-Signature: t=1,v1=00\r\nB: 2\r\n\r\n"[..],
        )
        .unwrap();
        let mut body = Body::Memory("{}".into());
        let signer = signer("stripe", "local secret").unwrap();

        let signed = signer
            .sign(&head, &mut body, &verified(), "http://localhost/", NOW)
            .await;

        let signed = signed.unwrap().unwrap();
        let line = signed.head.fields().nth(1).unwrap().line;
        assert!(line.starts_with(b"STRIPE-Signature: t=1760000000,v1="));
        assert_eq!(signed.changes.len(), 1);
        assert_eq!(
            signed.changes[0].reason,
            "signed again on this machine with variable LOCAL"
        );
        assert!(!format!("{signer:?}").contains("local secret"));
    }

    #[tokio::test]
    async fn what_was_not_verified_is_not_signed() {
        let head =
            Head::parse(&b"POST / HTTP/1.1\r\nStripe-Signature: t=1,v1=00\r\n\r\n"[..]).unwrap();
        let failed = Verdict::Failed(Failure {
            provider: "stripe".to_owned(),
            cause: towline_shared::verdict::Cause::SignatureMismatch,
            detail: String::new(),
            findings: Vec::new(),
        });
        let signer = signer("stripe", "local secret").unwrap();

        for verdict in [failed, Verdict::Unchecked] {
            let mut body = Body::Memory("{}".into());
            let signed = signer
                .sign(&head, &mut body, &verdict, "http://localhost/", NOW)
                .await;
            assert!(signed.is_none(), "{verdict:?}");
        }
    }

    #[test]
    fn what_cannot_sign_is_refused_at_the_start() {
        assert!(matches!(
            signer("discord", "x"),
            Err(SignError::Asymmetric { .. })
        ));
        assert!(matches!(
            signer("standard_webhooks", "whsec_%"),
            Err(SignError::Unusable(_))
        ));
    }
}
