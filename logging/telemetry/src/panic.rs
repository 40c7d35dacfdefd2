//! A panic is a log line too.

use std::{backtrace::BacktraceStatus, panic::PanicHookInfo};

/// Target of the line.
const TARGET: &str = "panic";

/// Panics are written as error lines from now on, with the trace of the span
/// in which they happen; where error lines are switched off, as before.
pub(crate) fn install() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if tracing::enabled!(target: TARGET, tracing::Level::ERROR) {
            log(info);
        } else {
            before(info);
        }
    }));
}

fn log(info: &PanicHookInfo<'_>) {
    let text = info.payload_as_str().unwrap_or("no text");
    let location = info.location();
    let thread = std::thread::current();
    let backtrace = std::backtrace::Backtrace::capture();
    let stacktrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(
        target: TARGET,
        {
            "error.type" = "panic",
            error.message = text,
            code.file.path = location.map(std::panic::Location::file),
            code.line.number = location.map(std::panic::Location::line),
            thread.name = thread.name(),
            exception.stacktrace = stacktrace,
        },
        "panicked"
    );
}
