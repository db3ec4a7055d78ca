//! Signing secrets, as the interface shows and takes them; their content goes one way only, but for a captured one.

use serde::{Deserialize, Serialize};

use crate::id::SecretName;
use crate::time::Timestamp;

/// One secret, without its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretView {
    /// Its name.
    pub name: SecretName,
    /// When it was added.
    pub created_at: Timestamp,
    /// How many kept events it has checked since it was added or replaced.
    #[serde(default)]
    pub uses: u64,
    /// When the latest of them was received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
}

/// A secret to add.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewSecret {
    /// Its name.
    pub name: SecretName,
    /// The secret as the provider shows it.
    pub secret: String,
}

impl std::fmt::Debug for NewSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewSecret({})", self.name)
    }
}

/// A secret that a provider's challenge handed over, shown once for its owner to paste into the provider's page.
#[derive(Clone, Serialize, Deserialize)]
pub struct RevealedSecret {
    /// Its name.
    pub name: SecretName,
    /// Its content.
    pub secret: String,
}

/// A secret to put under a name.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutSecret {
    /// The secret as the provider shows it.
    pub secret: String,
    /// Whether a secret of the same name is replaced; otherwise it is a conflict (409).
    #[serde(default)]
    pub replace: bool,
}
