//! Logs panics.

use std::{backtrace::BacktraceStatus, panic::PanicHookInfo};

/// Target of the line.
const TARGET: &str = "panic";

/// Logs panics as error lines, in the trace of their span. If error lines are disabled, the previous hook runs.
pub(crate) fn install() {
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if tracing::enabled!(target: TARGET, tracing::Level::ERROR) {
            log(info);
        } else {
            previous(info);
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
