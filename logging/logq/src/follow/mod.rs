//! `--follow`: shows new lines.
//!
//! A [`crate::source::Feed`] delivers the lines of one source from its own thread, and may block. The follow loop runs
//! in the main thread: it filters, resolves the context, sorts and prints. [`crate::filter::Filter::matches`] decides
//! in the loop; a feed may deliver other lines, too.
//!
//! Architecture invariant: the source never changes. A feed waits until its source is available again.

mod follow_loop;
mod reorder_buffer;
mod replay_buffer;
mod shutdown;

pub use self::{
    follow_loop::{StatusSink, run},
    shutdown::is_output_closed,
};
use crate::search::ShowOptions;

/// Rejects contradictory options.
///
/// # Errors
/// The reason, and what to do.
pub fn check_options(show: &ShowOptions) -> Result<(), FollowError> {
    if !show.follow && show.limit.is_some() && show.tail.is_some() {
        return Err(FollowError::LimitAndTail);
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FollowError {
    #[error("--limit shows the first lines, --tail the last: use both only with --follow")]
    LimitAndTail,
    #[error("--follow needs a single source: --source opensearch or --source kubectl")]
    Both,
    #[error("a waterfall shows a finished trace: follow its lines with `logq -F --trace ID`")]
    Waterfall,
}
