//! The rules common to all schemes (schemes/LANGUAGE.md), on small schemes of our own.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use towline_shared::head::{Head, Version};
use towline_shared::secret::Secret;
use towline_shared::time::Timestamp;
use towline_shared::verdict::{Cause, Verdict};
use towline_shared::verify::{
    Body, HandshakeReply, Provider, Request, Settings, SignError, StreamedBody, Unsigned,
};

const PEM: &str = "-----BEGIN PUBLIC KEY-----\nAQID\n-----END PUBLIC KEY-----";

#[test]
fn the_examples_of_the_language_compile() {
    let text = include_str!("../../schemes/LANGUAGE.md");
    let blocks: Vec<&str> = text
        .split("```toml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    let [provider, challenge] = blocks.as_slice() else {
        panic!("LANGUAGE.md has two examples");
    };
    let without_base: Vec<_> = provider
        .lines()
        .filter(|line| !line.starts_with("extends"))
        .collect();

    let whole = format!("{}\n{challenge}", without_base.join("\n"));

    Provider::parse("example", &whole).unwrap();
}

#[test]
fn an_empty_secret_signs_and_verifies_nothing() {
    let hmac = Endpoint::new(HMAC, "");
    // HMAC-SHA256 of `{}` under the empty key.
    let signature = "22f8eea909400af98adf3681a9f31923ef6b7fcba4abb553d92823a3e9d5c25e";

    assert!(hmac.sign("{}").is_err());
    assert_eq!(
        hmac.cause(&[("X-Signature", signature)], "{}"),
        Cause::BadSecret
    );
}

#[test]
fn every_candidate_up_to_the_limit_is_tried_and_one_more_is_refused() {
    let endpoint = Endpoint::new(LISTED, "secret");
    let right = endpoint.sign("{}").unwrap().remove(0).1;
    let wrong = format!("v1={}", "0".repeat(64));
    let list = |wrongs: usize| format!("{}{right}", format!("{wrong},").repeat(wrongs));

    assert!(endpoint.is_verified(&[("X-Signature", &list(31))], "{}"));
    assert_eq!(
        endpoint.cause(&[("X-Signature", &list(32))], "{}"),
        Cause::MalformedSignature
    );
}

#[test]
fn every_group_up_to_the_limit_is_tried_and_one_more_is_refused() {
    let endpoint = Endpoint::new(GROUPED, "secret");
    let right = endpoint.sign("{}").unwrap().remove(0).1;
    let list = |wrongs: usize| {
        let wrongs = (0..wrongs).map(|time| format!("t={time},v1={} ", "0".repeat(64)));
        wrongs.collect::<String>() + &right
    };

    assert!(endpoint.is_verified(&[("X-Signature", &list(7))], "{}"));
    assert_eq!(
        endpoint.cause(&[("X-Signature", &list(8))], "{}"),
        Cause::MalformedSignature
    );
}

#[test]
fn a_token_by_an_algorithm_that_the_scheme_does_not_list_is_refused() {
    let other = Endpoint::new(&TOKEN.replace("HS256", "HS512"), "secret");
    let token = other.sign("{}").unwrap().remove(0).1;
    let endpoint = Endpoint::new(TOKEN, "secret");

    let verdict = other.verdict(&[("Authorization", &token)], "{}");
    assert!(matches!(verdict, Verdict::Authenticated(_)));
    assert_eq!(
        endpoint.cause(&[("Authorization", &token)], "{}"),
        Cause::UnsupportedAlgorithm
    );
}

#[test]
fn a_public_key_is_never_the_key_of_an_hmac() {
    for key in [PEM, " {\"kty\":\"RSA\"}"] {
        let result = Endpoint::new(TOKEN, key).sign("{}");
        assert!(matches!(result, Err(SignError::Unusable(_))), "{result:?}");
    }
}

#[test]
fn a_message_signature_that_leaves_the_body_out_is_refused() {
    let cavage = Endpoint::builtin("keygen", &"00".repeat(32));
    let without_digest = r#"algorithm="ed25519",signature="AAAA",headers="host date""#;
    let fields = [("Keygen-Signature", without_digest)];
    assert_eq!(cavage.cause(&fields, "{}"), Cause::MalformedSignature);

    let rfc9421 = Endpoint::builtin("mailchannels", &"A".repeat(43));
    let fields = [
        (
            "Signature-Input",
            r#"s=("@method");created=1760000000;alg="ed25519""#,
        ),
        ("Signature", "s=:AAAA:"),
    ];
    assert_eq!(rfc9421.cause(&fields, "{}"), Cause::MalformedSignature);
}

#[test]
fn a_message_signature_lists_each_header_once_and_not_too_many() {
    let listing = |names: String| {
        let value = format!("algorithm=\"ed25519\",signature=\"AAAA\",headers=\"{names}\"");
        let endpoint = Endpoint::builtin("keygen", &"00".repeat(32));
        let Verdict::Failed(failure) = endpoint.verdict(&[("Keygen-Signature", &value)], "{}")
        else {
            panic!("no such signature holds");
        };
        (failure.cause, failure.detail)
    };

    let (cause, detail) = listing("digest ".repeat(2));
    assert_eq!(cause, Cause::MalformedSignature);
    assert!(detail.contains("twice"), "{detail}");
    let many = (0..32).map(|number| format!(" x-{number}"));
    let (cause, detail) = listing(format!("digest{}", many.collect::<String>()));
    assert_eq!(cause, Cause::MalformedSignature);
    assert!(detail.contains("more than 32"), "{detail}");
}

#[test]
fn a_missing_signature_names_each_place_of_the_allowed_schemes_once() {
    let mut endpoint = Endpoint::new(TWO_PLACES, "secret");
    let detail = |endpoint: &Endpoint| match endpoint.verdict(&[], "{}") {
        Verdict::Failed(failure) => failure.detail,
        other => panic!("{other:?}"),
    };

    let all = detail(&endpoint);
    assert!(
        all.ends_with("looked for the header `x-new`, the header `x-old`"),
        "{all}"
    );
    endpoint.variant = Some("old");
    let old = detail(&endpoint);
    assert!(old.ends_with("looked for the header `x-old`"), "{old}");
}

#[test]
fn a_place_that_is_there_but_empty_holds_no_signature() {
    let place = |template: &str| {
        let file = HMAC.replace("{header.x-signature}", template);
        Endpoint::new(&file, "secret")
    };

    let stripped = place("{header.x-signature|strip:v1=}");
    let cause = stripped.cause(&[("X-Signature", "v1=")], "{}");
    assert_eq!(cause, Cause::MissingSignature);
    let read = place("{header.x-signature|json:/a}");
    let cause = read.cause(&[("X-Signature", "")], "{}");
    assert_eq!(cause, Cause::MissingSignature);
    let joined = place("{header.x-one?}{header.x-two?}");
    assert_eq!(joined.cause(&[], "{}"), Cause::MissingSignature);
    let signature = HMAC_OF_EMPTY_OBJECT.split_at(32);
    let fields = [("X-One", signature.0), ("X-Two", signature.1)];
    assert!(joined.is_verified(&fields, "{}"));
}

#[test]
fn a_signature_of_another_form_is_refused_with_the_form_that_is_right() {
    let endpoint = Endpoint::new(HMAC, "secret");
    let Verdict::Failed(failure) = endpoint.verdict(&[("X-Signature", "zz")], "{}") else {
        panic!("it is not hex");
    };

    assert_eq!(failure.cause, Cause::MalformedSignature);
    assert!(
        failure.detail.contains("no hex signature"),
        "{}",
        failure.detail
    );
}

#[test]
fn groups_without_a_signature_do_not_count() {
    let endpoint = Endpoint::new(GROUPED, "secret");
    let right = endpoint.sign("{}").unwrap().remove(0).1;
    let empty: String = (0..20).map(|time| format!("t={time} ")).collect();

    assert!(endpoint.is_verified(&[("X-Signature", &(empty + &right))], "{}"));
}

#[test]
fn a_token_names_a_key_to_fetch_only_where_the_provider_publishes_keys() {
    let part = |json: &str| data_encoding::BASE64URL_NOPAD.encode(json.as_bytes());
    let token = format!(
        "{}.{}.AAAA",
        part(r#"{"alg":"RS256","kid":"k"}"#),
        part("{}")
    );
    let wanted = |file: &str| {
        let endpoint = Endpoint::new(file, "secret");
        let fields = [("Authorization", format!("Bearer {token}"))];
        let fields = fields
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        endpoint.with_request(
            "POST",
            "",
            &fields,
            Body::Bytes(b"{}"),
            |request, settings| endpoint.provider.wanted_key(request, settings),
        )
    };

    assert_eq!(wanted(TOKEN), None);
}

#[test]
fn a_requirement_may_name_the_secret() {
    let file = format!("{HMAC}require = [[\"{{header.x-copy}}\", \"{{secret}}\"]]\n");
    let endpoint = Endpoint::new(&file, "secret");
    let fields = |copy| [("X-Signature", HMAC_OF_EMPTY_OBJECT), ("X-Copy", copy)];

    assert!(endpoint.is_verified(&fields("secret"), "{}"));
    assert_eq!(
        endpoint.cause(&fields("other"), "{}"),
        Cause::ConditionFailed
    );
}

#[test]
fn an_unset_or_empty_verify_token_accepts_no_challenge() {
    let mut endpoint = Endpoint::builtin("meta", "secret");
    for token in [None, Some("")] {
        endpoint.parameters = token
            .map(|token| ("verify_token".to_owned(), token.to_owned()))
            .into_iter()
            .collect();
        let reply = endpoint.challenge("hub.mode=subscribe&hub.challenge=1&hub.verify_token=");

        assert_eq!(
            reply.map(|reply| (reply.status, reply.is_accepted())),
            Some((403, false))
        );
    }
    endpoint.parameters = BTreeMap::from([("verify_token".to_owned(), "token".to_owned())]);
    let reply = endpoint.challenge("hub.mode=subscribe&hub.challenge=1&hub.verify_token=token");
    assert!(reply.unwrap().is_accepted());
}

#[test]
fn without_a_secret_no_challenge_is_answered_with_an_hmac() {
    let mut endpoint = Endpoint::builtin("x_twitter", "secret");
    assert!(endpoint.challenge("crc_token=abc").unwrap().is_accepted());

    endpoint.secrets.clear();
    assert!(!endpoint.challenge("crc_token=abc").unwrap().is_accepted());
}

#[test]
fn without_a_secret_nothing_is_checked_and_nothing_is_verified() {
    let mut endpoint = Endpoint::new(HMAC, "secret");
    endpoint.secrets.clear();

    assert_eq!(endpoint.verdict(&[], "{}"), Verdict::Unchecked);
}

#[test]
fn a_body_too_long_to_hold_is_checked_piece_by_piece() {
    let long = LongBody;
    let endpoint = Endpoint::new(HMAC, "secret");
    let mut mac = Hmac::<Sha256>::new_from_slice(b"secret").unwrap();
    long.read(&mut |piece| mac.update(piece)).unwrap();
    let signature = data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes());
    let fields = [("X-Signature", signature.as_str())];
    let verdict = |endpoint: &Endpoint| {
        let body = Body::Streamed(&long);
        endpoint.with_request("POST", "", &fields, body, |request, settings| {
            endpoint.provider.check(request, settings)
        })
    };

    assert!(matches!(verdict(&endpoint), Verdict::Verified(_)));

    let parsing = Endpoint::new(&HMAC.replace("{body}", "{json./id}"), "secret");
    let Verdict::Failed(failure) = verdict(&parsing) else {
        panic!("it cannot be read");
    };
    assert_eq!(failure.cause, Cause::MalformedBody);
    assert!(
        failure.detail.contains("52428800 bytes"),
        "{}",
        failure.detail
    );
}

/// One byte more than what a scheme may read whole.
struct LongBody;

impl StreamedBody for LongBody {
    fn length(&self) -> u64 {
        50 * 1024 * 1024 + 1
    }

    fn read(&self, sink: &mut dyn FnMut(&[u8])) -> std::io::Result<()> {
        let piece = [b'x'; 64 * 1024];
        (0..800).for_each(|_| sink(&piece));
        sink(b"x");
        Ok(())
    }
}

const HMAC: &str = r#"[own]
[[own.scheme]]
alg = "hmac-sha256"
sig = "{header.x-signature}"
message = "{body}"
"#;

const TWO_PLACES: &str = r#"[own]
[[own.scheme]]
id = "new"
alg = "hmac-sha256"
sig = "{header.x-new}"
message = "{body}"
[[own.scheme]]
id = "new"
alg = "hmac-sha1"
sig = "{header.x-new}"
message = "{body}"
[[own.scheme]]
id = "old"
alg = "hmac-sha1"
sig = "{header.x-old}"
message = "{body}"
"#;

/// Of `{}` under `secret`.
const HMAC_OF_EMPTY_OBJECT: &str =
    "77325902caca812dc259733aacd046b73817372c777b8d95b402647474516e13";

const LISTED: &str = r#"[own]
[[own.scheme]]
alg = "hmac-sha256"
sig = "{header.x-signature}"
split = ","
kv = "="
sig_key = "v1"
message = "{body}"
"#;

const GROUPED: &str = r#"[own]
[[own.scheme]]
alg = "hmac-sha256"
sig = "{header.x-signature}"
group = " "
split = ","
kv = "="
sig_key = "v1"
message = "{sig.t}.{body}"
"#;

const TOKEN: &str = r#"[own]
[[own.scheme]]
alg = "jwt"
binds = "none"
sig = "{header.authorization|scheme:Bearer}"
jwt = { algs = ["HS256", "RS256"], exp = "required" }
"#;

/// A provider with the settings of an endpoint.
struct Endpoint {
    provider: Provider,
    secrets: Vec<Secret>,
    parameters: BTreeMap<String, String>,
    variant: Option<&'static str>,
}

impl Endpoint {
    fn new(scheme_file: &str, secret: &str) -> Self {
        Self {
            provider: Provider::parse("own", scheme_file).unwrap(),
            secrets: vec![Secret::new(secret)],
            parameters: BTreeMap::new(),
            variant: None,
        }
    }

    fn builtin(slug: &str, secret: &str) -> Self {
        let path = format!("{}/schemes/{slug}.toml", env!("CARGO_MANIFEST_DIR"));
        Self {
            provider: Provider::parse(slug, &std::fs::read_to_string(path).unwrap()).unwrap(),
            secrets: vec![Secret::new(secret)],
            parameters: BTreeMap::new(),
            variant: None,
        }
    }

    fn sign(&self, body: &str) -> Result<Vec<(String, String)>, SignError> {
        let unsigned = Unsigned {
            method: "POST",
            url: "https://relay.example/in/key",
            fields: &[],
            body: body.as_bytes(),
        };
        self.with_settings(|settings| self.provider.sign(&unsigned, settings))
    }

    fn verdict(&self, fields: &[(&str, &str)], body: &str) -> Verdict {
        self.with_request(
            "POST",
            "",
            fields,
            Body::Bytes(body.as_bytes()),
            |request, settings| self.provider.check(request, settings),
        )
    }

    fn is_verified(&self, fields: &[(&str, &str)], body: &str) -> bool {
        matches!(self.verdict(fields, body), Verdict::Verified(_))
    }

    fn cause(&self, fields: &[(&str, &str)], body: &str) -> Cause {
        match self.verdict(fields, body) {
            Verdict::Failed(failure) => failure.cause,
            other => panic!("{other:?}"),
        }
    }

    fn challenge(&self, query: &str) -> Option<HandshakeReply> {
        self.with_request("GET", query, &[], Body::Bytes(b""), |request, settings| {
            self.provider.handshake(request, settings)
        })
    }

    fn with_request<T>(
        &self,
        method: &str,
        query: &str,
        fields: &[(&str, &str)],
        body: Body<'_>,
        apply: impl FnOnce(&Request<'_>, &Settings<'_>) -> T,
    ) -> T {
        let pairs = fields
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let target = format!("/in/key?{query}");
        let head = Head::build(method, target.as_bytes(), Version::Http11, pairs).unwrap();
        let url = format!("https://relay.example{target}");
        let request = Request {
            head: &head,
            url: &url,
            body,
        };
        self.with_settings(|settings| apply(&request, settings))
    }

    fn with_settings<T>(&self, apply: impl FnOnce(&Settings<'_>) -> T) -> T {
        let secrets = self
            .secrets
            .iter()
            .map(|secret| ("main".parse().unwrap(), secret.clone()));
        apply(&Settings {
            secrets: &secrets.collect::<Vec<_>>(),
            parameters: &self.parameters,
            variant: self.variant,
            now: Timestamp::from_millis(1_760_000_000_000),
            fetched: &BTreeMap::new(),
        })
    }
}
