//! Whose lines are followed.

use super::{Feed, NoFollow};
use crate::{
    cli::Search,
    plan::Wanted,
    source::{Source, opensearch::Follower},
};

/// The lines of a source, as they come.
///
/// # Errors
/// [`NoFollow`].
pub fn of(source: Source, search: &Search, wanted: &Wanted) -> Result<Box<dyn Feed>, NoFollow> {
    match source {
        Source::OpenSearch(store) => Ok(Box::new(Follower::new(store, wanted.clone(), search))),
        Source::Kubectl(_) | Source::Both(_) => Err(NoFollow::Pods),
    }
}

/// The lines of files, as they come.
///
/// # Errors
/// [`NoFollow`].
pub fn of_files(_search: &Search, _wanted: &Wanted) -> Result<Box<dyn Feed>, NoFollow> {
    Err(NoFollow::Files)
}
