//! A measured case.

/// A case with the times of all rounds.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: &'static str,
    /// The time in each round.
    pub seconds: Vec<f64>,
}

impl Row {
    /// Starts without measurements.
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            seconds: Vec::new(),
        }
    }

    /// The median of all rounds in seconds.
    pub fn median(&self) -> f64 {
        let mut seconds = self.seconds.clone();
        seconds.sort_by(f64::total_cmp);
        seconds.get(seconds.len() / 2).copied().unwrap_or(f64::NAN)
    }
}
