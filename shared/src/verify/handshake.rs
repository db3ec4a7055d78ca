//! Answers a provider's challenges. Guards keep the relay from signing texts of a stranger's choice.

use std::borrow::Cow;

use super::condition::Condition;
use super::delivery::Delivery;
use super::digest::is_equal;
use super::evaluate::Evaluation;
use super::key_fetch::HostPin;
use super::scheme::{KeySource, Method, TokenClass};
use super::template::Template;
use super::trouble::{Failing, Trouble};
use super::{HandshakeReply, Provider};
use crate::secret::Secret;
use crate::verdict::Cause;

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
        let reply = match self.reply(handshake, delivery, &evaluation) {
            Ok(reply) => reply,
            Err(Refused { status, failing }) => HandshakeReply {
                status,
                headers: Vec::new(),
                body: Vec::new(),
                refusal: Some(self.failed(failing, Vec::new())),
                captured_secret: None,
                confirm_url: None,
            },
        };
        Some(reply)
    }

    fn reply(
        &self,
        handshake: &Handshake,
        delivery: &Delivery<'_>,
        evaluation: &Evaluation<'_>,
    ) -> Result<HandshakeReply, Refused> {
        if handshake.must_verify {
            self.match_scheme(delivery)
                .map_err(|failing| Refused::new(401, failing))?;
        }
        let trouble = |trouble| handshake.trouble(trouble);
        let key = self.hmac_key(evaluation).map_err(trouble)?;
        let evaluation = Evaluation {
            hmac_key: key.as_deref(),
            ..*evaluation
        };
        handshake.check_required(&evaluation)?;
        handshake.check_guard(&evaluation)?;
        let lets = handshake.let_values(&evaluation).map_err(trouble)?;
        let evaluation = Evaluation {
            lets: &lets,
            ..evaluation
        };
        let confirm_url = handshake.confirm_url(&evaluation)?;
        handshake
            .accepted(&evaluation, confirm_url)
            .map_err(trouble)
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

    fn check_required(&self, evaluation: &Evaluation<'_>) -> Result<(), Refused> {
        for (have, want) in &self.require {
            let wanted = self.value(evaluation, want)?;
            if wanted.is_empty() {
                let sentence = format!("`{}` is empty", want.text);
                return Err(self.refused(Cause::ConfigError, sentence));
            }
            if !is_equal(&self.value(evaluation, have)?, &wanted) {
                let sentence = format!("`{}` is not the same as `{}`", have.text, want.text);
                return Err(self.refused(Cause::TokenMismatch, sentence));
            }
        }
        let Some((have, list)) = &self.require_in else {
            return Ok(());
        };
        let word = self.value(evaluation, have)?;
        let words = self.value(evaluation, list)?;
        let mut words = words.split(|byte| byte.is_ascii_whitespace() || *byte == b',');
        if words.any(|other| !other.is_empty() && *other == *word) {
            return Ok(());
        }
        let sentence = format!("`{}` is none of `{}`", have.text, list.text);
        Err(self.refused(Cause::ConditionFailed, sentence))
    }

    fn check_guard(&self, evaluation: &Evaluation<'_>) -> Result<(), Refused> {
        let Some((template, class)) = &self.guard else {
            return Ok(());
        };
        if class.contains(&self.value(evaluation, template)?) {
            return Ok(());
        }
        let sentence = format!(
            "`{}` is no text that may be signed for a stranger",
            template.text
        );
        Err(Refused::new(
            400,
            Failing::new(Cause::ConditionFailed, sentence),
        ))
    }

    fn let_values(&self, evaluation: &Evaluation<'_>) -> Result<Vec<(String, Vec<u8>)>, Trouble> {
        let lets = self.lets.iter().map(|(name, template)| {
            let value = evaluation.render(template)?;
            Ok((name.clone(), value.into_owned()))
        });
        lets.collect()
    }

    fn confirm_url(&self, evaluation: &Evaluation<'_>) -> Result<Option<String>, Refused> {
        let Some((template, pin)) = &self.confirm else {
            return Ok(None);
        };
        let url = evaluation.render_text(template);
        let url = url.map_err(|trouble| self.trouble(trouble))?;
        if pin.allows(&url) {
            return Ok(Some(url));
        }
        let sentence = format!("`{}` is no URL of the provider", template.text);
        Err(Refused::new(
            400,
            Failing::new(Cause::KeyUrlRejected, sentence),
        ))
    }

    fn accepted(
        &self,
        evaluation: &Evaluation<'_>,
        confirm_url: Option<String>,
    ) -> Result<HandshakeReply, Trouble> {
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
            refusal: None,
            captured_secret: captured.map(|bytes| Secret::new(bytes.into_owned())),
            confirm_url,
        })
    }

    fn value<'e>(
        &self,
        evaluation: &Evaluation<'e>,
        template: &Template,
    ) -> Result<Cow<'e, [u8]>, Refused> {
        let value = evaluation.render(template);
        value.map_err(|trouble| self.trouble(trouble))
    }

    fn trouble(&self, trouble: Trouble) -> Refused {
        Refused::new(self.fail_status, trouble.into_failing())
    }

    fn refused(&self, cause: Cause, sentence: String) -> Refused {
        Refused::new(self.fail_status, Failing::new(cause, sentence))
    }
}

/// Why a challenge is not answered as it asks: the sender gets the status, the owner of the endpoint the reason. The
/// reason names the templates, never their values: a verify token is one of them.
struct Refused {
    status: u16,
    failing: Failing,
}

impl Refused {
    const fn new(status: u16, failing: Failing) -> Self {
        Self { status, failing }
    }
}
