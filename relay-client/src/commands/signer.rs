//! Signs requests as a provider would, with a secret of this machine: what `sign` and `trigger` share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use towline_shared::id::SecretName;
use towline_shared::secret::Secret;
use towline_shared::time::Timestamp;
use towline_shared::verify::{PrivateKey, Provider, Settings, SignError, Unsigned};

use super::keys::read_private_key;
use super::provider_options::{SchemeOptions, check_provider};
use super::{Context, Failure, wall_clock};
use crate::settings::SecretSource;

/// What to sign with; never the secret itself.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Secret")]
pub(super) struct SecretChoice {
    /// A file with the signing secret; `-` is stdin
    #[arg(long, value_name = "FILE", conflicts_with = "secret_env")]
    pub(super) secret_file: Option<PathBuf>,
    /// The variable that holds the signing secret
    #[arg(long, value_name = "VARIABLE")]
    pub(super) secret_env: Option<String>,
    /// A private key of your own (PEM), for providers that sign with one
    #[arg(long, value_name = "FILE", conflicts_with_all = ["secret_file", "secret_env"])]
    pub(super) key_file: Option<PathBuf>,
}

impl SecretChoice {
    /// Whether the secret comes from stdin.
    pub(super) fn reads_stdin(&self) -> bool {
        let file = self.secret_file.as_deref();
        file.is_some_and(|path| path.as_os_str() == "-")
    }

    fn read(&self, context: &Context) -> anyhow::Result<Option<Secret>> {
        let file = self.secret_file.clone().map(SecretSource::File);
        let source = file.or_else(|| self.secret_env.clone().map(SecretSource::Variable));
        let secret = source.map(|source| source.read(&context.settings.environment));
        Ok(secret.transpose()?)
    }
}

/// A provider's scheme, ready to sign.
pub(super) struct Signer {
    pub(super) provider: Arc<Provider>,
    secrets: Vec<(SecretName, Secret)>,
    /// The scheme's parameters.
    pub(super) parameters: BTreeMap<String, String>,
    /// The only scheme to sign by.
    pub(super) variant: Option<String>,
    now: Option<Timestamp>,
    key: Option<PrivateKey>,
}

impl Signer {
    /// Reads scheme and secret.
    pub(super) fn new(
        slug: &str,
        scheme: &SchemeOptions,
        secret: &SecretChoice,
        now: Option<Timestamp>,
        context: &Context,
    ) -> anyhow::Result<Self> {
        let provider = match scheme.own_scheme(slug)? {
            Some(text) => Arc::new(Provider::parse(slug, &text)?),
            None => check_provider(slug)?,
        };
        let secrets = match secret.read(context)? {
            Some(secret) => vec![("given".parse()?, secret)],
            None => Vec::new(),
        };
        let key = secret.key_file.as_deref().map(read_private_key);
        Ok(Self {
            key: key.transpose()?,
            provider,
            secrets,
            parameters: scheme.parameters()?,
            variant: scheme.variant.clone(),
            now,
        })
    }

    /// Whether a signature needs a secret that was not given.
    pub(super) fn lacks_secret(&self) -> bool {
        self.key.is_none()
            && self.secrets.is_empty()
            && self.provider.needs_secret(self.variant.as_deref())
    }

    /// How to give what is lacking.
    pub(super) fn secret_hint(&self) -> String {
        let slug = self.provider.slug();
        if self.provider.key_kinds(self.variant.as_deref()).is_empty() {
            return "name the source of the one that your app checks with by `--secret-file` or `--secret-env`"
                .to_owned();
        }
        format!(
            "{} signs with a private key: let your app trust one of your own while you try it (`towline keys new \
             {slug}`), and sign with `--key-file FILE`",
            self.provider.name()
        )
    }

    /// The fields that make the request valid.
    ///
    /// # Errors
    /// When the scheme, the secret or the request does not allow a signature.
    pub(super) fn sign(&self, request: &Unsigned<'_>) -> Result<Vec<(String, String)>, Failure> {
        let settings = Settings {
            secrets: &self.secrets,
            parameters: &self.parameters,
            variant: self.variant.as_deref(),
            now: self.now.unwrap_or_else(wall_clock::now),
            fetched: &BTreeMap::new(),
        };
        let signed = match &self.key {
            Some(key) => self.provider.sign_with_key(request, &settings, key),
            None => self.provider.sign(request, &settings),
        };
        signed.map_err(|error| self.failure(error))
    }

    fn failure(&self, error: SignError) -> Failure {
        let slug = self.provider.slug();
        let hint = match &error {
            SignError::Asymmetric { .. } => self.secret_hint(),
            SignError::Unusable(_) if self.lacks_secret() => self.secret_hint(),
            SignError::Unusable(_) if self.key.is_some() => {
                format!("`towline keys new {slug}` makes a key of the right kind, or says how")
            }
            SignError::Unusable(why) if why.contains("not in a header") => {
                "only signatures in header fields are made: one in the body or the URL would change what is sent"
                    .to_owned()
            }
            SignError::Unusable(why) if why.contains("parameter") => {
                "give the scheme's parameters with `--param KEY=VALUE`".to_owned()
            }
            SignError::Unusable(_) => {
                format!(
                    "the secret must have the form in which {} shows it",
                    self.provider.name()
                )
            }
        };
        Failure::invalid(format!("nothing can be signed as `{slug}`"))
            .because(error)
            .hint(hint)
    }
}
