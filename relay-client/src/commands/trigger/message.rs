//! Makes the request: sample, changes, signature, head.

use anyhow::Context as _;
use towline_shared::head::{Head, Version};
use towline_shared::verify::Unsigned;

use super::super::sign::read_body;
use super::super::signer::Signer;
use super::super::{Context, Failure, wall_clock};
use super::catalogue::Named;
use super::destination::{Destination, request_target};
use super::{Arguments, Content, editor};
use crate::samples::{Filling, Sample, Webhook};
use crate::screen::paint;

/// How sample webhooks are posted.
const METHOD: &str = "POST";

/// A request that is ready to be sent.
pub(super) struct Message {
    /// `PROVIDER.EVENT`
    pub(super) event: String,
    pub(super) url: String,
    pub(super) head: Head,
    pub(super) body: Vec<u8>,
    pub(super) delivery_id: Option<String>,
    pub(super) is_signed: bool,
}

/// Makes messages, each with fresh ids.
pub(super) struct Composer<'a> {
    named: Named<'a>,
    content: &'a Content,
    destination: &'a Destination,
    /// The URL to sign for.
    url: String,
    host: String,
    /// Instead of the sample's.
    body: Option<Vec<u8>>,
    /// Nothing is signed without one.
    signer: Option<Signer>,
    arguments: &'a Arguments,
}

impl<'a> Composer<'a> {
    /// Reads what all messages share.
    pub(super) fn new(
        named: Named<'a>,
        arguments: &'a Arguments,
        destination: &'a Destination,
        context: &Context,
    ) -> anyhow::Result<Self> {
        let content = &arguments.content;
        let has_id = named.sample.is_some_and(|sample| sample.has_delivery_id());
        if content.delivery_id.is_some() && !has_id {
            let message = format!("`{}` has no id of its own that could be given", named.name);
            return Err(Failure::usage(message).into());
        }
        let signer = signer(&named, arguments, destination, context)?;
        let body = match &content.body_file {
            Some(place) => Some(read_body(place, context)?),
            None => None,
        };
        let (url, host) = match &arguments.url {
            Some(url) => (url.clone(), host_of(url)?),
            None => (destination.url.clone(), destination.target.authority()),
        };
        let mut composer = Self {
            named,
            content,
            destination,
            url,
            host,
            body,
            signer,
            arguments,
        };
        if content.edit {
            let webhook = composer.webhook()?;
            composer.body = Some(editor::edited(&webhook.body, context)?);
        }
        Ok(composer)
    }

    /// The next message.
    pub(super) fn compose(&self) -> anyhow::Result<Message> {
        let mut webhook = self.webhook()?;
        if let Some(signer) = &self.signer {
            let mut signature = signer.sign(&Unsigned {
                method: METHOD,
                url: &self.url,
                fields: &webhook.fields_to_sign(),
                body: &webhook.body,
            })?;
            if self.content.forged {
                spoil(&mut signature);
            }
            webhook.add_signature(signature);
        }
        Ok(Message {
            event: self.named.name.clone(),
            url: self.destination.url.clone(),
            head: self.head(&webhook)?,
            delivery_id: webhook.delivery_id,
            body: webhook.body,
            is_signed: self.signer.is_some(),
        })
    }

    /// The webhook with all changes, before it is signed.
    fn webhook(&self) -> anyhow::Result<Webhook> {
        let mut webhook = match self.named.sample {
            Some(sample) => filled(&sample, self.arguments)?,
            None => Webhook {
                fields: vec![("Content-Type".to_owned(), "application/json".to_owned())],
                body: Vec::new(),
                also_signed: &[],
                delivery_id: None,
            },
        };
        webhook.add_signature(self.content.headers.clone());
        if let Some(body) = &self.body {
            webhook.body.clone_from(body);
        }
        let is_form = webhook.fields.iter().any(|(name, value)| {
            name.eq_ignore_ascii_case("content-type")
                && value.starts_with("application/x-www-form-urlencoded")
        });
        for change in &self.content.changes {
            webhook.body = change.apply(&webhook.body, is_form).map_err(|problem| {
                Failure::invalid(format!("`--set` does not fit the body: {problem}"))
            })?;
        }
        Ok(webhook)
    }

    fn head(&self, webhook: &Webhook) -> anyhow::Result<Head> {
        let length = webhook.body.len().to_string();
        let own = [("Host", self.host.as_str())].into_iter();
        let fields = webhook
            .fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let framing = [("Content-Length", length.as_str())];
        let all = own.chain(fields).chain(framing);
        let target = request_target(&self.destination.target);
        Head::build(
            METHOD,
            target.as_bytes(),
            Version::Http11,
            all.map(|(name, value)| (name.as_bytes(), value.as_bytes())),
        )
        .map_err(|error| {
            Failure::invalid("the request's head cannot be written")
                .because(error)
                .into()
        })
    }
}

fn filled(sample: &Sample, arguments: &Arguments) -> anyhow::Result<Webhook> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .map_err(|error| anyhow::anyhow!("{error}"))
        .context("no random numbers")?;
    let filling = Filling::new(arguments.now.unwrap_or_else(wall_clock::now), seed);
    Ok(sample.webhook(&filling, arguments.content.delivery_id.as_deref()))
}

/// What signs, unless nothing is to be signed.
fn signer(
    named: &Named<'_>,
    arguments: &Arguments,
    destination: &Destination,
    context: &Context,
) -> anyhow::Result<Option<Signer>> {
    if arguments.content.unsigned {
        return Ok(None);
    }
    let endpoint = destination.endpoint.as_ref();
    if let Some(endpoint) = endpoint
        && endpoint.has_own_scheme
        && arguments.scheme.scheme.is_none()
    {
        let message = format!("the endpoint `{}` has a scheme of its own", endpoint.name);
        return Err(Failure::usage(message)
            .hint("give the same file with `--scheme FILE`")
            .into());
    }
    let mut signer = Signer::new(
        named.provider,
        &arguments.scheme,
        &arguments.secret,
        arguments.now,
        context,
    )?;
    if let Some(endpoint) = endpoint {
        signer.variant = signer.variant.or_else(|| endpoint.variant.clone());
        for (key, value) in &endpoint.parameters {
            signer
                .parameters
                .entry(key.clone())
                .or_insert_with(|| value.clone());
        }
    }
    for (key, value) in named.sample.iter().flat_map(Sample::parameters) {
        signer
            .parameters
            .entry(key.clone())
            .or_insert_with(|| value.clone());
    }
    if !signer.lacks_secret() {
        return Ok(Some(signer));
    }
    match endpoint {
        Some(endpoint) if endpoint.secrets.is_empty() => {
            context.screen.notice(&format!(
                "{} the endpoint `{}` has no secret and checks nothing: sent without a signature",
                paint::odd("note:"),
                endpoint.name
            ));
            Ok(None)
        }
        Some(endpoint) => {
            let name = &endpoint.name;
            let failure = Failure::usage(format!(
                "the endpoint `{name}` checks signatures, and no secret is given"
            ));
            Err(failure
                .hint(format!(
                    "the relay never gives a secret away: name yours with `--secret-file` or `--secret-env`, or add one \
                     for tests with `towline endpoints rotate-secret {name} --secret-name test --secret-file FILE`"
                ))
                .into())
        }
        None => Err(Failure::usage("no secret is given")
            .hint(format!("{}; or send it `--unsigned`", signer.secret_hint()))
            .into()),
    }
}

fn host_of(url: &str) -> Result<String, Failure> {
    let malformed = || {
        Failure::usage(format!(
            "`{url}` is not a URL such as https://app.example/hooks"
        ))
    };
    let url = url::Url::parse(url).map_err(|error| malformed().because(error))?;
    let host = url.host_str().ok_or_else(malformed)?;
    Ok(match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}

/// Makes the signature one of other bytes: its form stays, so that only a real check finds out. A provider that
/// signs in two ways gets both spoiled, since an app may look at either.
fn spoil(signature: &mut [(String, String)]) {
    let last = signature.len().saturating_sub(1);
    for (index, (_, value)) in signature.iter_mut().enumerate() {
        if index == last || value.len() >= SHORTEST_SIGNATURE {
            spoil_value(value);
        }
    }
}

fn spoil_value(value: &mut String) {
    let place = value.len().saturating_sub(SPOILED_FROM_END);
    let is_spoiled = |(index, _): &(usize, char)| *index == place;
    *value = value
        .char_indices()
        .map(|found| match found {
            (_, '0') if is_spoiled(&found) => '1',
            (_, _) if is_spoiled(&found) => '0',
            (_, character) => character,
        })
        .collect();
}

/// Far enough from the end that no bit of the letter is padding, and inside of every signature.
const SPOILED_FROM_END: usize = 8;

/// What is shorter is a time or an id beside the signature, unless it stands last: 128 bits in base64.
const SHORTEST_SIGNATURE: usize = 22;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spoiled_signature_has_one_other_letter() {
        for (value, spoiled) in [
            ("t=1,v1=00112233445566", "t=1,v1=00112203445566"),
            ("abcdefgh", "0bcdefgh"),
            ("x", "0"),
        ] {
            let mut signature = vec![
                ("a".to_owned(), "b".to_owned()),
                ("s".to_owned(), value.to_owned()),
            ];

            spoil(&mut signature);

            assert_eq!(signature[1].1, spoiled);
            assert_eq!(signature[0].1, "b");
        }
    }

    #[test]
    fn each_of_two_signatures_is_spoiled_and_a_time_beside_them_is_not() {
        let long = "sha256=00112233445566778899";
        let mut signature = ["1760000000", long, long]
            .map(|value| ("s".to_owned(), value.to_owned()))
            .to_vec();

        spoil(&mut signature);

        assert_eq!(signature[0].1, "1760000000");
        assert!(signature[1..].iter().all(|(_, value)| value != long));
    }

    #[test]
    fn the_host_of_a_public_url_is_named_with_its_port() {
        assert_eq!(host_of("https://app.example/x").unwrap(), "app.example");
        assert_eq!(
            host_of("http://app.example:8080/x").unwrap(),
            "app.example:8080"
        );
        assert!(host_of("app.example").is_err());
    }
}
