//! Requests for tokens, good and bad, without a socket.

use http::Request;
use proptest::prelude::*;

use super::*;

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const GRANT: &str = "grant_type=client_credentials";

fn read_with(target: &str, fields: &[(&str, &str)], body: &str) -> Result<Grant, Refusal> {
    let mut request = Request::post(target);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    read(&request.body(()).unwrap().into_parts().0, body.as_bytes())
}

/// A body beside an `Authorization` field, or none.
fn read_form(authorization: &str, body: &str) -> Result<Grant, Refusal> {
    let authorization = ("authorization", authorization);
    let fields: &[_] = match authorization.1 {
        "" => &[FORM],
        _ => &[FORM, authorization],
    };
    read_with("/oauth/token", fields, body)
}

fn basic(joined: &str) -> String {
    format!("Basic {}", BASE64.encode(joined.as_bytes()))
}

fn passwords(grant: &Grant) -> Vec<String> {
    let texts = grant
        .passwords
        .iter()
        .map(|secret| secret.expose().to_vec());
    texts.map(|text| String::from_utf8(text).unwrap()).collect()
}

fn code(refusal: Result<Grant, Refusal>) -> &'static str {
    match refusal.unwrap_err() {
        Refusal::InvalidRequest(_) => "invalid_request",
        Refusal::InvalidClient { is_basic: true } => "invalid_client by Basic",
        Refusal::InvalidClient { is_basic: false } => "invalid_client",
        Refusal::UnsupportedGrantType => "unsupported_grant_type",
        Refusal::InvalidScope(_) => "invalid_scope",
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_client_may_show_its_secret_in_the_body() {
    let body = format!("{GRANT}&client_id=k.live&client_secret=a%2Bb%26&other=1&other=2");

    let grant = read_form("", &body).unwrap();

    assert_eq!(grant.client_id, "k.live");
    assert_eq!(passwords(&grant), ["a+b&"]);
    assert!(!grant.is_basic);
    assert_eq!(grant.scope, None);
}

#[test]
fn a_client_may_show_its_secret_by_basic_encoded_or_not() {
    for (joined, expected) in [
        ("k.live:a%2Bb%3a", ["a%2Bb%3a", "a+b:"].as_slice()),
        ("k%2Elive:a:b", &["a:b", "a:b"]),
        ("k.live:100%", &["100%"]),
    ] {
        let grant = read_form(&basic(joined), GRANT).unwrap();

        assert_eq!(grant.client_id, "k.live", "{joined}");
        assert_eq!(passwords(&grant), expected, "{joined}");
        assert!(grant.is_basic);
    }
    let lower = basic("k.live:s").replace("Basic", "bAsIc");
    assert!(read_form(&lower, &format!("{GRANT}&client_id=k.live")).is_ok());
}

#[test]
fn what_is_missing_repeated_or_malformed_is_an_invalid_request() {
    let client = "client_id=k&client_secret=s";
    for (authorization, body) in [
        (String::new(), client.to_owned()),
        (String::new(), format!("grant_type=&{client}")),
        (String::new(), format!("{GRANT}&{GRANT}&{client}")),
        (String::new(), format!("{GRANT}&{client}&client_id=k")),
        (String::new(), format!("{GRANT}&{client}&client_secret=t")),
        (String::new(), format!("{GRANT}&{client}&scope=a&scope=a")),
        (String::new(), format!("{GRANT}&{client}&x=%zz")),
        (
            String::new(),
            format!("{GRANT}&client_id=%ff&client_secret=s"),
        ),
        (basic("k:s"), format!("{GRANT}&{client}")),
        (basic("k:s"), format!("{GRANT}&client_id=other")),
    ] {
        let refusal = read_form(&authorization, &body);
        assert_eq!(code(refusal), "invalid_request", "{authorization} {body}");
    }
    let twice = [
        FORM,
        ("authorization", &*basic("k:s")),
        ("authorization", &*basic("k:s")),
    ];
    assert_eq!(
        code(read_with("/oauth/token", &twice, GRANT)),
        "invalid_request"
    );
}

#[test]
fn parameters_in_the_url_and_other_types_are_an_invalid_request() {
    let body = format!("{GRANT}&client_id=k&client_secret=s");
    let in_url = read_with("/oauth/token?client_secret=s", &[FORM], &body);
    let json = read_with(
        "/oauth/token",
        &[("content-type", "application/json")],
        &body,
    );
    let untyped = read_with("/oauth/token", &[], &body);
    let charset = [(
        "content-type",
        "Application/X-WWW-Form-Urlencoded; charset=utf-8",
    )];

    assert_eq!(code(in_url), "invalid_request");
    assert_eq!(code(json), "invalid_request");
    assert_eq!(code(untyped), "invalid_request");
    assert!(read_with("/oauth/token?tenant=1", &charset, &body).is_ok());
}

#[test]
fn a_client_that_shows_nothing_usable_is_an_invalid_client() {
    for authorization in [
        "Bearer x",
        "Basic",
        "Basic !",
        &basic("without-colon"),
        &basic("%zz:s"),
    ] {
        let refusal = read_form(authorization, GRANT);
        assert_eq!(code(refusal), "invalid_client by Basic", "{authorization}");
    }
    for body in [
        "",
        "&client_id=k",
        "&client_secret=s",
        "&client_id=k&client_secret=",
    ] {
        let refusal = read_form("", &format!("{GRANT}{body}"));
        assert_eq!(code(refusal), "invalid_client", "{body}");
    }
}

#[test]
fn other_grants_are_not_supported() {
    for grant in [
        "password",
        "refresh_token",
        "client_credentials ",
        "CLIENT_CREDENTIALS",
    ] {
        let body = format!(
            "grant_type={}&client_id=k&client_secret=s",
            grant.replace(' ', "+")
        );
        assert_eq!(
            code(read_form("", &body)),
            "unsupported_grant_type",
            "{grant}"
        );
    }
}

#[test]
fn a_scope_is_names_with_one_space_between_them() {
    let read_scope = |scope: &str| {
        let body = format!("{GRANT}&client_id=k&client_secret=s&scope={scope}");
        read_form("", &body).map(|grant| grant.scope.map(|scope| scope.to_string()))
    };

    assert_eq!(read_scope("a+b:c").unwrap().as_deref(), Some("a b:c"));
    assert_eq!(read_scope("").unwrap(), None);
    for scope in ["+a", "a++b", "a%22", "a%5C", "%C3%A9", "a%0a"] {
        assert!(
            matches!(read_scope(scope), Err(Refusal::InvalidScope(_))),
            "{scope}"
        );
    }
}

#[test]
fn a_scope_is_within_a_list_when_each_of_its_names_is() {
    let scope = Scope::parse("a b".to_owned()).unwrap();

    assert!(scope.is_within("b c a"));
    assert!(!scope.is_within("a"));
    assert!(!scope.is_within("ab"));
    assert!(!scope.is_within(""));
}

proptest! {
    #[test]
    fn any_head_and_body_can_be_read(value in "[ -~]{0,80}", body: Vec<u8>) {
        let request = Request::post("/oauth/token").header(FORM.0, FORM.1);
        let request = request.header("authorization", value).body(()).unwrap();

        let _ = read(&request.into_parts().0, &body);
    }
}
