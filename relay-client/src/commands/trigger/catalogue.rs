//! Which samples there are, and which one a person means.

use serde::Serialize;

use super::super::provider_options::{check_provider, did_you_mean};
use super::super::{Context, Exit, Failure};
use crate::samples::{self, NoSample, Sample};
use crate::screen::table::Table;

/// What a person named.
pub(super) struct Named<'a> {
    pub(super) provider: &'a str,
    /// `PROVIDER.EVENT`, of the sample where there is one.
    pub(super) name: String,
    pub(super) sample: Option<Sample>,
}

/// One sample as JSON.
#[derive(Serialize)]
struct Line {
    event: String,
    provider: &'static str,
    about: &'static str,
    source: &'static str,
}

/// The sample by `PROVIDER.EVENT`; a body of one's own needs none.
///
/// # Errors
/// When there is none; the hint has the nearest names.
pub(super) fn named(event: &str, has_own_body: bool) -> Result<Named<'_>, Failure> {
    let (provider, name) = event.split_once('.').unwrap_or((event, ""));
    let sample = match samples::find(provider, name) {
        Ok(sample) => Some(sample),
        Err(_) if has_own_body => None,
        Err(missing) => return Err(failure(provider, name, &missing)),
    };
    let name = sample.map_or_else(
        || event.to_owned(),
        |sample| format!("{provider}.{}", sample.name()),
    );
    Ok(Named {
        provider,
        name,
        sample,
    })
}

fn failure(provider: &str, name: &str, missing: &NoSample) -> Failure {
    let all = || format!("`towline trigger --list {provider}` lists them");
    match missing {
        NoSample::Provider => match check_provider(provider) {
            Err(unknown) => unknown,
            Ok(_) => Failure::invalid(format!("there are no samples of `{provider}`")).hint(
                "send a body of your own with `--body-file FILE`; `towline trigger --list` shows the samples",
            ),
        },
        NoSample::Several(names) => {
            let message = format!("several samples of `{provider}` begin with `{name}`");
            Failure::invalid(message).hint(format!("choose one of {}", names.join(", ")))
        }
        NoSample::Event if name.is_empty() => {
            Failure::usage(format!("`{provider}` needs an event behind a dot")).hint(all())
        }
        NoSample::Event => {
            let names = samples::of(provider).map(|sample| sample.name());
            Failure::invalid(format!("there is no sample `{name}` of `{provider}`"))
                .hint(did_you_mean(name, names).unwrap_or_else(all))
        }
    }
}

/// Lists the samples of one provider, or of all.
pub(super) fn list(provider: Option<&str>, context: &Context) -> anyhow::Result<Exit> {
    let wanted: Vec<Sample> = samples::providers()
        .filter(|slug| provider.is_none_or(|wanted| wanted == *slug))
        .flat_map(samples::of)
        .collect();
    if wanted.is_empty() {
        let provider = provider.unwrap_or_default();
        return Err(failure(provider, "", &NoSample::Provider).into());
    }
    let mut table = Table::new(&["EVENT", "WHAT HAPPENED"]);
    for sample in &wanted {
        let event = format!("{}.{}", sample.provider(), sample.name());
        if context.global.json {
            context.screen.json(&Line {
                event,
                provider: sample.provider(),
                about: sample.about(),
                source: sample.source(),
            })?;
            continue;
        }
        table.row([event.into(), sample.about().into()]);
    }
    if !context.global.json {
        for line in table.lines(context.screen.terminal_columns(), 1) {
            context.screen.data(&line)?;
        }
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::super::super::Report;
    use super::*;

    #[test]
    fn a_name_that_is_wrong_is_answered_with_its_neighbours() {
        for (event, exit, hint) in [
            (
                "github.pull_requst.opened",
                Exit::InvalidInput,
                "pull_request.opened",
            ),
            ("gihtub.push", Exit::InvalidInput, "github"),
            ("github", Exit::Usage, "--list github"),
            ("ably.message", Exit::InvalidInput, "--body-file"),
            ("github.zzzzzz", Exit::InvalidInput, "--list github"),
        ] {
            let failure = named(event, false).err().unwrap();
            let report = Report::of(&failure.into());

            assert_eq!(report.exit, exit, "{event}");
            assert!(report.hint.unwrap().contains(hint), "{event}");
        }
    }

    #[test]
    fn the_name_is_made_whole_and_a_body_of_ones_own_needs_no_sample() {
        assert_eq!(
            named("github.issues", false).ok().unwrap().name,
            "github.issues.opened"
        );
        assert!(named("ably.message", true).ok().unwrap().sample.is_none());
    }
}
