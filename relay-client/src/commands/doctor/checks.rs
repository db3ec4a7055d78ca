//! The checks of `towline doctor`, each on its own.

use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use towline_shared::api::WhoAmI;
use towline_shared::time::Timestamp;

use super::super::{Context, Exit, Report, wall_clock};
use super::Finding;
use crate::dial::{RelayAddress, dial};
use crate::relay_api::{ApiError, RelayApi, shown};
use crate::target::Target;

/// How long a name or a connection may take.
const STEP_TIME: Duration = Duration::from_secs(5);

/// Providers allow five minutes; a clock that is wrong by less than this harms nothing.
const MOST_SKEW: Duration = Duration::from_secs(30);

/// This version.
pub(super) fn version() -> Finding {
    Finding::ok("version", format!("towline {}", env!("CARGO_PKG_VERSION")))
}

/// Which files were read; that they can be read shows in that this command runs.
pub(super) fn settings(context: &Context) -> Finding {
    let settings = &context.settings;
    let file = settings.folders.config_file();
    let project = match &settings.project.path {
        Some(path) => format!("project file {}", path.display()),
        None => "no project file".to_owned(),
    };
    let profile = if file.exists() {
        format!("profile `{}` of {}", settings.profile, file.display())
    } else {
        "no profiles".to_owned()
    };
    Finding::ok("settings", format!("{project}, {profile}"))
}

/// Whether journals can be written.
pub(super) fn state_folder(context: &Context) -> Finding {
    let folder = context.settings.folders.state();
    let probe = folder.join(format!(".doctor-{}", std::process::id()));
    let written = std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&probe, b"probe"))
        .and_then(|()| std::fs::remove_file(&probe));
    match written {
        Ok(()) => Finding::ok("state", format!("{} can be written", folder.display())),
        Err(error) => Finding::problem(
            "state",
            Exit::Unexpected,
            format!("{} cannot be written: {error}", folder.display()),
            "mend its permissions, or set XDG_STATE_HOME to another folder",
        ),
    }
}

/// The way to the relay, up to the first step that fails.
pub(super) async fn relay(context: &Context) -> Vec<Finding> {
    let Some(chosen) = &context.settings.relay else {
        return vec![local(context).await];
    };
    let address = &chosen.value;
    let mut findings = vec![Finding::ok(
        "relay",
        format!("{} from {}", shown(&address.url), chosen.from),
    )];
    let name = name(address).await;
    let is_found = name.is_ok;
    findings.push(name);
    if !is_found {
        return findings;
    }
    let connection = connection(address).await;
    let is_connected = connection.is_ok;
    findings.push(connection);
    if !is_connected {
        return findings;
    }
    let token = match context.settings.token_for_relay() {
        Ok(Some(token)) => token,
        Ok(None) => {
            findings.push(Finding::problem(
                "token",
                Exit::Unauthorised,
                "none",
                "store one with `towline login`",
            ));
            return findings;
        }
        Err(error) => {
            findings.push(Finding::problem(
                "token",
                Exit::Usage,
                error.to_string(),
                "store it for this relay with `towline login`",
            ));
            return findings;
        }
    };
    let api = RelayApi::new(address.clone(), Some(token.value.clone()));
    findings.extend(token_and_clock(&api, &token.from).await);
    findings
}

async fn local(context: &Context) -> Finding {
    let Ok(api) = context.api() else {
        return Finding::ok(
            "relay",
            "none is configured; `towline listen` starts one here, for this machine only",
        );
    };
    match api.whoami().await {
        Ok(who) => Finding::ok(
            "relay",
            format!("{} runs on this machine at {}", who.relay, api.address()),
        ),
        Err(_) => Finding::ok(
            "relay",
            "none is configured, and the one of this machine is not running",
        ),
    }
}

/// Behind a proxy the name may be unknown here; then the connection decides.
async fn name(address: &RelayAddress) -> Finding {
    let host = address
        .url
        .host_str()
        .unwrap_or_default()
        .trim_matches(['[', ']'])
        .to_owned();
    let port = address.url.port_or_known_default().unwrap_or(443);
    let found = timeout(STEP_TIME, lookup_host((host.as_str(), port))).await;
    let problem = |detail: String| {
        Finding::problem(
            "name",
            Exit::RelayUnreachable,
            detail,
            "check the address for a typing mistake, and your DNS",
        )
    };
    match found {
        Ok(Ok(addresses)) => {
            let addresses: Vec<_> = addresses.map(|address| address.ip().to_string()).collect();
            Finding::ok("name", format!("{host} is {}", addresses.join(", ")))
        }
        _ if has_proxy() => Finding::ok(
            "name",
            format!("{host} is not known here; the proxy looks it up"),
        ),
        Ok(Err(error)) => problem(format!("{host} has no address: {error}")),
        Err(_) => problem(format!(
            "looking up {host} takes more than {} s",
            STEP_TIME.as_secs()
        )),
    }
}

fn has_proxy() -> bool {
    ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

async fn connection(address: &RelayAddress) -> Finding {
    let words = if address.url.scheme() == "https" {
        "TCP and TLS"
    } else {
        "TCP, without TLS"
    };
    match dial(address).await {
        Ok(_) if address.url.scheme() == "http" && !is_loopback(address) => Finding::problem(
            "connect",
            Exit::InvalidInput,
            "connected without TLS: the token can be read on the way",
            "give the relay a certificate and use its https:// address",
        ),
        Ok(_) => Finding::ok("connect", words),
        Err(error) => Finding::problem(
            "connect",
            Exit::RelayUnreachable,
            error.to_string(),
            "is the relay running, and does a firewall, proxy or certificate stand in the way (`--ca-file`)?",
        ),
    }
}

fn is_loopback(address: &RelayAddress) -> bool {
    match address.url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

async fn token_and_clock(api: &RelayApi, from: &str) -> Vec<Finding> {
    let asked_at = wall_clock::now();
    match api.whoami().await {
        Ok(who) => {
            let answered_at = wall_clock::now();
            vec![
                token(&who, from),
                relay_version(&who),
                clock(who.now, asked_at, answered_at),
            ]
        }
        Err(error) => vec![refused(error)],
    }
}

fn token(who: &WhoAmI, from: &str) -> Finding {
    let scopes = who.scopes.join(", ");
    let can_listen = who
        .scopes
        .iter()
        .any(|scope| scope == "listen" || scope == "admin");
    if can_listen {
        return Finding::ok("token", format!("`{}` from {from} may {scopes}", who.token));
    }
    Finding::problem(
        "token",
        Exit::Forbidden,
        format!("`{}` from {from} may {scopes}, but not listen", who.token),
        "ask for one made with `towline tokens create NAME --scope listen --scope read`",
    )
}

fn relay_version(who: &WhoAmI) -> Finding {
    Finding::ok("protocol", format!("{} at {}", who.relay, who.public_url))
}

/// The relay read its clock somewhere between question and answer.
fn clock(relay: Timestamp, asked_at: Timestamp, answered_at: Timestamp) -> Finding {
    let skew = relay.since(answered_at).max(asked_at.since(relay));
    if skew <= MOST_SKEW {
        return Finding::ok(
            "clock",
            format!("within {} s of the relay's", skew.as_secs() + 1),
        );
    }
    Finding::problem(
        "clock",
        Exit::ExpectationNotMet,
        format!(
            "this machine and the relay disagree by {} s",
            skew.as_secs()
        ),
        "set both clocks by NTP: signatures with timestamps fail otherwise",
    )
}

fn refused(error: ApiError) -> Finding {
    let report = Report::of(&anyhow::Error::new(error));
    let hint = report.hint.unwrap_or_default();
    Finding::problem("token", report.exit, report.messages.join(": "), hint)
}

/// Whether something takes connections at the target.
pub(super) async fn target(target: &Target) -> Finding {
    let reached = timeout(
        STEP_TIME,
        TcpStream::connect((target.host.as_str(), target.port)),
    )
    .await;
    let problem = |detail: String| {
        let hint = "start the app; `towline listen` waits for it and loses nothing";
        Finding::problem("target", Exit::TargetUnreachable, detail, hint)
    };
    match reached {
        Ok(Ok(_)) => Finding::ok("target", format!("{target} takes connections")),
        Ok(Err(error)) => problem(format!("{target} cannot be reached: {error}")),
        Err(_) => problem(format!(
            "{target} does not take a connection within {} s",
            STEP_TIME.as_secs()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn a_clock_is_wrong_only_beyond_the_allowance_and_the_time_of_the_question() {
        assert!(clock(at(130), at(100), at(100)).is_ok);
        assert!(!clock(at(131), at(100), at(100)).is_ok);
        assert!(clock(at(70), at(100), at(105)).is_ok);
        assert!(!clock(at(69), at(100), at(105)).is_ok);
        assert!(clock(at(135), at(100), at(105)).is_ok);
    }

    #[test]
    fn a_token_that_cannot_listen_is_a_problem() {
        let who = |scopes: &[&str]| WhoAmI {
            token: "ci".to_owned(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            relay: String::new(),
            public_url: String::new(),
            now: Timestamp::default(),
        };

        assert!(token(&who(&["read", "listen"]), "x").is_ok);
        assert!(token(&who(&["admin"]), "x").is_ok);
        assert!(!token(&who(&["read"]), "x").is_ok);
    }
}
