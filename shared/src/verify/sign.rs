//! Makes the header fields that a provider would send.

use super::{Provider, Settings, SignError, Unsigned};

pub(super) fn headers(
    provider: &Provider,
    _request: &Unsigned<'_>,
    _settings: &Settings<'_>,
) -> Result<Vec<(String, String)>, SignError> {
    Err(SignError::Asymmetric {
        provider: provider.slug.clone(),
    })
}
