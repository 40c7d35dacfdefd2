//! Shutdown on signals and on a closed output.

use std::{io, os::fd::AsFd, process, thread, time::Duration};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
};

use crate::source::FeedSink;

/// Time for the loop to write its buffer. A stopped pager can block it.
const FLUSH_GRACE: Duration = Duration::from_secs(2);

/// Cancels the loop on SIGINT and SIGTERM.
///
/// # Errors
/// An I/O error.
pub fn cancel_on_signals(sink: FeedSink) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let entered = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    drop(entered);
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            sink.signal();
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                () = tokio::time::sleep(FLUSH_GRACE) => {}
            }
        });
        process::exit(0);
    })?;
    Ok(())
}

/// Whether standard output is a pipe without a reader. Otherwise only the next write would fail.
#[must_use]
pub fn is_output_closed() -> bool {
    let out = io::stdout();
    let mut output = [PollFd::new(out.as_fd(), PollFlags::empty())];
    poll(&mut output, PollTimeout::ZERO).is_ok()
        && output
            .iter()
            .filter_map(PollFd::revents)
            .any(|events| events.contains(PollFlags::POLLERR))
}
