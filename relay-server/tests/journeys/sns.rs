//! AWS SNS against a real relay: certificates by URL from a server on loopback, subscriptions that are confirmed there, and
//! what happens while the server does not answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use http::Request;
use http_body_util::Full;
use parking_lot::Mutex;
use rcgen::{CertificateParams, KeyPair};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use towline_server::Outbound;
use towline_shared::api::{EndpointView, EventDetail, EventList};
use towline_shared::event::EventKind;
use towline_shared::time::Timestamp;
use towline_shared::verdict::{Cause, Verdict};

use crate::key_server::{Answer, Authority, KeyServer, ok, root, with_status};
use crate::relay::{Relay, Reply};

const HOST: &str = "sns.us-east-1.amazonaws.com";
/// ring makes no RSA keys; this one serves these tests alone.
const RSA_KEY: &str = include_str!("sns_key.pem");

/// A relay whose SNS is a server on loopback.
struct Sns {
    relay: Relay,
    server: KeyServer,
    /// Whether the server works.
    works: Arc<Mutex<bool>>,
}

impl Sns {
    async fn start() -> Self {
        Self::start_under(&root(), HOST).await
    }

    /// The signing certificate is for this name.
    async fn start_under(root: &Authority, name: &str) -> Self {
        let key = KeyPair::from_pem(RSA_KEY).unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let pem = params.signed_by(&key, root).unwrap().pem();
        let works = Arc::new(Mutex::new(true));
        let is_working = Arc::clone(&works);
        let respond = move |target: &str| -> Answer {
            match target {
                _ if !*is_working.lock() => with_status("500 Oops", ""),
                "/key.pem" => ok(&pem),
                "/?Action=ConfirmSubscription&Token=t" => ok("<ConfirmSubscriptionResponse/>"),
                _ => with_status("404 Not Found", ""),
            }
        };
        let server = KeyServer::start(root, &[HOST], respond).await;
        let outbound = Outbound::Only {
            hosts: BTreeMap::from([(HOST.to_owned(), server.address)]),
            roots: vec![root.der().clone()],
        };
        let relay = Relay::start_with(|config| config.outbound = outbound).await;
        let new = json!({
            "name": "line", "provider": "aws_sns",
            "parameters": {"topic_arn": "arn:aws:sns:us-east-1:1:t"},
        });
        let made = relay.json("POST", "/v1/endpoints", &new).await;
        assert_eq!(made.status, 201, "{}", made.text());
        Self {
            relay,
            server,
            works,
        }
    }

    async fn send(&self, message: &Value) -> Reply {
        let view: EndpointView = self.relay.get("/v1/endpoints/line").await;
        let path = view
            .url
            .strip_prefix(self.relay.running.public_url())
            .unwrap();
        let body = Full::from(message.to_string());
        self.relay
            .send(Request::post(path).body(body).unwrap())
            .await
    }

    async fn events(&self) -> EventList {
        self.relay.get("/v1/events?endpoint=line").await
    }
}

/// A message that the key signs.
fn signed(mut message: Value) -> Value {
    message["MessageId"] = "m".into();
    message["TopicArn"] = "arn:aws:sns:us-east-1:1:t".into();
    message["Timestamp"] = Timestamp::from(SystemTime::now()).to_string().into();
    message["SignatureVersion"] = "2".into();
    if message.get("SigningCertURL").is_none() {
        message["SigningCertURL"] = format!("https://{HOST}/key.pem").into();
    }
    let names = [
        "Message",
        "MessageId",
        "Subject",
        "SubscribeURL",
        "Timestamp",
        "Token",
        "TopicArn",
        "Type",
    ];
    let mut text = String::new();
    for name in names {
        if let Some(value) = message.get(name).and_then(Value::as_str) {
            text += &format!("{name}\n{value}\n");
        }
    }
    let key = PrivatePkcs8KeyDer::from_pem_slice(RSA_KEY.as_bytes()).unwrap();
    let key = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap();
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        text.as_bytes(),
        &mut signature,
    )
    .unwrap();
    message["Signature"] = data_encoding::BASE64.encode(&signature).into();
    message
}

fn notification() -> Value {
    signed(json!({"Type": "Notification", "Message": "hello"}))
}

fn subscription(url: &str) -> Value {
    signed(json!({
        "Type": "SubscriptionConfirmation", "Message": "You have chosen", "Token": "t", "SubscribeURL": url,
    }))
}

fn confirm_url() -> String {
    format!("https://{HOST}/?Action=ConfirmSubscription&Token=t")
}

#[tokio::test]
async fn a_subscription_is_confirmed_and_its_messages_are_verified_with_one_fetch() {
    let sns = Sns::start().await;

    let confirmed = sns.send(&subscription(&confirm_url())).await;
    let first = sns.send(&notification()).await;
    let second = sns.send(&notification()).await;

    assert_eq!(confirmed.status, 200, "{}", confirmed.text());
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (200, 200));
    let expected = ["/key.pem", "/?Action=ConfirmSubscription&Token=t"];
    assert_eq!(sns.server.targets(), expected);
    let kept = sns.events().await.events;
    let kinds: Vec<_> = kept.iter().map(|event| event.info.kind).collect();
    assert_eq!(
        kinds,
        [EventKind::Webhook, EventKind::Webhook, EventKind::Handshake]
    );
    assert!(
        kept.iter()
            .all(|event| matches!(event.info.verdict, Verdict::Verified(_)))
    );
}

#[tokio::test]
async fn a_forged_message_neither_confirms_nor_passes() {
    let sns = Sns::start().await;
    let mut subscribing = subscription(&confirm_url());
    subscribing["Message"] = "another".into();
    let mut notifying = notification();
    notifying["Message"] = "another".into();

    let refused = [sns.send(&subscribing).await, sns.send(&notifying).await];

    assert!(
        refused.iter().all(|reply| reply.status == 401),
        "{refused:?}"
    );
    assert_eq!(sns.server.targets(), ["/key.pem"]);
}

#[tokio::test]
async fn a_page_elsewhere_is_never_got_whoever_signs_for_it() {
    let sns = Sns::start().await;

    for url in [
        "https://169.254.169.254/latest/meta-data",
        "https://localhost/",
        "http://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&Token=t",
        "https://sns.us-east-1.amazonaws.com.evil.example/",
        "https://sns.us-east-1.amazonaws.com\\@evil.example/",
        "https://u@sns.us-east-1.amazonaws.com/",
    ] {
        let reply = sns.send(&subscription(url)).await;

        assert_eq!(reply.status, 400, "{url}: {}", reply.text());
    }
    assert_eq!(sns.server.targets(), ["/key.pem"]);
    for event in sns.events().await.events {
        let Verdict::Failed(failure) = event.info.verdict else {
            panic!("{:?}", event.info.verdict);
        };
        assert_eq!(failure.cause, Cause::KeyUrlRejected);
    }
}

#[tokio::test]
async fn a_key_elsewhere_is_never_got() {
    let sns = Sns::start().await;

    for url in [
        "https://127.0.0.1/key.pem",
        "http://sns.us-east-1.amazonaws.com/key.pem",
        "https://sns.us-east-1.amazonaws.com.evil.example/key.pem",
        "https://sns.us-east-1.amazonaws.com/key.pem?x=1",
        "https://evil.example/key.pem",
    ] {
        let message = json!({"Type": "Notification", "Message": "hello", "SigningCertURL": url});

        let reply = sns.send(&signed(message)).await;

        assert_eq!(reply.status, 401, "{url}: {}", reply.text());
    }
    assert!(sns.server.targets().is_empty());
}

#[tokio::test]
async fn while_the_key_cannot_be_had_the_sender_may_come_again() {
    let sns = Sns::start().await;
    *sns.works.lock() = false;

    let reply = sns.send(&notification()).await;

    assert_eq!(
        (reply.status.as_u16(), reply.code().as_str()),
        (503, "key_unavailable")
    );
    assert_eq!(reply.headers["retry-after"], "15");
    assert!(sns.events().await.events.is_empty());
}

#[tokio::test]
async fn where_failures_are_delivered_so_is_one_without_its_key() {
    let sns = Sns::start().await;
    *sns.works.lock() = false;
    let change = json!({"on_failure": "deliver"});
    sns.relay.json("PATCH", "/v1/endpoints/line", &change).await;

    let reply = sns.send(&notification()).await;

    assert_eq!(reply.status, 200);
    let kept = &sns.events().await.events[0];
    assert!(matches!(kept.info.verdict, Verdict::Failed(_)));
    assert!(kept.info.is_deliverable);
}

#[tokio::test]
async fn a_subscription_that_cannot_be_confirmed_is_asked_for_again() {
    let sns = Sns::start().await;
    assert_eq!(sns.send(&notification()).await.status, 200);
    *sns.works.lock() = false;

    let failed = sns.send(&subscription(&confirm_url())).await;
    *sns.works.lock() = true;
    let confirmed = sns.send(&subscription(&confirm_url())).await;

    assert_eq!(
        (failed.status.as_u16(), failed.code().as_str()),
        (503, "unconfirmed")
    );
    assert_eq!(confirmed.status, 200);
    let kept = sns.events().await.events;
    let answered: Vec<_> = kept.iter().map(|event| event.info.answered).collect();
    assert_eq!(answered, [Some(200), Some(503), None]);
    let Verdict::Failed(failure) = &kept[1].info.verdict else {
        panic!("{:?}", kept[1].info.verdict);
    };
    assert!(
        failure.detail.contains("could not be confirmed"),
        "{failure:?}"
    );
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_and_the_owner_is_told_why() {
    let sns = Sns::start_under(&root(), "evil.example.com").await;

    let reply = sns.send(&notification()).await;

    assert_eq!(
        (reply.status.as_u16(), reply.code().as_str()),
        (401, "signature_unavailable")
    );
    let id = sns.events().await.events[0].info.id;
    let event: EventDetail = sns.relay.get(&format!("/v1/events/{id}")).await;
    let Verdict::Failed(failure) = event.summary.info.verdict else {
        panic!("expected a failure");
    };
    assert!(
        failure.detail.contains("none of the names"),
        "{}",
        failure.detail
    );
    assert!(!reply.text().contains("names"), "{}", reply.text());
}
