//! What processes take, as Linux counts it.

use std::fs;
use std::time::Duration;

/// How often a process is looked at: its peak of memory is known only as long as it runs.
const LOOK: Duration = Duration::from_millis(4);

/// What a process took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    /// User and system time, in seconds.
    pub(crate) cpu: f64,
    /// The most that was ever resident, in MiB.
    pub(crate) memory: f64,
}

/// Waits until a child has ended, without taking it from who started it, and says what it took.
pub(crate) fn follow(process: u32) -> Cost {
    let mut cost = Cost::default();
    while let Some(now) = look(process) {
        cost = Cost { cpu: now.cpu, memory: now.memory.max(cost.memory) };
        if has_ended(process) {
            break;
        }
        std::thread::sleep(LOOK);
    }
    cost
}

fn has_ended(process: u32) -> bool {
    fs::read_to_string(format!("/proc/{process}/status")).map_or(true, |text| text.contains("State:\tZ"))
}

/// What a process took so far.
pub(crate) fn look(process: u32) -> Option<Cost> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // Behind the name, which may hold anything: the fields 14 and 15, in hundredths of a second.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = |field: usize| fields.get(field).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or_default();
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = peak.and_then(|text| text.trim().trim_end_matches(" kB").parse::<f64>().ok()).unwrap_or_default();
    Some(Cost { cpu: (ticks(11) + ticks(12)) / 100.0, memory: kibibytes / 1024.0 })
}
