//! Medians over the rounds, as a table and as JSON.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Result;
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};

use crate::{
    load::{Run, UploadFormat},
    service::BenchedService,
};

/// The key of a table row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowKey {
    size: String,
    cameras: usize,
    service: String,
    format: UploadFormat,
}

impl RowKey {
    pub fn new(service: &str, format: UploadFormat, size: &str, cameras: usize) -> Self {
        Self {
            size: size.to_owned(),
            cameras,
            service: service.to_owned(),
            format,
        }
    }
}

/// All runs so far.
#[derive(Default)]
pub struct UploadReport {
    runs: BTreeMap<RowKey, Vec<Run>>,
}

impl UploadReport {
    /// Adds one run.
    pub fn add(&mut self, key: RowKey, run: Run) {
        self.runs.entry(key).or_default().push(run);
    }

    /// Prints the rows of one case.
    pub fn print_case(&self, size: &str, cameras: usize) {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header([
            "photo",
            "cameras",
            "service",
            "format",
            "photos/s",
            "p50 ms",
            "p99 ms",
            "CPU ms/photo",
            "peak MiB",
            "503",
        ]);
        for (key, runs) in self
            .runs
            .iter()
            .filter(|(key, _)| key.size == size && key.cameras == cameras)
        {
            let median = medians(runs);
            table.add_row([
                key.size.clone(),
                key.cameras.to_string(),
                key.service.clone(),
                key.format.label().to_owned(),
                format!("{:.0}", median.per_second),
                format!("{:.1}", median.p50_ms),
                format!("{:.1}", median.p99_ms),
                format!("{:.2}", median.cpu_ms),
                format!("{:.0}", median.peak_mib),
                median.refused.to_string(),
            ]);
        }
        println!("{table}");
    }

    /// Prints the comparison of the original API with the baseline, if any.
    pub fn print_comparison(
        &self,
        size: &str,
        cameras: usize,
        (ours, baseline): (&BenchedService, Option<&BenchedService>),
    ) {
        let median = |service: &BenchedService| {
            let key = RowKey::new(&service.name, UploadFormat::Form, size, cameras);
            self.runs.get(&key).map(|runs| medians(runs))
        };
        if let Some((ours, baseline)) = median(ours).zip(baseline.and_then(median)) {
            println!(
                "form: {:.2} times the baseline's photos/s, {:.2} times its CPU, {:.2} times its memory\n",
                ours.per_second / baseline.per_second,
                ours.cpu_ms / baseline.cpu_ms,
                ours.peak_mib / baseline.peak_mib,
            );
        }
    }

    /// Writes every run and the medians.
    pub fn write(&self, file: &Path) -> Result<()> {
        let cells: Vec<_> = self
            .runs
            .iter()
            .map(|(key, runs)| {
                serde_json::json!({
                    "photo": key.size, "at_once": key.cameras, "service": key.service,
                    "posted_as": key.format.label(), "median": medians(runs), "runs": runs,
                })
            })
            .collect();
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(file, serde_json::to_vec_pretty(&cells)?)?;
        Ok(())
    }
}

/// The medians of all values, except: the maximum of peak memory, and the sums of photos and refusals.
fn medians(runs: &[Run]) -> Run {
    let median = |value: fn(&Run) -> f64| {
        let mut values: Vec<f64> = runs.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Run {
        per_second: median(|r| r.per_second),
        p50_ms: median(|r| r.p50_ms),
        p99_ms: median(|r| r.p99_ms),
        cpu_ms: median(|r| r.cpu_ms),
        peak_mib: runs.iter().map(|r| r.peak_mib).fold(0.0, f64::max),
        photos: runs.iter().map(|r| r.photos).sum(),
        refused: runs.iter().map(|r| r.refused).sum(),
    }
}
