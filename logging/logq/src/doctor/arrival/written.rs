//! What the pods or files of a component contain, compared with OpenSearch.

use std::collections::BTreeSet;

use super::super::format::format_count;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct WrittenStats {
    /// Number of running pods; None with files only.
    pub running: Option<usize>,
    /// When the newest line was written, seconds since 1970.
    pub newest: Option<f64>,
    /// Number of lines compared with OpenSearch.
    pub compared: u64,
    /// Number of plain text lines, which are not compared.
    pub texts: u64,
    pub missing: Option<MissingLines>,
    /// Why some lines are unreadable.
    pub unreadable: Option<String>,
}

impl WrittenStats {
    /// Whether every comparable line was read and compared.
    pub fn is_fully_compared(&self) -> bool {
        self.unreadable.is_none() && (self.compared > 0 || self.texts == 0)
    }
}

/// Lines that OpenSearch lacks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MissingLines {
    pub count: u64,
    /// When the first was written, seconds since 1970.
    pub first: f64,
    /// When the last was written.
    pub last: f64,
    pub pods: BTreeSet<String>,
}

impl MissingLines {
    pub fn add(&mut self, pod: &str, time: f64) {
        let is_first = self.count == 0;
        self.count += 1;
        self.first = if is_first { time } else { self.first.min(time) };
        self.last = if is_first { time } else { self.last.max(time) };
        if !self.pods.contains(pod) {
            self.pods.insert(pod.to_owned());
        }
    }

    /// The first pod, and the number of others.
    pub fn pods_text(&self) -> String {
        let pod = self.pods.first().map_or("?", String::as_str);
        match self.pods.len().saturating_sub(1) {
            0 => pod.to_owned(),
            others => format!("{pod} and {}", format_count(others as u64, "other pod")),
        }
    }
}
