//! `--follow`: lines as they come.
//!
//! A [`Feed`] gives the lines of one source, in a thread of its own: it may
//! wait as it likes. The loop stands in the main thread: it tests, learns,
//! orders, shows, and ends. Whether a line is wanted is decided here, by
//! [`crate::filter::Filter::matches`]; a feed may give others too.
//!
//! Architecture invariant: the source is the same from beginning to end. A
//! feed waits for its source to come back; it never looks elsewhere.

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

/// So many of the lines that are there already are shown unless told
/// otherwise, as `tail -f` does.
const DEFAULT_TAIL: usize = 10;

/// The longest order window: what is held is in memory.
const MAX_ORDER_WINDOW: Duration = Duration::from_secs(60);

/// Lines as they come, from one source.
pub trait Feed: Send {
    /// Gives what was there before ([`Sink::earlier`], at its end
    /// [`Sink::caught_up`]), then what comes ([`Sink::lines`]), until the sink says that it is over, or no more can
    /// come: a pipe has ended.
    ///
    /// What passes by itself is waited for, and told with [`Sink::note`] when
    /// it begins and when it is over.
    ///
    /// # Errors
    /// [`Stop::Over`] as the sink said it; [`Stop::Failed`] for what waiting
    /// does not help with.
    fn follow(self: Box<Self>, sink: &FeedSink) -> Result<(), FeedEnd>;
}

/// The lines of a source, as they come.
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

/// Which of the lines that are there already are shown first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backlog {
    /// All that are asked for: `--since` says from when.
    All,
    /// The newest.
    Last(usize),
}

impl Backlog {
    /// Reads `--tail` and `--since`.
    #[must_use]
    pub fn from_options(search: &Search) -> Self {
        match (search.show.tail, &search.time.since) {
            (Some(tail), _) => Self::Last(tail),
            (None, Some(_)) => Self::All,
            (None, None) => Self::Last(DEFAULT_TAIL),
        }
    }
}

/// Reads `--order-window`.
///
/// # Errors
/// What is wrong with it.
pub fn parse_order_window(text: &str) -> Result<Duration, String> {
    let length = if text == "0" {
        Some(Duration::ZERO)
    } else {
        parse_duration(text).and_then(|length| length.to_std().ok())
    };
    length
        .filter(|length| *length <= MAX_ORDER_WINDOW)
        .ok_or_else(|| "write 0, 500ms, 2s or the like; a minute at most".to_owned())
}

/// What contradicts itself, or cannot end.
///
/// # Errors
/// What is wrong, and what to do.
pub fn check_options(show: &ShowOptions) -> Result<(), FollowError> {
    if !show.follow && show.limit.is_some() && show.tail.is_some() {
        return Err(FollowError::LimitAndTail);
    }
    Ok(())
}

/// Options that do not go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FollowError {
    /// Both ends of what was found.
    #[error("--limit shows the first lines and --tail the last ones: only with --follow can both be said")]
    LimitAndTail,
    /// Two sources.
    #[error("only one source can be followed: --source opensearch or --source kubectl")]
    Both,
    /// A waterfall needs the whole trace.
    #[error("a waterfall is drawn of a trace that is over: follow its lines with `logq -F --trace ID`")]
    Waterfall,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_as_people_type_them() {
        assert_eq!(parse_order_window("0"), Ok(Duration::ZERO));
        assert_eq!(parse_order_window("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_order_window("1m"), Ok(MAX_ORDER_WINDOW));
        for wrong in ["", "2", "-1s", "61s", "x"] {
            assert!(parse_order_window(wrong).is_err(), "{wrong}");
        }
    }
}
