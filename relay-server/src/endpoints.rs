//! The endpoints in memory, by key and by name, with their compiled schemes; written through to the store.

use std::sync::Arc;

use towline_shared::id::{EndpointName, SecretName};
use towline_shared::verify::Provider;

use crate::store::{
    Endpoint, EndpointChange, EndpointId, NamedSecret, NewEndpoint, Store, StoreError,
};

/// An endpoint ready for work.
pub(crate) struct LiveEndpoint {
    /// Its settings and secrets.
    pub(crate) endpoint: Endpoint,
    /// Its compiled scheme; `None` leaves requests unchecked.
    pub(crate) provider: Option<Arc<Provider>>,
}

/// All endpoints of the relay. Reading takes no await and no lock that a writer holds for long.
pub(crate) struct Endpoints {}

impl Endpoints {
    /// Loads all endpoints.
    pub(crate) async fn load(_store: Store) -> Result<Self, StoreError> {
        todo!()
    }

    /// The endpoint with this key, as it stands in a path.
    pub(crate) fn by_key(&self, _key: &str) -> Option<Arc<LiveEndpoint>> {
        todo!()
    }

    /// The endpoint with this name.
    pub(crate) fn by_name(&self, _name: &EndpointName) -> Option<Arc<LiveEndpoint>> {
        todo!()
    }

    /// The endpoint with this id.
    pub(crate) fn by_id(&self, _id: EndpointId) -> Option<Arc<LiveEndpoint>> {
        todo!()
    }

    /// All endpoints, by name.
    pub(crate) fn all(&self) -> Vec<Arc<LiveEndpoint>> {
        todo!()
    }

    /// Makes an endpoint.
    pub(crate) async fn create(&self, _new: NewEndpoint) -> Result<Arc<LiveEndpoint>, StoreError> {
        todo!()
    }

    /// Changes an endpoint.
    pub(crate) async fn change(
        &self,
        _name: &EndpointName,
        _change: EndpointChange,
    ) -> Result<Arc<LiveEndpoint>, StoreError> {
        todo!()
    }

    /// Puts a secret.
    pub(crate) async fn put_secret(
        &self,
        _name: &EndpointName,
        _secret: NamedSecret,
        _replace: bool,
    ) -> Result<Arc<LiveEndpoint>, StoreError> {
        todo!()
    }

    /// Removes a secret.
    pub(crate) async fn remove_secret(
        &self,
        _name: &EndpointName,
        _secret: &SecretName,
    ) -> Result<Arc<LiveEndpoint>, StoreError> {
        todo!()
    }

    /// Deletes an endpoint; its sessions end.
    pub(crate) async fn delete(&self, _name: &EndpointName) -> Result<(), StoreError> {
        todo!()
    }
}
