//! How fast irmgard takes photos, and what that costs it: requests per second,
//! p50 and p99, CPU per request and peak memory, by photo size and number of
//! cameras that post at once.
//!
//! Run by `make bench` (`local exec -- cargo bench -p e2e --bench uploads`)
//! against real PostgreSQL, RabbitMQ and S3. With `BASELINE_URL` and
//! `BASELINE_PID` the same photos go to a second service that speaks the given
//! API (`POST /`, multipart field `image`), in turns with ours, so that the two
//! can be compared on a machine whose speed drifts.
#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

mod load;
mod report;
mod service;
mod statements;

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use anyhow::{Context, Result};

use crate::{
    load::{Load, Way},
    report::{Cell, Report},
    service::Service,
};

/// One combination that is measured.
struct Case {
    label: &'static str,
    photo_bytes: usize,
    cameras: usize,
    requests: usize,
}

impl Case {
    /// Who is sent what: the given API is all that the baseline speaks.
    fn ways<'a>(&self, ours: &'a Service, baseline: Option<&'a Service>) -> Vec<(Way, &'a Service)> {
        let mut ways = vec![(Way::Body, ours), (Way::Form, ours)];
        // A body of unknown length goes in parts once it is larger than one.
        if self.photo_bytes > 8 * MB {
            ways.push((Way::Chunked, ours));
        }
        ways.extend(baseline.map(|baseline| (Way::Form, baseline)));
        ways
    }
}

const KB: usize = 1_000;
const MB: usize = 1_000 * KB;

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for cameras in [1, 8, 32, 64] {
        cases.push(Case {
            label: "100 KB",
            photo_bytes: 100 * KB,
            cameras,
            requests: 2_000,
        });
    }
    for cameras in [1, 8, 32, 64] {
        cases.push(Case {
            label: "3 MB",
            photo_bytes: 3 * MB,
            cameras,
            requests: 256,
        });
    }
    cases.push(Case {
        label: "10 MB",
        photo_bytes: 10 * MB,
        cameras: 64,
        requests: 128,
    });
    cases
}

/// What the figures depend on most.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, NonZeroUsize::get);
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown", |(_, model)| model.trim());
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    format!("{cores} cores of {model}; load {load} before the first run")
}

/// One run of a cell ends after this time, whatever it has counted by then.
const LONGEST_RUN: Duration = Duration::from_secs(20);

#[tokio::main]
async fn main() -> Result<()> {
    let rounds: usize = match std::env::var("ROUNDS") {
        Ok(text) => text
            .parse::<NonZeroUsize>()
            .context("ROUNDS is a number from 1")?
            .get(),
        Err(_) => 3,
    };
    // As it stands in the table: "100 KB", "3 MB", "10 MB".
    let only = std::env::var("PHOTO_SIZE").ok();
    let ours = Service::start_irmgard().await?;
    let baseline = Service::baseline()?;

    println!("{}", machine());
    println!("{}", statements::stop_logging().await?);
    match &baseline {
        Some(baseline) => println!("compared with {}, in turns", baseline.url),
        None => println!("compared with nothing: BASELINE_URL and BASELINE_PID are not set"),
    }

    let mut report = Report::default();
    for case in cases()
        .into_iter()
        .filter(|case| only.as_deref().is_none_or(|only| only == case.label))
    {
        let load = Load::new(case.photo_bytes, case.cameras, case.requests, LONGEST_RUN)?;
        let ways = case.ways(&ours, baseline.as_ref());
        // A pass that is not counted: connections, pages, the allocator.
        for (way, service) in &ways {
            load.warm_up().run(*way, service).await?;
        }
        for _ in 0..rounds {
            for (way, service) in &ways {
                let run = load.run(*way, service).await?;
                report.add(Cell::key(&service.name, *way, case.label, case.cameras), run);
            }
        }
        ours.forget_photos().await?;
        report.print_case(case.label, case.cameras);
        report.print_comparison(case.label, case.cameras, (&ours, baseline.as_ref()));
    }
    let file = PathBuf::from(std::env::var("BENCH_OUT").unwrap_or_else(|_| "target/bench".to_owned()))
        .join("uploads.json");
    report.write(&file)?;
    println!("\nall runs: {}", file.display());
    Ok(())
}
