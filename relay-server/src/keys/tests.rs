//! Keys from real servers on loopback: what is fetched how often, and what is believed.

use std::time::SystemTime;

use futures_util::future::join_all;
use serde_json::json;
use towline_shared::head::{Head, Version};
use towline_shared::verify::{Body, Provider, Request, Settings};

use super::key_server::{Answer, Authority, KeyServer, below, certificate, ok, root, with_status};
use super::*;

const SNS: &str = "sns.us-east-1.amazonaws.com";
const ISSUERS: &str = "crt.r2m01.amazontrust.com";
const SETS: &str = "acme.kinde.com";
const ONE: EndpointId = EndpointId(1);

/// The way to these servers, and to nothing else.
pub(super) fn only(root: &Authority, hosts: &[(&str, &KeyServer)]) -> Outbound {
    let address = |(host, server): &(&str, &KeyServer)| ((*host).to_owned(), server.address);
    Outbound::Only {
        hosts: hosts.iter().map(address).collect(),
        roots: vec![root.der().clone()],
    }
}

fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}

/// The key that a message of SNS with this URL asks for.
fn sns_key(url: &str) -> WantedKey {
    let body = json!({"SignatureVersion": "1", "Signature": "AAAA", "SigningCertURL": url});
    let body = body.to_string();
    let head = Head::build("POST", b"/in/k", Version::Http11, []).unwrap();
    let request = Request {
        head: &head,
        url: "https://hooks.example.com/in/k",
        body: Body::Bytes(body.as_bytes()),
    };
    let settings = Settings {
        secrets: &[],
        parameters: &Default::default(),
        variant: None,
        now: now(),
        fetched: &Default::default(),
    };
    let provider = Provider::builtin("aws_sns").unwrap();
    provider.wanted_key(&request, &settings).unwrap()
}

fn cert_url(name: &str) -> String {
    format!("https://{SNS}/{name}.pem")
}

fn in_set(id: &str) -> WantedKey {
    WantedKey::InSet {
        url: format!("https://{SETS}/.well-known/jwks"),
        id: id.to_owned(),
    }
}

async fn server_of(
    root: &Authority,
    respond: impl Fn(&str) -> Answer + Send + Sync + 'static,
) -> (KeyServer, Keys) {
    let server = KeyServer::start(root, &[SNS, SETS], respond).await;
    let keys = Keys::new(&only(root, &[(SNS, &server), (SETS, &server)]));
    (server, keys)
}

fn is_late<T>(found: &Result<T, KeyTrouble>) -> bool {
    matches!(found, Err(KeyTrouble::Late(_)))
}

fn is_absent<T>(found: &Result<T, KeyTrouble>) -> bool {
    matches!(found, Err(KeyTrouble::Absent(_)))
}

#[tokio::test]
async fn many_who_need_the_same_key_at_once_have_it_fetched_once() {
    let set = json!({"keys": [{"kid": "a"}]}).to_string();
    let (server, keys) = server_of(&root(), move |_| ok(&set)).await;
    let wanted = in_set("a");

    let found = join_all((0..50).map(|_| keys.find(&wanted, ONE, now()))).await;
    let again = keys.find(&wanted, ONE, now()).await;

    assert!(
        found
            .iter()
            .chain([&again])
            .all(|found| found.as_deref() == Ok(r#"{"kid":"a"}"#))
    );
    assert_eq!(server.targets().len(), 1);
}

#[tokio::test]
async fn many_unknown_key_ids_cost_one_fetch() {
    let set = json!({"keys": [{"kid": "a"}]}).to_string();
    let (server, keys) = server_of(&root(), move |_| ok(&set)).await;

    let first = keys.find(&in_set("x"), ONE, now()).await;
    let mut others = Vec::new();
    for number in 0..100 {
        others.push(keys.find(&in_set(&format!("x{number}")), ONE, now()).await);
    }

    assert!(is_absent(&first), "{first:?}");
    assert!(others.iter().all(is_late));
    assert!(keys.find(&in_set("a"), ONE, now()).await.is_ok());
    assert_eq!(server.targets().len(), 1);
}

#[tokio::test]
async fn a_server_in_trouble_is_left_alone_and_the_sender_may_come_again() {
    let (server, keys) = server_of(&root(), |_| with_status("503 Later", "")).await;

    for _ in 0..3 {
        assert!(is_late(&keys.find(&in_set("a"), ONE, now()).await));
    }
    assert_eq!(server.targets().len(), 1);
}

#[tokio::test]
async fn what_is_not_there_or_no_set_is_absent() {
    for answer in ["404 Not Found", "200 OK", "302 Found"] {
        let (_server, keys) = server_of(&root(), move |_| with_status(answer, "<html>")).await;

        let found = keys.find(&in_set("a"), ONE, now()).await;

        assert!(is_absent(&found), "{answer}: {found:?}");
    }
}

#[tokio::test]
async fn a_certificate_is_believed_under_a_root_alone_or_with_its_issuers() {
    let root = root();
    let between = below(&root);
    let alone = certificate(SNS, None, &root);
    let chain = certificate(SNS, None, &between) + &between.pem();
    let gap = certificate(SNS, Some(&format!("http://{ISSUERS}/a.cer")), &between);
    let respond = move |target: &str| match target {
        "/alone.pem" => ok(&alone),
        "/chain.pem" => ok(&chain),
        "/gap.pem" => ok(&gap),
        _ => with_status("404 Not Found", ""),
    };
    let server = KeyServer::start(&root, &[SNS], respond).await;
    let issuer = between.der().to_vec();
    let issuers = KeyServer::plain(move |_| ok(&issuer)).await;
    let keys = Keys::new(&only(&root, &[(SNS, &server), (ISSUERS, &issuers)]));

    for name in ["alone", "chain", "gap", "gap"] {
        let found = keys.find(&sns_key(&cert_url(name)), ONE, now()).await;

        assert!(
            found.unwrap().starts_with("-----BEGIN CERTIFICATE-----"),
            "{name}"
        );
    }
    assert_eq!(issuers.targets(), ["/a.cer"]);
    assert_eq!(server.targets().len(), 3);
}

#[tokio::test]
async fn a_certificate_of_somebody_else_is_not_believed_and_not_kept() {
    let root = root();
    let pem = certificate("evil.example.com", None, &root);
    let (server, keys) = server_of(&root, move |_| ok(&pem)).await;
    let wanted = sns_key(&cert_url("a"));

    let found = [
        keys.find(&wanted, ONE, now()).await,
        keys.find(&wanted, ONE, now()).await,
    ];

    assert!(found.iter().all(is_absent), "{found:?}");
    assert_eq!(server.targets().len(), 1);
    let place = Place::of(&cert_url("a")).unwrap();
    assert!(!keys.state.lock().cache.is_known(&place.name()));
}

#[tokio::test]
async fn an_issuer_that_is_false_does_not_make_a_certificate_true() {
    let root = root();
    let between = below(&root);
    let pem = certificate(SNS, Some(&format!("http://{ISSUERS}/a.cer")), &between);
    let server = KeyServer::start(&root, &[SNS], move |_| ok(&pem)).await;
    let other = below(&super::key_server::root()).der().to_vec();
    let issuers = KeyServer::plain(move |_| ok(&other)).await;
    let keys = Keys::new(&only(&root, &[(SNS, &server), (ISSUERS, &issuers)]));

    let found = keys.find(&sns_key(&cert_url("a")), ONE, now()).await;

    assert!(is_absent(&found), "{found:?}");
}

#[tokio::test]
async fn a_flood_of_different_keys_is_rationed_and_keeps_no_known_key_from_being_used() {
    let root = root();
    let pem = certificate(SNS, None, &root);
    let (server, keys) = server_of(&root, move |target: &str| match target {
        "/known.pem" => ok(&pem),
        _ => with_status("404 Not Found", ""),
    })
    .await;
    let known = sns_key(&cert_url("known"));
    assert!(keys.find(&known, ONE, now()).await.is_ok());

    let mut found = Vec::new();
    for number in 0..100 {
        found.push(
            keys.find(&sns_key(&cert_url(&number.to_string())), ONE, now())
                .await,
        );
    }

    assert!(is_absent(&found[0]));
    assert!(is_late(&found[99]));
    let asked = server.targets().len();
    assert!((10..=12).contains(&asked), "{asked}");
    assert!(keys.find(&known, ONE, now()).await.is_ok());
    let other_endpoint = keys
        .find(&sns_key(&cert_url("x")), EndpointId(2), now())
        .await;
    assert!(is_absent(&other_endpoint));
}

#[tokio::test]
async fn a_sender_can_neither_add_a_query_nor_leave_tls() {
    let (server, keys) = server_of(&root(), |_| ok("key")).await;

    for url in [
        format!("https://{SNS}/a.pem?x=1"),
        format!("http://{SNS}/a.pem"),
        format!("https://{SNS}\\@evil.example.com/a.pem"),
        "https://127.0.0.1/a.pem".to_owned(),
    ] {
        let found = keys.find(&WantedKey::Url(url.clone()), ONE, now()).await;

        assert!(is_absent(&found), "{url}: {found:?}");
    }
    let plain_set = WantedKey::InSet {
        url: format!("http://{SETS}/"),
        id: "a".to_owned(),
    };
    assert!(is_absent(&keys.find(&plain_set, ONE, now()).await));
    assert!(server.targets().is_empty());
}

#[tokio::test]
async fn a_subscription_is_confirmed_by_200_alone() {
    let (server, keys) = server_of(&root(), |target: &str| {
        with_status(
            if target == "/?Token=a" {
                "200 OK"
            } else {
                "403 No"
            },
            "",
        )
    })
    .await;

    assert!(
        keys.confirm(&format!("https://{SNS}/?Token=a"))
            .await
            .is_ok()
    );
    assert!(
        keys.confirm(&format!("https://{SNS}/?Token=b"))
            .await
            .is_err()
    );
    assert!(
        keys.confirm(&format!("http://{SNS}/?Token=a"))
            .await
            .is_err()
    );
    assert_eq!(server.targets(), ["/?Token=a", "/?Token=b"]);
}
