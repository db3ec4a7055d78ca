//! `--resign-with-env` and `--resign-with-file`: who signs the deliveries for the app, with a secret of this machine.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use towline_shared::verify::{Provider, SignError};

use super::super::provider_options::check_provider;
use super::super::{Context, Failure};
use super::plan::Plan;
use crate::local_signer::LocalSigner;
use crate::relay_api::RelayApi;
use crate::screen::paint;
use crate::settings::SecretSource;

/// Secret translation.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Signature")]
pub(super) struct TranslationOptions {
    /// Sign what the relay has verified again, with the secret in this variable, which the app knows; the real one
    /// stays at the relay
    #[arg(long, value_name = "VARIABLE", conflicts_with = "resign_with_file")]
    resign_with_env: Option<String>,
    /// The same with the secret in this file
    #[arg(long, value_name = "FILE")]
    resign_with_file: Option<PathBuf>,
}

impl TranslationOptions {
    /// The signer, when one is wanted.
    pub(super) async fn signer(
        &self,
        plan: &Plan,
        api: &RelayApi,
        context: &Context,
    ) -> anyhow::Result<Option<Arc<LocalSigner>>> {
        let file = self.resign_with_file.clone().map(SecretSource::File);
        let variable = self.resign_with_env.clone().map(SecretSource::Variable);
        let Some(source) = file.or(variable) else {
            return Ok(None);
        };
        let secret = source.read(&context.settings.environment)?;
        let endpoint = api.endpoint(&plan.endpoint).await?;
        let Some(slug) = &endpoint.provider else {
            let message = format!(
                "the endpoint `{}` has no provider, so nothing is verified and nothing signed again",
                plan.endpoint
            );
            return Err(Failure::invalid(message)
                .hint("`towline endpoints update --provider` sets one")
                .into());
        };
        let provider = if endpoint.has_own_scheme {
            own(plan, slug)?
        } else {
            check_provider(slug)?
        };
        let from = source.describe();
        let signer = LocalSigner::new(
            provider,
            endpoint.variant,
            endpoint.parameters,
            secret,
            &from,
        );
        let signer = signer.map_err(|error| refused(&from, error))?;
        let text = format!("verified deliveries are signed again with {from}");
        context.screen.notice(&paint::quiet(text));
        Ok(Some(Arc::new(signer)))
    }
}

/// The relay does not hand out a scheme of the user's own; the file that it came from is here.
fn own(plan: &Plan, slug: &str) -> anyhow::Result<Arc<Provider>> {
    let Some(text) = plan.scheme.own_scheme(slug)? else {
        let message = format!("the endpoint is checked by a scheme of your own, `{slug}`");
        return Err(Failure::invalid(message)
            .hint("name its file with `--scheme FILE`")
            .into());
    };
    let provider = Provider::parse(slug, &text)
        .map_err(|error| Failure::invalid("the scheme file has a mistake").because(error))?;
    Ok(Arc::new(provider))
}

fn refused(from: &str, error: SignError) -> Failure {
    let hint = match &error {
        SignError::Asymmetric { .. } => {
            "make a key pair of your own with `towline keys new`, trust its public half in the app, and send with `towline trigger --key-file`"
        }
        SignError::Unusable(_) => "give a secret of the form that the provider uses",
    };
    let message = format!("deliveries cannot be signed again with the secret from {from}");
    Failure::invalid(message).because(error).hint(hint)
}
