//! Sample webhooks: what a provider sends, from one file a provider in `relay-client/samples`, filled in afresh for
//! each use. Signing and sending is left to the commands.

mod filling;
mod manifest;

use std::collections::BTreeMap;
use std::sync::LazyLock;

pub use filling::Filling;
use manifest::{EventText, Manifest};

/// Embeds `relay-client/samples/NAME.toml` for each name.
macro_rules! embedded {
    ($($slug:literal),* $(,)?) => {
        &[$(($slug, include_str!(concat!("../samples/", $slug, ".toml")))),*]
    };
}

/// The sample files by the provider's slug, sorted; a test compares the list with the folder.
const FILES: &[(&str, &str)] = embedded![
    "benji",
    "bitbucket",
    "calendly",
    "clerk",
    "contentful",
    "discord",
    "docusign",
    "extole",
    "github",
    "gitlab",
    "hubspot",
    "intercom",
    "jira",
    "lemonsqueezy",
    "linear",
    "meta",
    "notion",
    "okta",
    "openai",
    "paddle",
    "pagerduty",
    "paypal",
    "plaid",
    "postmark",
    "razorpay",
    "sendgrid",
    "sentry",
    "shopify",
    "slack",
    "square",
    "stripe",
    "supabase",
    "telegram",
    "twilio",
    "typeform",
    "vercel",
    "zendesk",
    "zoom",
];

static PARSED: LazyLock<BTreeMap<&str, Manifest>> = LazyLock::new(|| {
    let parsed = |(slug, text): &(&'static str, &str)| {
        let manifest = Manifest::parse(text).expect("a test reads every embedded file");
        (*slug, manifest)
    };
    FILES.iter().map(parsed).collect()
});

/// One kind of webhook of a provider.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    provider: &'static str,
    manifest: &'static Manifest,
    event: &'static EventText,
}

/// A webhook that is ready to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// The header fields that the provider sends besides framing and signature.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Fields with further signatures that the provider sends beside the main one.
    pub also_signed: &'static [String],
    /// The provider's id of the delivery, where it has one.
    pub delivery_id: Option<String>,
}

/// There is no such sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoSample {
    /// The provider has none at all.
    Provider,
    /// Several samples begin like this.
    Several(Vec<&'static str>),
    /// The provider has others.
    Event,
}

/// The providers that have samples, sorted.
pub fn providers() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(slug, _)| *slug)
}

/// The samples of a provider in the order of its file; none when it has no file.
pub fn of(provider: &str) -> impl Iterator<Item = Sample> + use<> {
    let found = PARSED.get_key_value(provider);
    found.into_iter().flat_map(|(slug, manifest)| {
        manifest.events.iter().map(move |event| Sample {
            provider: slug,
            manifest,
            event,
        })
    })
}

/// How a provider shows its public key, where that is another form than its scheme file says.
pub fn public_key_form(provider: &str) -> Option<&'static str> {
    PARSED.get(provider)?.public_key.as_deref()
}

/// The sample of a provider by its name, or by the first words of it: `pull_request` is `pull_request.opened`
/// where no other begins like that.
///
/// # Errors
/// Tells what there is instead.
pub fn find(provider: &str, event: &str) -> Result<Sample, NoSample> {
    let all: Vec<_> = of(provider).collect();
    if all.is_empty() {
        return Err(NoSample::Provider);
    }
    if let Some(sample) = all.iter().find(|sample| sample.name() == event) {
        return Ok(*sample);
    }
    let begins = |sample: &&Sample| {
        let rest = sample.name().strip_prefix(event);
        rest.is_some_and(|rest| rest.starts_with('.'))
    };
    let longer: Vec<_> = all.iter().filter(begins).collect();
    match longer.as_slice() {
        [] => Err(NoSample::Event),
        [only] => Ok(**only),
        several => Err(NoSample::Several(
            several.iter().map(|sample| sample.name()).collect(),
        )),
    }
}

impl Sample {
    /// The provider's slug.
    pub const fn provider(&self) -> &'static str {
        self.provider
    }

    /// Its name within the provider, such as `invoice.paid`.
    pub fn name(&self) -> &'static str {
        &self.event.name
    }

    /// What happened, in a few words.
    pub fn about(&self) -> &'static str {
        &self.event.about
    }

    /// The provider's own name of what happened, as its scheme file reads it; `None` where the scheme reads none.
    pub fn event_type(&self) -> Option<&'static str> {
        let text = self.event.event_type.as_deref().unwrap_or(self.name());
        (!text.is_empty()).then_some(text)
    }

    /// The document whose shape it follows.
    pub fn source(&self) -> &'static str {
        &self.manifest.source
    }

    /// The scheme's parameters that the sample goes with.
    pub fn parameters(&self) -> &'static BTreeMap<String, String> {
        &self.manifest.parameters
    }

    /// Whether the provider gives its deliveries an id.
    pub fn has_delivery_id(&self) -> bool {
        self.delivery_id_text().is_some()
    }

    fn delivery_id_text(&self) -> Option<&'static str> {
        let own = self.event.delivery_id.as_deref();
        own.or(self.manifest.delivery_id.as_deref())
    }

    /// The webhook with fresh ids and times.
    pub fn webhook(&self, filling: &Filling, delivery_id: Option<&str>) -> Webhook {
        let fresh = || self.delivery_id_text().map(|text| filling.fill(text, None));
        let delivery_id = delivery_id.map(str::to_owned).or_else(fresh);
        let fill = |text: &str| filling.fill(text, delivery_id.as_deref());
        let fields = self.manifest.headers.iter().chain(&self.event.headers);
        let mut fields: Vec<_> = fields
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), fill(value)))
            .collect();
        let content_type = self.event.content_type.as_ref();
        let content_type = content_type.unwrap_or(&self.manifest.content_type);
        fields.push(("Content-Type".to_owned(), content_type.clone()));
        Webhook {
            fields,
            body: fill(self.event.body.trim_end_matches('\n')).into_bytes(),
            also_signed: &self.manifest.also_signed,
            delivery_id,
        }
    }
}

impl Webhook {
    /// The fields as a signer looks at them: a signature that is there already is made again.
    pub fn fields_to_sign(&self) -> Vec<(String, String)> {
        let old = self.also_signed.iter();
        let old = old.map(|name| (name.clone(), "-".to_owned()));
        self.fields.iter().cloned().chain(old).collect()
    }

    /// Puts the fields of a signature in; those of the same names give way to them.
    pub fn add_signature(&mut self, signature: Vec<(String, String)>) {
        self.fields.retain(|(name, _)| {
            let mut new = signature.iter();
            !new.any(|(other, _)| other.eq_ignore_ascii_case(name))
        });
        self.fields.extend(signature);
    }
}

#[cfg(test)]
mod tests;
