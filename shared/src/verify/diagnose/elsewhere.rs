//! Tries the schemes of all other providers on a request: the endpoint may have been given the wrong one.

use std::collections::BTreeSet;

use super::finding;
use super::search::Search;
use super::suspect::{Suspect, suspects};
use crate::verdict::Finding;
use crate::verify::registry;
use crate::verify::scheme::Scheme;
use crate::verify::template::Source;

/// How many providers a finding names.
const MAX_NAMES: usize = 3;

impl Search<'_> {
    /// Another provider's scheme; schemes that work alike are tried once and named together.
    pub(super) fn other_provider(&mut self, own: &[Suspect<'_>]) -> Option<Finding> {
        if self.delivery.settings.secrets.is_empty() {
            return None;
        }
        self.tries("the scheme of another provider");
        let mut tried: BTreeSet<String> = own.iter().map(Suspect::shape).collect();
        let mut matched: Option<(String, Vec<String>)> = None;
        for slug in registry::slugs().filter(|slug| *slug != self.provider.slug) {
            let provider = registry::provider(slug)?;
            for scheme in &provider.schemes {
                if !self.can_look_for(scheme) {
                    continue;
                }
                for suspect in suspects(scheme, self.delivery) {
                    let shape = suspect.shape();
                    if let Some((matched_shape, names)) = &mut matched {
                        if *matched_shape == shape && names.len() < MAX_NAMES {
                            names.push(slug.to_owned());
                        }
                    } else if tried.insert(shape.clone())
                        && self
                            .match_of_request(&suspect, self.delivery.request)
                            .is_some()
                    {
                        matched = Some((shape, vec![slug.to_owned()]));
                    }
                }
            }
        }
        let (_, names) = matched?;
        Some(finding(
            "other_provider",
            format!(
                "the signature matches by the scheme of `{}`",
                names.join("`, `")
            ),
            format!("set the endpoint's provider to `{}`", names.first()?),
        ))
    }

    /// A signature that lies in the body costs the reading of it, the more so with many providers.
    fn can_look_for(&mut self, scheme: &Scheme) -> bool {
        let mut places = scheme.places.iter().flat_map(|place| place.expressions());
        let lies_in_body = places.any(|expression| {
            matches!(
                expression.source,
                Source::Body | Source::NonemptyBody | Source::Json(_) | Source::Form(_)
            )
        });
        !lies_in_body || self.budget.spend_bytes(self.delivery.body_length())
    }
}
