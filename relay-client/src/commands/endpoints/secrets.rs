//! How much each secret is used, in words, and the warning before one that is still in use is removed.

use std::time::Duration;

use towline_shared::api::{EndpointView, SecretView};
use towline_shared::id::{EndpointName, SecretName};
use towline_shared::time::Timestamp;

use super::super::{Context, Exit, wall_clock};
use crate::relay_api::RelayApi;
use crate::screen::{escape, paint, quantity};

/// A secret that was used within this time is taken to be in use: senders with little to say send every few days.
const LATELY: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// One row for each secret.
pub(super) fn rows(endpoint: &EndpointView, now: Timestamp) -> Vec<(&'static str, String)> {
    if endpoint.secrets.is_empty() {
        return vec![("secrets", "none".to_owned())];
    }
    let row = |secret: &SecretView| ("secret", format!("{}: {}", secret.name, usage(secret, now)));
    let mut rows: Vec<_> = endpoint.secrets.iter().map(row).collect();
    if endpoint.can_reveal {
        let hint = format!(
            "can be shown once, for the provider's page: `towline endpoints reveal {}`",
            endpoint.name
        );
        rows.push(("captured", hint));
    }
    rows
}

/// Tells what goes wrong when the secret is removed, and asks where somebody can answer; whether to go on.
pub(super) async fn may_remove(
    name: &EndpointName,
    secret: &SecretName,
    is_decided: bool,
    context: &Context,
    api: &RelayApi,
) -> anyhow::Result<bool> {
    let endpoint = match api.endpoint(name).await {
        Ok(endpoint) => endpoint,
        // A token that may write and not read removes what it is told to.
        Err(error) if error.is_forbidden() => return Ok(true),
        Err(error) => return Err(error.into()),
    };
    let Some(warning) = warning(&endpoint, secret, wall_clock::now()) else {
        return Ok(true);
    };
    let screen = &context.screen;
    screen.notice(&format!("{} {warning}", paint::odd("warning:")));
    if is_decided || !screen.can_ask() {
        return Ok(true);
    }
    let question = format!("Remove the secret `{secret}` of `{name}`?");
    Ok(screen.ask(&question)?)
}

/// Shows a captured secret, which the relay gives out once.
pub(super) async fn reveal(
    name: &EndpointName,
    context: &Context,
    api: &RelayApi,
) -> anyhow::Result<Exit> {
    let revealed = api.reveal_secret(name).await?;
    if context.global.json {
        context.screen.json(&revealed)?;
        return Ok(Exit::Done);
    }
    context.screen.data(&escape::line(&revealed.secret))?;
    context.screen.notice(&format!(
        "this is the secret `{}`; it is not shown again",
        revealed.name
    ));
    Ok(Exit::Done)
}

/// Why the secret should not be removed yet, when there is a reason.
fn warning(endpoint: &EndpointView, name: &SecretName, now: Timestamp) -> Option<String> {
    let secret = endpoint
        .secrets
        .iter()
        .find(|secret| secret.name == *name)?;
    let last = secret.last_used_at?;
    let mut others = endpoint.secrets.iter().filter(|other| other.name != *name);
    let state = if others.all(|other| other.uses == 0) {
        "the only secret in use"
    } else if age(last, now) <= LATELY {
        "still in use"
    } else {
        return None;
    };
    let used = usage(secret, now);
    Some(format!(
        "`{name}` is {state} ({used}); what is signed with it fails its check from now on"
    ))
}

fn usage(secret: &SecretView, now: Timestamp) -> String {
    let Some(last) = secret.last_used_at else {
        return "never used".to_owned();
    };
    let uses = quantity::grouped(secret.uses);
    let word = if secret.uses == 1 { "use" } else { "uses" };
    format!("last used {}, {uses} {word}", ago(age(last, now)))
}

fn age(at: Timestamp, now: Timestamp) -> Duration {
    Duration::from_millis(now.as_millis().saturating_sub(at.as_millis()))
}

/// `just now`, `5 min ago`, `3 h ago`, `3 d ago`
fn ago(age: Duration) -> String {
    let minutes = age.as_secs() / 60;
    match minutes {
        0 => "just now".to_owned(),
        1..60 => format!("{minutes} min ago"),
        60..1440 => format!("{} h ago", minutes / 60),
        _ => format!("{} d ago", minutes / 1440),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 60 * 60 * 1000;
    const NOW: Timestamp = Timestamp::from_millis(1_000 * DAY);

    fn secret(name: &str, uses: u64, days_ago: Option<u64>) -> SecretView {
        let at = |days| Timestamp::from_millis(NOW.as_millis() - days * DAY);
        SecretView {
            name: name.parse().unwrap(),
            created_at: NOW,
            uses,
            last_used_at: days_ago.map(at),
        }
    }

    fn warned(old: &SecretView, new: &SecretView) -> Option<String> {
        let name = old.name.clone();
        let endpoint = serde_json::json!({
            "name": "orders", "url": "", "ack": { "status": 200 }, "on_failure": "reject",
            "max_body": 1, "created_at": NOW, "secrets": [old, new],
        });
        warning(&serde_json::from_value(endpoint).unwrap(), &name, NOW)
    }

    #[test]
    fn the_use_of_a_secret_reads_as_people_say_it() {
        assert_eq!(usage(&secret("a", 0, None), NOW), "never used");
        assert_eq!(
            usage(&secret("a", 1, Some(0)), NOW),
            "last used just now, 1 use"
        );
        assert_eq!(
            usage(&secret("a", 1204, Some(3)), NOW),
            "last used 3 d ago, 1,204 uses"
        );
        for (minutes, words) in [(1, "1 min ago"), (59, "59 min ago"), (60, "1 h ago")] {
            assert_eq!(ago(Duration::from_secs(minutes * 60)), words);
        }
        assert_eq!(ago(Duration::from_secs(1440 * 60 - 1)), "23 h ago");
    }

    #[test]
    fn a_secret_that_is_out_of_use_goes_without_a_warning() {
        let new = || secret("new", 5, Some(0));

        assert_eq!(warned(&secret("old", 9, Some(8)), &new()), None);
        assert_eq!(warned(&secret("old", 0, None), &new()), None);
        assert_eq!(
            warned(&secret("old", 0, None), &secret("new", 0, None)),
            None
        );
    }

    #[test]
    fn a_secret_that_was_used_lately_or_alone_is_warned_of() {
        let lately = warned(&secret("old", 9, Some(7)), &secret("new", 5, Some(0))).unwrap();
        let alone = warned(&secret("old", 9, Some(300)), &secret("new", 0, None)).unwrap();

        let expected = "still in use (last used 7 d ago, 9 uses)";
        assert!(lately.contains(expected), "{lately}");
        assert!(alone.contains("only secret in use"), "{alone}");
    }
}
