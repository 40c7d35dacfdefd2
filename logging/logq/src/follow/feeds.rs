//! Whose lines are followed.

use super::{Feed, NoFollow};
use crate::{
    cli::Search,
    plan::Wanted,
    source::{Source, kubectl, opensearch::Follower},
};

/// The lines of a source, as they come.
///
/// # Errors
/// [`NoFollow`].
pub fn of(source: Source, search: &Search, wanted: &Wanted) -> Result<Box<dyn Feed>, NoFollow> {
    match source {
        Source::OpenSearch(store) => Ok(Box::new(Follower::new(store, wanted.clone(), search))),
        Source::Kubectl(pods) => Ok(Box::new(kubectl::Follower::new(pods, wanted.clone(), search))),
        Source::Both(_) => Err(NoFollow::Both),
    }
}
