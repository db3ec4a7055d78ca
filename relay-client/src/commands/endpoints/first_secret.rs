//! What an endpoint that has no secret needs, in words: it depends on how its provider signs.

use towline_shared::api::EndpointView;
use towline_shared::verify::{FirstSecret, Provider};

/// Whether requests go unchecked, as far as this command can tell.
pub(super) fn is_open(endpoint: &EndpointView) -> bool {
    endpoint.provider.is_none()
        || matches!(
            needed(endpoint),
            Some(FirstSecret::FromOwner | FirstSecret::FromChallenge)
        )
}

/// What an endpoint with a provider and without a secret needs; nothing for any other.
pub(super) fn hint(endpoint: &EndpointView) -> Option<String> {
    let name = &endpoint.name;
    let command = format!("`towline endpoints rotate-secret {name} --secret-file FILE`");
    let provider = endpoint.provider.as_deref()?;
    Some(match needed(endpoint)? {
        FirstSecret::FromOwner => {
            format!("requests are not checked before it has a secret: {command}")
        }
        FirstSecret::FromChallenge => format!(
            "requests are not checked before it has a secret: `{provider}` hands it over when the webhook is made \
             there, and {command} sets one that is known already"
        ),
        FirstSecret::KeysByName => format!(
            "every request fails before it has the provider's public key, which cannot be fetched without an account: \
             {}",
            command.replace(
                "--secret-file FILE",
                "--secret-name KEY_ID --secret-file KEY_FILE"
            )
        ),
        FirstSecret::Nothing => format!(
            "no secret is needed: the keys that check requests of `{provider}` are fetched from it"
        ),
    })
}

fn needed(endpoint: &EndpointView) -> Option<FirstSecret> {
    if !endpoint.secrets.is_empty() || endpoint.oauth.is_some() {
        return None;
    }
    let slug = endpoint.provider.as_deref()?;
    let builtin = Provider::builtin(slug).filter(|_| !endpoint.has_own_scheme);
    // What a scheme of one's own needs only the relay knows: most need a secret.
    let needed = builtin.map(|provider| provider.first_secret(endpoint.variant.as_deref()));
    Some(match needed {
        Some(needed) => needed,
        None if endpoint.awaits_secret => FirstSecret::FromChallenge,
        None => FirstSecret::FromOwner,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_hint_goes_by_how_the_provider_signs() {
        for (provider, expected) in [
            (
                "github",
                "requests are not checked before it has a secret: `towline",
            ),
            ("asana", "`asana` hands it over"),
            ("ebay", "rotate-secret orders --secret-name KEY_ID"),
            ("plaid", "every request fails"),
            ("paypal", "no secret is needed"),
            ("kinde", "no secret is needed"),
        ] {
            let hint = hint(&endpoint(provider, &[])).unwrap();

            assert!(hint.contains(expected), "{provider}: {hint}");
        }
        assert_eq!(hint(&endpoint("github", &["live"])), None);
    }

    #[test]
    fn open_are_those_that_wait_for_a_secret() {
        assert!(is_open(&endpoint("github", &[])));
        assert!(is_open(&endpoint("asana", &[])));
        assert!(!is_open(&endpoint("paypal", &[])));
        assert!(!is_open(&endpoint("plaid", &[])));
        assert!(!is_open(&endpoint("github", &["live"])));
    }

    fn endpoint(provider: &str, secrets: &[&str]) -> EndpointView {
        let secret = |name| json!({"name": name, "created_at": 1, "uses": 0});
        serde_json::from_value(json!({
            "name": "orders", "url": "http://localhost/in/k", "provider": provider, "parameters": {},
            "ack": {"status": 200, "headers": [], "body": null}, "on_failure": "reject",
            "max_body": 1000, "created_at": 1,
            "secrets": secrets.iter().map(secret).collect::<Vec<_>>(),
        }))
        .unwrap()
    }
}
