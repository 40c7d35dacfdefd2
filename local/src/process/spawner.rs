//! Starts child processes from one thread that lives as long as this process.
//!
//! The kernel sends a child's parent-death signal (`PR_SET_PDEATHSIG`) when the *thread* that started it ends, see prctl(2).
//! Threads of a test runner or of an async runtime end earlier than the process.

use std::io;
use std::process::{Child, Command};
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;

struct SpawnRequest {
    command: Command,
    result: SyncSender<io::Result<Child>>,
}

static REQUESTS: OnceLock<Mutex<Sender<SpawnRequest>>> = OnceLock::new();

/// Starts the command in the long-lived thread.
pub(super) fn spawn(command: Command) -> io::Result<Child> {
    let requests = REQUESTS.get_or_init(|| {
        let (sender, receiver) = channel::<SpawnRequest>();
        thread::spawn(move || {
            for mut request in receiver {
                // An error means that the caller no longer waits.
                let _ = request.result.send(request.command.spawn());
            }
        });
        Mutex::new(sender)
    });
    let (sender, result) = sync_channel(1);
    requests
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .send(SpawnRequest {
            command,
            result: sender,
        })
        .map_err(|_| io::Error::other("the thread that starts processes has ended"))?;
    result
        .recv()
        .map_err(|_| io::Error::other("the thread that starts processes has ended"))?
}
