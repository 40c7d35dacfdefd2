//! Which lines begin a stack trace, and which go on with it.

use std::time::Duration;

use super::{Line, MAX_TRACE_BYTES, MAX_TRACE_LINES, TRACE_WAIT};
use crate::prefix::{self, after_digits, is_space};

/// What Python writes between an exception and the one that it led to.
const PYTHON_LINKS: [&[u8]; 2] = [
    b"During handling of the above exception, another exception occurred:",
    b"The above exception was the direct cause of the following exception:",
];

/// What a trace is of, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Frames, until the line that names the exception.
    Python,
    /// The exception has been named; one that it led to may follow.
    PythonNamed,
    /// It has been said that another one follows.
    PythonLinked,
    Go,
    /// The panic's message is in the next line.
    RustMessage,
    Rust,
    /// A line that names an exception: a trace if a frame follows.
    JavaPerhaps,
    Java,
}

impl State {
    /// What this line begins.
    pub(super) fn begun_by(line: &[u8]) -> Option<Self> {
        if line.first().is_none_or(|byte| *byte == b'{') {
            None
        } else if line.starts_with(prefix::PYTHON_TRACE) {
            Some(Self::Python)
        } else if line.starts_with(b"panic: ") || line.starts_with(b"fatal error: ") || is_goroutine(line) {
            Some(Self::Go)
        } else if prefix::is_rust_panic(line) {
            // Since Rust 1.73 the place ends in a colon and the message follows.
            Some(if line.ends_with(b":") {
                Self::RustMessage
            } else {
                Self::Rust
            })
        } else if line.starts_with(prefix::JAVA_TRACE) || is_bare_exception(line) || names_exception(line) {
            Some(Self::JavaPerhaps)
        } else {
            None
        }
    }

    /// Where the trace stands after this line; None if it is none of its.
    fn after(self, line: &[u8]) -> Option<Self> {
        if line.first() == Some(&b'{') {
            return None;
        }
        let indented = matches!(line.first(), Some(b' ' | b'\t'));
        match self {
            Self::Python if line.is_empty() || indented => Some(self),
            Self::Python => Some(Self::PythonNamed),
            Self::PythonNamed | Self::PythonLinked if line.is_empty() => Some(self),
            Self::PythonNamed => starts_with_any(line, &PYTHON_LINKS).then_some(Self::PythonLinked),
            Self::PythonLinked => line.starts_with(prefix::PYTHON_TRACE).then_some(Self::Python),
            Self::Go => (line.is_empty() || indented || goes_on_in_go(line)).then_some(self),
            Self::RustMessage => Some(Self::Rust),
            Self::Rust => (indented || goes_on_in_rust(line)).then_some(self),
            Self::JavaPerhaps => is_first_frame(line).then_some(Self::Java),
            Self::Java => (indented || goes_on_in_java(line)).then_some(self),
        }
    }
}

/// A stack trace of which more may come.
#[derive(Debug)]
pub(super) struct Trace {
    pub(super) line: Line<'static>,
    /// When its last line came, by the caller's clock.
    pub(super) since: Duration,
    /// Its last line's time.
    last: Option<crate::Time>,
    state: State,
    lines: usize,
}

impl Trace {
    pub(super) fn new(line: Line<'static>, state: State, since: Duration) -> Self {
        Self {
            last: line.time,
            line,
            since,
            state,
            lines: 1,
        }
    }

    /// Takes the line if it goes on with this trace.
    pub(super) fn takes(&mut self, line: &Line<'_>, now: Duration) -> bool {
        let bytes = self.line.content.len() + 1 + line.content.len();
        if line.cut || self.lines >= MAX_TRACE_LINES || bytes > MAX_TRACE_BYTES || self.is_late(line) {
            return false;
        }
        let Some(state) = self.state.after(&line.content) else {
            return false;
        };
        let content = self.line.content.to_mut();
        content.push(b'\n');
        content.extend_from_slice(&line.content);
        self.state = state;
        self.last = line.time;
        self.since = now;
        self.lines += 1;
        true
    }

    /// Whether the line was written too long after the last one: by the
    /// runtime's times, so that it is the same whenever the lines are read.
    fn is_late(&self, line: &Line<'_>) -> bool {
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

fn goes_on_in_go(line: &[u8]) -> bool {
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

fn goes_on_in_rust(line: &[u8]) -> bool {
    starts_with_any(
        line,
        &[
            b"note: run with ",
            b"note: Some details are omitted",
            b"stack backtrace:",
        ],
    )
}

fn goes_on_in_java(line: &[u8]) -> bool {
    starts_with_any(line, &[b"Caused by: ", b"Suppressed: "])
        || frames_left_out(line)
            .is_some_and(|rest| starts_with_any(rest, &[b"more", b"common frames omitted"]))
}

/// What follows `... 12 `.
fn frames_left_out(line: &[u8]) -> Option<&[u8]> {
    after_digits(line.strip_prefix(b"... ")?)?.strip_prefix(b" ")
}

/// What shows that a line which named an exception was the beginning of a
/// trace; indented lists follow other lines too.
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

/// Whether a qualified name of an exception, one with a dot, stands anywhere
/// in the line.
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

    fn begun(line: &str) -> Option<State> {
        State::begun_by(line.as_bytes())
    }

    #[test]
    fn what_begins_a_trace() {
        assert_eq!(begun("Traceback (most recent call last):"), Some(State::Python));
        for line in [
            "panic: boom",
            "fatal error: all goroutines are asleep",
            "goroutine 1 [running]:",
        ] {
            assert_eq!(begun(line), Some(State::Go), "{line}");
        }
        assert_eq!(
            begun("thread 'main' panicked at src/main.rs:2:5:"),
            Some(State::RustMessage)
        );
        assert_eq!(
            begun("thread 'a b' (17) panicked at 'boom', src/main.rs:2:5"),
            Some(State::Rust)
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
            assert_eq!(begun(line), Some(State::JavaPerhaps), "{line}");
        }
    }

    #[test]
    fn what_begins_none() {
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
    fn what_goes_on_with_one_of_java() {
        for line in ["\tat x", "  at x", "\t... 3 more", "Caused by: x"] {
            assert!(is_first_frame(line.as_bytes()), "{line}");
        }
        for line in ["at x", "  x", "Suppressed: x", "... 3 more", "\tattic"] {
            assert!(!is_first_frame(line.as_bytes()), "{line}");
        }
        for line in ["Suppressed: x", "... 3 more", "... 12 common frames omitted"] {
            assert!(goes_on_in_java(line.as_bytes()), "{line}");
        }
        for line in ["... more", "... x more", "... 3 less", "x"] {
            assert!(!goes_on_in_java(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn what_goes_on_with_one_of_go() {
        for line in [
            "net/http.(*conn).serve(0x1, {0x2, 0x3})",
            "runtime.gopanic({0x1, 0x2})",
            "main.f(...)",
            "goroutine 7 [chan receive]:",
            "created by main.main",
            "exit status 2",
            "[signal SIGSEGV: x]",
        ] {
            assert!(goes_on_in_go(line.as_bytes()), "{line}");
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
            assert!(!goes_on_in_go(line.as_bytes()), "{line}");
        }
    }
}
