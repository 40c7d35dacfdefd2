//! `anonymizer file IN… OUT`: anonymises photos in folders, without broker or object
//! store, with the same crate [`imaging`] as the worker.

mod input_guard;
mod plan;
mod report;
mod run;

use std::path::PathBuf;

use clap::Args;

pub use input_guard::InputGuard;
pub use plan::{Plan, PlanError, PlannedPhoto};
pub use report::{PhotoReport, display_path};
pub use run::run;

/// Arguments of `anonymizer file`.
#[derive(Clone, Debug, Args)]
pub struct FileArguments {
    /// Photos, and folders with photos.
    #[arg(value_name = "IN", required = true)]
    pub inputs: Vec<PathBuf>,
    /// Output folder; created if missing.
    #[arg(value_name = "OUT", required = true)]
    pub output: PathBuf,
    /// Print one JSON object per photo: what was found, or why it failed.
    #[arg(long)]
    pub json: bool,
    /// Replace existing files in OUT.
    #[arg(long)]
    pub overwrite: bool,
    /// Photos at once [default: as many as cores and memory allow].
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
}
