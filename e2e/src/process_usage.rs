//! CPU time and memory of a process, from Linux's /proc (proc(5)).

use std::fs;

use anyhow::{Context, Result};

/// Clock ticks per second in /proc/PID/stat: fixed at 100 in Linux's ABI.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process by its pid.
#[derive(Clone, Copy, Debug)]
pub struct MeasuredProcess(pub u32);

impl MeasuredProcess {
    /// User and system CPU seconds since the start of the process.
    pub fn cpu_seconds(self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).context("the process has ended")?;
        // The second field, the name in parentheses, may contain spaces.
        let (_, fields) = stat.rsplit_once(')').context("unreadable /proc/PID/stat")?;
        let mut fields = fields.split_whitespace().skip(11);
        let mut ticks = || -> Result<f64> { Ok(fields.next().context("short /proc/PID/stat")?.parse()?) };
        Ok((ticks()? + ticks()?) / TICKS_PER_SECOND)
    }

    /// Resets the measurement of peak memory.
    pub fn reset_peak(self) -> Result<()> {
        fs::write(format!("/proc/{}/clear_refs", self.0), "5").context("cannot reset VmHWM")
    }

    /// Peak resident memory in MiB since [`Self::reset_peak`].
    pub fn peak_mib(self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .context("no VmHWM")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib / 1024.0)
    }
}
