//! Starts children from one thread that lives as long as this process.
//!
//! A child's parent-death signal (`PR_SET_PDEATHSIG`) is sent when the *thread* that started it ends, see prctl(2); the threads
//! of a test runner or of an async runtime end earlier than the process.

use std::io;
use std::process::{Child, Command};
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;

struct Order {
    command: Command,
    answer: SyncSender<io::Result<Child>>,
}

static ORDERS: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();

/// Starts the command from the long-lived thread.
pub(super) fn spawn(command: Command) -> io::Result<Child> {
    let orders = ORDERS.get_or_init(|| {
        let (sender, receiver) = channel::<Order>();
        thread::spawn(move || {
            for mut order in receiver {
                // Whoever ordered has an answer to wait for, or is gone together with its wish.
                let _ = order.answer.send(order.command.spawn());
            }
        });
        Mutex::new(sender)
    });
    let (answer, result) = sync_channel(1);
    orders
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .send(Order { command, answer })
        .map_err(|_| io::Error::other("the thread that starts processes has ended"))?;
    result
        .recv()
        .map_err(|_| io::Error::other("the thread that starts processes has ended"))?
}
