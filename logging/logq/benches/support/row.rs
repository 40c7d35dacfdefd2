//! What was measured of one thing.

/// A name, and how long it took each time.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was done.
    pub name: &'static str,
    /// How long that took, once a round.
    pub seconds: Vec<f64>,
}

impl Row {
    /// Not measured yet.
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            seconds: Vec::new(),
        }
    }

    /// The median of all rounds, seconds.
    pub fn median(&self) -> f64 {
        let mut seconds = self.seconds.clone();
        seconds.sort_by(f64::total_cmp);
        seconds.get(seconds.len() / 2).copied().unwrap_or(f64::NAN)
    }
}
