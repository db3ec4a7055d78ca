//! Options that say how requests are checked, shared by the commands that make endpoints and that verify.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use towline_shared::api::{Ack, CreateEndpoint, NewSecret, OnFailure, Retention};
use towline_shared::id::{EndpointName, SecretName};
use towline_shared::secret::Secret;
use towline_shared::verify::Provider;

use super::{Context, Failure};
use crate::cli::parse_parameter;
use crate::settings::SecretSource;

/// The longest scheme file; the language itself refuses a longer one.
const MOST_SCHEME_BYTES: u64 = 64 * 1024;

/// How the provider signs.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Signature")]
pub(super) struct SchemeOptions {
    /// Take only this scheme of the provider, such as `jwt` of `extole`
    #[arg(long, value_name = "SCHEME")]
    pub(super) variant: Option<String>,
    /// A parameter of the scheme, such as `header=X-Api-Password` (repeatable)
    #[arg(long = "param", value_name = "KEY=VALUE", value_parser = parse_parameter)]
    pub(super) parameters: Vec<(String, String)>,
    /// A scheme file of your own (TOML), whose one table has the provider's name
    #[arg(long, value_name = "FILE")]
    pub(super) scheme: Option<PathBuf>,
}

/// Where the signing secret comes from; never the secret itself.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Secret")]
pub(super) struct SecretOptions {
    /// A file with the signing secret; `-` is stdin
    #[arg(long, value_name = "FILE", conflicts_with = "secret_env")]
    pub(super) secret_file: Option<PathBuf>,
    /// The variable that holds the signing secret
    #[arg(long, value_name = "VARIABLE")]
    pub(super) secret_env: Option<String>,
    /// What to call the secret, such as `live` or `2026-11`
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(super) secret_name: SecretName,
}

impl SecretOptions {
    /// Where the secret comes from, if it was said.
    pub(super) fn source(&self) -> Option<SecretSource> {
        let file = self.secret_file.clone().map(SecretSource::File);
        file.or_else(|| self.secret_env.clone().map(SecretSource::Variable))
    }

    /// The secret, if a source was named.
    pub(super) fn read(&self, context: &Context) -> anyhow::Result<Option<Secret>> {
        let source = self.source();
        let secret = source.map(|source| source.read(&context.settings.environment));
        Ok(secret.transpose()?)
    }
}

impl SchemeOptions {
    /// The parameters by name.
    ///
    /// # Errors
    /// When one is given twice.
    pub(super) fn parameters(&self) -> Result<BTreeMap<String, String>, Failure> {
        let mut parameters = BTreeMap::new();
        for (key, value) in &self.parameters {
            if parameters.insert(key.clone(), value.clone()).is_some() {
                return Err(Failure::usage(format!("`--param {key}=…` is given twice")));
            }
        }
        Ok(parameters)
    }

    /// The scheme file's text, after it has been checked against the provider's name.
    pub(super) fn own_scheme(&self, provider: &str) -> anyhow::Result<Option<String>> {
        let Some(path) = &self.scheme else {
            return Ok(None);
        };
        let unreadable = |error: std::io::Error| {
            Failure::invalid(format!(
                "could not read the scheme file `{}`",
                path.display()
            ))
            .because(error)
        };
        let length = fs::metadata(path).map_err(unreadable)?.len();
        if length > MOST_SCHEME_BYTES {
            let message = format!(
                "`{}` has more than {MOST_SCHEME_BYTES} bytes",
                path.display()
            );
            return Err(Failure::invalid(message).into());
        }
        let text = fs::read_to_string(path).map_err(unreadable)?;
        Provider::parse(provider, &text).map_err(|error| {
            Failure::invalid(format!(
                "the scheme file `{}` has a mistake",
                path.display()
            ))
            .because(error)
            .hint(format!(
                "`towline schemes check {}` tells every mistake in a line of its own",
                path.display()
            ))
        })?;
        Ok(Some(text))
    }
}

/// Whether the relay gives tokens out to the provider's senders, so that each secret is an OAuth client's.
pub(super) fn takes_issued_tokens(provider: &str, scheme: &SchemeOptions) -> anyhow::Result<bool> {
    let variant = scheme.variant.as_deref();
    Ok(match scheme.own_scheme(provider)? {
        Some(toml) => Provider::parse(provider, &toml)?.takes_issued_tokens(variant),
        None => check_provider(provider)?.takes_issued_tokens(variant),
    })
}

/// An endpoint to make, as the options describe it.
pub(super) fn new_endpoint(
    name: EndpointName,
    provider: Option<&str>,
    scheme: &SchemeOptions,
    secret: Option<(SecretName, Secret)>,
) -> anyhow::Result<CreateEndpoint> {
    let Some(provider) = provider else {
        refuse_without_provider(scheme, secret.is_some())?;
        return Ok(create(name));
    };
    let own_scheme = scheme.own_scheme(provider)?;
    if own_scheme.is_none() {
        check_provider(provider)?;
    }
    let secrets =
        secret.map(|(name, secret)| text_of(&secret).map(|secret| NewSecret { name, secret }));
    Ok(CreateEndpoint {
        provider: Some(provider.to_owned()),
        own_scheme,
        variant: scheme.variant.clone(),
        parameters: scheme.parameters()?,
        secrets: secrets.transpose()?.into_iter().collect(),
        ..create(name)
    })
}

fn create(name: EndpointName) -> CreateEndpoint {
    CreateEndpoint {
        name,
        provider: None,
        own_scheme: None,
        variant: None,
        parameters: BTreeMap::new(),
        ack: Ack::default(),
        on_failure: OnFailure::default(),
        deliver_duplicates: false,
        max_body: None,
        retention: Retention::default(),
        limits: towline_shared::api::EndpointLimits::default(),
        secrets: Vec::new(),
    }
}

fn refuse_without_provider(scheme: &SchemeOptions, has_secret: bool) -> Result<(), Failure> {
    let given = [
        ("--variant", scheme.variant.is_some()),
        ("--param", !scheme.parameters.is_empty()),
        ("--scheme", scheme.scheme.is_some()),
        ("a secret", has_secret),
    ];
    match given.iter().find(|(_, is_given)| *is_given) {
        Some((what, _)) => Err(
            Failure::usage(format!("{what} is of no use without a provider"))
                .hint("name the provider with `--provider`, such as `--provider github`"),
        ),
        None => Ok(()),
    }
}

/// Secrets travel to the relay as text.
pub(super) fn text_of(secret: &Secret) -> Result<String, Failure> {
    String::from_utf8(secret.expose().to_vec()).map_err(|_| {
        Failure::invalid("the secret is not UTF-8 text").hint("encode it as the provider shows it")
    })
}

/// The provider with this name.
///
/// # Errors
/// When there is none; the hint has the nearest names.
pub(super) fn check_provider(slug: &str) -> Result<Arc<Provider>, Failure> {
    Provider::builtin(slug).ok_or_else(|| {
        Failure::invalid(format!("there is no provider `{slug}`"))
            .hint(nearest(slug, Provider::builtin_slugs()))
    })
}

fn nearest<'a>(slug: &str, all: impl Iterator<Item = &'a str>) -> String {
    did_you_mean(slug, all).unwrap_or_else(|| {
        "`towline schemes list` lists them; describe your own in a scheme file and name it with `--scheme FILE`"
            .to_owned()
    })
}

/// Which of the names may be meant; `None` when none is alike.
pub(super) fn did_you_mean<'a>(typed: &str, all: impl Iterator<Item = &'a str>) -> Option<String> {
    let alike: Vec<_> = all
        .filter(|name| name.contains(typed) || differences(name, typed) <= 2)
        .take(5)
        .collect();
    (!alike.is_empty()).then(|| format!("did you mean {}?", alike.join(" or ")))
}

/// How many letters must be changed, added or left out to make one text of the other.
fn differences(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, letter) in one.bytes().enumerate() {
        let mut before = row[0];
        row[0] = i + 1;
        for (j, other_letter) in other.bytes().enumerate() {
            let changed = before + usize::from(letter != other_letter);
            before = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(before + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_without_a_provider_is_refused() {
        let secret = Some(("default".parse().unwrap(), Secret::new("x")));

        let error = new_endpoint(
            "orders".parse().unwrap(),
            None,
            &SchemeOptions::default(),
            secret,
        )
        .unwrap_err();

        assert!(error.to_string().contains("without a provider"));
    }

    #[test]
    fn a_parameter_given_twice_is_refused() {
        let pair = ("header".to_owned(), "X".to_owned());
        let scheme = SchemeOptions {
            parameters: vec![pair.clone(), pair],
            ..SchemeOptions::default()
        };

        assert!(scheme.parameters().is_err());
    }

    #[test]
    fn an_unknown_provider_is_answered_with_its_neighbours() {
        let all = || ["github", "gitlab", "slack"].into_iter();

        assert_eq!(nearest("gihtub", all()), "did you mean github?");
        assert_eq!(nearest("git", all()), "did you mean github or gitlab?");
        assert!(nearest("zzzzzz", all()).contains("`towline schemes list`"));
    }

    #[test]
    fn differences_count_letters() {
        for (one, other, number) in [
            ("", "", 0),
            ("abc", "abc", 0),
            ("abc", "abd", 1),
            ("abc", "", 3),
            ("ab", "b", 1),
        ] {
            assert_eq!(differences(one, other), number, "{one} {other}");
        }
    }
}
