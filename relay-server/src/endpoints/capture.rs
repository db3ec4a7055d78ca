//! Takes a secret that a provider hands over in a challenge. The challenge is not signed, so anybody could send it: one is
//! taken while the endpoint has none, or has been told to wait for one more, and no other.

use std::sync::Arc;
use std::time::Instant;

use towline_shared::id::{EndpointName, SecretName};
use towline_shared::secret::Secret;
use towline_shared::time::Timestamp;

use super::{Check, EndpointError, Endpoints, LiveEndpoint, missing, rules};
use crate::store::{Endpoint, NamedSecret, StoreError};

/// The shortest secret that is taken: 64 bits in hex. A shorter one could be guessed by trying.
const SHORTEST_SECRET: usize = 16;

impl Endpoints {
    /// Keeps a secret that a challenge handed over.
    ///
    /// # Errors
    /// [`EndpointError::Invalid`] when the endpoint waits for none, or the secret cannot be one.
    pub(crate) async fn capture_secret(
        &self,
        name: &EndpointName,
        secret: Secret,
        now: Timestamp,
    ) -> Result<Arc<LiveEndpoint>, EndpointError> {
        let _in_order = self.changing.lock().await;
        let before = self.by_name(name).ok_or_else(|| missing(name))?;
        if !before.awaits_secret() {
            return Err(refused("the endpoint waits for none"));
        }
        if secret.expose().len() < SHORTEST_SECRET {
            return Err(refused("it is shorter than 16 bytes"));
        }
        rules::check_number_of_secrets(before.endpoint.secrets.len() + 1)?;
        let named = NamedSecret {
            name: free_name(&before.endpoint),
            secret,
            created_at: now,
        };
        rules::check_secret(&named)?;
        let captured = named.name.clone();
        match self.store.capture_secret(name, named).await {
            Ok(changed) => {
                let mut reveals = self.reveals.lock();
                reveals.remember(changed.id, captured, Instant::now());
                drop(reveals);
                Ok(self.put(changed))
            }
            Err(StoreError::Exists { .. }) => Err(refused("the endpoint waits for none")),
            Err(error) => Err(error.into()),
        }
    }
}

impl LiveEndpoint {
    /// Whether a challenge of the provider may hand over a secret.
    pub(crate) fn awaits_secret(&self) -> bool {
        let has_challenge = match &self.check {
            Check::By(provider) => provider.hands_over_secrets(),
            Check::Unchecked | Check::Broken(_) => false,
        };
        has_challenge && (self.endpoint.settings.await_secret || self.endpoint.secrets.is_empty())
    }
}

fn refused(problem: &str) -> EndpointError {
    EndpointError::Invalid {
        field: "secret",
        problem: problem.to_owned(),
    }
}

/// `captured`, or the first of `captured-2`, `captured-3` … that no secret has.
fn free_name(endpoint: &Endpoint) -> SecretName {
    let is_free = |name: &SecretName| !endpoint.secrets.iter().any(|secret| secret.name == *name);
    let mut names = (1_u32..).map(|number| {
        let name = match number {
            1 => "captured".to_owned(),
            number => format!("captured-{number}"),
        };
        name.parse().expect("the name is a secret's")
    });
    names
        .find(is_free)
        .expect("there are more names than secrets")
}
