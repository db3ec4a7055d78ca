//! Refuses schemes whose challenges would sign what a delivery is signed over: a stranger could have a text signed as
//! a challenge, and then send it as a delivery.

use crate::verify::Provider;
use crate::verify::digest::Hash;
use crate::verify::filters::Filter;
use crate::verify::handshake::Handshake;
use crate::verify::jwt::JwtAlgorithm;
use crate::verify::mistakes::Noted;
use crate::verify::scheme::{Algorithm, Method, Scheme, Signed, TokenClass};
use crate::verify::table::Table;
use crate::verify::template::{Expression, Part, Source, Template};

const OPEN_MESSAGE: &str = "the answer to a challenge could sign this too, and a stranger then send it: refuse what \
                            the challenge's `guard` takes, by `reject = [\"MESSAGE\", \"CLASS\"]` with this very message";

/// All of a token is letters, digits, `-`, `_` and `.`, as a challenge is.
const OPEN_TOKEN: &str =
    "the answer to a challenge could sign such a token too, and a stranger then send it";

/// Notes the messages of a provider that the answer to one of its challenges could sign too.
pub(super) fn check(provider: &Provider, table: &Table<'_>) -> Result<(), Noted> {
    let own = table.tables("scheme")?;
    for handshake in &provider.handshakes {
        let Some((_, class)) = &handshake.guard else {
            continue;
        };
        let hashes = signing_hashes(handshake);
        for (place, scheme) in provider.schemes.iter().enumerate() {
            let Some((key, problem)) = open_at(scheme, &hashes, *class) else {
                continue;
            };
            match own.get(place) {
                Some(own) => own.problem_at(key, problem),
                None => table.problem_at("handshake", problem),
            };
        }
    }
    Ok(())
}

/// Notes what in the answer is signed without being looked at: the guard must read the very value.
pub(super) fn check_guard(handshake: &Handshake, table: &Table<'_>) {
    let guard = handshake.guard.as_ref();
    let looked_at = guard.and_then(|(template, _)| template.bare());
    for (key, template) in handshake.answer() {
        for expression in template.expressions() {
            let Some(first) = expression.filters.iter().position(is_hmac) else {
                continue;
            };
            let problem = match (guard, looked_at) {
                (None, _) => {
                    "a caller could have any text signed: say with `guard` what may be signed"
                }
                (Some(_), Some(looked_at)) if is_signed_as_it_is(looked_at, expression, first) => {
                    continue;
                }
                (Some(_), _) => {
                    "what is signed is not what `guard` looks at: both must read the same value, without a filter \
                     in front of the HMAC"
                }
            };
            table.problem_at(key, problem);
        }
    }
}

/// Whether the one HMAC of an expression is over the value that the guard looks at. A value of `let` is made of others.
fn is_signed_as_it_is(looked_at: &Expression, signed: &Expression, first: usize) -> bool {
    let is_plain = looked_at.filters.is_empty() && !matches!(looked_at.source, Source::Let(_));
    let hmacs = signed.filters.iter().filter(|filter| is_hmac(filter));
    is_plain && first == 0 && hmacs.count() == 1 && looked_at.source == signed.source
}

/// Whether the filter signs.
pub(super) const fn is_hmac(filter: &Filter) -> bool {
    matches!(filter, Filter::Hmac(_))
}

/// The hashes of all HMACs in the answer.
fn signing_hashes(handshake: &Handshake) -> Vec<Hash> {
    let templates = handshake.answer().into_iter();
    let expressions = templates.flat_map(|(_, template)| template.expressions());
    let filters = expressions.flat_map(|expression| &expression.filters);
    filters
        .filter_map(|filter| match filter {
            Filter::Hmac(hash) => Some(*hash),
            _ => None,
        })
        .collect()
}

/// The key of the scheme, and the problem, when one of these HMACs over a text of the class could be the signature of
/// a delivery. The keys count as the same: another scheme may make the same key of the secret.
fn open_at(
    scheme: &Scheme,
    hashes: &[Hash],
    class: TokenClass,
) -> Option<(&'static str, &'static str)> {
    match &scheme.method {
        Method::Signed(signed) => {
            let is_shared =
                matches!(signed.algorithm, Algorithm::Hmac(hash) if hashes.contains(&hash));
            let mut messages = signed.messages.iter();
            let is_open = is_shared
                && messages
                    .any(|message| can_be(message, class) && !rejects(signed, message, class));
            is_open.then_some(("message", OPEN_MESSAGE))
        }
        Method::Jwt(rule) => {
            let mut algorithms = rule.algorithms.iter();
            let is_open = algorithms.any(
                |algorithm| matches!(algorithm, JwtAlgorithm::Hmac(hash) if hashes.contains(hash)),
            );
            is_open.then_some(("alg", OPEN_TOKEN))
        }
        // What an HTTP signature signs has a space after the name of each field, which no class has.
        Method::HttpSignature(_) | Method::Equals(_) | Method::Issued => None,
    }
}

/// Whether the message could be a text of the class: not if something in it never is.
fn can_be(message: &Template, class: TokenClass) -> bool {
    message.parts.iter().all(|part| match part {
        Part::Text(text) => text.iter().all(|byte| class.has(*byte)),
        Part::Value(_) | Part::Segment(_) => true,
    })
}

/// Whether the scheme refuses every text of the class as this message. What is known only while a signature is tried
/// is not known when `reject` is looked at.
fn rejects(signed: &Signed, message: &Template, class: TokenClass) -> bool {
    let is_late = |source: &Source| {
        matches!(
            source,
            Source::Secret | Source::Signature(_) | Source::Item(_)
        )
    };
    let mut expressions = message.expressions().into_iter();
    if expressions.any(|expression| is_late(&expression.source)) {
        return false;
    }
    let reject = signed.reject.as_ref();
    reject
        .is_some_and(|(rejected, refused)| rejected.parts == message.parts && refused.covers(class))
}

#[cfg(test)]
mod tests {
    use crate::verify::{Provider, SchemeErrors};

    const CHALLENGE: &str = "[[x.handshake]]\nwhen = [\"query.c\"]\nstatus = 200\nguard = \"{query.c}\"\n\
                             body = \"{query.c|hmac-sha256|hex}\"\n";

    #[test]
    fn a_message_that_a_challenge_could_sign_is_refused() {
        for scheme in [
            "message = \"{body}\"",
            "message = \"{body}\"\nreject = [\"{body}\", \"hex20_32\"]",
            "message = \"{body}\"\nreject = [\"{header.a}\", \"token\"]",
            "message = [\"v0:{body}\", \"{body}\"]",
            "message = \"v0={body}\"\nreject = [\"{body}\", \"token\"]",
            "message = \"[a:{header.a}]{body}\"",
            "message = \"{sig.t}{body}\"\nkv = \"=\"\nsig_key = \"s\"\nreject = [\"{sig.t}{body}\", \"token\"]",
        ] {
            let errors = parse(&format!("alg = \"hmac-sha256\"\n{scheme}")).unwrap_err();

            assert_eq!(errors.0.len(), 1, "{scheme}: {errors}");
            assert_eq!(errors.0[0].key, "x.scheme.message", "{scheme}");
        }
    }

    #[test]
    fn a_message_that_no_challenge_can_sign_is_taken() {
        for scheme in [
            "alg = \"hmac-sha256\"\nmessage = \"{body}\"\nreject = [\"{body}\", \"token\"]",
            "alg = \"hmac-sha256\"\nmessage = \"v0={body}\"\nreject = [\"v0={body}\", \"token\"]",
            "alg = \"hmac-sha256\"\nmessage = \"v0:{body}\"",
            "alg = \"hmac-sha1\"\nmessage = \"{body}\"",
            "alg = \"ed25519\"\nmessage = \"{body}\"",
        ] {
            parse(scheme).unwrap();
        }
    }

    #[test]
    fn a_token_under_the_same_secret_is_refused_beside_a_signing_challenge() {
        let token = "alg = \"jwt\"\nbinds = \"none\"\njwt = { algs = [\"HS256\"] }";

        let errors = parse(token).unwrap_err();

        assert_eq!(errors.0[0].key, "x.scheme.alg", "{errors}");
    }

    #[test]
    fn a_challenge_of_ones_own_for_a_built_in_provider_is_looked_at_too() {
        let challenge = CHALLENGE.replace("x.handshake", "mine.handshake");
        let of = |base: &str| {
            let file = format!("[mine]\nextends = \"{base}\"\n{challenge}");
            Provider::parse("mine", &file)
        };

        assert_eq!(of("github").unwrap_err().0[0].key, "mine.handshake");
        of("slack").unwrap();
    }

    #[test]
    fn only_what_the_guard_looks_at_is_signed() {
        for (guard, body) in [
            ("{query.a}", "{query.x|hmac-sha256|hex}"),
            ("{query.x|hex}", "{query.x|hmac-sha256|hex}"),
            ("{query.x|hex}", "{query.x|hex|hmac-sha256|hex}"),
            ("{query.x}", "{query.x|unhex|hmac-sha256|hex}"),
            ("{query.x}", "{query.x|hmac-sha256|hex|hmac-sha256|hex}"),
            ("a{query.x}", "{query.x|hmac-sha256|hex}"),
            ("{let.l}", "{let.l|hmac-sha256|hex}"),
            ("{query.x}", "{let.l|hmac-sha256|hex}"),
            (
                "{query.x}",
                "{query.x|hmac-sha256|hex}{query.a|hmac-sha256|hex}",
            ),
        ] {
            let errors = signing(guard, body).unwrap_err();

            assert_eq!(
                errors.0[0].key, "x.handshake.body",
                "{guard} {body}: {errors}"
            );
        }
        signing("{query.x}", "a{query.x|json}{query.x|hmac-sha256|hex}").unwrap();
    }

    fn signing(guard: &str, body: &str) -> Result<Provider, SchemeErrors> {
        Provider::parse(
            "x",
            &format!(
                "[[x.scheme]]\nalg = \"hmac-sha1\"\nsig = \"{{header.s}}\"\nmessage = \"{{body}}\"\n\
                 [[x.handshake]]\nwhen = [\"query.x\"]\nstatus = 200\nlet = {{ l = \"{{query.y}}\" }}\n\
                 guard = \"{guard}\"\nbody = \"{body}\"\n"
            ),
        )
    }

    fn parse(scheme: &str) -> Result<Provider, SchemeErrors> {
        let scheme = format!("[[x.scheme]]\n{scheme}\nsig = \"{{header.x-signature}}\"\n");
        Provider::parse("x", &format!("{scheme}{CHALLENGE}"))
    }
}
