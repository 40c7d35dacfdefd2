//! `--follow`: lines as they come.
//!
//! A [`Feed`] gives the lines of one source, in a thread of its own: it may
//! wait as it likes. The loop stands in the main thread: it tests, learns,
//! orders, shows, and ends. Whether a line is wanted is decided here, by
//! [`crate::filter::Filter::matches`]; a feed may give others too.
//!
//! Architecture invariant: the source is the same from beginning to end. A
//! feed waits for its source to come back; it never looks elsewhere.

mod feeds;
mod lines;
mod reader;
mod recall;
mod sink;
mod stop;
mod window;

use std::time::Duration;

pub use self::{
    feeds::of,
    lines::{Told, run},
    reader::is_gone,
    sink::{Sink, Stop},
};
use crate::cli::{Search, Show, time::duration};

/// So many of the lines that are there already are shown unless told
/// otherwise, as `tail -f` does.
const LAST: usize = 10;

/// The longest order window: what is held is in memory.
const LONGEST_WINDOW: Duration = Duration::from_secs(60);

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
    fn follow(self: Box<Self>, sink: &Sink) -> Result<(), Stop>;
}

/// Which of the lines that are there already are shown first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Past {
    /// All that are asked for: `--since` says from when.
    All,
    /// The newest.
    Last(usize),
}

impl Past {
    /// Reads `--tail` and `--since`.
    #[must_use]
    pub fn of(search: &Search) -> Self {
        match (search.show.tail, &search.window.since) {
            (Some(tail), _) => Self::Last(tail),
            (None, Some(_)) => Self::All,
            (None, None) => Self::Last(LAST),
        }
    }
}

/// Reads `--order-window`.
///
/// # Errors
/// What is wrong with it.
pub fn order_window(text: &str) -> Result<Duration, String> {
    let length = if text == "0" {
        Some(Duration::ZERO)
    } else {
        duration(text).and_then(|length| length.to_std().ok())
    };
    length
        .filter(|length| *length <= LONGEST_WINDOW)
        .ok_or_else(|| "write 0, 500ms, 2s or the like; a minute at most".to_owned())
}

/// What contradicts itself, or cannot end.
///
/// # Errors
/// What is wrong, and what to do.
pub fn check(show: &Show) -> Result<(), NoFollow> {
    if !show.follow && show.limit.is_some() && show.tail.is_some() {
        return Err(NoFollow::LimitAndTail);
    }
    Ok(())
}

/// Options that do not go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoFollow {
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
        assert_eq!(order_window("0"), Ok(Duration::ZERO));
        assert_eq!(order_window("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(order_window("1m"), Ok(LONGEST_WINDOW));
        for wrong in ["", "2", "-1s", "61s", "x"] {
            assert!(order_window(wrong).is_err(), "{wrong}");
        }
    }
}
