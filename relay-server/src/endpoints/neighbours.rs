//! The other endpoints, as the explanation of a failed check asks for them: a sender may have been given the URL of
//! one endpoint and the secret of another.

use std::sync::Weak;

use parking_lot::RwLock;
use towline_shared::verify::{OtherSecret, OtherSecrets};

use super::Maps;
use crate::store::EndpointId;

/// How many secrets of other endpoints are handed out: each costs the explanation a MAC.
const MOST_SECRETS: usize = 16;

/// The endpoints of the same provider beside one.
pub(crate) struct Neighbours {
    pub(super) maps: Weak<RwLock<Maps>>,
    pub(super) of: EndpointId,
    pub(super) provider: Option<String>,
}

impl OtherSecrets for Neighbours {
    fn secrets(&self) -> Vec<OtherSecret> {
        let (Some(maps), Some(provider)) = (self.maps.upgrade(), &self.provider) else {
            return Vec::new();
        };
        let mut neighbours: Vec<_> = maps
            .read()
            .by_name
            .values()
            .filter(|live| {
                live.endpoint.id != self.of
                    && live.endpoint.settings.provider.as_ref() == Some(provider)
            })
            .cloned()
            .collect();
        neighbours.sort_by(|one, other| one.endpoint.name.cmp(&other.endpoint.name));
        let secrets = neighbours.iter().flat_map(|live| {
            live.secrets.iter().map(|(name, secret)| OtherSecret {
                endpoint: live.endpoint.name.clone(),
                name: name.clone(),
                secret: secret.clone(),
            })
        });
        secrets.take(MOST_SECRETS).collect()
    }
}
