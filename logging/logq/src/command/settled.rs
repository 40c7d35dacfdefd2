//! What is settled beside the command line: configuration, views, completions.

use std::{
    collections::BTreeSet,
    io::{self, BufWriter, Write},
};

use clap::CommandFactory;
use clap_complete::Shell;

use crate::{
    cli::{self, Cli},
    config::{self, Config},
    search::{Outcome, SearchError},
};

pub(super) fn show(config: &Config) -> Result<Outcome, SearchError> {
    let mut out = BufWriter::new(io::stdout().lock());
    config::show(config, &Cli::command(), &mut out)?;
    out.flush()?;
    Ok(Outcome {
        errors: config.bad_views().iter().map(|(_, why)| why.clone()).collect(),
        ..Outcome::something()
    })
}

pub(super) fn completions(shell: Shell) -> Result<Outcome, SearchError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "logq", &mut script);
    io::stdout().write_all(&script)?;
    Ok(Outcome::something())
}

pub(super) fn list_views(config: &Config) -> Result<Outcome, SearchError> {
    let mut out = BufWriter::new(io::stdout().lock());
    let views = cli::views(config);
    let width = views.iter().map(|view| view.name.len()).max().unwrap_or(0);
    for view in views {
        let about = terminal::escaped(&view.about);
        let place = view.place.as_ref().map(|place| format!("({place})"));
        let shown = [about, place.unwrap_or_default()].join(" ");
        writeln!(out, "{:<width$}  {}", view.name, shown.trim())?;
        writeln!(out, "{:<width$}  logq {}", "", terminal::escaped(&view.typed()))?;
    }
    let bad: BTreeSet<&String> = config.bad_views().iter().map(|(name, _)| name).collect();
    for name in bad {
        let name = terminal::escaped(name);
        writeln!(out, "{name:<width$}  cannot be used: `logq config` says why")?;
    }
    out.flush()?;
    Ok(Outcome::something())
}
