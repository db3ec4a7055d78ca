//! `towline endpoints …`: public URLs with their schemes and secrets.

mod change;
mod first_secret;
mod generated;
mod intake;
mod keep;
mod secrets;
mod view;

use clap::{Args, Subcommand};
use towline_shared::api::PutSecret;
use towline_shared::id::{EndpointName, SecretName};

use self::change::Change;
use self::generated::GenerateOption;
use self::intake::IntakeOptions;
use self::keep::KeepOptions;
use super::provider_options::{
    SchemeOptions, SecretOptions, new_endpoint, takes_issued_tokens, text_of,
};
use super::{Context, Exit, Failure};
use crate::relay_api::RelayApi;
use crate::settings::SecretSource;

/// Make, show and change public URLs
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make an endpoint: a public URL for one provider
    #[command(after_help = "\
Examples:
  towline endpoints create orders --provider stripe --secret-env STRIPE_SECRET
  towline endpoints create rewards --provider extole --variant jwt --secret-file key.txt
  towline endpoints create rewards --provider extole --variant oauth
  towline endpoints create anything")]
    Create(Create),
    /// List all endpoints
    List,
    /// Show an endpoint, its URL and its consumers
    Show(Named),
    /// Change how an endpoint checks and answers
    #[command(after_help = "\
Examples:
  towline endpoints update orders --on-failure deliver
  towline endpoints update orders --ack-status 202 --ack-body ok
  towline endpoints update orders --keep-for 30d --keep-bytes 2GB
  towline endpoints update orders --no-provider")]
    Update(Box<Change>),
    /// Add a new secret, or remove an old one; both are valid in between
    #[command(after_help = "\
Examples:
  towline endpoints rotate-secret orders --secret-file new.txt --secret-name 2026-12
  towline endpoints rotate-secret rewards --generate --secret-name 2026-12
  towline endpoints show orders                        tells when each secret was used last
  towline endpoints rotate-secret orders --remove 2026-11")]
    RotateSecret(Rotate),
    /// Show a secret that the provider handed over, once, to paste it into the provider's page
    #[command(after_help = "\
Some providers, Notion among them, send a secret to the endpoint and ask for it on their page before they send anything \
else. The relay shows it once, within an hour; it is not shown after a restart of the relay. To have another one \
sent: `towline endpoints update NAME --await-secret`.

Example:
  towline endpoints reveal pages")]
    Reveal(Named),
    /// Delete an endpoint with everything it kept
    Delete(Delete),
}

/// The options of `create`.
#[derive(Debug, Args)]
pub struct Create {
    /// Its name
    name: EndpointName,
    /// The provider whose signatures are checked, such as `github`
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Deliver repeats too: verified requests whose signed content has come before
    #[arg(long)]
    deliver_duplicates: bool,
    #[command(flatten)]
    scheme: SchemeOptions,
    #[command(flatten)]
    secret: SecretOptions,
    #[command(flatten)]
    generate: GenerateOption,
    #[command(flatten)]
    keep: KeepOptions,
    #[command(flatten)]
    intake: IntakeOptions,
}

/// The name of an endpoint.
#[derive(Debug, Args)]
pub struct Named {
    /// The endpoint
    name: EndpointName,
}

/// The options of `rotate-secret`.
#[derive(Debug, Args)]
pub struct Rotate {
    /// The endpoint
    name: EndpointName,
    /// Replace the secret of the same name; the old one is no longer valid
    #[arg(long)]
    replace: bool,
    /// Remove the secret with this name; warns when it is still in use
    #[arg(long, value_name = "NAME")]
    remove: Option<SecretName>,
    /// Do not ask before a secret that is still in use is removed
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    secret: SecretOptions,
    #[command(flatten)]
    generate: GenerateOption,
}

/// The options of `delete`.
#[derive(Debug, Args)]
pub struct Delete {
    /// The endpoint
    name: EndpointName,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// Runs the command.
///
/// # Errors
/// When the relay cannot be reached or refuses.
pub async fn run(command: Command, context: &Context) -> anyhow::Result<Exit> {
    let api = context.api()?;
    match command {
        Command::Create(arguments) => create(arguments, context, &api).await,
        Command::List => list(context, &api).await,
        Command::Show(Named { name }) => show(&name, context, &api).await,
        Command::Update(change) => {
            let provider_before = match change.needs_provider_of() {
                Some(name) => api.endpoint(name).await?.provider,
                None => None,
            };
            let (name, change) = change.into_change(provider_before.as_deref())?;
            let view = api.change_endpoint(&name, &change).await?;
            view::one(&view, None, context)
        }
        Command::Reveal(Named { name }) => secrets::reveal(&name, context, &api).await,
        Command::RotateSecret(arguments) => rotate(arguments, context, &api).await,
        Command::Delete(arguments) => delete(&arguments, context, &api).await,
    }
}

async fn create(arguments: Create, context: &Context, api: &RelayApi) -> anyhow::Result<Exit> {
    let provider = arguments.provider.as_deref();
    let name = arguments.secret.secret_name.clone();
    let mut secret = arguments.secret.read(context)?;
    let mut made_secret = None;
    let is_client = match provider {
        Some(provider) => takes_issued_tokens(provider, &arguments.scheme)?,
        None => false,
    };
    if secret.is_none() && (is_client || arguments.generate.generate) {
        made_secret = Some(generated::generate()?);
        secret.clone_from(&made_secret);
    }
    let secret = secret.map(|secret| (name.clone(), secret));
    let mut new = new_endpoint(arguments.name, provider, &arguments.scheme, secret)?;
    new.deliver_duplicates = arguments.deliver_duplicates;
    new.retention = arguments.keep.retention();
    new.limits = arguments.intake.limits();
    let made = api.create_endpoint(&new).await?;
    if context.global.json {
        let json = generated::json(&made, made_secret.as_ref())?;
        context.screen.json(&json)?;
        return Ok(Exit::Done);
    }
    context.screen.data(&made.url)?;
    view::notices(&made, context);
    generated::show(&made, &name, made_secret.as_ref(), context)?;
    Ok(Exit::Done)
}

async fn list(context: &Context, api: &RelayApi) -> anyhow::Result<Exit> {
    let list = api.endpoints().await?;
    if context.global.json {
        context.screen.json(&list)?;
        return Ok(Exit::Done);
    }
    view::table(&list.endpoints, context)
}

async fn show(name: &EndpointName, context: &Context, api: &RelayApi) -> anyhow::Result<Exit> {
    let endpoint = api.endpoint(name).await?;
    let consumers = api.consumers(name).await?;
    let usage = api.usage(name).await?;
    view::one(&endpoint, Some((&consumers, &usage)), context)
}

async fn rotate(arguments: Rotate, context: &Context, api: &RelayApi) -> anyhow::Result<Exit> {
    let name = &arguments.name;
    let secret_name = &arguments.secret.secret_name;
    let mut view = None;
    let mut made = None;
    let secret = if arguments.generate.generate {
        made = Some(generated::generate()?);
        made.clone()
    } else {
        let source = secret_source(&arguments, context)?;
        let secret = source.map(|source| source.read(&context.settings.environment));
        secret.transpose()?
    };
    if let Some(secret) = secret {
        let put = PutSecret {
            secret: text_of(&secret)?,
            replace: arguments.replace,
        };
        let put = api.put_secret(name, secret_name, &put).await?;
        // The secret is in use from here on: it is shown whatever comes next.
        if !context.global.json {
            generated::show(&put, secret_name, made.as_ref(), context)?;
        }
        view = Some(put);
    }
    if let Some(old) = &arguments.remove {
        if !secrets::may_remove(name, old, arguments.yes, context, api).await? {
            context.screen.notice("nothing was removed");
            return Ok(Exit::Done);
        }
        view = Some(api.delete_secret(name, old).await?);
    }
    match view {
        Some(endpoint) if context.global.json => {
            let json = generated::json(&endpoint, made.as_ref())?;
            context.screen.json(&json)?;
            Ok(Exit::Done)
        }
        Some(endpoint) => view::one(&endpoint, None, context),
        None => Ok(Exit::Done),
    }
}

/// The new secret comes from where the options say; a person without options is asked.
fn secret_source(arguments: &Rotate, context: &Context) -> Result<Option<SecretSource>, Failure> {
    let named = arguments.secret.source();
    if named.is_some() || arguments.remove.is_some() {
        return Ok(named);
    }
    if context.screen.can_ask() {
        return Ok(Some(SecretSource::Prompt("New secret".to_owned())));
    }
    Err(Failure::usage("no secret is given").hint(
        "name its source with `--secret-file` or `--secret-env`, or make one with `--generate`",
    ))
}

async fn delete(arguments: &Delete, context: &Context, api: &RelayApi) -> anyhow::Result<Exit> {
    let name = &arguments.name;
    if !arguments.yes {
        if !context.screen.can_ask() {
            return Err(Failure::usage(
                "deleting an endpoint needs `--yes` when nobody can be asked",
            )
            .into());
        }
        let question = format!("Delete the endpoint `{name}` and every event it kept?");
        if !context.screen.ask(&question)? {
            context.screen.notice("nothing was deleted");
            return Ok(Exit::Done);
        }
    }
    api.delete_endpoint(name).await?;
    if context.global.json {
        context
            .screen
            .json(&serde_json::json!({ "deleted": name }))?;
    } else {
        context
            .screen
            .notice(&format!("deleted the endpoint `{name}`"));
    }
    Ok(Exit::Done)
}
