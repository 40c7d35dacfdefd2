//! `logq config`, `logq view`, `logq completions` and `logq man`.

use std::{
    collections::BTreeSet,
    io::{self, BufWriter, Write},
    path::Path,
};

use clap::CommandFactory;
use clap_complete::Shell;

use super::Error;
use crate::{
    cli::{self, Cli},
    config::{self, Config},
    search::RunReport,
};

pub(super) fn show_config(config: &Config) -> Result<RunReport, Error> {
    let mut out = BufWriter::new(io::stdout().lock());
    config::show(config, &Cli::command(), &mut out)?;
    out.flush()?;
    Ok(RunReport {
        errors: config.bad_views().iter().map(|(_, why)| why.clone()).collect(),
        ..RunReport::success()
    })
}

pub(super) fn print_completions(shell: Shell) -> Result<RunReport, Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "logq", &mut script);
    io::stdout().write_all(&script)?;
    Ok(RunReport::success())
}

pub(super) fn write_man_pages(folder: &Path) -> Result<RunReport, Error> {
    clap_mangen::generate_to(Cli::command(), folder)?;
    Ok(RunReport::success())
}

pub(super) fn list_views(config: &Config) -> Result<RunReport, Error> {
    let mut out = BufWriter::new(io::stdout().lock());
    let views = cli::views(config);
    let width = views.iter().map(|view| view.name.len()).max().unwrap_or(0);
    for view in views {
        let about = terminal::escaped(&view.about);
        let location = view.location.as_ref().map(|location| format!("({location})"));
        let shown = [about, location.unwrap_or_default()].join(" ");
        writeln!(out, "{:<width$}  {}", view.name, shown.trim())?;
        writeln!(out, "{:<width$}  logq {}", "", terminal::escaped(&view.typed()))?;
    }
    let bad: BTreeSet<&String> = config.bad_views().iter().map(|(name, _)| name).collect();
    for name in bad {
        let name = terminal::escaped(name);
        writeln!(out, "{name:<width$}  invalid: `logq config` shows the error")?;
    }
    out.flush()?;
    Ok(RunReport::success())
}
