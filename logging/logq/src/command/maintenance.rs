//! `logq admin`, `logq doctor` and `logq import`.

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use tokio::signal::unix::{SignalKind, signal};

use super::{Error, client, print_diagnostic, runtime};
use crate::{
    admin::AdminArguments,
    config::Config,
    doctor::{self, DoctorOptions},
    import::{self, FollowOptions, import},
    opensearch::Client,
    render::Palette,
    search::RunReport,
};

pub(super) fn run_admin(task: &AdminArguments, config: &Config) -> Result<RunReport, Error> {
    runtime()?.block_on(task.run(&client(config, task.cluster())?, &mut io::stdout()))?;
    Ok(RunReport::success())
}

pub(super) fn run_doctor(options: &DoctorOptions, config: &Config) -> Result<RunReport, Error> {
    let report = runtime()?.block_on(doctor::run(options, config));
    let mut out = BufWriter::new(io::stdout().lock());
    match options.output {
        doctor::ReportFormat::Pretty => report.write(&Palette::from_option(options.color), &mut out)?,
        doctor::ReportFormat::Json => writeln!(out, "{}", terminal::escaped(&report.json().to_string()))?,
    }
    out.flush()?;
    Ok(RunReport {
        status: Some(report.exit_status()),
        ..RunReport::default()
    })
}

pub(super) fn run_import(
    files: &[PathBuf],
    follow: bool,
    positions: Option<&Path>,
    client: &Client,
) -> Result<RunReport, Error> {
    let stats = runtime()?.block_on(async {
        if !follow {
            return Ok(import(client, files).await?);
        }
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let stop = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        let options = FollowOptions {
            paths: files,
            positions,
        };
        Ok::<_, Error>(import::follow(client, &options, &mut |text| print_diagnostic(text), stop).await?)
    })?;
    let mut report = RunReport::success();
    report.notes.push(format!(
        "{} lines stored, {} already in OpenSearch",
        stats.stored, stats.duplicates
    ));
    report.errors = stats.errors;
    if stats.refused > 0 {
        let reason = stats.reason.unwrap_or_default();
        report
            .errors
            .push(format!("{} lines rejected, the first: {reason}", stats.refused));
    }
    Ok(report)
}
