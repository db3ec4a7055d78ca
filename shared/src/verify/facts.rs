//! What a provider says of its own delivery: the delivery's id and the name of what happened.

use super::delivery::Delivery;
use super::evaluate::Evaluation;
use super::template::{Source, Template};
use super::{Body, Facts, Provider};

/// The longest fact that is kept; ids and event names of all known providers are far shorter.
const MAX_FACT_BYTES: usize = 256;

/// The longest streamed body that is read in order to find a fact in its JSON.
const MAX_READ_BYTES: u64 = 1024 * 1024;

impl Provider {
    /// The facts of a delivery; what is absent, repeated, too long or not plain text is left out.
    pub(super) fn facts_of(&self, delivery: &Delivery<'_>) -> Facts {
        Facts {
            delivery_id: first_fact(&self.delivery_id, delivery),
            event_type: first_fact(&self.event_type, delivery),
        }
    }
}

fn first_fact(templates: &[Template], delivery: &Delivery<'_>) -> Option<String> {
    let evaluation = Evaluation::new(delivery);
    let is_long = match delivery.request.body {
        Body::Bytes(_) => false,
        Body::Streamed(body) => body.length() > MAX_READ_BYTES,
    };
    templates
        .iter()
        .filter(|template| !(is_long && reads_body(template)))
        .filter_map(|template| evaluation.render_text(template).ok())
        .find(|text| is_fact(text))
}

fn reads_body(template: &Template) -> bool {
    let mut expressions = template.expressions().into_iter();
    expressions.any(|expression| {
        matches!(
            expression.source,
            Source::Json(_) | Source::Form(_) | Source::Body
        )
    })
}

fn is_fact(text: &str) -> bool {
    (1..=MAX_FACT_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
}
