//! What a process takes of memory and processor, read from `/proc`.

use std::time::Duration;

/// Memory and processor time of a process at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory in bytes.
    pub resident: u64,
    /// The highest resident memory since the start, or since [`forget_peak`].
    pub peak: u64,
    /// Processor time, user and system.
    pub cpu: Duration,
}

/// Ticks of `/proc/PID/stat` in a second; the same on every Linux that Rust runs on.
const TICKS_PER_SECOND: u64 = 100;

/// Reads the usage of a process; `None` when it is gone or the system has no `/proc`.
pub fn of_process(pid: u32) -> Option<Usage> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    let ticks: u64 = after_name
        .split_ascii_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|text| text.parse::<u64>().ok())
        .sum();
    Some(Usage {
        resident: kilobytes(&status, "VmRSS:")?,
        peak: kilobytes(&status, "VmHWM:")?,
        cpu: Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND),
    })
}

/// Lets the peak of a process begin anew.
pub fn forget_peak(pid: u32) {
    let _ = std::fs::write(format!("/proc/{pid}/clear_refs"), "5");
}

fn kilobytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with(name))?;
    let number = line.split_ascii_whitespace().nth(1)?;
    number.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory() {
        let usage = of_process(std::process::id());

        assert!(usage.is_none_or(|usage| usage.resident > 100_000 && usage.peak >= usage.resident));
    }
}
