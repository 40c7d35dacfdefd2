//! The identity of a process: its pid and start time. The kernel reuses a pid alone.

use std::fs;
use std::sync::OnceLock;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// A process, distinct from a later one with the same pid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    pub pid: i32,
    /// Start time in clock ticks since boot (field 22 of `/proc/PID/stat`, proc(5)).
    pub started: u64,
    /// The first half of the boot id: the boot from which `started` counts.
    pub boot: u64,
}

/// The first half of the kernel's boot id, which changes at every boot.
fn current_boot() -> u64 {
    static BOOT: OnceLock<u64> = OnceLock::new();
    *BOOT.get_or_init(|| {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let digits: String = id.chars().filter(char::is_ascii_hexdigit).take(16).collect();
        u64::from_str_radix(&digits, 16).unwrap_or_default()
    })
}

struct Stat {
    state: char,
    parent: i32,
    started: u64,
}

/// Reads `/proc/PID/stat`. The second field, the name in parentheses, may contain spaces and parentheses.
fn read_stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text
        .get(text.rfind(')')? + 1..)?
        .split_ascii_whitespace()
        .collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

impl ProcessIdentity {
    /// The process that has this pid now.
    #[must_use]
    pub fn from_pid(pid: i32) -> Option<Self> {
        Some(Self {
            pid,
            started: read_stat(pid)?.started,
            boot: current_boot(),
        })
    }

    /// Whether the process still runs. A zombie does not count.
    #[must_use]
    pub fn alive(&self) -> bool {
        self.boot == current_boot()
            && read_stat(self.pid)
                .is_some_and(|stat| stat.started == self.started && !matches!(stat.state, 'Z' | 'X'))
    }

    /// Sends a signal, unless the process has ended.
    pub fn signal(&self, signal: Signal) {
        if self.alive() {
            // An error means that the process has just ended.
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }

    /// All descendants: children, their children, and so on.
    #[must_use]
    pub fn descendants(&self) -> Vec<Self> {
        let all: Vec<(i32, i32, u64)> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
            .filter_map(|pid| read_stat(pid).map(|stat| (pid, stat.parent, stat.started)))
            .collect();
        let mut descendants = Vec::new();
        let mut parents = vec![self.pid];
        while let Some(parent) = parents.pop() {
            for (pid, _, started) in all.iter().filter(|(_, its_parent, _)| *its_parent == parent) {
                descendants.push(Self {
                    pid: *pid,
                    started: *started,
                    boot: self.boot,
                });
                parents.push(*pid);
            }
        }
        descendants
    }
}
