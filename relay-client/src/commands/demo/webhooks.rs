//! What the demo sends: each webhook with its endpoint, its head and body to the byte, and how its endpoint checks.

use std::collections::BTreeMap;

use towline_shared::api::{Ack, CreateEndpoint, NewSecret, OnFailure, Retention};
use towline_shared::id::EndpointName;
use towline_shared::time::Timestamp;

use super::provider::{base64_sha256, basic, hex_sha1, hex_sha256, imf_fixdate, jwt};
use super::samples::{Bodies, NOT_JSON, gzip};

/// The salt of the subscribe call.
const SALT: &str = "benji-salt-4f1c";
/// The client key of Extole.
const KEY: &str = "extole-Client-Key-1";
/// The header of the password, which the operator chooses.
const PASSWORD_HEADER: &str = "X-Api-Password";
/// User and password.
const CREDENTIALS: &str = "hook:s3cr:et";
/// An opaque access token.
const ACCESS_TOKEN: &str = "opaque-Access-Token";

/// The endpoints, as (name, provider, variant, secret); the last two checks nothing.
const ENDPOINTS: [(&str, Option<&str>, Option<&str>, &str); 8] = [
    ("benji", Some("benji"), None, SALT),
    ("extole-sha256", Some("extole"), Some("hmac-sha256"), KEY),
    ("extole-sha1", Some("extole"), Some("hmac-sha1"), KEY),
    ("extole-password", Some("extole"), Some("password"), KEY),
    ("extole-basic", Some("extole"), Some("basic"), CREDENTIALS),
    (
        "extole-bearer",
        Some("extole"),
        Some("bearer"),
        ACCESS_TOKEN,
    ),
    ("extole-jwt", Some("extole"), Some("jwt"), KEY),
    ("unchecked", None, None, ""),
];

/// A webhook to send.
pub(super) struct Webhook {
    /// What it shows.
    pub(super) title: &'static str,
    /// The endpoint's name.
    pub(super) endpoint: &'static str,
    method: &'static str,
    suffix: &'static str,
    fields: Vec<(&'static str, String)>,
    /// The body.
    pub(super) body: Vec<u8>,
    is_chunked: bool,
    /// Whether the relay must turn it away.
    pub(super) is_rejected: bool,
}

/// The endpoints to make.
pub(super) fn endpoints() -> anyhow::Result<Vec<CreateEndpoint>> {
    let mut all = Vec::new();
    for (name, provider, variant, secret) in ENDPOINTS {
        let mut parameters = BTreeMap::new();
        if variant == Some("password") {
            parameters.insert("header".to_owned(), PASSWORD_HEADER.to_owned());
        }
        let secret = NewSecret {
            name: "demo".parse()?,
            secret: secret.to_owned(),
        };
        all.push(CreateEndpoint {
            name: name.parse::<EndpointName>()?,
            provider: provider.map(str::to_owned),
            own_scheme: None,
            variant: variant.map(str::to_owned),
            parameters,
            ack: Ack::default(),
            on_failure: OnFailure::default(),
            deliver_duplicates: false,
            max_body: None,
            retention: Retention::default(),
            limits: towline_shared::api::EndpointLimits::default(),
            secrets: provider.map(|_| secret).into_iter().collect(),
        });
    }
    Ok(all)
}

/// The webhooks in order.
pub(super) fn webhooks(now: Timestamp) -> Vec<Webhook> {
    let bodies = Bodies::at(now);
    [
        benji(now, &bodies),
        extole(now, &bodies),
        odd(&bodies),
        vec![wrong(&bodies)],
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn benji(now: Timestamp, bodies: &Bodies) -> Vec<Webhook> {
    let signed = |title, body: &str, signature: String| {
        Webhook::post(title, "benji", body.as_bytes())
            .with("Content-Type", "application/json")
            .with("x-benji-signature", signature)
            .with("x-webhook-datetime", imf_fixdate(now))
    };
    vec![
        signed(
            "Benji transaction, hex signature",
            &bodies.benji_transaction,
            hex_sha256(SALT, bodies.benji_transaction.as_bytes()),
        ),
        signed(
            "Benji user, base64 signature",
            &bodies.benji_user,
            base64_sha256(SALT, bodies.benji_user.as_bytes()),
        ),
        signed(
            "Benji campaign, hex signature",
            &bodies.benji_campaign,
            hex_sha256(SALT, bodies.benji_campaign.as_bytes()),
        ),
    ]
}

fn extole(now: Timestamp, bodies: &Bodies) -> Vec<Webhook> {
    let body = bodies.extole_reward.as_bytes();
    let earned = |title, endpoint, name, value: String| {
        Webhook::post(title, endpoint, body)
            .with("Content-Type", "application/json;charset=UTF-8")
            .with(name, value)
    };
    vec![
        earned(
            "Extole, HMAC-SHA256",
            "extole-sha256",
            "X-Extole-Signature",
            hex_sha256(KEY, body),
        ),
        earned(
            "Extole, HMAC-SHA1",
            "extole-sha1",
            "X-Extole-Signature",
            format!("sha1={}", hex_sha1(KEY, body)),
        ),
        earned(
            "Extole, password",
            "extole-password",
            PASSWORD_HEADER,
            KEY.to_owned(),
        ),
        earned(
            "Extole, Basic",
            "extole-basic",
            "Authorization",
            basic(CREDENTIALS),
        ),
        earned(
            "Extole, OAuth bearer",
            "extole-bearer",
            "Authorization",
            format!("Bearer {ACCESS_TOKEN}"),
        ),
        earned(
            "Extole, JWT by HS256",
            "extole-jwt",
            "Authorization",
            format!("Bearer {}", jwt(KEY, now)),
        ),
    ]
}

fn odd(bodies: &Bodies) -> Vec<Webhook> {
    let get = Webhook {
        method: "GET",
        suffix: "/rewards?a=%2F&a=/&person=Zo%C3%AB&empty=&flag&x=[1]",
        ..Webhook::post("GET with a raw query", "unchecked", b"")
    };
    let chunked = Webhook {
        is_chunked: true,
        ..Webhook::post("body in chunks", "unchecked", bodies.benji_user.as_bytes())
    };
    vec![
        get,
        Webhook::post("gzip body", "unchecked", &gzip())
            .with("Content-Type", "application/json")
            .with("Content-Encoding", "gzip"),
        Webhook::post("body that is not JSON", "unchecked", NOT_JSON)
            .with("Content-Type", "application/octet-stream"),
        Webhook::post("mixed case, repeated fields", "unchecked", b"{}")
            .with("X-MiXeD-CaSe", "1")
            .with("x-repeated", "first")
            .with("X-Repeated", " second, with spaces around ")
            .with("x-Empty", "")
            .with("X-REPEATED", "third")
            .with("Connection", "keep-alive, X-Only-For-The-Relay")
            .with("X-Only-For-The-Relay", "yes"),
        chunked.with("Content-Type", "application/json"),
    ]
}

/// Signed before a careless client added a line end: what the wrong signature of a real day looks like.
fn wrong(bodies: &Bodies) -> Webhook {
    let signature = hex_sha256(KEY, bodies.extole_reward.as_bytes());
    let body = format!("{}\n", bodies.extole_reward);
    Webhook {
        is_rejected: true,
        ..Webhook::post("Extole, wrong signature", "extole-sha256", body.as_bytes())
            .with("Content-Type", "application/json;charset=UTF-8")
            .with("X-Extole-Signature", signature)
    }
}

impl Webhook {
    fn post(title: &'static str, endpoint: &'static str, body: &[u8]) -> Self {
        Self {
            title,
            endpoint,
            method: "POST",
            suffix: "",
            fields: Vec::new(),
            body: body.to_vec(),
            is_chunked: false,
            is_rejected: false,
        }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// The head to send to an endpoint's public URL.
    pub(super) fn head(&self, host: &str, path: &str) -> Vec<u8> {
        let mut head = format!(
            "{} {path}{} HTTP/1.1\r\nHost: {host}\r\n",
            self.method, self.suffix
        );
        head.push_str("User-Agent: towline-demo\r\n");
        for (name, value) in &self.fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.is_chunked {
            head.push_str("Transfer-Encoding: chunked\r\n");
        } else if !self.body.is_empty() {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    /// The body as it goes over the wire; chunks of seven bytes when it is chunked.
    pub(super) fn body_on_the_wire(&self) -> Vec<u8> {
        if !self.is_chunked {
            return self.body.clone();
        }
        let mut wire = Vec::new();
        for chunk in self.body.chunks(7) {
            wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"0\r\n\r\n");
        wire
    }
}

#[cfg(test)]
mod tests {
    use towline_shared::head::Head;

    use super::*;

    #[test]
    fn every_webhook_has_a_valid_head_and_an_endpoint() {
        let names: Vec<_> = ENDPOINTS.iter().map(|(name, ..)| *name).collect();
        for webhook in webhooks(Timestamp::from_millis(1_760_000_000_000)) {
            Head::parse(webhook.head("r", "/in/x")).unwrap();
            assert!(names.contains(&webhook.endpoint), "{}", webhook.title);
        }
    }

    #[test]
    fn exactly_one_webhook_is_to_be_turned_away() {
        let all = webhooks(Timestamp::from_millis(1_760_000_000_000));

        assert_eq!(all.iter().filter(|webhook| webhook.is_rejected).count(), 1);
        assert_eq!(all.len(), 15);
    }
}
