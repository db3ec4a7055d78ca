//! What a file is refused for: every mistake with its line and key, and a proposal where a word is nearly right.

use super::*;

const GOOD: &str = r#"[x]
name = "X"
[[x.scheme]]
alg = "hmac-sha256"
sig = "{header.x-signature}"
message = "{body}"
"#;

#[test]
fn a_mistake_is_named_with_its_line_and_key() {
    for (from, to, line, key, problem) in [
        (
            "name = \"X\"",
            "nome = \"X\"",
            2,
            "x.nome",
            "did you mean `name`",
        ),
        ("name = \"X\"", "name = 1", 2, "x.name", "expected a text"),
        (
            "name = \"X\"",
            "evidence = \"D\"",
            2,
            "x.evidence",
            "`A`, `B` or `C`",
        ),
        (
            "hmac-sha256",
            "hmac-sha265",
            4,
            "x.scheme.alg",
            "did you mean `hmac-sha256`",
        ),
        ("alg =", "algo =", 4, "x.scheme.algo", "did you mean `alg`"),
        ("[x]", "[y]\n[x]", 1, "y", "only the table `x`"),
        (
            "message =",
            "kv = \"=\"\nmessage =",
            3,
            "x.scheme",
            "`sig_key` is missing",
        ),
        (
            "sig =",
            "prefix_optional = true\nsig =",
            3,
            "x.scheme",
            "`prefix` is missing",
        ),
        (
            "message =",
            "timestamp = { from = \"1\", format = \"unix\", tolerance = -1 }\nmessage =",
            6,
            "x.scheme.timestamp.tolerance",
            "whole number",
        ),
        (
            "message =",
            "expect = \"{secret}\"\nmessage =",
            6,
            "x.scheme.expect",
            "no meaning beside the others",
        ),
        ("{body}", "{body", 6, "x.scheme.message", "no `}`"),
        ("alg =", "alg =\n#", 4, "alg", ""),
    ] {
        let errors = provider("x", &GOOD.replace(from, to)).unwrap_err();
        let found = errors.0.iter().any(|error| {
            (error.line, error.key.as_str()) == (line, key) && error.problem.contains(problem)
        });
        assert!(found, "{to}: {errors}");
    }
    assert!(provider("x", GOOD).is_ok());
}

#[test]
fn every_mistake_of_a_file_is_told_in_the_order_of_its_lines() {
    let bad = r#"[x]
naem = "X"
evidence = "Z"

[[x.scheme]]
alg = "hmac-sha256"
sig = "{heeder.x}"
encoding = ["hex", "base65"]
message = ["{body}", "{body|hax}"]
timestamp = { from = "{header.t}", format = "unixx", tolerance = "long", futur = 1 }

[[x.scheme]]
alg = "sha256"
sig = "{header.y}"
mesage = "{body}"

[[x.handshake]]
when = ["method=GET"]
status = 99
body = "{query.x|hmac-sha256|hex}{let.y}{secret}"
"#;

    let errors = provider("x", bad).unwrap_err();

    let told: Vec<_> = errors
        .0
        .iter()
        .map(|error| (error.line, error.key.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (2, "x.naem"),
            (3, "x.evidence"),
            (7, "x.scheme.sig"),
            (8, "x.scheme.encoding"),
            (9, "x.scheme.message"),
            (10, "x.scheme.timestamp.format"),
            (10, "x.scheme.timestamp.tolerance"),
            (10, "x.scheme.timestamp.futur"),
            (13, "x.scheme.alg"),
            (15, "x.scheme.mesage"),
            (19, "x.handshake.status"),
        ],
        "{errors}"
    );
    assert_eq!(errors.0[2].column, Some(9), "{errors}");
    assert_eq!(errors.0[4].column, Some(29), "{errors}");
}

#[test]
fn an_answer_that_gives_the_secret_away_or_signs_anything_is_refused() {
    let with = |answer: &str| {
        format!(
            "{GOOD}reject = [\"{{body}}\", \"token\"]\n[[x.handshake]]\nwhen = [\"query.c\"]\nstatus = 200\n{answer}\n"
        )
    };
    let guarded = with("body = \"{query.c|hmac-sha256|hex}\"\nguard = \"{query.c}\"");

    assert!(provider("x", &guarded).is_ok());
    for (answer, key) in [
        ("body = \"{query.c|hmac-sha256|hex}\"", "x.handshake.body"),
        ("body = \"{secret}\"", "x.handshake.body"),
        (
            "body = \"\"\nheaders = { a = \"{secret|sha256|hex}\" }",
            "x.handshake.headers",
        ),
        ("body = \"\"\nlet = { a = \"{secret}\" }", "x.handshake.let"),
        ("body = \"{let.a}\"", "x.handshake.body"),
    ] {
        let errors = provider("x", &with(answer)).unwrap_err();
        assert_eq!(errors.0[0].key, key, "{errors}");
    }
}

#[test]
fn a_confirmation_is_for_the_provider_alone_and_carries_nothing_of_the_secret() {
    let with = |more: &str, url: &str| {
        format!(
            "{GOOD}reject = [\"{{body}}\", \"token\"]\n[[x.handshake]]\nwhen = [\"query.c\"]\nstatus = 200\n\
             guard = \"{{query.c}}\"\nbody = \"\"\n{more}\n\
             let = {{ plain = \"{{query.c}}\", mac = \"{{query.c|hmac-sha256|hex}}\" }}\n\
             action = {{ get = \"{url}\", host = \"a.example.com\" }}\n"
        )
    };
    let verified = "verify = true";

    assert!(provider("x", &with(verified, "{json./url}?{let.plain}")).is_ok());
    for (more, url) in [
        ("", "{json./url}"),
        (verified, "https://a.example.com/{secret}"),
        (verified, "https://a.example.com/{secret|sha256|hex}"),
        (verified, "https://a.example.com/{query.c|hmac-sha256|hex}"),
        (verified, "https://a.example.com/{let.mac}"),
    ] {
        let errors = provider("x", &with(more, url)).unwrap_err();
        assert_eq!(errors.0.len(), 1, "{url}: {errors}");
        assert_eq!(errors.0[0].key, "x.handshake.action", "{url}: {errors}");
    }
}

#[test]
fn several_lines_that_are_no_toml_are_all_told() {
    let errors = provider("x", "[x]\nname = \nbad line\ndocs = \"ok\"\n").unwrap_err();

    let lines: Vec<_> = errors.0.iter().map(|error| error.line).collect();
    assert_eq!(lines, [2, 3], "{errors}");
    assert_eq!(errors.0[0].key, "name");
}

#[test]
fn a_file_or_list_at_its_bound_is_taken_and_one_more_is_not() {
    let padded = |length: usize| format!("{GOOD}#{}", "x".repeat(length - GOOD.len() - 1));
    let listed = |number: usize| {
        let places = vec!["\"{header.x}\""; number].join(", ");
        GOOD.replace("\"{header.x-signature}\"", &format!("[{places}]"))
    };

    assert!(provider("x", &padded(MAX_FILE_BYTES)).is_ok());
    assert!(provider("x", &padded(MAX_FILE_BYTES + 1)).is_err());
    assert!(provider("x", &listed(crate::verify::table::MAX_LIST)).is_ok());
    assert!(provider("x", &listed(crate::verify::table::MAX_LIST + 1)).is_err());
}

#[test]
fn a_user_can_extend_a_built_in_provider_but_nothing_else() {
    let extended = |base: &str| provider("mine", &format!("[mine]\nextends = \"{base}\"\n"));

    assert_eq!(extended("github").unwrap().schemes.len(), 2);
    let unknown = extended("gihtub").unwrap_err().to_string();
    assert!(
        unknown.contains("`gihtub`") && unknown.contains("`github`"),
        "{unknown}"
    );
    assert!(extended("openai").is_err());
}

#[test]
fn a_fetched_key_is_never_an_hmac_key() {
    let text = "[x]\n[[x.scheme]]\nalg = \"jwt\"\nsig = \"{header.a}\"\nkey_fetch = { kid = true }\n\
                binds = \"none\"\njwt = { algs = [\"HS256\"] }\n";

    assert!(
        provider("x", text)
            .unwrap_err()
            .to_string()
            .contains("no HMAC")
    );
}

#[test]
fn the_slug_is_the_name_of_the_first_table() {
    assert_eq!(slug_in(GOOD).as_deref(), Some("x"));
    assert_eq!(slug_in("[[mine.scheme]]\n").as_deref(), Some("mine"));
    assert_eq!(slug_in("# nothing"), None);
}

#[test]
fn equal_bodies_are_doubted_where_something_else_tells_them_apart() {
    let doubts = |provider: &str, message: &str| {
        let source = GOOD
            .replace("name = \"X\"", &format!("equal_bodies = true\n{provider}"))
            .replace("{body}", message);
        let (provider, findings) = lint("x", &source);
        assert!(provider.is_some(), "{:?}", findings.errors);
        let doubts = findings.warnings.iter();
        let doubts = doubts.filter(|doubt| doubt.key == "x.equal_bodies");
        let texts: Vec<_> = doubts.map(ToString::to_string).collect();
        texts.join("\n")
    };

    assert_eq!(doubts("", "{body}"), "");
    let id = doubts("delivery_id = \"{header.x-id}\"", "{body}");
    assert!(id.contains("tells equal bodies apart"), "{id}");
    let signed = doubts("", "{header.x-nonce}{body}");
    assert!(signed.contains("without effect"), "{signed}");
}
