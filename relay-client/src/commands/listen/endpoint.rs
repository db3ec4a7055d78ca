//! Sees to it that the endpoint is there: makes it on first use, adds the secret to one that has none, and refuses to
//! change what somebody else may rely on.

use towline_shared::api::{EndpointView, PutSecret};

use super::super::provider_options::{new_endpoint, text_of};
use super::super::{Context, Exit, Failure};
use super::plan::Plan;
use crate::relay_api::RelayApi;
use crate::screen::{escape, paint};

/// Where the secret came from, when this call added it.
pub(super) async fn ensure(
    plan: &Plan,
    api: &RelayApi,
    context: &Context,
) -> anyhow::Result<Option<String>> {
    match api.endpoint(&plan.endpoint).await {
        Ok(endpoint) => adopt(plan, &endpoint, api, context).await,
        Err(error) if error.is_not_found() => make(plan, api, context).await,
        // A token that may only listen sees nothing of endpoints; the session will tell.
        Err(error) if error.is_forbidden() && !plan.print_url => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn make(plan: &Plan, api: &RelayApi, context: &Context) -> anyhow::Result<Option<String>> {
    let secret = plan
        .secret
        .as_ref()
        .map(|secret| (secret.name.clone(), secret.secret.clone()));
    let mut new = new_endpoint(
        plan.endpoint.clone(),
        plan.provider.as_deref(),
        &plan.scheme,
        secret,
    )?;
    new.deliver_duplicates = plan.deliver_duplicates;
    match api.create_endpoint(&new).await {
        Ok(made) => {
            let text = format!("made the endpoint `{}`", made.name);
            context.screen.notice(&paint::quiet(text));
            Ok(plan.secret.as_ref().map(|secret| secret.from.clone()))
        }
        Err(error) if error.is_forbidden() => Err(Failure::new(
            Exit::NotFound,
            format!(
                "there is no endpoint `{}`, and the token may not make one",
                plan.endpoint
            ),
        )
        .hint("`--endpoint NAME` chooses one; `towline endpoints list` shows which there are")
        .because(anyhow::Error::new(error))
        .into()),
        Err(error) => Err(error.into()),
    }
}

async fn adopt(
    plan: &Plan,
    endpoint: &EndpointView,
    api: &RelayApi,
    context: &Context,
) -> anyhow::Result<Option<String>> {
    check_provider(plan, endpoint)?;
    check_duplicates(plan, endpoint)?;
    let Some(secret) = &plan.secret else {
        return Ok(None);
    };
    if !endpoint.secrets.is_empty() {
        context.screen.notice(&paint::quiet(format!(
            "the endpoint `{}` has its secret already; the one from {} is not added \
             (`towline endpoints rotate-secret` does that)",
            plan.endpoint, secret.from
        )));
        return Ok(None);
    }
    let put = PutSecret {
        secret: text_of(&secret.secret)?,
        replace: false,
    };
    api.put_secret(&plan.endpoint, &secret.name, &put).await?;
    Ok(Some(secret.from.clone()))
}

fn check_duplicates(plan: &Plan, endpoint: &EndpointView) -> Result<(), Failure> {
    if !plan.deliver_duplicates || endpoint.deliver_duplicates {
        return Ok(());
    }
    let name = &plan.endpoint;
    let message = format!("the endpoint `{name}` is there already, and delivers no repeats");
    let hint = format!("change it with `towline endpoints update {name} --deliver-duplicates`");
    Err(Failure::invalid(message).hint(hint))
}

fn check_provider(plan: &Plan, endpoint: &EndpointView) -> Result<(), Failure> {
    let Some(wanted) = &plan.provider else {
        return Ok(());
    };
    let is_same = endpoint.provider.as_ref() == Some(wanted)
        && (plan.scheme.variant.is_none() || plan.scheme.variant == endpoint.variant);
    if is_same {
        return Ok(());
    }
    let current = endpoint.provider.as_deref().unwrap_or("no provider");
    let current = match &endpoint.variant {
        Some(variant) => format!("{current}/{variant}"),
        None => current.to_owned(),
    };
    Err(Failure::invalid(format!(
        "the endpoint `{}` is there already, with {}",
        plan.endpoint,
        escape::line(&current)
    ))
    .hint(format!(
        "leave `--provider` out, take another `--endpoint`, or change it with `towline endpoints update {} --provider {wanted}`",
        plan.endpoint
    )))
}
