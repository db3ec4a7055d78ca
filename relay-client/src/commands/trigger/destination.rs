//! Where a triggered webhook goes: an app, or an endpoint of the relay.

use towline_shared::api::EndpointView;
use towline_shared::id::EndpointName;

use super::super::{Exit, Failure};
use crate::relay_api::RelayApi;
use crate::target::Target;

/// What is called.
pub(super) struct Destination {
    pub(super) target: Target,
    /// The whole URL, as a scheme may sign it.
    pub(super) url: String,
    /// The endpoint, when it is one of the relay.
    pub(super) endpoint: Option<EndpointView>,
}

impl Destination {
    /// An app.
    pub(super) fn of_target(target: &Target) -> Self {
        let scheme = if target.is_https { "https" } else { "http" };
        Self {
            url: format!(
                "{scheme}://{}{}",
                target.authority(),
                request_target(target)
            ),
            target: target.clone(),
            endpoint: None,
        }
    }

    /// The endpoint with this name, or the only one of the provider.
    ///
    /// # Errors
    /// When there is none, or several.
    pub(super) async fn at_relay(
        api: &RelayApi,
        provider: &str,
        name: Option<&EndpointName>,
    ) -> anyhow::Result<Self> {
        let endpoint = match name {
            Some(name) => api.endpoint(name).await?,
            None => only(api.endpoints().await?.endpoints, provider)?,
        };
        let target: Target = endpoint.url.parse()?;
        Ok(Self {
            url: endpoint.url.clone(),
            target,
            endpoint: Some(endpoint),
        })
    }
}

/// The request target that calls exactly this URL.
pub(super) fn request_target(target: &Target) -> String {
    let path = match target.base_path.as_str() {
        "" => "/",
        path => path,
    };
    match &target.base_query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }
}

fn only(endpoints: Vec<EndpointView>, provider: &str) -> Result<EndpointView, Failure> {
    let mut own = endpoints
        .into_iter()
        .filter(|endpoint| endpoint.provider.as_deref() == Some(provider));
    let Some(first) = own.next() else {
        let message = format!("the relay has no endpoint of `{provider}`");
        return Err(Failure::new(Exit::NotFound, message).hint(format!(
            "make one with `towline endpoints create NAME --provider {provider} --secret-file FILE`, name one with \
             `--endpoint NAME`, or call your app with `--to URL`"
        )));
    };
    let mut others = own.map(|endpoint| endpoint.name.to_string()).peekable();
    if others.peek().is_none() {
        return Ok(first);
    }
    let names: Vec<_> = std::iter::once(first.name.to_string())
        .chain(others)
        .collect();
    let message = format!("the relay has several endpoints of `{provider}`");
    Err(Failure::usage(message).hint(format!(
        "choose one with `--endpoint`: {}",
        names.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_called_by_its_whole_url() {
        for (text, url) in [
            ("3000", "http://localhost:3000/"),
            (
                "localhost:3000/hooks?a=1",
                "http://localhost:3000/hooks?a=1",
            ),
            ("https://app.test?x", "https://app.test/?x"),
        ] {
            let destination = Destination::of_target(&text.parse().unwrap());

            assert_eq!(destination.url, url);
        }
    }
}
