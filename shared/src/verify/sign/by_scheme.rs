//! Signs by one scheme and no other: what a scheme file is tried with.

use super::{Fields, Signing};
use crate::verify::scheme::Scheme;
use crate::verify::{Provider, Settings, SignError, Unsigned};

/// The header fields that make the request valid by one scheme.
pub(in crate::verify) fn by_scheme(
    provider: &Provider,
    scheme: &Scheme,
    request: &Unsigned<'_>,
    settings: &Settings<'_>,
) -> Result<Fields, SignError> {
    let signing = Signing {
        provider,
        scheme,
        request,
        settings,
        key: None,
    };
    signing.fields()
}
