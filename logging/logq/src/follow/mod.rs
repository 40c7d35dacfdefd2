//! `--follow`: shows new lines.
//!
//! A [`Feed`] delivers the lines of one source from its own thread, and may block. The follow loop runs in the main
//! thread: it filters, resolves the context, sorts and prints. [`crate::filter::Filter::matches`] decides in the loop;
//! a feed may deliver other lines, too.
//!
//! Architecture invariant: the source never changes. A feed waits until its source is available again.

mod follow_loop;
mod reorder_buffer;
mod replay_buffer;
mod shutdown;
mod sink;

use std::time::Duration;

pub use self::{
    follow_loop::{StatusSink, run},
    shutdown::is_output_closed,
    sink::{FeedEnd, FeedSink},
};
use crate::{
    cli::{Search, ShowOptions, time::parse_duration},
    query::Query,
    source::{Source, kubectl, opensearch::OpenSearchFeed},
};

/// Number of existing lines to show first, as in `tail -f`.
const DEFAULT_TAIL: usize = 10;

/// Maximum order window: it is buffered in memory.
const MAX_ORDER_WINDOW: Duration = Duration::from_secs(60);

/// Delivers the lines of one source.
pub trait Feed: Send {
    /// Delivers the existing lines ([`FeedSink::send_past`], then [`FeedSink::end_past`]), then new ones
    /// ([`FeedSink::send_new`]), until the sink is cancelled or the source ends, as a pipe does.
    ///
    /// Waits during transient errors, and reports their start and end with [`FeedSink::send_note`].
    ///
    /// # Errors
    /// [`FeedEnd::Cancelled`] from the sink; [`FeedEnd::Failed`] for a permanent error.
    fn follow(self: Box<Self>, sink: &FeedSink) -> Result<(), FeedEnd>;
}

/// The feed of a source.
///
/// # Errors
/// [`FollowError`].
pub fn feed_for(source: Source, search: &Search, query: &Query) -> Result<Box<dyn Feed>, FollowError> {
    match source {
        Source::OpenSearch(store) => Ok(Box::new(OpenSearchFeed::new(store, query.clone(), search))),
        Source::Kubectl(pods) => Ok(Box::new(kubectl::PodsFeed::new(pods, query.clone(), search))),
        Source::Combined(_) => Err(FollowError::Both),
    }
}

/// Which existing lines to show first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backlog {
    /// All from `--since` on.
    All,
    Last(usize),
}

impl Backlog {
    #[must_use]
    pub fn from_options(search: &Search) -> Self {
        match (search.show.tail, &search.time.since) {
            (Some(tail), _) => Self::Last(tail),
            (None, Some(_)) => Self::All,
            (None, None) => Self::Last(DEFAULT_TAIL),
        }
    }
}

/// # Errors
/// The allowed values.
pub fn parse_order_window(text: &str) -> Result<Duration, String> {
    let length = if text == "0" {
        Some(Duration::ZERO)
    } else {
        parse_duration(text).and_then(|length| length.to_std().ok())
    };
    length
        .filter(|length| *length <= MAX_ORDER_WINDOW)
        .ok_or_else(|| "write a duration such as 0, 500ms or 2s, at most one minute".to_owned())
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_order_windows() {
        assert_eq!(parse_order_window("0"), Ok(Duration::ZERO));
        assert_eq!(parse_order_window("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_order_window("1m"), Ok(MAX_ORDER_WINDOW));
        for wrong in ["", "2", "-1s", "61s", "x"] {
            assert!(parse_order_window(wrong).is_err(), "{wrong}");
        }
    }
}
