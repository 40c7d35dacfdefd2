//! What the pods or files of a component hold, compared with what OpenSearch has.

use std::collections::BTreeSet;

use super::super::format::format_count;

/// What the pods or files of a component hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WrittenStats {
    /// How many pods run; none where only files are known.
    pub running: Option<usize>,
    /// When the newest line was written, seconds since 1970.
    pub newest: Option<f64>,
    /// How many lines were looked for in OpenSearch.
    pub compared: u64,
    /// How many lines of plain text there are: they are not compared.
    pub texts: u64,
    /// Those that OpenSearch does not have.
    pub missing: Option<MissingLines>,
    /// Why not all lines could be read.
    pub unreadable: Option<String>,
}

impl WrittenStats {
    /// Whether every line was read, and those that can be compared were compared.
    pub fn is_fully_compared(&self) -> bool {
        self.unreadable.is_none() && (self.compared > 0 || self.texts == 0)
    }
}

/// Lines that OpenSearch does not have.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MissingLines {
    /// How many.
    pub count: u64,
    /// When the first of them was written, seconds since 1970.
    pub first: f64,
    /// When the last of them was written.
    pub last: f64,
    /// The pods that wrote them.
    pub pods: BTreeSet<String>,
}

impl MissingLines {
    /// Adds a line that a pod wrote at this time.
    pub fn add(&mut self, pod: &str, time: f64) {
        let is_first = self.count == 0;
        self.count += 1;
        self.first = if is_first { time } else { self.first.min(time) };
        self.last = if is_first { time } else { self.last.max(time) };
        if !self.pods.contains(pod) {
            self.pods.insert(pod.to_owned());
        }
    }

    /// The first of the pods, and how many others there are.
    pub fn pods_text(&self) -> String {
        let pod = self.pods.first().map_or("?", String::as_str);
        match self.pods.len().saturating_sub(1) {
            0 => pod.to_owned(),
            others => format!("{pod} and {}", format_count(others as u64, "other pod")),
        }
    }
}
