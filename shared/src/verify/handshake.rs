//! Answers a provider's challenges. Guards keep the relay from signing texts of a stranger's choice.

use super::condition::Condition;
use super::delivery::Delivery;
use super::digest::is_equal;
use super::evaluate::Evaluation;
use super::key_fetch::HostPin;
use super::scheme::{KeySource, Method, TokenClass};
use super::template::Template;
use super::trouble::Trouble;
use super::{HandshakeReply, Provider};
use crate::secret::Secret;

/// One challenge of a provider.
#[derive(Debug)]
pub(super) struct Handshake {
    pub(super) when: Vec<Condition>,
    /// The request must carry a valid signature.
    pub(super) must_verify: bool,
    pub(super) require: Vec<(Template, Template)>,
    /// The first must be one of the words of the second.
    pub(super) require_in: Option<(Template, Template)>,
    /// What the relay is about to sign, and the texts that it may be.
    pub(super) guard: Option<(Template, TokenClass)>,
    pub(super) fail_status: u16,
    pub(super) status: u16,
    pub(super) headers: Vec<(String, Template)>,
    pub(super) body: Template,
    pub(super) lets: Vec<(String, Template)>,
    pub(super) capture_secret: Option<Template>,
    /// A URL that the relay must get to confirm.
    pub(super) confirm: Option<(Template, HostPin)>,
}

impl Provider {
    /// The answer to the first challenge that the request is.
    pub(super) fn answer(&self, delivery: &Delivery<'_>) -> Option<HandshakeReply> {
        let secret = delivery.settings.secrets.first();
        let evaluation = Evaluation {
            secret: secret.map(|(_, secret)| secret.expose()),
            ..Evaluation::new(delivery)
        };
        let mut handshakes = self.handshakes.iter();
        let handshake = handshakes.find(|handshake| handshake.is_asked(&evaluation))?;
        if handshake.must_verify && self.match_scheme(delivery).is_err() {
            return Some(refusal(401));
        }
        let reply = self
            .hmac_key(&evaluation)
            .and_then(|key| {
                let evaluation = Evaluation {
                    hmac_key: key.as_deref(),
                    ..evaluation
                };
                handshake.reply(&evaluation)
            })
            .unwrap_or_else(|_| refusal(handshake.fail_status));
        Some(reply)
    }

    /// The key that also signs deliveries: the first secret, through the first scheme's key template.
    fn hmac_key(&self, evaluation: &Evaluation<'_>) -> Result<Option<Vec<u8>>, Trouble> {
        if evaluation.secret.is_none() {
            return Ok(None);
        }
        match self.schemes.first().map(|scheme| &scheme.method) {
            Some(Method::Signed(signed)) => match &signed.key {
                KeySource::Secret(template) => {
                    let key = evaluation.render(template)?;
                    Ok(Some(key.into_owned()).filter(|key| !key.is_empty()))
                }
                KeySource::Fetched(_) => Ok(None),
            },
            _ => Ok(None),
        }
    }
}

impl Handshake {
    /// Every template that the answer is made of, with the key it stands at.
    pub(super) fn answer(&self) -> Vec<(&'static str, &Template)> {
        let headers = self.headers.iter().map(|(_, value)| ("headers", value));
        let lets = self.lets.iter().map(|(_, value)| ("let", value));
        headers.chain(lets).chain([("body", &self.body)]).collect()
    }

    fn is_asked(&self, evaluation: &Evaluation<'_>) -> bool {
        self.when
            .iter()
            .all(|condition| condition.holds(evaluation))
    }

    fn reply(&self, evaluation: &Evaluation<'_>) -> Result<HandshakeReply, Trouble> {
        if !self.is_required_met(evaluation)? {
            return Ok(refusal(self.fail_status));
        }
        if let Some((template, class)) = &self.guard
            && !class.contains(&evaluation.render(template)?)
        {
            return Ok(refusal(400));
        }
        let mut lets = Vec::new();
        for (name, template) in &self.lets {
            lets.push((name.clone(), evaluation.render(template)?.into_owned()));
        }
        let evaluation = Evaluation {
            lets: &lets,
            ..*evaluation
        };
        let confirm_url = match &self.confirm {
            None => None,
            Some((template, pin)) => {
                let url = evaluation.render_text(template)?;
                if !pin.allows(&url) {
                    return Ok(refusal(400));
                }
                Some(url)
            }
        };
        let capture = self.capture_secret.as_ref();
        let captured = capture
            .map(|template| evaluation.render(template))
            .transpose()?;
        let mut headers = Vec::new();
        for (name, template) in &self.headers {
            headers.push((name.clone(), evaluation.render_text(template)?));
        }
        Ok(HandshakeReply {
            status: self.status,
            headers,
            body: evaluation.render(&self.body)?.into_owned(),
            is_accepted: true,
            captured_secret: captured.map(|bytes| Secret::new(bytes.into_owned())),
            confirm_url,
        })
    }

    fn is_required_met(&self, evaluation: &Evaluation<'_>) -> Result<bool, Trouble> {
        for (have, want) in &self.require {
            let want = evaluation.render(want)?;
            if want.is_empty() || !is_equal(&evaluation.render(have)?, &want) {
                return Ok(false);
            }
        }
        let Some((have, list)) = &self.require_in else {
            return Ok(true);
        };
        let have = evaluation.render(have)?;
        let list = evaluation.render(list)?;
        let mut words = list.split(|byte| byte.is_ascii_whitespace() || *byte == b',');
        Ok(words.any(|word| !word.is_empty() && *word == *have))
    }
}

fn refusal(status: u16) -> HandshakeReply {
    HandshakeReply {
        status,
        headers: Vec::new(),
        body: Vec::new(),
        is_accepted: false,
        captured_secret: None,
        confirm_url: None,
    }
}
