//! The built-in providers: one scheme file each, embedded, compiled when first asked for.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, OnceLock};

use super::Provider;

/// Embeds `shared/schemes/NAME.toml` for each name.
macro_rules! embedded {
    ($($slug:literal),* $(,)?) => {
        &[$(($slug, include_str!(concat!("../../schemes/", $slug, ".toml")))),*]
    };
}

/// The scheme files by slug, sorted; a test compares the list with the folder.
const FILES: &[(&str, &str)] = embedded![
    "ably",
    "adobe_sign",
    "adyen",
    "adyen_platform",
    "affirm",
    "aftership",
    "aircall",
    "airship",
    "airtable",
    "airwallex",
    "anthropic",
    "asana",
    "ashby",
    "attio",
    "auth0",
    "authorize_net",
    "autodesk",
    "aws_sns",
    "azure_devops",
    "azure_event_grid",
    "benji",
    "bigcommerce",
    "bitbucket",
    "box",
    "braintree",
    "brevo",
    "brex",
    "buildkite",
    "calcom",
    "calendly",
    "cashfree",
    "chargebee",
    "checkout_com",
    "checkr",
    "circleci",
    "clerk",
    "clickup",
    "cloudevents",
    "cloudinary",
    "coinbase_cdp",
    "coinbase_commerce",
    "configcat",
    "connectwise",
    "contentful",
    "cronofy",
    "cursor",
    "customer_io",
    "datadog",
    "deel",
    "deepgram",
    "discord",
    "discourse",
    "docusign",
    "doppler",
    "dropbox",
    "dwolla",
    "easypost",
    "elevenlabs",
    "etsy",
    "extole",
    "figma",
    "finch",
    "fitbit",
    "flutterwave",
    "forgejo",
    "fourthwall",
    "framer",
    "front",
    "fusionauth",
    "gemini",
    "ghost",
    "gitea",
    "github",
    "gitlab",
    "gocardless",
    "gogs",
    "google_channel",
    "google_pubsub",
    "grafana",
    "helpscout",
    "heroku",
    "highlevel",
    "hubspot",
    "hygraph",
    "incident_io",
    "increase",
    "intercom",
    "jira",
    "jira_connect",
    "jobber",
    "keygen",
    "kick",
    "kinde",
    "klaviyo",
    "knock",
    "launchdarkly",
    "lemonsqueezy",
    "line",
    "linear",
    "linkedin",
    "lob",
    "loops",
    "mailchannels",
    "mailchimp",
    "mailgun",
    "mandrill",
    "mercado_pago",
    "merge_dev",
    "messagebird",
    "meta",
    "microsoft_graph",
    "modern_treasury",
    "mollie",
    "monday",
    "mongodb_atlas",
    "ms_teams",
    "mux",
    "netlify",
    "notion",
    "nylas",
    "okta",
    "onfido",
    "onfleet",
    "openai",
    "orb",
    "paddle",
    "paddle_classic",
    "pagerduty",
    "paymongo",
    "paypal",
    "paystack",
    "persona",
    "plaid",
    "plivo",
    "polar",
    "postmark",
    "pusher",
    "quickbooks",
    "razorpay",
    "recurly",
    "render",
    "replicate",
    "resend",
    "revolut",
    "ringcentral",
    "salesforce_ens",
    "sanity",
    "segment",
    "sellsy",
    "sendgrid",
    "sentry",
    "shippo",
    "shopify",
    "sinch",
    "slack",
    "smartcar",
    "square",
    "squarespace",
    "standard_webhooks",
    "strava",
    "stripe",
    "stytch",
    "supabase",
    "svix",
    "tally",
    "telegram",
    "telnyx",
    "terraform_cloud",
    "tiktok",
    "todoist",
    "travis",
    "trello",
    "twilio",
    "twitch",
    "typeform",
    "uploadcare",
    "vanta",
    "vercel",
    "vonage",
    "webflow",
    "websub",
    "wise",
    "woocommerce",
    "workos",
    "x_twitter",
    "xendit",
    "xero",
    "zendesk",
    "zoom",
];

static COMPILED: LazyLock<BTreeMap<&str, OnceLock<Arc<Provider>>>> = LazyLock::new(|| {
    FILES
        .iter()
        .map(|(slug, _)| (*slug, OnceLock::new()))
        .collect()
});

/// The provider with this slug.
pub(super) fn provider(slug: &str) -> Option<Arc<Provider>> {
    let cell = COMPILED.get(slug)?;
    let compile = || {
        let text = file(slug).expect("every cell has its file");
        Arc::new(Provider::parse(slug, text).expect("a test compiles every embedded file"))
    };
    Some(Arc::clone(cell.get_or_init(compile)))
}

/// The scheme file of a provider.
pub(super) fn file(slug: &str) -> Option<&'static str> {
    let index = FILES.binary_search_by_key(&slug, |(name, _)| name).ok()?;
    Some(FILES[index].1)
}

/// All slugs, sorted.
pub(super) fn slugs() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(slug, _)| *slug)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_names_exactly_the_files_of_the_folder() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/schemes");
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".toml"))
            .collect();
        names.sort();

        let listed: Vec<String> = slugs().map(|slug| format!("{slug}.toml")).collect();

        assert_eq!(listed, names);
    }

    #[test]
    fn every_embedded_file_compiles() {
        for slug in slugs() {
            assert_eq!(provider(slug).unwrap().slug(), slug);
        }
    }
}
