//! Keeps a secret that a provider handed over in a challenge, when the endpoint waits for one.

use towline_shared::id::EndpointName;

use super::error::Failure;
use super::writer::Writing;
use super::{Endpoint, EndpointSettings, NamedSecret, Store, StoreError, endpoints};

impl Store {
    /// Adds a secret that a challenge handed over, when the endpoint has none or waits for one more.
    ///
    /// # Errors
    /// [`StoreError::Missing`], and [`StoreError::Exists`] when the endpoint waits for none.
    pub async fn capture_secret(
        &self,
        name: &EndpointName,
        secret: NamedSecret,
    ) -> Result<Endpoint, StoreError> {
        let name = name.clone();
        self.write(move |writing| capture(writing, &name, &secret))
            .await
    }
}

/// Writes come one after the other: of two such secrets the second finds the first.
fn capture(
    writing: &mut Writing<'_>,
    name: &EndpointName,
    secret: &NamedSecret,
) -> Result<Endpoint, Failure> {
    let was = endpoints::by_name(writing, name)?;
    if !was.secrets.is_empty() && !was.settings.await_secret {
        return Err(StoreError::exists("secret", &secret.name).into());
    }
    endpoints::put_secret(writing, name, secret, false)?;
    let settled = EndpointSettings {
        await_secret: false,
        ..was.settings
    };
    endpoints::change(writing, name, &settled)
}
