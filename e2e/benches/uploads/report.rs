//! Medians over the rounds, as a table and as JSON.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Result;
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};

use crate::{
    load::{Run, Way},
    service::Service,
};

/// What a row of the table is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    size: String,
    cameras: usize,
    service: String,
    way: Way,
}

impl Cell {
    /// The row of a service, a way to post, a photo size and a number of cameras.
    pub fn key(service: &str, way: Way, size: &str, cameras: usize) -> Self {
        Self {
            size: size.to_owned(),
            cameras,
            service: service.to_owned(),
            way,
        }
    }
}

/// All runs so far.
#[derive(Default)]
pub struct Report {
    runs: BTreeMap<Cell, Vec<Run>>,
}

impl Report {
    /// Adds one run.
    pub fn add(&mut self, cell: Cell, run: Run) {
        self.runs.entry(cell).or_default().push(run);
    }

    /// Prints the rows of one case.
    pub fn print_case(&self, size: &str, cameras: usize) {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header([
            "photo",
            "at once",
            "service",
            "posted as",
            "photos/s",
            "p50 ms",
            "p99 ms",
            "CPU ms/photo",
            "peak MiB",
            "503",
        ]);
        for (cell, runs) in self
            .runs
            .iter()
            .filter(|(c, _)| c.size == size && c.cameras == cameras)
        {
            let median = medians(runs);
            table.add_row([
                cell.size.clone(),
                cell.cameras.to_string(),
                cell.service.clone(),
                cell.way.label().to_owned(),
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

    /// Prints what the given API costs beside the baseline, where there is one.
    pub fn print_comparison(
        &self,
        size: &str,
        cameras: usize,
        (ours, baseline): (&Service, Option<&Service>),
    ) {
        let median = |service: &Service| {
            let cell = Cell::key(&service.name, Way::Form, size, cameras);
            self.runs.get(&cell).map(|runs| medians(runs))
        };
        if let Some((ours, theirs)) = median(ours).zip(baseline.and_then(median)) {
            println!(
                "form: {:.2} times the baseline's photos/s, {:.2} times its CPU, {:.2} times its memory\n",
                ours.per_second / theirs.per_second,
                ours.cpu_ms / theirs.cpu_ms,
                ours.peak_mib / theirs.peak_mib,
            );
        }
    }

    /// Writes every run and the medians.
    pub fn write(&self, file: &Path) -> Result<()> {
        let cells: Vec<_> = self
            .runs
            .iter()
            .map(|(cell, runs)| {
                serde_json::json!({
                    "photo": cell.size, "at_once": cell.cameras, "service": cell.service,
                    "posted_as": cell.way.label(), "median": medians(runs), "runs": runs,
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

/// Figure by figure; peak memory is the highest and refusals are the sum, not
/// the median.
fn medians(runs: &[Run]) -> Run {
    let median = |figure: fn(&Run) -> f64| {
        let mut figures: Vec<f64> = runs.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
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
