//! Signs requests as a provider would, with a secret of this machine: what `sign` and `trigger` share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use towline_shared::id::SecretName;
use towline_shared::secret::Secret;
use towline_shared::time::Timestamp;
use towline_shared::verify::{Provider, Settings, SignError, Unsigned};

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
        Ok(Self {
            provider,
            secrets,
            parameters: scheme.parameters()?,
            variant: scheme.variant.clone(),
            now,
        })
    }

    /// Whether a signature needs a secret that was not given.
    pub(super) fn lacks_secret(&self) -> bool {
        self.secrets.is_empty() && self.provider.needs_secret(self.variant.as_deref())
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
        let signed = self.provider.sign(request, &settings);
        signed.map_err(|error| self.failure(error))
    }

    fn failure(&self, error: SignError) -> Failure {
        let slug = self.provider.slug();
        let hint = match &error {
            SignError::Asymmetric { .. } => {
                "your app can be given another public key while you test; without that only the provider can sign"
                    .to_owned()
            }
            SignError::Unusable(_) if self.lacks_secret() => {
                "name the secret's source with `--secret-file` or `--secret-env`".to_owned()
            }
            SignError::Unusable(why) if why.contains("parameter") => {
                "give the scheme's parameters with `--param KEY=VALUE`".to_owned()
            }
            SignError::Unusable(_) => {
                format!("the secret must have the form in which {} shows it", self.provider.name())
            }
        };
        Failure::invalid(format!("nothing can be signed as `{slug}`"))
            .because(error)
            .hint(hint)
    }
}
