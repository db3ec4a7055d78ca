//! A secret that is made here and shown once, and what an OAuth sender is set up with.

use clap::Args;
use data_encoding::BASE64URL_NOPAD;
use towline_shared::api::EndpointView;
use towline_shared::id::SecretName;
use towline_shared::secret::Secret;

use super::super::Context;
use crate::screen::{escape, paint};

/// 256 random bits: nobody guesses them, however often they may ask.
const RANDOM_BYTES: usize = 32;

/// Whether to make a secret.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Secret")]
pub(super) struct GenerateOption {
    /// Make a new random secret and show it once
    #[arg(long, conflicts_with_all = ["secret_file", "secret_env"])]
    pub(super) generate: bool,
}

/// A new secret of the operating system's random numbers, in characters that need no escape anywhere.
pub(super) fn generate() -> anyhow::Result<Secret> {
    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    Ok(Secret::new(BASE64URL_NOPAD.encode(&random)))
}

/// The new endpoint or secret as JSON, with the secret that was made for it.
pub(super) fn json(
    endpoint: &EndpointView,
    made: Option<&Secret>,
) -> anyhow::Result<serde_json::Value> {
    let mut value = serde_json::to_value(endpoint)?;
    if let (Some(object), Some(secret)) = (value.as_object_mut(), made) {
        object.insert("generated_secret".to_owned(), text(secret).into());
    }
    Ok(value)
}

/// What the sender is set up with, line by line; the secret only when it was made here.
pub(super) fn show(
    endpoint: &EndpointView,
    name: &SecretName,
    made: Option<&Secret>,
    context: &Context,
) -> anyhow::Result<()> {
    let mut lines = Vec::new();
    let client = endpoint.oauth.as_ref().and_then(|oauth| {
        let client = oauth.clients.iter().find(|client| client.secret == *name)?;
        Some((oauth, client))
    });
    if let Some((oauth, client)) = client {
        lines.push(("token URL", escape::line(&oauth.token_url).into_owned()));
        lines.push(("client id", escape::line(&client.client_id).into_owned()));
    }
    if let Some(secret) = made {
        let label = if client.is_some() {
            "client secret"
        } else {
            "secret"
        };
        lines.push((label, text(secret)));
    }
    for (label, value) in lines {
        let label = paint::quiet(format_args!("{label:<15}"));
        context.screen.data(&format!("{label}{value}"))?;
    }
    if made.is_some() {
        let text = format!("made the secret `{name}`; keep it, it is not shown again");
        context.screen.notice(&text);
    }
    Ok(())
}

fn text(secret: &Secret) -> String {
    String::from_utf8_lossy(secret.expose()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_random_and_needs_no_escape() {
        let one = generate().unwrap();
        let other = generate().unwrap();

        assert_ne!(one, other);
        assert_eq!(one.expose().len(), 43);
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
        assert!(one.expose().iter().all(is_plain));
    }
}
