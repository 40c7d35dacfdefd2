//! Recognises lines that begin or continue a stack trace.

use std::{mem, time::Duration};

use super::{MAX_TRACE_BYTES, MAX_TRACE_LINES, RawLine, TRACE_WAIT};
use crate::{
    prefix::{self, after_digits, is_space},
    time::Timestamp,
};

/// Lines that Python writes between an exception and the one that it caused.
const PYTHON_LINKS: [&[u8]; 2] = [
    b"During handling of the above exception, another exception occurred:",
    b"The above exception was the direct cause of the following exception:",
];

/// Maximum number of lines of a message, after its first, that wait for a frame.
const MAX_PENDING_LINES: usize = 16;

/// The kind of a trace, and the last part of it so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TraceState {
    /// Frames, until the line that names the exception.
    Python,
    /// The exception's name; an exception that it caused may follow.
    PythonNamed,
    /// The link to another exception.
    PythonLinked,
    /// A panic's message.
    GoMessage,
    Go,
    /// The panic's message is in the next line.
    RustLocation,
    RustMessage,
    Rust,
    /// A line that names an exception: a trace if a frame follows.
    JavaPerhaps,
    /// The name of an inner exception.
    JavaCause,
    Java,
    /// The first line of java.util.logging; the message is in the next line.
    JavaHeader,
    /// The first line of .NET's console; indented lines follow.
    DotNet,
}

impl TraceState {
    /// The state after the first line of a trace.
    pub(super) fn begun_by(line: &[u8]) -> Option<Self> {
        if line.first().is_none_or(|byte| *byte == b'{') {
            None
        } else if line.starts_with(prefix::PYTHON_TRACE) {
            Some(Self::Python)
        } else if is_goroutine(line) {
            Some(Self::Go)
        } else if line.starts_with(b"panic: ") || line.starts_with(b"fatal error: ") {
            Some(Self::GoMessage)
        } else if prefix::is_rust_panic(line) {
            // Since Rust 1.73 the location ends in a colon and the message follows.
            Some(if line.ends_with(b":") {
                Self::RustLocation
            } else {
                Self::Rust
            })
        } else if prefix::dotnet_header(line).is_some_and(|(_, rest)| rest.is_empty()) {
            Some(Self::DotNet)
        } else if prefix::is_java_header(line) {
            Some(Self::JavaHeader)
        } else if line.starts_with(prefix::JAVA_TRACE) || is_bare_exception(line) || names_exception(line) {
            Some(Self::JavaPerhaps)
        } else {
            None
        }
    }

    /// The state after this line; None if it does not certainly belong to the trace.
    fn after(self, line: &[u8]) -> Option<Self> {
        let indented = matches!(line.first(), Some(b' ' | b'\t'));
        match self {
            Self::Python if line.is_empty() || indented => Some(self),
            // Another thread's line.
            Self::Python if Timestamp::at_start(line).is_some() => None,
            Self::Python => Some(Self::PythonNamed),
            Self::PythonNamed | Self::PythonLinked if line.is_empty() => Some(self),
            Self::PythonNamed => starts_with_any(line, &PYTHON_LINKS).then_some(Self::PythonLinked),
            Self::PythonLinked => line.starts_with(prefix::PYTHON_TRACE).then_some(Self::Python),
            Self::GoMessage | Self::Go if is_goroutine(line) => Some(Self::Go),
            Self::GoMessage | Self::Go => (line.is_empty() || indented || continues_go(line)).then_some(self),
            Self::RustLocation => Some(Self::RustMessage),
            Self::RustMessage | Self::Rust if continues_rust(line) => Some(Self::Rust),
            Self::RustMessage | Self::Rust => indented.then_some(self),
            Self::JavaPerhaps => is_first_frame(line).then_some(Self::Java),
            Self::JavaHeader => is_java_message(line).then_some(Self::JavaPerhaps),
            Self::JavaCause | Self::Java if names_cause(line) => Some(Self::JavaCause),
            Self::JavaCause | Self::Java => (indented || continues_java(line)).then_some(Self::Java),
            Self::DotNet => line.starts_with(b"      ").then_some(self),
        }
    }

    /// Whether the line ends a message of several lines. The ordinary lines before it then belong to the trace.
    fn ends_message(self, line: &[u8]) -> bool {
        match self {
            Self::PythonNamed => starts_with_any(line, &PYTHON_LINKS),
            Self::GoMessage => is_goroutine(line),
            Self::RustMessage => continues_rust(line),
            Self::JavaPerhaps | Self::JavaCause => is_first_frame(line),
            _ => false,
        }
    }

    const fn has_message(self) -> bool {
        matches!(
            self,
            Self::PythonNamed | Self::GoMessage | Self::RustMessage | Self::JavaPerhaps | Self::JavaCause
        )
    }
}

/// A stack trace that may not be complete.
#[derive(Debug)]
pub(super) struct Trace {
    line: RawLine<'static>,
    /// Lines that belong to the trace only if a certain line follows.
    pending: Vec<RawLine<'static>>,
    /// Arrival of the last certain line, by the caller's clock.
    pub(super) since: Duration,
    /// The time of the last line.
    last: Option<crate::Time>,
    state: TraceState,
    lines: usize,
}

impl Trace {
    pub(super) fn new(line: RawLine<'static>, state: TraceState, since: Duration) -> Self {
        Self {
            last: line.time,
            line,
            pending: Vec::new(),
            since,
            state,
            lines: 1,
        }
    }

    /// Takes the line if it belongs or may belong to this trace.
    pub(super) fn takes(&mut self, line: &RawLine<'_>, now: Duration) -> bool {
        let pending = self.pending.iter().map(|line| 1 + line.content.len());
        let bytes = self.line.content.len() + pending.sum::<usize>() + 1 + line.content.len();
        let is_full = self.lines + self.pending.len() >= MAX_TRACE_LINES || bytes > MAX_TRACE_BYTES;
        if line.cut || is_full || self.is_late(line) || line.content.first() == Some(&b'{') {
            return false;
        }
        let is_certain = self.pending.is_empty() || self.state.ends_message(&line.content);
        if let Some(state) = self.state.after(&line.content).filter(|_| is_certain) {
            for line in mem::take(&mut self.pending) {
                self.append(&line.content);
            }
            self.append(&line.content);
            self.state = state;
            self.since = now;
        } else if self.may_be_message(&line.content) {
            self.pending.push(line.clone().into_owned());
        } else {
            return false;
        }
        self.last = line.time;
        true
    }

    fn append(&mut self, line: &[u8]) {
        let content = self.line.content.to_mut();
        content.push(b'\n');
        content.extend_from_slice(line);
        self.lines += 1;
    }

    fn may_be_message(&self, line: &[u8]) -> bool {
        // A message that names an exception may come before the exception itself.
        let begins_other = match TraceState::begun_by(line) {
            None => false,
            Some(TraceState::JavaPerhaps) => {
                line.starts_with(prefix::JAVA_TRACE) || self.state != TraceState::JavaPerhaps
            }
            Some(_) => true,
        };
        self.state.has_message()
            && self.pending.len() < MAX_PENDING_LINES
            && !begins_other
            && Timestamp::at_start(line.strip_prefix(b"[").unwrap_or(line)).is_none()
    }

    /// The trace, and the lines that do not belong to it.
    pub(super) fn into_lines(self) -> impl Iterator<Item = RawLine<'static>> {
        std::iter::once(self.line).chain(self.pending)
    }

    /// Whether the line was written too long after the last one. The runtime's times decide, so that the result is the
    /// same whenever the lines are read.
    fn is_late(&self, line: &RawLine<'_>) -> bool {
        let passed = match (self.last, line.time) {
            (Some(last), Some(this)) => this.nanos().saturating_sub(last.nanos()),
            _ => 0,
        };
        u64::try_from(passed).is_ok_and(|passed| u128::from(passed) > TRACE_WAIT.as_nanos())
    }
}

fn starts_with_any(line: &[u8], starts: &[&[u8]]) -> bool {
    starts.iter().any(|start| line.starts_with(start))
}

/// `goroutine 17 [running]:`
fn is_goroutine(line: &[u8]) -> bool {
    line.strip_prefix(b"goroutine ")
        .and_then(after_digits)
        .is_some_and(|rest| rest.starts_with(b" ["))
}

fn continues_go(line: &[u8]) -> bool {
    starts_with_any(line, &[b"[signal ", b"created by ", b"exit status "])
        || is_goroutine(line)
        || is_call(line)
}

/// `net/http.(*conn).serve(0x1, {0x2, 0x3})`
fn is_call(line: &[u8]) -> bool {
    let begins = line
        .first()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_');
    let opens = line.iter().position(|byte| *byte == b'(' || is_space(*byte));
    begins && line.ends_with(b")") && opens.is_some_and(|at| line[at] == b'(')
}

fn continues_rust(line: &[u8]) -> bool {
    starts_with_any(
        line,
        &[
            b"note: run with ",
            b"note: Some details are omitted",
            b"stack backtrace:",
        ],
    )
}

/// The name of an inner exception, also indented.
fn names_cause(line: &[u8]) -> bool {
    starts_with_any(line.trim_ascii_start(), &[b"Caused by: ", b"Suppressed: "])
}

fn continues_java(line: &[u8]) -> bool {
    frames_left_out(line).is_some_and(|rest| starts_with_any(rest, &[b"more", b"common frames omitted"]))
}

/// `SEVERE: message`
fn is_java_message(line: &[u8]) -> bool {
    let capitals = line.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    capitals > 0 && line.get(capitals..).is_some_and(|rest| rest.starts_with(b": "))
}

/// The text after `... 12 `.
fn frames_left_out(line: &[u8]) -> Option<&[u8]> {
    after_digits(line.strip_prefix(b"... ")?)?.strip_prefix(b" ")
}

/// Whether the line shows that the exception's line began a trace. Indented lists follow other lines, too.
fn is_first_frame(line: &[u8]) -> bool {
    let blank = line.iter().take_while(|byte| is_space(**byte)).count();
    let rest = &line[blank..];
    line.starts_with(b"Caused by: ")
        || (blank > 0 && (rest.starts_with(b"at ") || frames_left_out(rest).is_some()))
}

const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$'
}

fn is_exception(name: &[u8]) -> bool {
    name.ends_with(b"Exception") || name.ends_with(b"Error")
}

/// `TypeError: what`, `Error`
fn is_bare_exception(line: &[u8]) -> bool {
    let length = line.iter().take_while(|byte| is_name_byte(**byte)).count();
    let (name, rest) = line.split_at(length);
    let ends = match rest {
        [] | [b':'] => true,
        [b':', space, ..] => is_space(*space),
        _ => false,
    };
    is_exception(name) && ends
}

/// Whether the line contains a qualified name of an exception, one with a dot.
fn names_exception(line: &[u8]) -> bool {
    let has = |word: &[u8]| line.windows(word.len()).any(|window| window == word);
    if !has(b"Exception") && !has(b"Error") {
        return false;
    }
    line.split(|byte| !is_name_byte(*byte) && *byte != b'.')
        .any(|run| {
            run.split(|byte| *byte == b'.')
                .take_while(|part| part.first().is_some_and(|byte| !byte.is_ascii_digit()))
                .skip(1)
                .any(is_exception)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(line: &str) -> Option<TraceState> {
        TraceState::begun_by(line.as_bytes())
    }

    #[test]
    fn lines_that_begin_a_trace() {
        assert_eq!(
            begun("Traceback (most recent call last):"),
            Some(TraceState::Python)
        );
        for line in ["panic: boom", "fatal error: all goroutines are asleep"] {
            assert_eq!(begun(line), Some(TraceState::GoMessage), "{line}");
        }
        assert_eq!(begun("goroutine 1 [running]:"), Some(TraceState::Go));
        assert_eq!(
            begun("Nov 22, 2026 1:49:43 PM a.B c"),
            Some(TraceState::JavaHeader)
        );
        assert_eq!(begun("fail: A.B[0]"), Some(TraceState::DotNet));
        assert_eq!(
            begun("thread 'main' panicked at src/main.rs:2:5:"),
            Some(TraceState::RustLocation)
        );
        assert_eq!(
            begun("thread 'a b' (17) panicked at 'boom', src/main.rs:2:5"),
            Some(TraceState::Rust)
        );
        for line in [
            "Exception in thread \"main\" java.lang.X",
            "java.lang.IllegalStateException",
            "java.lang.Exception: Stack trace",
            "TypeError: x is not a function",
            "Error:",
            "2026 ERROR failed java.lang.X$YException: boom",
            "caused java.lang.FooError.detail",
            "(a.bException)",
        ] {
            assert_eq!(begun(line), Some(TraceState::JavaPerhaps), "{line}");
        }
    }

    #[test]
    fn lines_that_begin_no_trace() {
        for line in [
            "",
            "{\"a\":\"java.lang.FooException\"}",
            "panic",
            "no panic: ",
            "goroutine x [running]",
            "thread main panicked at x",
            "thread 'main' died",
            "Errors: 3",
            "Error:3",
            "no Exception here",
            ".FooException of nothing",
            "1.2Error x",
            "java.lang.FooExceptions are",
            "SomeError while doing",
        ] {
            assert_eq!(begun(line), None, "{line}");
        }
    }

    #[test]
    fn lines_that_continue_a_trace_of_java() {
        for line in ["\tat x", "  at x", "\t... 3 more", "Caused by: x"] {
            assert!(is_first_frame(line.as_bytes()), "{line}");
        }
        for line in ["at x", "  x", "Suppressed: x", "... 3 more", "\tattic"] {
            assert!(!is_first_frame(line.as_bytes()), "{line}");
        }
        for line in ["Suppressed: x", "Caused by: x", "\tSuppressed: x"] {
            assert_eq!(
                TraceState::Java.after(line.as_bytes()),
                Some(TraceState::JavaCause),
                "{line}"
            );
        }
        for line in ["... 3 more", "... 12 common frames omitted"] {
            assert_eq!(
                TraceState::Java.after(line.as_bytes()),
                Some(TraceState::Java),
                "{line}"
            );
        }
        for line in ["... more", "... x more", "... 3 less", "x"] {
            assert_eq!(TraceState::Java.after(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn lines_that_continue_a_trace_of_go() {
        for line in [
            "net/http.(*conn).serve(0x1, {0x2, 0x3})",
            "runtime.gopanic({0x1, 0x2})",
            "main.f(...)",
            "goroutine 7 [chan receive]:",
            "created by main.main",
            "exit status 2",
            "[signal SIGSEGV: x]",
        ] {
            assert!(continues_go(line.as_bytes()), "{line}");
        }
        for line in [
            "()",
            "f",
            "(f)",
            "1f()",
            "listening on (all)",
            "f() x",
            "main. (x)",
        ] {
            assert!(!continues_go(line.as_bytes()), "{line}");
        }
    }
}
