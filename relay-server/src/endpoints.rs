//! The endpoints in memory, by key and by name, with their compiled schemes; written through to the store.

mod capture;
mod check;
mod meters;
mod neighbours;
mod reveal;
mod rules;

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::{Mutex as Guarded, RwLock};
use tokio::sync::Mutex;
use towline_shared::api::{ChangeEndpoint, EndpointLimits};
use towline_shared::id::{EndpointName, SecretName};
use towline_shared::secret::Secret;

pub(crate) use check::Check;
pub(crate) use meters::{Meters, OverLimit};
pub(crate) use neighbours::Neighbours;
pub(crate) use reveal::NotRevealed;
use reveal::Reveals;

use crate::access_tokens::{AccessTokens, Clients};
use crate::store::{Endpoint, EndpointId, NamedSecret, NewEndpoint, Store, StoreError};

/// An endpoint ready for work.
pub(crate) struct LiveEndpoint {
    /// Its settings and secrets.
    pub(crate) endpoint: Endpoint,
    /// How its requests are checked.
    pub(crate) check: Check,
    /// How much it takes in.
    pub(crate) meters: Arc<Meters>,
    /// Its secrets as the check takes them.
    pub(crate) secrets: Vec<(SecretName, Secret)>,
    /// Its OAuth clients, where its scheme takes tokens that the relay gives out.
    pub(crate) clients: Option<Clients>,
    /// The endpoints beside it.
    pub(crate) neighbours: Neighbours,
}

/// All endpoints of the relay. Reading takes no await and no lock that a writer holds for long.
pub(crate) struct Endpoints {
    store: Store,
    /// What any of them takes in at most.
    most: EndpointLimits,
    maps: Arc<RwLock<Maps>>,
    /// Held while a change goes to the store and then into the maps, so that two changes of one endpoint
    /// arrive in the same order in both. Readers never wait for it.
    changing: Mutex<()>,
    access_tokens: Arc<AccessTokens>,
    /// Captured secrets that may be shown once.
    reveals: Guarded<Reveals>,
}

#[derive(Default)]
struct Maps {
    by_key: HashMap<Box<str>, Arc<LiveEndpoint>>,
    by_name: HashMap<EndpointName, Arc<LiveEndpoint>>,
    by_id: HashMap<EndpointId, Arc<LiveEndpoint>>,
}

/// An endpoint cannot be made or changed as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EndpointError {
    /// A setting cannot be used.
    #[error("`{field}`: {problem}")]
    Invalid {
        /// The setting's name, as in the API.
        field: &'static str,
        /// What is wrong with it and what was expected.
        problem: String,
    },
    /// The provider's requests are told from those for others by a parameter that is not there.
    #[error(
        "`{provider}` needs the parameter `{parameter}`: without it, requests for others of the provider's customers would pass"
    )]
    NeedsParameter {
        /// The provider.
        provider: String,
        /// The parameter.
        parameter: String,
    },
    /// There is no captured secret to show.
    #[error(transparent)]
    NotRevealed(#[from] NotRevealed),
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Endpoints {
    /// Loads all endpoints.
    pub(crate) async fn load(store: Store, most: EndpointLimits) -> Result<Self, StoreError> {
        let maps = Arc::new(RwLock::new(Maps::default()));
        let access_tokens = Arc::default();
        for endpoint in store.endpoints().await? {
            let limits = endpoint.settings.limits.within(most);
            let live = LiveEndpoint::of(endpoint, limits, None);
            let live = live.with_clients(&access_tokens).among(&maps);
            if let Check::Broken(why) = &live.check {
                let name = &live.endpoint.name;
                tracing::warn!(endpoint = %name, why, "endpoint cannot check its requests");
            }
            maps.write().put(Arc::new(live));
        }
        Ok(Self {
            store,
            most,
            maps,
            changing: Mutex::default(),
            access_tokens,
            reveals: Guarded::default(),
        })
    }

    /// The tokens of all OAuth senders.
    pub(crate) fn access_tokens(&self) -> &AccessTokens {
        &self.access_tokens
    }

    /// The endpoint with this key, as it stands in a path. An unknown key and a deleted one are the same
    /// miss in one hash map, so they take the same work.
    pub(crate) fn by_key(&self, key: &str) -> Option<Arc<LiveEndpoint>> {
        self.maps.read().by_key.get(key).cloned()
    }

    /// The endpoint with this name.
    pub(crate) fn by_name(&self, name: &EndpointName) -> Option<Arc<LiveEndpoint>> {
        self.maps.read().by_name.get(name).cloned()
    }

    /// The endpoint with this id.
    pub(crate) fn by_id(&self, id: EndpointId) -> Option<Arc<LiveEndpoint>> {
        self.maps.read().by_id.get(&id).cloned()
    }

    /// All endpoints, by name.
    pub(crate) fn all(&self) -> Vec<Arc<LiveEndpoint>> {
        let mut all: Vec<_> = self.maps.read().by_name.values().cloned().collect();
        all.sort_by(|one, other| one.endpoint.name.cmp(&other.endpoint.name));
        all
    }

    /// Makes an endpoint.
    pub(crate) async fn create(
        &self,
        new: NewEndpoint,
    ) -> Result<Arc<LiveEndpoint>, EndpointError> {
        rules::check_new(&new)?;
        Check::compile(&new.settings)?;
        let _in_order = self.changing.lock().await;
        rules::check_number_of_endpoints(self.maps.read().by_name.len())?;
        let made = self.store.create_endpoint(new).await?;
        Ok(self.put(made))
    }

    /// Changes an endpoint.
    pub(crate) async fn change(
        &self,
        name: &EndpointName,
        change: ChangeEndpoint,
    ) -> Result<Arc<LiveEndpoint>, EndpointError> {
        let _in_order = self.changing.lock().await;
        let before = self.by_name(name).ok_or_else(|| missing(name))?;
        let settings = before.endpoint.settings.clone().changed_by(change);
        rules::check_settings(&settings)?;
        Check::compile(&settings)?;
        let changed = self.store.change_endpoint(name, settings).await?;
        Ok(self.put(changed))
    }

    /// Puts a secret.
    pub(crate) async fn put_secret(
        &self,
        name: &EndpointName,
        secret: NamedSecret,
        replace: bool,
    ) -> Result<Arc<LiveEndpoint>, EndpointError> {
        rules::check_secret(&secret)?;
        let _in_order = self.changing.lock().await;
        let before = self.by_name(name).ok_or_else(|| missing(name))?;
        let is_known = |known: &NamedSecret| known.name == secret.name;
        if !before.endpoint.secrets.iter().any(is_known) {
            rules::check_number_of_secrets(before.endpoint.secrets.len() + 1)?;
        }
        let put = secret.name.clone();
        let changed = self.store.put_secret(name, secret, replace).await?;
        self.reveals.lock().forget_secret(changed.id, &put);
        Ok(self.put(changed))
    }

    /// Removes a secret, unless requests would go unchecked without it.
    pub(crate) async fn remove_secret(
        &self,
        name: &EndpointName,
        secret: &SecretName,
    ) -> Result<Arc<LiveEndpoint>, EndpointError> {
        let _in_order = self.changing.lock().await;
        let before = self.by_name(name).ok_or_else(|| missing(name))?;
        before.check_can_lose(secret)?;
        let changed = self.store.remove_secret(name, secret).await?;
        self.reveals.lock().forget_secret(changed.id, secret);
        Ok(self.put(changed))
    }

    /// Deletes an endpoint and returns what it was, so that the caller can end its sessions.
    pub(crate) async fn delete(
        &self,
        name: &EndpointName,
    ) -> Result<Arc<LiveEndpoint>, EndpointError> {
        let _in_order = self.changing.lock().await;
        let live = self.by_name(name).ok_or_else(|| missing(name))?;
        self.store.delete_endpoint(name).await?;
        self.maps.write().remove(&live.endpoint);
        self.reveals.lock().forget(live.endpoint.id);
        Ok(live)
    }

    fn put(&self, endpoint: Endpoint) -> Arc<LiveEndpoint> {
        let limits = endpoint.settings.limits.within(self.most);
        let before = self.by_id(endpoint.id);
        let live = LiveEndpoint::of(endpoint, limits, before.as_deref());
        let live = live.with_clients(&self.access_tokens).among(&self.maps);
        let live = Arc::new(live);
        if live.secrets.is_empty() && live.needs_secret() {
            let name = &live.endpoint.name;
            tracing::warn!(endpoint = %name, "endpoint has a provider and no secret: its requests go unchecked");
        }
        self.maps.write().put(Arc::clone(&live));
        live
    }
}

impl LiveEndpoint {
    /// The meters of what it was before go on, unless its limits are others now.
    fn of(endpoint: Endpoint, limits: EndpointLimits, before: Option<&Self>) -> Self {
        let check = Check::of_kept(&endpoint.settings);
        let meters = before.map(|before| Arc::clone(&before.meters));
        let meters = meters.filter(|meters| meters.limits() == limits);
        let meters = meters.unwrap_or_else(|| Arc::new(Meters::new(limits, Instant::now())));
        Self::checked_by(check, endpoint, meters)
    }

    /// With a client for each of its secrets, where its scheme takes tokens that the relay gives out.
    fn with_clients(mut self, tokens: &Arc<AccessTokens>) -> Self {
        if self.takes_issued_tokens() {
            let clients = Clients::new(self.endpoint.id, &self.secrets, Arc::clone(tokens));
            self.clients = Some(clients);
        }
        self
    }

    /// With the other endpoints of the relay.
    fn among(mut self, maps: &Arc<RwLock<Maps>>) -> Self {
        self.neighbours.maps = Arc::downgrade(maps);
        self
    }

    /// An endpoint with this check, and without others beside it.
    pub(crate) fn checked_by(check: Check, endpoint: Endpoint, meters: Arc<Meters>) -> Self {
        let secrets = endpoint.secrets.iter();
        let secrets = secrets.map(|named| (named.name.clone(), named.secret.clone()));
        Self {
            secrets: secrets.collect(),
            meters,
            clients: None,
            neighbours: Neighbours {
                maps: Weak::new(),
                of: endpoint.id,
                provider: endpoint.settings.provider.clone(),
            },
            check,
            endpoint,
        }
    }

    /// A provider that is checked with secrets keeps its last one: without any, its requests would be
    /// taken unchecked, and nobody would be told.
    fn check_can_lose(&self, secret: &SecretName) -> Result<(), EndpointError> {
        let [(last, _)] = &self.secrets[..] else {
            return Ok(());
        };
        if last != secret || !self.needs_secret() {
            return Ok(());
        }
        Err(EndpointError::Invalid {
            field: "secret",
            problem: format!(
                "`{secret}` is the last one, and requests would go unchecked without it: \
                 set another secret first, or clear `provider`"
            ),
        })
    }

    fn needs_secret(&self) -> bool {
        let variant = self.endpoint.settings.variant.as_deref();
        matches!(&self.check, Check::By(provider) if provider.needs_secret(variant))
    }

    fn takes_issued_tokens(&self) -> bool {
        let variant = self.endpoint.settings.variant.as_deref();
        matches!(&self.check, Check::By(provider) if provider.takes_issued_tokens(variant))
    }

    /// Its public URL below the relay's own.
    pub(crate) fn url(&self, public_url: &str) -> String {
        format!("{public_url}/in/{}", self.endpoint.key)
    }
}

impl Maps {
    fn put(&mut self, live: Arc<LiveEndpoint>) {
        let endpoint = &live.endpoint;
        let key = endpoint.key.as_str().into();
        self.by_key.insert(key, Arc::clone(&live));
        self.by_name
            .insert(endpoint.name.clone(), Arc::clone(&live));
        self.by_id.insert(endpoint.id, live);
    }

    fn remove(&mut self, endpoint: &Endpoint) {
        self.by_key.remove(endpoint.key.as_str());
        self.by_name.remove(&endpoint.name);
        self.by_id.remove(&endpoint.id);
    }
}

fn missing(name: &EndpointName) -> StoreError {
    StoreError::Missing {
        what: "endpoint",
        name: name.to_string(),
    }
}
