//! How requests of an endpoint are checked: by a provider compiled once, not at all, or never successfully.

use std::collections::BTreeMap;
use std::sync::Arc;

use towline_shared::verify::Provider;

use super::EndpointError;
use crate::keys;
use crate::store::EndpointSettings;

/// The check of an endpoint's requests.
#[derive(Clone, Debug)]
pub(crate) enum Check {
    /// The endpoint has no provider: requests go unchecked.
    Unchecked,
    /// By this provider's schemes.
    By(Arc<Provider>),
    /// The endpoint's provider cannot be used, for this reason: every check must fail, as `config_error`.
    /// This happens only to an endpoint that another version of the relay made.
    Broken(String),
}

impl Check {
    /// The check with these settings.
    ///
    /// # Errors
    /// Names the setting at fault. What names a provider never becomes an unchecked endpoint.
    pub(super) fn compile(settings: &EndpointSettings) -> Result<Self, EndpointError> {
        let own_scheme = settings.own_scheme.as_deref();
        let variant = settings.variant.as_deref();
        let Some(slug) = &settings.provider else {
            return without_provider(own_scheme, variant);
        };
        let provider = match own_scheme {
            Some(toml) => own(slug, toml)?,
            None => builtin(slug)?,
        };
        if let Some(variant) = variant {
            check_variant(&provider, variant)?;
        }
        check_parameters(&provider, variant, &settings.parameters)?;
        Ok(Self::By(provider))
    }

    /// The check of an endpoint as it is kept, which may have been made by another version.
    pub(super) fn of_kept(settings: &EndpointSettings) -> Self {
        Self::compile(settings).unwrap_or_else(|error| Self::Broken(error.to_string()))
    }
}

fn without_provider(
    own_scheme: Option<&str>,
    variant: Option<&str>,
) -> Result<Check, EndpointError> {
    let needs_provider = |field| invalid(field, "needs `provider`, which names it".to_owned());
    if own_scheme.is_some() {
        return Err(needs_provider("own_scheme"));
    }
    if variant.is_some() {
        return Err(needs_provider("variant"));
    }
    Ok(Check::Unchecked)
}

fn own(slug: &str, toml: &str) -> Result<Arc<Provider>, EndpointError> {
    let provider = Provider::parse(slug, toml);
    let provider = provider.map_err(|error| invalid("own_scheme", error.to_string()))?;
    Ok(Arc::new(provider))
}

fn builtin(slug: &str) -> Result<Arc<Provider>, EndpointError> {
    Provider::builtin(slug).ok_or_else(|| {
        let shown: String = slug
            .chars()
            .take(64)
            .flat_map(char::escape_default)
            .collect();
        let known: Vec<_> = Provider::builtin_slugs().take(MOST_SLUGS_SHOWN).collect();
        let known = known.join(", ");
        let problem = format!("no provider `{shown}`; expected one such as {known}");
        invalid("provider", problem)
    })
}

/// Enough to see how slugs look; the command lists them all.
const MOST_SLUGS_SHOWN: usize = 12;

fn check_variant(provider: &Provider, variant: &str) -> Result<(), EndpointError> {
    let known = provider.variants();
    if known.contains(&variant) {
        return Ok(());
    }
    let shown: String = variant
        .chars()
        .take(64)
        .flat_map(char::escape_default)
        .collect();
    let slug = provider.slug();
    let problem = if known.is_empty() {
        format!("`{slug}` has one scheme only, without a name")
    } else {
        let known = known.join(", ");
        format!("`{slug}` has no scheme `{shown}`; expected one of {known}")
    };
    Err(invalid("variant", problem))
}

/// What tells this endpoint's requests from those for others must be there, and what the relay is to fetch must be a place
/// where it may go. What such a name means is looked at again with every fetch.
fn check_parameters(
    provider: &Provider,
    variant: Option<&str>,
    parameters: &BTreeMap<String, String>,
) -> Result<(), EndpointError> {
    if let Some(parameter) = provider.missing_parameters(variant, parameters).first() {
        return Err(EndpointError::NeedsParameter {
            provider: provider.slug().to_owned(),
            parameter: (*parameter).to_owned(),
        });
    }
    for fetched in provider.fetched_urls(variant, parameters) {
        if !keys::may_be_fetched(&fetched.url) {
            let problem = format!(
                "`{}` names no place of keys: expected an HTTPS URL of a public host, without a port",
                fetched.parameter
            );
            return Err(invalid("parameters", problem));
        }
    }
    Ok(())
}

fn invalid(field: &'static str, problem: String) -> EndpointError {
    EndpointError::Invalid { field, problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_provider_requests_go_unchecked() {
        let check = Check::compile(&EndpointSettings::default()).unwrap();

        assert!(matches!(check, Check::Unchecked));
    }

    #[test]
    fn a_scheme_or_variant_without_a_provider_is_refused() {
        let own_scheme = EndpointSettings {
            own_scheme: Some("x".to_owned()),
            ..EndpointSettings::default()
        };
        let variant = EndpointSettings {
            variant: Some("x".to_owned()),
            ..EndpointSettings::default()
        };

        let scheme = Check::compile(&own_scheme).unwrap_err();
        let variant = Check::compile(&variant).unwrap_err();

        assert!(scheme.to_string().starts_with("`own_scheme`:"), "{scheme}");
        assert!(variant.to_string().starts_with("`variant`:"), "{variant}");
    }

    #[test]
    fn an_endpoint_whose_kept_provider_is_unknown_is_broken_and_not_unchecked() {
        let Check::Broken(why) = Check::of_kept(&by("a-later-provider")) else {
            panic!("expected a broken check");
        };

        assert!(why.contains("`a-later-provider`"), "{why}");
    }

    #[test]
    fn a_variant_must_be_one_of_the_providers() {
        let known = Provider::builtin("extole").unwrap();
        let variant = known.variants()[0];
        assert!(compile("extole", Some(variant), &[]).is_ok());

        let error = compile("extole", Some("none"), &[]).unwrap_err();

        assert!(error.to_string().contains(variant), "{error}");
    }

    #[test]
    fn what_tells_a_customer_from_others_must_be_there_and_stay() {
        let google = |parameters: &[(&str, &str)]| compile("google_pubsub", None, parameters);
        let both = [("audience", "mine"), ("email", "me@x.example")];

        assert!(google(&both).is_ok());
        for (given, missing) in [(&both[1..], "audience"), (&both[..1], "email")] {
            let error = google(given).unwrap_err();

            let EndpointError::NeedsParameter { parameter, .. } = error else {
                panic!("{error}");
            };
            assert_eq!(parameter, missing);
        }
        assert!(compile("extole", Some("jwks"), &[("audience", "a")]).is_err());
        assert!(compile("extole", Some("jwt"), &[("audience", "a")]).is_ok());
    }

    #[test]
    fn a_kept_endpoint_without_such_a_parameter_takes_nothing() {
        assert!(matches!(Check::of_kept(&by("aws_sns")), Check::Broken(_)));
    }

    #[test]
    fn keys_are_fetched_from_public_https_only() {
        let kinde = |issuer| compile("kinde", None, &[("issuer", issuer)]);

        assert!(kinde("https://mine.kinde.example").is_ok());
        for private in [
            "http://mine.kinde.example",
            "https://mine.kinde.example:8443",
            "https://127.0.0.1",
            "https://[::1]",
            "https://localhost",
            "https://keys.localhost",
            "https://printer.local",
            "https://metadata.google.internal",
            "https://user@mine.kinde.example",
            "mine.kinde.example",
        ] {
            let error = kinde(private).unwrap_err().to_string();

            assert!(error.contains("`issuer`"), "{private}: {error}");
        }
    }

    fn compile(
        provider: &str,
        variant: Option<&str>,
        parameters: &[(&str, &str)],
    ) -> Result<Check, EndpointError> {
        let parameters = parameters.iter();
        let parameters = parameters.map(|(name, value)| (name.to_string(), value.to_string()));
        Check::compile(&EndpointSettings {
            variant: variant.map(str::to_owned),
            parameters: parameters.collect(),
            ..by(provider)
        })
    }

    fn by(provider: &str) -> EndpointSettings {
        EndpointSettings {
            provider: Some(provider.to_owned()),
            ..EndpointSettings::default()
        }
    }
}
