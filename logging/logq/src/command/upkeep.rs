//! What keeps OpenSearch in order, and says whether it is.

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use tokio::signal::unix::{SignalKind, signal};

use super::{client, runtime, say};
use crate::{
    admin::Admin,
    config::Config,
    doctor::{self, Doctor},
    import::{self, Following, import},
    opensearch::Client,
    render::Palette,
    search::{Outcome, SearchError},
};

pub(super) fn administer(task: &Admin, config: &Config) -> Result<Outcome, SearchError> {
    runtime()?.block_on(task.run(&client(config, task.kubectl())?, &mut io::stdout()))?;
    Ok(Outcome::something())
}

pub(super) fn examine(asked: &Doctor, config: &Config) -> Result<Outcome, SearchError> {
    let report = runtime()?.block_on(doctor::examine(asked, config));
    let mut out = BufWriter::new(io::stdout().lock());
    match asked.output {
        doctor::Form::Pretty => report.write(&Palette::of(asked.color), &mut out)?,
        doctor::Form::Json => writeln!(out, "{}", terminal::escaped(&report.json().to_string()))?,
    }
    out.flush()?;
    Ok(Outcome {
        status: Some(report.status()),
        ..Outcome::default()
    })
}

pub(super) fn bring(
    files: &[PathBuf],
    follow: bool,
    positions: Option<&Path>,
    client: &Client,
) -> Result<Outcome, SearchError> {
    let imported = runtime()?.block_on(async {
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
        let following = Following {
            paths: files,
            positions,
        };
        Ok::<_, SearchError>(import::follow(client, &following, &mut |text| say(text), stop).await?)
    })?;
    let mut outcome = Outcome::something();
    outcome.notes.push(format!(
        "{} lines stored, {} known before",
        imported.stored, imported.known
    ));
    outcome.errors = imported.errors;
    if imported.refused > 0 {
        let reason = imported.reason.unwrap_or_default();
        outcome
            .errors
            .push(format!("{} lines refused, the first: {reason}", imported.refused));
    }
    Ok(outcome)
}
