use proptest::prelude::*;

use super::*;

const SECOND: i64 = 1_000_000_000;

/// Joins a container's lines: `(nanoseconds, stream, partial, content)`.
type Part<'a> = (i64, Stream, bool, &'a [u8]);

fn joined(parts: &[Part<'_>]) -> Vec<RawLine<'static>> {
    let mut joiner = Joiner::new();
    let mut all = Vec::new();
    for (offset, (nanos, stream, partial, content)) in (0..).zip(parts) {
        let mut line = RawLine::of(content, offset);
        line.time = Some(Time::from_nanos(*nanos));
        line.stream = Some(*stream);
        joiner.push(line, *partial, Duration::ZERO, &mut |line| {
            all.push(line.into_owned())
        });
    }
    joiner.flush(&mut |line| all.push(line.into_owned()));
    assert_eq!(joiner.due(), None);
    all
}

/// Joins lines of standard output that were written at the same time.
fn of_lines(lines: &str) -> Vec<String> {
    let parts: Vec<Part<'_>> = lines
        .split('\n')
        .map(|line| (0, Stream::Stdout, false, line.as_bytes()))
        .collect();
    texts(&joined(&parts))
}

fn texts(lines: &[RawLine<'_>]) -> Vec<String> {
    lines
        .iter()
        .map(|line| String::from_utf8_lossy(&line.content).into_owned())
        .collect()
}

/// Checks that the trace becomes one line between two others.
fn assert_one(trace: &str) {
    assert_eq!(
        of_lines(&format!("before\n{trace}\nafter")),
        ["before", trace, "after"]
    );
}

#[test]
fn parts_are_joined_within_their_stream() {
    use Stream::{Stderr, Stdout};
    let lines = joined(&[
        (1, Stdout, true, b"a\xe2\x82"),
        (2, Stderr, true, b"x"),
        (3, Stdout, true, b"\xac"),
        (4, Stderr, false, b""),
        (5, Stdout, false, b"b"),
        (6, Stdout, false, b"c"),
    ]);
    assert_eq!(texts(&lines), ["x", "a€b", "c"]);
    assert_eq!(lines[1].time, Some(Time::from_nanos(1)));
    assert_eq!(lines[1].offset, 0);
}

#[test]
fn the_rest_of_a_line_may_come_late() {
    let lines = joined(&[
        (7, Stream::Stdout, true, b"a"),
        (900 * SECOND, Stream::Stdout, false, b"b"),
    ]);
    assert_eq!(texts(&lines), ["ab"]);
}

#[test]
fn an_endless_line_needs_no_more_memory_than_its_limit() {
    let part = vec![b'x'; 700_000];
    let parts: Vec<Part<'_>> = (0..10).map(|i| (i, Stream::Stdout, i < 9, &*part)).collect();
    let lines = joined(&parts);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].content.len(), MAX_CONTENT_BYTES);
    assert!(lines[0].cut);
}

#[test]
fn waiting_lines_are_passed_on_when_they_are_due() {
    let mut joiner = Joiner::new();
    let mut all = Vec::new();
    let now = Duration::from_secs(100);
    joiner.push(
        RawLine::plain(b"panic: a", 0),
        false,
        now,
        &mut |_| unreachable!(),
    );
    let mut part = RawLine::plain(b"part", 0);
    part.stream = Some(Stream::Stderr);
    joiner.push(part, true, now, &mut |_| unreachable!());
    assert_eq!(joiner.due(), Some(now + TRACE_WAIT));
    joiner.expire(now + TRACE_WAIT / 2, &mut |_| unreachable!());
    joiner.expire(now + TRACE_WAIT, &mut |line| all.push(line.into_owned()));
    assert_eq!(joiner.due(), Some(now + PARTIAL_WAIT));
    joiner.expire(now + PARTIAL_WAIT, &mut |line| all.push(line.into_owned()));
    assert_eq!(texts(&all), ["panic: a", "part"]);
    assert_eq!(joiner.due(), None);
}

/// Each part and each line of a trace restarts the wait.
#[test]
fn each_part_restarts_the_wait() {
    for (begins, goes_on, partial, wait) in [
        ("panic: a", "\tb", false, TRACE_WAIT),
        ("a", "b", true, PARTIAL_WAIT),
    ] {
        let mut joiner = Joiner::new();
        joiner.push(
            RawLine::plain(begins.as_bytes(), 0),
            partial,
            Duration::ZERO,
            &mut |_| unreachable!(),
        );
        joiner.push(
            RawLine::plain(goes_on.as_bytes(), 0),
            partial,
            wait / 2,
            &mut |_| unreachable!(),
        );
        assert_eq!(joiner.due(), Some(wait / 2 + wait), "{begins}");
    }
    // The runtime's times are also close: each line follows soon after the last.
    let lines: Vec<Part<'_>> = (0..5)
        .map(|i| {
            let content: &[u8] = if i == 0 { b"panic: x" } else { b"\ty" };
            (i * SECOND, Stream::Stdout, false, content)
        })
        .collect();
    assert_eq!(texts(&joined(&lines)), ["panic: x\n\ty\n\ty\n\ty\n\ty"]);
}

#[test]
fn a_partial_line_may_begin_a_trace() {
    let lines = joined(&[
        (0, Stream::Stdout, true, b"pan"),
        (1, Stream::Stdout, false, b"ic: a"),
        (2, Stream::Stdout, false, b"\tb"),
    ]);
    assert_eq!(texts(&lines), ["panic: a\n\tb"]);
}

#[test]
fn lines_outside_a_trace_never_wait() {
    let mut joiner = Joiner::new();
    for line in ["a", "{\"panic: \":1}", "  at x", "Caused by: y", ""] {
        let mut out = 0;
        joiner.push(
            RawLine::plain(line.as_bytes(), 0),
            false,
            Duration::ZERO,
            &mut |_| out += 1,
        );
        assert_eq!((out, joiner.due()), (1, None), "{line}");
    }
}

#[test]
fn traces_of_python() {
    let one = "Traceback (most recent call last):\n  File \"x\", line 1\n    f()\nValueError: bad";
    assert_one(one);
    assert_one(&format!(
        "{one}\n\nDuring handling of the above exception, another exception occurred:\n\n{one}"
    ));
    assert_one("Traceback (most recent call last):\n  File \"x\", line 1\nKeyboardInterrupt");
    // Two independent traces.
    assert_eq!(of_lines(&format!("{one}\n{one}")), [one, one]);
    assert_eq!(of_lines(&format!("{one}\n{{}}")), [one, "{}"]);
    assert_eq!(of_lines(&format!("{one}\n  after")), [one, "  after"]);
    let start = "Traceback (most recent call last):\n  File \"x\", line 1";
    let other = "2026-11-22 10:49:44,000 CRITICAL [worker2] important";
    assert_eq!(of_lines(&format!("{start}\n{other}")), [start, other]);
}

#[test]
fn traces_of_go() {
    assert_one(
        "panic: boom\n\ngoroutine 1 [running]:\nmain.f(...)\n\t/x.go:5\nnet/http.(*conn).serve(0x1)\n\t/y.go:6\ncreated by main.main in goroutine 1\n\t/z.go:7",
    );
    assert_one(
        "panic: runtime error\n[signal SIGSEGV: segmentation violation code=0x1]\n\ngoroutine 1 [running]:\nmain.main()\n\t/x.go:9 +0x1d",
    );
}

#[test]
fn traces_of_rust() {
    assert_one(
        "thread 'main' panicked at src/main.rs:2:5:\nboom\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace",
    );
    assert_one(
        "thread 'w' (12) panicked at src/a.rs:2:5:\nassertion `left == right` failed\n  left: 1\n right: 2\nstack backtrace:\n   0: a\n             at b",
    );
    assert_eq!(
        of_lines("thread 'main' panicked at a.rs:2:5:\nboom\nmore"),
        ["thread 'main' panicked at a.rs:2:5:\nboom", "more"]
    );
    assert_eq!(
        of_lines("thread 'main' panicked at 'x', a.rs:2:5\nmore"),
        ["thread 'main' panicked at 'x', a.rs:2:5", "more"]
    );
}

#[test]
fn traces_of_java() {
    assert_one(
        "Exception in thread \"main\" java.lang.A: b\n\tat a.b.C.d(C.java:1)\nCaused by: java.io.IOException: x\n\tat y\n\t... 3 more",
    );
    assert_one("2026-11-22 ERROR failed: java.io.IOException: x\n\tat y\n\tat z");
    assert_one("TypeError: x\n    at f (a.js:1:2)");
    assert_eq!(
        of_lines("it said java.io.IOException: x\n  no frame"),
        ["it said java.io.IOException: x", "  no frame"]
    );
    assert_eq!(
        of_lines("java.io.IOException: x\n{\"a\":1}"),
        ["java.io.IOException: x", "{\"a\":1}"]
    );
}

#[test]
fn a_trace_has_limits() {
    let frames: Vec<&str> = std::iter::once("panic: x")
        .chain(std::iter::repeat_n("\ty", MAX_TRACE_LINES))
        .collect();
    let out = of_lines(&frames.join("\n"));
    assert_eq!(out.len(), 2);
    assert_eq!(
        (out[0].lines().count(), out[1].as_str()),
        (MAX_TRACE_LINES, "\ty")
    );

    let long = format!("\t{}", "y".repeat(MAX_TRACE_BYTES / 3));
    let out = of_lines(&["panic: x", &long, &long, &long, "z"].join("\n"));
    assert_eq!(out.len(), 3);
    assert!(out.iter().all(|line| line.len() <= MAX_TRACE_BYTES));

    let late = |nanos| {
        texts(&joined(&[
            (7, Stream::Stdout, false, b"panic: x"),
            (nanos, Stream::Stdout, false, b"\ty"),
        ]))
    };
    // One clock was set back, the other one advanced.
    assert_eq!(late(1), ["panic: x\n\ty"]);
    assert_eq!(late(7 + SECOND), ["panic: x\n\ty"]);
    assert_eq!(late(8 + SECOND), ["panic: x", "\ty"]);
}

fn anything() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(
            any::<u8>().prop_filter("no newline", |byte| *byte != b'\n'),
            0..40
        ),
        prop::sample::select(vec![
            "Traceback (most recent call last):",
            "ValueError: x",
            "",
            "\tat x",
            "panic: x",
            "thread 'a' panicked at b:",
            "a.bException: c",
            "x a.bException",
            "During handling of the above exception, another exception occurred:",
            "{\"a\":1}",
            "main.f()",
        ])
        .prop_map(|line| line.as_bytes().to_vec()),
    ]
}

proptest! {
    /// Every byte is passed on, in order within each stream.
    #[test]
    fn nothing_is_lost(
        lines in prop::collection::vec((0..3 * SECOND, any::<bool>(), prop::bool::weighted(0.2), anything()), 0..60),
    ) {
        let mut nanos = 0;
        let parts: Vec<Part<'_>> = lines
            .iter()
            .map(|(later, stderr, partial, content)| {
                nanos += later;
                (nanos, if *stderr { Stream::Stderr } else { Stream::Stdout }, *partial, &**content)
            })
            .collect();
        let out = joined(&parts);
        for stream in [Stream::Stdout, Stream::Stderr] {
            let read: Vec<u8> = out.iter().filter(|line| line.stream == Some(stream))
                .flat_map(|line| line.content.iter().copied()).filter(|byte| *byte != b'\n').collect();
            let written: Vec<u8> = parts.iter().filter(|part| part.1 == stream)
                .flat_map(|part| part.3.iter().copied()).collect();
            prop_assert_eq!(read, written);
        }
    }

    /// Parts of a line, split anywhere, become the whole line.
    #[test]
    fn joined_parts_are_the_whole_line(content in anything(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5)) {
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(content.len() + 1)).collect();
        at.sort_unstable();
        at.push(content.len());
        let mut from = 0;
        let mut parts: Vec<Part<'_>> = Vec::new();
        for to in at {
            parts.push((9, Stream::Stdout, true, &content[from..to]));
            from = to;
        }
        parts.last_mut().unwrap().2 = false;
        prop_assert_eq!(joined(&parts), joined(&[(9, Stream::Stdout, false, &content)]));
    }
}
