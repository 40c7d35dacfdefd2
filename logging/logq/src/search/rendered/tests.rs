//! The fast path shows the same as the plain path, whatever it skips, reads differently or processes in parallel.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use log_normalizer::{Cri, Joiner, Origin, RawLine, Time, normalize, timestamped};
use proptest::{collection::vec, prelude::*, sample::select};

use super::{CountWork, RenderWork, RenderedBlock};
use crate::{
    entry::Entry,
    filter::{Comparison, Filter, Glob, Literal, Pattern, condition},
    render::{ComponentColumn, FieldSelection, OutputFormat, Palette, Renderer, Style},
    source::files::{LogSource, Work, blocks::MAX_LINE_BYTES, discover, pool::WorkerPool},
    summary::{Summary, SummaryFormat},
    time::Clock,
};

/// Reads the lines one by one, each of them completely.
fn read_plainly(found: &LogSource, take: &mut dyn FnMut(RawLine<'_>, &Origin)) {
    let (origin, file) = match found {
        LogSource::Container(container) => (container.origin.clone(), container.files[0].clone()),
        LogSource::File(plain) => {
            let file = plain.file.clone().unwrap();
            (Origin::Source(file.display().to_string()), file)
        }
    };
    let kubelet = matches!(origin, Origin::Pod(_));
    let bytes = fs::read(&file).unwrap();
    let changed = fs::metadata(&file).unwrap().modified().unwrap();
    let changed = changed.duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let changed = Time::from_nanos(i64::try_from(changed).unwrap());
    let mut joiner = Joiner::new();
    let mut offset = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let at = offset;
        offset += line.len() as u64;
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = &line[..line.len().min(MAX_LINE_BYTES)];
        let mut partial = false;
        let line = if let Some(cri) = Cri::parse(line) {
            partial = cri.partial;
            RawLine::cri(&cri, at)
        } else if kubelet && line.is_empty() {
            continue;
        } else if kubelet {
            RawLine::unmatched(line, Some(changed), at)
        } else if let Some((time, content)) = timestamped(line) {
            RawLine::timed(time, content, at)
        } else {
            RawLine::plain(line, at)
        };
        joiner.push(line, partial, Duration::ZERO, &mut |line| take(line, &origin));
    }
    joiner.flush(&mut |line| take(line, &origin));
}

fn style(output: OutputFormat, palette: Palette, hidden: &[String]) -> Style {
    Style {
        output,
        palette,
        utc: true,
        fields: FieldSelection::new(&[], hidden).unwrap(),
        terminal: false,
    }
}

fn run_work<W: Work>(work: W, found: &LogSource, filter: &Filter, block: usize) -> Vec<W::Output> {
    let pool = WorkerPool::new(work);
    let parts = pool.source_in_blocks(found.clone(), filter, block, 3);
    parts.map(Result::unwrap).collect()
}

fn check(file: &Path, filter: &Filter, block: usize) {
    let found = discover(&[file.to_owned()]).unwrap().sources.remove(0);
    let mut entries = Vec::new();
    read_plainly(&found, &mut |line, origin| {
        let document = normalize(&line, origin);
        if filter.matches(&document) {
            let raw = Some(line.content.to_vec());
            entries.push(Entry { document, raw });
        }
    });
    for style in [
        style(OutputFormat::Pretty, Palette::NONE, &[]),
        style(OutputFormat::Pretty, Palette::TERMINAL, &["photo".to_owned()]),
        style(OutputFormat::Jsonl, Palette::NONE, &[]),
        style(OutputFormat::Raw, Palette::NONE, &[]),
    ] {
        let mut plain = Renderer::new(Vec::new(), style.clone());
        for entry in &entries {
            plain.line(entry).unwrap();
        }
        let blocks = run_work(RenderWork::new(filter.clone(), style), &found, filter, block);
        let (mut shown, mut column) = (Vec::new(), ComponentColumn::default());
        for line in blocks.into_iter().flat_map(RenderedBlock::lines) {
            line.write(&mut column, &mut shown).unwrap();
        }
        let plain = String::from_utf8_lossy(plain.output());
        assert_eq!(String::from_utf8_lossy(&shown), plain, "{filter}");
    }
    let (mut counted, mut plain) = (Summary::stats(), Summary::stats());
    for (part, _) in run_work(CountWork::new(filter.clone()), &found, filter, block) {
        counted.merge(part);
    }
    entries.iter().for_each(|entry| plain.add(&entry.document));
    let table = |summary: &Summary| {
        let mut table = Vec::new();
        let format = SummaryFormat {
            output: OutputFormat::Pretty,
            utc: true,
            width: crate::render::OutputWidth {
                columns: 80,
                truncates: false,
            },
            now: Time::from_nanos(0),
        };
        summary.write(&format, &mut table).unwrap();
        String::from_utf8(table).unwrap()
    };
    assert_eq!(table(&counted), table(&plain), "{filter}");
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// JSON strings, some of them hostile.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => select(vec![
            "warn", "error", "info", "WARNING", "NOTICE", "irmgard", "postgres", "GET", "timed out", "17", "17.0",
            "0017", "", "2026-11-22T10:00:05Z", "2026-11-22 10:00:07.5 UTC", "duration: 12.5 ms  statement: COMMIT",
            "a/b", "irmgard 4bf92f3577b34da6a3ce929d0e0e4736", TRACE, "4BF92F3577B34DA6A3CE929D0E0E4736", "<0.1.0>",
            "java.io.IOException: x", "ſtraße", "K",
        ]).prop_map(str::to_owned),
        1 => select(vec![
            r"\u0077arn", r"timed\u0020out", r"a\/b", r#"say \"level\":\"error\" "#, r"x\\", r"line\nwarn\ttimed out",
            "wa\u{1b}[1mrn", r"\ud83d\ude00", r"\ud800", "\u{fffd}", r"\u0000",
        ]).prop_map(str::to_owned),
        1 => "[ -!#-\\[\\]-~é☃]{0,12}",
    ]
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        5 => text().prop_map(|text| format!("\"{text}\"")),
        4 => select(vec![
            "17", "17.0", "1.7e1", "0.17e2", "16.99999999999999999999", "18", "-17", "0", "-0", "1e400", "40", "50",
            "100", "1e2", "0.5", "5e-1", "7.25", "9223372036854775808", "99999999999999999999", "404",
            "1795341605.25", "1795341606", "1795341605500",
        ]).prop_map(str::to_owned),
        2 => select(vec![
            "null", "true", "false", "{}", "[]", "[17]", "[\"warn\"]", "{\"id\":17}", "{\"message\":\"timed out\"}",
            "{\"a\":{\"level\":\"error\"}}", "{\"level\":\"error\"}", "[[17]]", "{\"app.kubernetes.io/name\":\"irmgard\"}", "{\"labels\":{\"a\":\"b\"}}",
        ]).prop_map(str::to_owned),
    ]
}

fn key() -> impl Strategy<Value = &'static str> {
    select(vec![
        "@timestamp",
        "timestamp",
        "time",
        "ts",
        "level",
        "severity",
        "lvl",
        "error_severity",
        "message",
        "msg",
        "component",
        "photo",
        "photo.id",
        "id",
        "trace_id",
        "duration_seconds",
        "outcome",
        "error",
        "error.message",
        "http",
        "http.route",
        "kubernetes",
        "kubernetes.pod",
        "fields",
        "tags",
        "event",
        "application_name",
        "pid",
        "domain",
        "mfa",
        "detail",
        "unknown",
        "unknown.name",
        "",
        " ",
        "_id",
        "a.b.c.d.e.f.g.h.i.j.k",
        "statement",
        "hint",
        r"leve\u006c",
        r"photo\u002eid",
        "truncated",
        "service",
        "exception",
        "code",
        "log",
        "log.level",
        "span_id",
        "count",
        "failure",
    ])
}

/// An object with members in any order, some of them duplicated.
fn object(begin: &'static str) -> impl Strategy<Value = String> {
    let member = (key(), value(), select(vec![":", " : ", ":\t", ": "]));
    (vec(member, 0..6), any::<bool>()).prop_map(move |(members, first)| {
        let rest: Vec<String> = members
            .iter()
            .map(|(key, value, colon)| format!("\"{key}\"{colon}{value}"))
            .collect();
        let rest = rest.join(",");
        match (begin.is_empty() || rest.is_empty(), first) {
            (true, _) => format!("{{{begin}{rest}}}"),
            (_, true) => format!("{{{begin},{rest}}}"),
            (_, false) => format!("{{{rest},{begin}}}"),
        }
    })
}

const OURS: &str = r#""@timestamp":"2026-11-22T10:00:05.25Z","level":"info","message":"request answered""#;
const RICH: &str = r#""@timestamp":"2026-11-22T10:00:06Z","level":"warn","message":"m","component":"object-store-gateway","service":{"name":"irmgard","version":"0.1.0"},"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","http":{"request":{"method":"GET"},"response":{"status_code":200}},"photo":{"id":17},"duration_seconds":0.5,"kubernetes":{"pod":"p","labels":{"app.kubernetes.io/name":"irmgard"}}"#;
const POSTGRES: &str = r#""timestamp":"2026-11-22 10:00:07.000 UTC","error_severity":"ERROR","message":"canceling statement due to timeout","application_name":"irmgard 4bf92f3577b34da6a3ce929d0e0e4736","pid":17"#;
const RABBITMQ: &str = r#""time":"2026-11-22 10:00:01.000000+00:00","level":"warning","msg":"closing connection <0.1.2> (1.2.3.4:17 -> x)","pid":"<0.1.0>","domain":["a","b"]"#;

const NESTED: &str = r#""@timestamp":"2026-11-22T10:00:05.5Z","level":"warn","message":"timed out","component":"irmgard","http":{"status":500,"duration_ms":0.250},"stream":"stdout","kubernetes":{"namespace_name":"photos","pod_name":"p-17","labels":{"app":"irmgard","app.kubernetes.io/name":"x"}}"#;
const ZAP: &str = r#""level":"warn","ts":1795341605.25,"logger":"a.b","msg":"timed out","user":17"#;
const PINO: &str = r#""level":50,"time":1795341605500,"pid":17,"req":{"id":17,"headers":{"host":null,"a":[1,null]}},"msg":"request answered""#;

/// A line of Docker's json-file.
fn docker(line: &str) -> Vec<u8> {
    let log = serde_json::to_string(&format!("{line}\n")).unwrap();
    format!(r#"{{"log":{log},"stream":"stderr","time":"2026-11-22T10:00:05.5Z"}}"#).into_bytes()
}

/// A line as a program writes it.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let json = prop_oneof![
        4 => object(OURS), 4 => object(RICH), 2 => object(POSTGRES), 2 => object(RABBITMQ), 2 => object(""),
        3 => object(NESTED), 2 => object(ZAP), 2 => object(PINO),
    ];
    prop_oneof![
        12 => json.clone().prop_map(String::into_bytes),
        2 => json.prop_map(|json| docker(&json)),
        1 => object(OURS).prop_map(|json| json.as_bytes()[..json.len() - 1].to_vec()),
        1 => object(OURS).prop_map(|json| [json.as_bytes(), b"\xff warn"].concat()),
        4 => select(vec![
            "ERROR timed out", "level=warn msg=x", "  at x.y(Z.java:1)", "java.io.IOException: timed out", "",
            "panic: warn", "goroutine 1 [running]:", "Traceback (most recent call last):", "  File x", "KeyError: warn",
            "\u{1b}[31mwa\u{1b}[0mrn photo.id=17", " ", "Caused by: x", "{", "{}", "photo.id 17 irmgard",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => vec(any::<u8>().prop_filter("a line", |byte| *byte != b'\n'), 0..40),
    ]
}

/// A line with the prefix of the kubelet, of `kubectl`, or without one.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let wrap = select(vec![
        "",
        "",
        "",
        "2026-11-22T10:00:05.5Z stdout F ",
        "2026-11-22T10:00:06.123456789Z stdout F ",
        "2026-11-22T10:00:06Z stderr F ",
        "2026-11-22T10:00:04Z stdout P ",
        "2026-11-22T10:00:05.25Z ",
        "2026-13-22T10:00:05.5Z stdout F ",
    ]);
    (wrap, content(), select(vec!["\n", "\n", "\n", "\r\n"]))
        .prop_map(|(wrap, content, end)| [wrap.as_bytes(), &content, end.as_bytes()].concat())
}

fn atom() -> impl Strategy<Value = Filter> {
    let conditions = select(vec![
        "photo.id=17",
        "photo.id>17",
        "photo.id exists",
        "photo exists",
        "outcome=warn",
        "outcome~=^w",
        "duration_seconds>0.25",
        "duration_seconds<=12ms",
        "trace_id exists",
        "error.message~=timed",
        "count=100",
        "http.response.status_code=200",
        "unknown.name=17",
        "unknown exists",
        "fields.photo.id=17",
        "level=warn",
        "component=irmgard",
        "kubernetes.pod=p",
        "kubernetes exists",
        "event.id exists",
        "process.pid=17",
        "client.port=17",
        "tags=unparsed-json",
        "@timestamp<=2026-11-22T10:00:05.5Z",
        "photo.id=17.0",
        "id=17",
        "service.name=irmgard",
        "error.message=100.0",
        "postgresql.severity=ERROR",
        "rabbitmq.domain=a.b",
        "log exists",
        "log.iostream=stderr",
        "kubernetes.pod_name=p-17",
        "kubernetes.labels.app.kubernetes.io/name=x",
        "http.status=500",
        "http.duration_ms<1",
        "fields.user=17",
        "fields.req.id=17",
        "fields.level exists",
        "fields exists",
    ]);
    let patterns = select(vec![
        "timed out",
        "time(d out|out)",
        "(?i)WARN",
        "^request",
        "a/b",
        "17",
        "100",
        "404",
        "0",
        r"\bstatement\b",
        ".*",
        "[a-z]+ed",
        "(?i)k",
        "ß",
        "due to|answered",
        "\u{fffd}",
        "x\\\\",
        "warn\\b",
        "(timed|closing) .+",
        "",
        "m",
    ]);
    prop_oneof![
        6 => conditions.prop_map(|text| condition::parse(text, &Clock::system(true)).unwrap()),
        4 => patterns.prop_map(|text| Filter::Text(Pattern::new(text).unwrap())),
        2 => select(schema::level::ALL.to_vec()).prop_map(Filter::Level),
        2 => select(vec!["irmgard", "post*", "*", "object-store-gateway", "c"]).prop_map(|glob| {
            Filter::Glob(schema::field::COMPONENT.to_owned(), Glob::new(glob).unwrap())
        }),
        1 => select(vec!["4bf92f35*", "4bf92f3577b34da6*"]).prop_map(|glob| {
            Filter::Glob(schema::field::TRACE_ID.to_owned(), Glob::new(glob).unwrap())
        }),
        1 => Just(Filter::Equals(schema::field::TRACE_ID.to_owned(), Literal::new(TRACE))),
        2 => (any::<bool>(), select(vec!["2026-11-22T10:00:05.25Z", "2026-11-22T10:00:06Z"])).prop_map(|(since, time)| {
            let comparison = if since { Comparison::AtLeast } else { Comparison::AtMost };
            Filter::Compare(schema::field::TIMESTAMP.to_owned(), comparison, Literal::new(time))
        }),
    ]
}

fn filter() -> impl Strategy<Value = Filter> {
    atom().prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            3 => vec(inner.clone(), 0..3).prop_map(Filter::All),
            2 => vec(inner.clone(), 0..3).prop_map(Filter::Any),
            1 => inner.prop_map(Filter::negated),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fast_rendering_equals_slow_rendering(
        lines in vec(line(), 0..40), filter in filter(), block in 40_usize..3000, in_pod in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(if in_pod { "photos_p_uid/c/0.log" } else { "a.log" });
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, lines.concat()).unwrap();
        check(&file, &filter, block);
    }
}

#[test]
fn rendering_golden_lines_equals_the_slow_path() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fluentd/golden");
    let filters: Vec<Filter> = [
        "photo.id=17",
        "duration_seconds>0.01",
        "message~=o",
        "level exists",
    ]
    .into_iter()
    .map(|text| condition::parse(text, &Clock::system(true)).unwrap())
    .chain([
        Filter::EVERYTHING,
        Filter::Level("warn"),
        Filter::Text(Pattern::new("connection").unwrap()),
    ])
    .collect();
    let mut files: Vec<PathBuf> = walkdir::WalkDir::new(golden)
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .collect();
    files.retain(|file| file.is_file() && file.extension().is_none_or(|kind| kind != "gz" && kind != "json"));
    assert!(files.len() > 20, "{files:?}");
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        // Also without pod metadata in the path.
        let copy = folder.path().join("copy.log");
        fs::copy(&file, &copy).unwrap();
        for filter in &filters {
            check(&file, filter, 2000);
            check(&copy, filter, 300);
        }
    }
}
