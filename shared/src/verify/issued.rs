//! Bearer tokens that the relay itself gave to a sender (RFC 6749 §4.4, RFC 6750). Who holds which token comes
//! in through a port: giving them out, keeping and forgetting them is the relay's.

use super::evaluate::Evaluation;
use super::trouble::Failing;
use crate::id::SecretName;
use crate::verdict::Cause;

/// The tokens that a relay gave to the senders of one endpoint.
pub trait IssuedTokens {
    /// What is known of a token as a request carries it.
    fn find(&self, token: &[u8]) -> IssuedToken;
}

/// What is known of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IssuedToken {
    /// It is valid; the client that asked for it had the secret of this name.
    Valid(SecretName),
    /// It was valid until so many seconds ago.
    Expired(u64),
    /// It was never given out for this endpoint, or its secret is gone.
    Unknown,
}

/// Checks a token; tells which secret it was given for.
pub(super) fn check(token: &[u8], evaluation: &Evaluation<'_>) -> Result<Option<usize>, Failing> {
    let delivery = evaluation.delivery;
    let Some(tokens) = delivery.surroundings.tokens else {
        return Err(Failing::new(
            Cause::KeyUnavailable,
            "only the relay that gave the token out can check it",
        ));
    };
    let name = match tokens.find(token) {
        IssuedToken::Valid(name) => name,
        IssuedToken::Expired(seconds) => {
            let detail = format!("the access token expired {seconds} s ago");
            return Err(Failing::new(Cause::TimestampExpired, detail));
        }
        IssuedToken::Unknown => return Err(unknown()),
    };
    let mut secrets = delivery.settings.secrets.iter();
    let place = secrets.position(|(known, _)| *known == name);
    place.map(Some).ok_or_else(unknown)
}

fn unknown() -> Failing {
    Failing::new(
        Cause::TokenMismatch,
        "the access token is none that this relay gave out for the endpoint",
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::head::{Head, Version};
    use crate::secret::Secret;
    use crate::time::Timestamp;
    use crate::verdict::Verdict;
    use crate::verify::{Body, Provider, Request, Settings, Surroundings};

    /// Knows one token.
    struct One(IssuedToken);

    impl IssuedTokens for One {
        fn find(&self, token: &[u8]) -> IssuedToken {
            match token {
                b"known" => self.0.clone(),
                _ => IssuedToken::Unknown,
            }
        }
    }

    fn verdict(
        variant: Option<&str>,
        authorization: &str,
        tokens: Option<&dyn IssuedTokens>,
    ) -> Verdict {
        let secrets = [("live".parse().unwrap(), Secret::new("the client secret"))];
        let settings = Settings {
            secrets: &secrets,
            parameters: &BTreeMap::new(),
            variant,
            now: Timestamp::from_millis(1_760_000_000_000),
            fetched: &BTreeMap::new(),
        };
        let fields = [(&b"Authorization"[..], authorization.as_bytes())];
        let head = Head::build("POST", b"/in/k", Version::Http11, fields).unwrap();
        let request = Request {
            head: &head,
            url: "https://hooks.example.com/in/k",
            body: Body::Bytes(b"{}"),
        };
        let surroundings = Surroundings {
            tokens,
            ..Surroundings::default()
        };
        extole()
            .judge_in(&request, &settings, &surroundings)
            .verdict
    }

    fn extole() -> Arc<Provider> {
        Provider::builtin("extole").unwrap()
    }

    fn cause(verdict: Verdict) -> Cause {
        match verdict {
            Verdict::Failed(failure) => failure.cause,
            other => panic!("expected a failure, found {other:?}"),
        }
    }

    fn valid(name: &str) -> One {
        One(IssuedToken::Valid(name.parse().unwrap()))
    }

    #[test]
    fn a_valid_token_authenticates_its_secret_and_does_not_cover_the_body() {
        let verdict = verdict(Some("oauth"), "Bearer known", Some(&valid("live")));

        let Verdict::Authenticated(found) = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!(found.scheme.as_deref(), Some("oauth"));
        assert_eq!(found.secret, Some("live".parse().unwrap()));
    }

    #[test]
    fn another_an_expired_and_an_orphaned_token_fail_each_with_its_cause() {
        let check = |authorization: &str, token: One| {
            cause(verdict(Some("oauth"), authorization, Some(&token)))
        };

        let mismatch = Cause::TokenMismatch;
        assert_eq!(check("Bearer other", valid("live")), mismatch);
        assert_eq!(check("Bearer known", valid("removed")), mismatch);
        assert_eq!(
            check("Bearer the client secret", valid("live")),
            mismatch,
            "the secret is for the token endpoint alone"
        );
        let expired = One(IssuedToken::Expired(7));
        assert_eq!(check("Bearer known", expired), Cause::TimestampExpired);
        let missing = Cause::MissingSignature;
        assert_eq!(check("Basic known", valid("live")), missing);
    }

    #[test]
    fn without_a_relay_no_token_can_be_checked() {
        let verdict = verdict(Some("oauth"), "Bearer known", None);

        assert_eq!(cause(verdict), Cause::KeyUnavailable);
    }

    #[test]
    fn tokens_count_only_where_the_endpoint_asks_for_them() {
        for variant in [None, Some("bearer"), Some("jwt")] {
            let verdict = verdict(variant, "Bearer known", Some(&valid("live")));

            assert!(matches!(verdict, Verdict::Failed(_)), "{variant:?}");
            assert!(!extole().takes_issued_tokens(variant), "{variant:?}");
        }
        assert!(extole().takes_issued_tokens(Some("oauth")));
    }

    #[test]
    fn without_any_secret_nothing_is_valid_and_nothing_goes_unchecked() {
        assert!(!extole().needs_secret(Some("oauth")));
    }
}
