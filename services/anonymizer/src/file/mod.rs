//! `anonymizer file IN… OUT`: photos from folders to a folder, without broker
//! or object store, by the same [`imaging`].

mod guard;
mod plan;
mod report;
mod run;
mod shown;

use std::path::PathBuf;

use clap::Args;

pub use guard::Guard;
pub use plan::{Entry, Plan, PlanError, plan};
pub use report::Report;
pub use run::run;
pub use shown::shown;

/// What `anonymizer file` takes.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// Photos, and folders with photos.
    #[arg(value_name = "IN", required = true)]
    pub inputs: Vec<PathBuf>,
    /// Folder for the anonymised photos; made if need be.
    #[arg(value_name = "OUT", required = true)]
    pub output: PathBuf,
    /// Print a line of JSON for each photo: what was found, or why it failed.
    #[arg(long)]
    pub json: bool,
    /// Replace what is in OUT already.
    #[arg(long)]
    pub overwrite: bool,
    /// Photos at once; if not given, as many as cores and memory allow.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
}
