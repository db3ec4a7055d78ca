//! `towline keys`: an app, or an endpoint, that trusts the public half of a key of ours takes what we sign with the
//! private half for the provider's own.

use towline_shared::verdict::Verdict;
use towline_tests::api::checked;
use towline_tests::desk::Desk;
use towline_tests::process::run_command;

const INVALID_INPUT: i32 = 13;

#[tokio::test]
async fn an_endpoint_that_trusts_the_public_half_verifies_and_another_does_not() {
    let desk = Desk::new().await;
    for (provider, event) in [
        ("discord", "discord.application_authorized"),
        ("sendgrid", "sendgrid.delivered"),
    ] {
        let public = desk.done(&["keys", "new", provider]).await;
        let file = format!("{provider}.key.pem");
        desk.api
            .create_endpoint(&checked(provider, provider, public.trim()))
            .await;
        let shown = desk.done(&["keys", "public", &file, provider]).await;

        let sent = desk.json(&["trigger", event, "--key-file", &file]).await;
        desk.done(&["keys", "new", provider, "--out", "other"])
            .await;
        let other = desk
            .run(&["trigger", event, "--key-file", "other.key.pem"])
            .await;
        std::fs::remove_file(desk.home().join("other.key.pem")).unwrap();
        std::fs::remove_file(desk.home().join("other.pub")).unwrap();

        assert_eq!(shown, public);
        assert_eq!(sent["outcome"]["status"], 200, "{sent}");
        assert_eq!(other.code, 19, "{other:?}");
        let events = desk.api.events(provider).await;
        assert!(
            matches!(events[1].info.verdict, Verdict::Verified(_)),
            "{events:?}"
        );
        assert!(
            matches!(events[0].info.verdict, Verdict::Failed(_)),
            "{events:?}"
        );
    }
}

#[tokio::test]
async fn a_key_made_by_openssl_signs_as_well() {
    let desk = Desk::new().await;
    std::fs::write(desk.home().join("body.json"), "{\"event_type\":\"x\"}").unwrap();
    for (provider, options) in [
        ("wise", "-algorithm RSA -pkeyopt rsa_keygen_bits:2048"),
        ("telnyx", "-algorithm ED25519"),
        ("sendgrid", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256"),
    ] {
        let mut openssl = tokio::process::Command::new("sh");
        openssl
            .args([
                "-c",
                &format!("openssl genpkey {options} -out {provider}.pem"),
            ])
            .current_dir(desk.home());
        assert_eq!(run_command(&mut openssl).await.code, 0);
        let file = format!("{provider}.pem");
        let public = desk.done(&["keys", "public", &file, provider]).await;
        std::fs::write(desk.home().join("public"), &public).unwrap();

        let fields = desk
            .done(&["sign", provider, "body.json", "--key-file", &file])
            .await;

        let request =
            format!("POST / HTTP/1.1\nHost: localhost\n{fields}\n{{\"event_type\":\"x\"}}");
        std::fs::write(desk.home().join("request.http"), request).unwrap();
        let verify = [
            "verify",
            provider,
            "request.http",
            "--secret-file",
            "public",
            "--url",
            "http://localhost/",
        ];
        let verified = desk.run(&verify).await;
        assert_eq!(verified.code, 0, "{provider}: {verified:?}");
    }
}

#[tokio::test]
async fn a_private_key_is_its_owners_alone_and_never_overwritten() {
    let desk = Desk::new().await;

    let made = desk
        .json(&[
            "keys",
            "new",
            "--algorithm",
            "p256",
            "--form",
            "jwk",
            "--out",
            "mine",
        ])
        .await;
    let again = desk.run(&["keys", "new", "discord", "--out", "mine"]).await;
    let rsa = desk.run(&["keys", "new", "wise"]).await;
    let symmetric = desk.run(&["keys", "new", "github"]).await;

    assert!(
        made["public_key"]
            .as_str()
            .unwrap()
            .contains("\"crv\":\"P-256\""),
        "{made}"
    );
    assert!(!made.to_string().contains("PRIVATE"), "{made}");
    #[cfg(unix)]
    {
        let metadata = std::fs::metadata(desk.home().join("mine.key.pem")).unwrap();
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777,
            0o600
        );
    }
    assert_eq!(again.code, INVALID_INPUT, "{again:?}");
    assert!(
        rsa.code == INVALID_INPUT && rsa.stderr.contains("openssl genpkey"),
        "{rsa:?}"
    );
    assert!(
        symmetric.code == INVALID_INPUT && symmetric.stderr.contains("--secret-file"),
        "{symmetric:?}"
    );
}
