//! Ctrl-C, and its like.

use std::{io, process, thread, time::Duration};

use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
};

use super::Sink;

/// The loop may write so long what it holds. It cannot where nobody reads
/// what it writes, as a pager that stands still.
const GRACE: Duration = Duration::from_secs(2);

/// Ends the loop at SIGINT and SIGTERM.
///
/// # Errors
/// The system's.
pub fn on_signals(sink: Sink) -> io::Result<()> {
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
                () = tokio::time::sleep(GRACE) => {}
            }
        });
        process::exit(0);
    })?;
    Ok(())
}
