//! Benchmark of irmgard's uploads by photo size and number of cameras: photos per second, p50 and p99, CPU time per photo, and
//! peak memory.
//!
//! `make bench` runs it (`local exec -- cargo bench -p e2e --bench uploads`) with real PostgreSQL, RabbitMQ and S3. With
//! `BASELINE_URL` and `BASELINE_PID` it uploads the same photos to a second service with the original API (`POST /`, multipart
//! field `image`). It alternates between both services, because the speed of the machine may drift.
#![expect(clippy::print_stdout, reason = "the benchmark prints a table")]

mod load;
mod report;
mod service;

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use anyhow::{Context, Result};

use crate::{
    load::{UploadFormat, UploadLoad},
    report::{RowKey, UploadReport},
    service::BenchedService,
};

/// A measured combination of photo size and cameras.
struct UploadCase {
    label: &'static str,
    photo_bytes: usize,
    cameras: usize,
    requests: usize,
}

impl UploadCase {
    /// The formats and services to measure. The baseline only has the original API.
    fn targets<'a>(
        &self,
        ours: &'a BenchedService,
        baseline: Option<&'a BenchedService>,
    ) -> Vec<(UploadFormat, &'a BenchedService)> {
        let mut targets = vec![(UploadFormat::Body, ours), (UploadFormat::Form, ours)];
        // irmgard stores a larger body of unknown length as a multipart upload.
        if self.photo_bytes > 8 * MB {
            targets.push((UploadFormat::Chunked, ours));
        }
        targets.extend(baseline.map(|baseline| (UploadFormat::Form, baseline)));
        targets
    }
}

const KB: usize = 1_000;
const MB: usize = 1_000 * KB;

fn cases() -> Vec<UploadCase> {
    let mut cases = Vec::new();
    for cameras in [1, 8, 32, 64] {
        cases.push(UploadCase {
            label: "100 KB",
            photo_bytes: 100 * KB,
            cameras,
            requests: 2_000,
        });
    }
    for cameras in [1, 8, 32, 64] {
        cases.push(UploadCase {
            label: "3 MB",
            photo_bytes: 3 * MB,
            cameras,
            requests: 256,
        });
    }
    cases.push(UploadCase {
        label: "10 MB",
        photo_bytes: 10 * MB,
        cameras: 64,
        requests: 128,
    });
    cases
}

/// CPU and load of this machine.
fn machine_description() -> String {
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

/// The time limit of one run.
const MAX_RUN_DURATION: Duration = Duration::from_secs(20);

#[tokio::main]
async fn main() -> Result<()> {
    let rounds: usize = match std::env::var("ROUNDS") {
        Ok(text) => text
            .parse::<NonZeroUsize>()
            .context("ROUNDS must be a number from 1")?
            .get(),
        Err(_) => 3,
    };
    // A label of the table: "100 KB", "3 MB" or "10 MB".
    let only = std::env::var("PHOTO_SIZE").ok();
    let ours = BenchedService::start_irmgard().await?;
    let baseline = BenchedService::baseline()?;

    println!("{}", machine_description());
    println!("{}", service::disable_statement_log().await?);
    match &baseline {
        Some(baseline) => println!("compared with {}, alternating", baseline.url),
        None => println!("no comparison: BASELINE_URL and BASELINE_PID are not set"),
    }

    let mut report = UploadReport::default();
    for case in cases()
        .into_iter()
        .filter(|case| only.as_deref().is_none_or(|only| only == case.label))
    {
        let load = UploadLoad::new(case.photo_bytes, case.cameras, case.requests, MAX_RUN_DURATION)?;
        let targets = case.targets(&ours, baseline.as_ref());
        // A warm-up for connections, page cache and allocator.
        for (format, service) in &targets {
            load.warm_up().run(*format, service).await?;
        }
        for _ in 0..rounds {
            for (format, service) in &targets {
                let run = load.run(*format, service).await?;
                report.add(RowKey::new(&service.name, *format, case.label, case.cameras), run);
            }
        }
        ours.delete_photos().await?;
        report.print_case(case.label, case.cameras);
        report.print_comparison(case.label, case.cameras, (&ours, baseline.as_ref()));
    }
    let file = PathBuf::from(std::env::var("BENCH_OUT").unwrap_or_else(|_| "target/bench".to_owned()))
        .join("uploads.json");
    report.write(&file)?;
    println!("\nall runs: {}", file.display());
    Ok(())
}
