//! The name to read as when nobody says one: this machine and the target's port. The machine's name is kept from the
//! first time on, because some systems change it with the network, and a place in the line must not change.

use std::fs;
use std::path::Path;

use towline_shared::id::ConsumerName;

use crate::target::Target;

/// Where the machine's name is kept.
const MACHINE_FILE: &str = "machine-name";

/// `MACHINE:PORT` for a target on this machine, `HOST:PORT` for another.
pub(super) fn default_name(target: &Target, state: &Path) -> ConsumerName {
    let plain = || {
        let fallback = format!("app:{}", target.port);
        target
            .host_and_port()
            .parse()
            .or_else(|_| fallback.parse())
            .expect("short visible ASCII is a consumer name")
    };
    if !target.is_localhost() {
        return plain();
    }
    let host = gethostname::gethostname();
    let machine = kept_name(state, &host.to_string_lossy());
    format!("{machine}:{}", target.port)
        .parse()
        .unwrap_or_else(|_| plain())
}

fn kept_name(state: &Path, host: &str) -> String {
    let path = state.join(MACHINE_FILE);
    if let Ok(kept) = fs::read_to_string(&path)
        && let Some(name) = first_label(&kept)
    {
        return name;
    }
    let name = first_label(host).unwrap_or_else(|| "localhost".to_owned());
    // Without the file the name is found anew each time, which is right as long as the system keeps it.
    let _ = fs::create_dir_all(state).and_then(|()| fs::write(&path, format!("{name}\n")));
    name
}

fn first_label(host: &str) -> Option<String> {
    let label = host.trim().split('.').next().unwrap_or_default();
    let name: String = label
        .chars()
        .filter(char::is_ascii_graphic)
        .take(64)
        .collect();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_the_machine_is_kept() {
        let state = tempfile::tempdir().unwrap();

        let first = kept_name(state.path(), "laptop.office.example");
        let later = kept_name(state.path(), "dhcp-17.cafe.example");

        assert_eq!((first.as_str(), later.as_str()), ("laptop", "laptop"));
    }

    #[test]
    fn a_target_elsewhere_is_named_by_its_own_host() {
        let state = tempfile::tempdir().unwrap();

        let name = default_name(&"https://app.test".parse().unwrap(), state.path());

        assert_eq!(name.as_str(), "app.test:443");
    }
}
