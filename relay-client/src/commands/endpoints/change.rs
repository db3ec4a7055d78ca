//! `towline endpoints update`: what to change, and what stays.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use towline_shared::api::{Ack, ChangeEndpoint, OnFailure};
use towline_shared::id::EndpointName;

use super::super::Failure;
use super::super::provider_options::{SchemeOptions, check_provider};
use super::intake::IntakeOptions;
use super::keep::KeepOptions;
use crate::cli::parse_header;

/// The options of `update`.
#[derive(Debug, Args)]
pub struct Change {
    /// The endpoint
    name: EndpointName,
    /// The provider whose signatures are checked
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Check no signatures any longer
    #[arg(long, conflicts_with_all = ["provider", "variant", "parameters", "scheme"])]
    no_provider: bool,
    /// Take any scheme of the provider again
    #[arg(long, conflicts_with = "variant")]
    any_variant: bool,
    /// What happens to requests whose check fails
    #[arg(long, value_name = "WHAT", value_enum)]
    on_failure: Option<FailureRule>,
    /// Deliver repeats too: verified requests whose signed content has come before
    #[arg(long)]
    deliver_duplicates: bool,
    /// Keep repeats, but deliver none
    #[arg(long, conflicts_with = "deliver_duplicates")]
    no_deliver_duplicates: bool,
    /// The status that the sender gets once its event is kept (200 to 299)
    #[arg(long, value_name = "STATUS", value_parser = clap::value_parser!(u16).range(200..300))]
    ack_status: Option<u16>,
    /// The body that the sender gets; what of the three `--ack-…` is left out gets its default
    #[arg(long, value_name = "TEXT")]
    ack_body: Option<String>,
    /// A header that the sender gets (repeatable)
    #[arg(long, value_name = "NAME: VALUE", value_parser = parse_header)]
    ack_header: Vec<(String, String)>,
    /// The longest body in bytes
    #[arg(long, value_name = "BYTES")]
    max_body: Option<u64>,
    /// Take one more secret from the next challenge of the provider, as Asana and Notion send it
    #[arg(long)]
    await_secret: bool,
    /// Keep everything, as far as the relay lets it
    #[arg(long, conflicts_with_all = ["keep_for", "keep_events", "keep_bytes"])]
    keep_everything: bool,
    #[command(flatten)]
    keep: KeepOptions,
    /// Take in everything, as far as the relay lets it
    #[arg(long, conflicts_with_all = ["max_events_per_second", "max_bytes_per_second", "max_rejected_per_minute"])]
    no_limits: bool,
    #[command(flatten)]
    intake: IntakeOptions,
    #[command(flatten)]
    scheme: SchemeOptions,
}

/// [`OnFailure`] as it is typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum FailureRule {
    /// 401 to the sender; kept, not delivered
    Reject,
    /// The usual answer; delivered with its verdict
    Deliver,
}

impl Change {
    /// The endpoint whose present provider must be known, because another one may come in its place.
    pub(super) fn needs_provider_of(&self) -> Option<&EndpointName> {
        self.provider.is_some().then_some(&self.name)
    }

    /// The endpoint's name and the change of it. Variant and parameters belong to a provider and go with it.
    pub(super) fn into_change(
        self,
        provider_before: Option<&str>,
    ) -> anyhow::Result<(EndpointName, ChangeEndpoint)> {
        let mut change = ChangeEndpoint {
            on_failure: self.on_failure.map(|rule| match rule {
                FailureRule::Reject => OnFailure::Reject,
                FailureRule::Deliver => OnFailure::Deliver,
            }),
            deliver_duplicates: (self.deliver_duplicates || self.no_deliver_duplicates)
                .then_some(self.deliver_duplicates),
            ack: self.ack(),
            max_body: self.max_body,
            await_secret: self.await_secret.then_some(true),
            retention: (self.keep.is_given() || self.keep_everything)
                .then(|| self.keep.retention()),
            limits: (self.intake.is_given() || self.no_limits).then(|| self.intake.limits()),
            ..ChangeEndpoint::default()
        };
        if self.no_provider {
            change.provider = Some(None);
            change.own_scheme = Some(None);
            change.variant = Some(None);
            change.parameters = Some(BTreeMap::new());
        }
        if let Some(provider) = &self.provider {
            let own_scheme = self.scheme.own_scheme(provider)?;
            if own_scheme.is_none() {
                check_provider(provider)?;
            }
            change.own_scheme = Some(own_scheme);
            change.provider = Some(Some(provider.clone()));
            if provider_before != Some(provider.as_str()) {
                change.variant = Some(None);
                change.parameters = Some(BTreeMap::new());
            }
        } else if self.scheme.scheme.is_some() {
            let usage = Failure::usage("`--scheme` needs `--provider` with the name of its table");
            return Err(usage.into());
        }
        if !self.scheme.parameters.is_empty() {
            change.parameters = Some(self.scheme.parameters()?);
        }
        if self.any_variant {
            change.variant = Some(None);
        }
        if let Some(variant) = self.scheme.variant {
            change.variant = Some(Some(variant));
        }
        Ok((self.name, change))
    }

    fn ack(&self) -> Option<Ack> {
        let is_given =
            self.ack_status.is_some() || self.ack_body.is_some() || !self.ack_header.is_empty();
        is_given.then(|| Ack {
            status: self.ack_status.unwrap_or(200),
            headers: self.ack_header.clone(),
            body: self.ack_body.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        change: Change,
    }

    fn change(provider_before: Option<&str>, options: &[&str]) -> ChangeEndpoint {
        let line = ["update", "orders"].iter().chain(options);
        let line = Line::try_parse_from(line).unwrap();
        line.change.into_change(provider_before).unwrap().1
    }

    #[test]
    fn variant_and_parameters_go_with_the_provider_they_belong_to() {
        for before in [Some("extole"), None] {
            let change = change(before, &["--provider", "github"]);

            assert_eq!(change.variant, Some(None), "{before:?}");
            assert_eq!(change.parameters, Some(BTreeMap::new()), "{before:?}");
        }
        let change = change(Some("extole"), &["--no-provider"]);
        assert_eq!(change.variant, Some(None));
        assert_eq!(change.parameters, Some(BTreeMap::new()));
    }

    #[test]
    fn duplicates_stay_as_they_are_unless_it_is_said() {
        let asked = |options: &[&str]| change(None, options).deliver_duplicates;

        assert_eq!(asked(&["--max-body", "5"]), None);
        assert_eq!(asked(&["--deliver-duplicates"]), Some(true));
        assert_eq!(asked(&["--no-deliver-duplicates"]), Some(false));
    }

    #[test]
    fn what_is_kept_stays_unless_it_is_given_and_is_given_as_a_whole() {
        let nothing = change(None, &["--max-body", "5"]).retention;
        let some = change(None, &["--keep-for", "1500ms", "--keep-events", "7"]).retention;
        let everything = change(None, &["--keep-everything"]).retention;

        assert_eq!(nothing, None);
        let some = some.unwrap();
        assert_eq!(
            (some.max_age_seconds, some.max_events, some.max_bytes),
            (Some(2), Some(7), None)
        );
        assert_eq!(everything, Some(towline_shared::api::Retention::default()));
    }

    #[test]
    fn variant_and_parameters_stay_with_the_same_provider_and_are_taken_when_given() {
        let same = change(Some("github"), &["--provider", "github"]);
        let given = change(
            Some("github"),
            &["--provider", "extole", "--variant", "jwt", "--param", "a=b"],
        );

        assert_eq!((same.variant, same.parameters), (None, None));
        assert_eq!(given.variant, Some(Some("jwt".to_owned())));
        let parameters = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        assert_eq!(given.parameters, Some(parameters));
    }
}
