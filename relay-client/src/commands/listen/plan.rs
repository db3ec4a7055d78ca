//! What `listen` will do: every option from the first place that has it, checked before anything is connected.

use std::path::{Path, PathBuf};
use std::time::Duration;

use towline_shared::filter::Filter;
use towline_shared::id::{ConsumerName, EndpointName, SecretName};
use towline_shared::secret::Secret;
use towline_shared::wire::{MAX_WINDOW, Start};

use super::super::provider_options::{SchemeOptions, new_endpoint};
use super::super::{Context, Failure, wall_clock};
use super::{Arguments, consumer, route};
use crate::cli::{parse_duration, parse_host_header};
use crate::listen::{Delivery, HostHeader, Route};
use crate::settings::ProjectFile;
use crate::target::Target;

/// The time limit of an attempt when nobody says otherwise.
const ATTEMPT_TIME: Duration = Duration::from_secs(30);

/// The plan.
pub(super) struct Plan {
    pub(super) endpoint: EndpointName,
    pub(super) provider: Option<String>,
    pub(super) scheme: SchemeOptions,
    pub(super) secret: Option<NamedSecret>,
    pub(super) consumer: ConsumerName,
    pub(super) start: Start,
    pub(super) max_backlog: Option<u64>,
    pub(super) concurrency: u32,
    pub(super) delivery: Delivery,
    pub(super) filter: Option<Filter>,
    pub(super) routes: Vec<Route>,
    /// Whether there are routes only.
    pub(super) skips_unrouted: bool,
    pub(super) allows_remote: bool,
    pub(super) deliver_duplicates: bool,
    pub(super) print_url: bool,
    pub(super) data: PathBuf,
}

/// The secret of a new endpoint.
pub(super) struct NamedSecret {
    pub(super) name: SecretName,
    pub(super) secret: Secret,
    /// Where it comes from, in words.
    pub(super) from: String,
}

impl Plan {
    pub(super) fn make(arguments: &Arguments, context: &Context) -> anyhow::Result<Self> {
        let settings = &context.settings;
        let routes = route::read(&arguments.route, &settings.project)?;
        let (target, skips_unrouted) = target(arguments, context, &routes)?;
        let delivery = delivery(arguments, context, target)?;
        let filter = arguments.filter.read_with(&settings.project)?;
        let endpoint = endpoint(arguments, context)?;
        let named_provider = settings
            .environment
            .get("TOWLINE_PROVIDER")
            .map(str::to_owned);
        let provider = arguments
            .provider
            .clone()
            .or(named_provider)
            .or_else(|| settings.project.provider.clone());
        let secret = arguments.secret.read(context)?.map(|secret| NamedSecret {
            name: arguments.secret.secret_name.clone(),
            secret,
            from: arguments
                .secret
                .source()
                .map(|source| source.describe())
                .unwrap_or_default(),
        });
        let for_check = secret
            .as_ref()
            .map(|secret| (secret.name.clone(), secret.secret.clone()));
        new_endpoint(
            endpoint.clone(),
            provider.as_deref(),
            &arguments.scheme,
            for_check,
        )?;
        Ok(Self {
            consumer: consumer_name(arguments, context, &delivery.target)?,
            start: arguments.since.start(wall_clock::now()),
            max_backlog: arguments.max_backlog,
            concurrency: concurrency(arguments, &settings.project)?,
            scheme: arguments.scheme.clone(),
            deliver_duplicates: arguments.deliver_duplicates,
            print_url: arguments.print_url,
            data: arguments
                .data
                .clone()
                .unwrap_or_else(|| settings.folders.relay_data()),
            endpoint,
            provider,
            secret,
            delivery,
            filter,
            routes,
            skips_unrouted,
            allows_remote: arguments.allow_remote_target,
        })
    }
}

fn delivery(arguments: &Arguments, context: &Context, target: Target) -> anyhow::Result<Delivery> {
    let project = &context.settings.project;
    let timeout = match (&arguments.timeout, &project.timeout) {
        (Some(timeout), _) => *timeout,
        (None, Some(text)) => {
            parse_duration(text).map_err(|problem| in_project(project, "timeout", &problem))?
        }
        (None, None) => ATTEMPT_TIME,
    };
    let host = match (&arguments.host_header, &project.host_header) {
        (Some(host), _) => host.clone(),
        (None, Some(text)) => parse_host_header(text)
            .map_err(|problem| in_project(project, "host_header", &problem))?,
        (None, None) => HostHeader::Preserve,
    };
    Ok(Delivery {
        target,
        timeout,
        retries: arguments.retry.or(project.retry).unwrap_or(0),
        park_after: arguments.park_after.or(project.park_after),
        host,
        add_headers: arguments.add_header.clone(),
        mark: arguments.mark,
        insecure: arguments.insecure,
    })
}

/// The target, and whether it is that of the first route because there is no other.
fn target(
    arguments: &Arguments,
    context: &Context,
    routes: &[Route],
) -> anyhow::Result<(Target, bool)> {
    let typed = arguments.target.as_ref().or(arguments.forward_to.as_ref());
    if let Some(target) = typed {
        return Ok((target.clone(), false));
    }
    let settings = &context.settings;
    let named = settings
        .environment
        .get("TOWLINE_TARGET")
        .or(settings.project.target.as_deref());
    match named {
        Some(text) => Ok((text.parse()?, false)),
        None if arguments.print_url => Ok(("3000".parse()?, false)),
        None if !routes.is_empty() => Ok((routes[0].target.clone(), true)),
        None => Err(Failure::usage("no target is given")
            .hint("say where the app listens, such as `towline listen 3000`")
            .into()),
    }
}

impl Plan {
    /// All targets.
    pub(super) fn targets(&self) -> impl Iterator<Item = &Target> {
        let own = (!self.skips_unrouted).then_some(&self.delivery.target);
        own.into_iter()
            .chain(self.routes.iter().map(|route| &route.target))
    }
}

fn endpoint(arguments: &Arguments, context: &Context) -> anyhow::Result<EndpointName> {
    if let Some(name) = &arguments.endpoint {
        return Ok(name.clone());
    }
    let settings = &context.settings;
    let named = settings
        .environment
        .get("TOWLINE_ENDPOINT")
        .or(settings.project.endpoint.as_deref());
    if let Some(text) = named {
        return text.parse().map_err(|error| {
            Failure::invalid("the endpoint's name cannot be used")
                .because(anyhow::Error::new(error))
                .into()
        });
    }
    let directory = std::env::current_dir()?;
    Ok(name_of_project(&directory)
        .unwrap_or_else(|| "default".parse().expect("`default` is an endpoint name")))
}

/// The name of the folder of the project around this folder, if there is a project and its name can be used.
fn name_of_project(directory: &Path) -> Option<EndpointName> {
    let is_project =
        |folder: &&Path| folder.join(".towline.toml").exists() || folder.join(".git").exists();
    let folder = directory.ancestors().find(is_project)?;
    slug(folder.file_name()?.to_str()?)
}

fn slug(text: &str) -> Option<EndpointName> {
    let lower = text.to_ascii_lowercase();
    let kept = lower.chars().map(|character| {
        if character.is_ascii_alphanumeric() {
            character
        } else {
            '-'
        }
    });
    let slug: String = kept.take(64).collect();
    slug.trim_matches('-').parse().ok()
}

fn consumer_name(
    arguments: &Arguments,
    context: &Context,
    target: &Target,
) -> anyhow::Result<ConsumerName> {
    match (&arguments.consumer, &context.settings.project.consumer) {
        (Some(name), _) => Ok(name.clone()),
        (None, Some(text)) => text
            .parse()
            .map_err(|error: towline_shared::id::InvalidId| {
                in_project(&context.settings.project, "as", &error.to_string()).into()
            }),
        (None, None) => Ok(consumer::default_name(
            target,
            context.settings.folders.state(),
        )),
    }
}

fn concurrency(arguments: &Arguments, project: &ProjectFile) -> Result<u32, Failure> {
    let wanted = arguments.concurrency.or(project.concurrency).unwrap_or(1);
    if (1..=MAX_WINDOW).contains(&wanted) {
        return Ok(wanted);
    }
    Err(in_project(
        project,
        "concurrency",
        &format!("expected 1 to {MAX_WINDOW}"),
    ))
}

fn in_project(project: &ProjectFile, key: &str, problem: &str) -> Failure {
    let path = project
        .path
        .as_deref()
        .unwrap_or(Path::new(".towline.toml"));
    Failure::invalid(format!(
        "`{key}` in `{}` cannot be used: {problem}",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_endpoint_is_called_like_the_project() {
        let root = tempfile::tempdir().unwrap();
        let project = root.path().join("My Shop_2");
        fs::create_dir_all(project.join(".git")).unwrap();
        fs::create_dir_all(project.join("src/deep")).unwrap();

        assert_eq!(
            name_of_project(&project.join("src/deep")).unwrap().as_str(),
            "my-shop-2"
        );
    }

    #[test]
    fn a_name_without_usable_characters_gives_no_endpoint_name() {
        assert_eq!(slug("---"), None);
        assert_eq!(slug("日本"), None);
        assert_eq!(slug(&"a".repeat(70)).unwrap().as_str().len(), 64);
    }
}
