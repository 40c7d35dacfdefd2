//! Ctrl-C, and its like.

use std::{io, os::fd::AsFd, process, thread, time::Duration};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
};

use super::FeedSink;

/// The loop may write so long what it holds. It cannot where nobody reads
/// what it writes, as a pager that stands still.
const FLUSH_GRACE: Duration = Duration::from_secs(2);

/// Ends the loop at SIGINT and SIGTERM.
///
/// # Errors
/// The system's.
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

/// Whether standard output is a pipe whose reader has gone. Who waits for
/// lines would otherwise learn of it with the next one only.
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
