//! What a relay knows beside a request and its endpoint: the tokens that it gave out, and its other endpoints.

use super::delivery::Delivery;
use super::issued::IssuedTokens;
use super::{Judgement, Provider, Request, Settings};
use crate::id::{EndpointName, SecretName};
use crate::secret::Secret;

/// Where a request is judged. The default knows nothing besides.
#[derive(Clone, Copy, Default)]
pub struct Surroundings<'a> {
    /// The tokens that the relay gave to the endpoint's senders.
    pub tokens: Option<&'a dyn IssuedTokens>,
    /// The other endpoints. Only the explanation of a failure asks for them, and only the endpoint's owner reads it.
    pub others: Option<&'a dyn OtherSecrets>,
    /// A failure is not explained: for when so many fail that looking for the reasons would cost too much. A
    /// finding says so.
    pub is_brief: bool,
}

/// The secrets of the project's other endpoints.
pub trait OtherSecrets {
    /// Those that a sender of this provider may have been given instead; few.
    fn secrets(&self) -> Vec<OtherSecret>;
}

/// A secret of another endpoint.
#[derive(Clone, Debug)]
pub struct OtherSecret {
    /// The endpoint.
    pub endpoint: EndpointName,
    /// The secret's name there.
    pub name: SecretName,
    /// The secret.
    pub secret: Secret,
}

impl Provider {
    /// As [`Self::judge`], with what the relay knows besides.
    pub fn judge_in(
        &self,
        request: &Request<'_>,
        settings: &Settings<'_>,
        surroundings: &Surroundings<'_>,
    ) -> Judgement {
        let mut delivery = Delivery::new(request, settings);
        delivery.surroundings = *surroundings;
        self.judgement(&delivery)
    }
}
