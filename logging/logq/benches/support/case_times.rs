//! A measured case.

/// A case with the times of all rounds.
#[derive(Clone, Debug)]
pub struct CaseTimes {
    pub name: &'static str,
    /// The time in each round.
    pub seconds: Vec<f64>,
    /// The CPU time in each round, of all cores.
    pub cpu: Vec<f64>,
    /// The CPU time of the baseline in each round; empty without a baseline.
    #[allow(dead_code, reason = "each benchmark uses a part of it")]
    pub baseline_cpu: Vec<f64>,
}

impl CaseTimes {
    /// Starts without measurements.
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            seconds: Vec::new(),
            cpu: Vec::new(),
            baseline_cpu: Vec::new(),
        }
    }

    /// The median of all rounds in seconds.
    pub fn median(&self) -> f64 {
        median(&self.seconds)
    }

    /// The median of the CPU time of all rounds in seconds.
    #[allow(dead_code, reason = "each benchmark uses a part of it")]
    pub fn median_cpu(&self) -> f64 {
        median(&self.cpu)
    }

    /// The same of the baseline.
    #[allow(dead_code, reason = "each benchmark uses a part of it")]
    pub fn median_baseline_cpu(&self) -> Option<f64> {
        (!self.baseline_cpu.is_empty()).then(|| median(&self.baseline_cpu))
    }
}

fn median(seconds: &[f64]) -> f64 {
    let mut seconds = seconds.to_vec();
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).copied().unwrap_or(f64::NAN)
}
