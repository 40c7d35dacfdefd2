//! SIGTERM and SIGINT become a cancelled token.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Exit code after a second SIGTERM, as a shell reports a process that the
/// signal ended: 128 + 15.
const EXIT_SECOND_SIGNAL: i32 = 143;

/// A token that the first SIGTERM or SIGINT cancels. A second one ends the
/// process at once: whoever sends it does not want to wait any longer.
///
/// # Errors
/// When the signal handlers cannot be installed.
pub fn on_signals() -> io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        let name = either(&mut terminate, &mut interrupt).await;
        tracing::info!(signal = name, "shutting down: no new work is taken");
        cancelled.cancel();
        let name = either(&mut terminate, &mut interrupt).await;
        tracing::warn!(signal = name, "second signal: ending at once");
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
