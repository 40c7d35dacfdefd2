//! Turns SIGTERM and SIGINT into a cancelled token.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Exit code after a second SIGTERM: 128 + 15, as a shell reports a process that the signal ended.
const EXIT_SECOND_SIGNAL: i32 = 143;

/// A token that the first SIGTERM or SIGINT cancels. The second signal ends the process at once.
///
/// # Errors
/// The signal handlers cannot be installed.
pub fn on_signals() -> io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        let name = either(&mut terminate, &mut interrupt).await;
        tracing::info!(signal = name, "shutting down: accepting no new work");
        cancelled.cancel();
        let name = either(&mut terminate, &mut interrupt).await;
        tracing::warn!(signal = name, "exiting at once after a second signal");
        std::process::exit(EXIT_SECOND_SIGNAL);
    });
    Ok(token)
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
