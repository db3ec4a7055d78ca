//! Whether the targets are on this machine. Others may be meant, but then somebody must say so: events hold what
//! customers wrote, and a mistyped host would get them.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::timeout;

use super::super::{Context, Failure};
use super::plan::Plan;
use crate::screen::{escape, paint};
use crate::target::Target;

/// How long the look-up of a name may take.
const LOOKUP_TIME: Duration = Duration::from_secs(5);

/// Refuses targets elsewhere, or warns when they are allowed.
pub(super) async fn check(plan: &Plan, context: &Context) -> Result<(), Failure> {
    for target in plan.targets() {
        if is_here(target).await {
            continue;
        }
        if !plan.allows_remote {
            return Err(refusal(target));
        }
        let warning = paint::odd("warning:");
        let target = target.to_string();
        context.screen.notice(&format!(
            "{warning} events go to {}, which is not on this machine",
            escape::line(&target)
        ));
    }
    Ok(())
}

fn refusal(target: &Target) -> Failure {
    Failure::invalid(format!("the target {target} is not on this machine"))
        .hint("`--allow-remote-target` delivers to it all the same")
}

async fn is_here(target: &Target) -> bool {
    if target.is_localhost() {
        return true;
    }
    if let Ok(address) = target.host.parse() {
        return is_own(address);
    }
    let found = timeout(
        LOOKUP_TIME,
        lookup_host((target.host.as_str(), target.port)),
    )
    .await;
    // A name that is not known now may be somebody else's later.
    let Ok(Ok(found)) = found else {
        return false;
    };
    let addresses: Vec<_> = found.collect();
    !addresses.is_empty() && addresses.iter().all(|address| is_own(address.ip()))
}

/// Whether this machine has the address: then, and only then, a socket can be bound to it.
fn is_own(address: IpAddr) -> bool {
    let is_for_many = address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST);
    !is_for_many && UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn loopback_and_own_addresses_are_here_and_others_are_not() {
        for (target, expected) in [
            ("3000", true),
            ("127.0.0.1:3000", true),
            ("127.1.2.3:3000", true),
            ("0.0.0.0:3000", true),
            ("192.0.2.1:3000", false),
            ("http://[2001:db8::1]", false),
            ("224.0.0.1:3000", false),
            ("255.255.255.255:3000", false),
        ] {
            let target: Target = target.parse().unwrap();
            assert_eq!(is_here(&target).await, expected, "{target}");
        }
    }

    #[test]
    fn the_refusal_names_the_flag() {
        let report =
            crate::commands::Report::of(&refusal(&"http://app.example".parse().unwrap()).into());

        assert_eq!(
            report.messages,
            ["the target http://app.example is not on this machine"]
        );
        assert!(report.hint.unwrap().contains("--allow-remote-target"));
    }
}
