//! What a line looks like.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is how it fails")]

mod captured;

use insta::{assert_json_snapshot, assert_snapshot};
use serde_json::{Value, json};
use tracing::{debug, error, info, info_span, warn};

const POD: [(&str, &str); 5] = [
    ("K8S_NAMESPACE", "photos"),
    ("K8S_POD_NAME", "irmgard-7d4f-x2"),
    ("K8S_CONTAINER_NAME", "irmgard"),
    ("K8S_NODE_NAME", "node-1"),
    (
        "K8S_POD_LABELS",
        "app.kubernetes.io/name=irmgard,irmgard.dev/uses-database=postgres,app=x",
    ),
];

fn redacted(mut line: Value) -> Value {
    for name in ["@timestamp", "trace_id", "span_id"] {
        if let Some(value) = line.get_mut(name) {
            *value = json!(format!("<{} characters>", value.as_str().unwrap().len()));
        }
    }
    line
}

/// The lines that `work` writes.
fn lines_of(variables: &[(&str, &str)], work: impl FnOnce()) -> Vec<Value> {
    let (subscriber, _guard, lines) = captured::subscriber(variables);
    tracing::subscriber::with_default(subscriber, work);
    lines.json()
}

#[test]
fn a_line_in_a_span_in_a_pod() {
    let lines = lines_of(&POD, || {
        let _request = info_span!("upload", photo.id = 17, project = "site-north").entered();
        info!(
            size_bytes = 1_234_567_u64,
            photo.media_type = "image/jpeg",
            "stored original"
        );
    });
    assert_json_snapshot!(redacted(lines[0].clone()));
    let time = lines[0]["@timestamp"].as_str().unwrap();
    assert!(
        time.len() == "2026-01-02T03:04:05.678901Z".len() && time.ends_with('Z'),
        "{time}"
    );
}

#[test]
fn the_order_of_a_line_is_for_people() {
    let (subscriber, _guard, lines) = captured::subscriber(&[]);
    tracing::subscriber::with_default(subscriber, || warn!(photo.id = 17, "slow"));
    let line = &lines.raw()[0];
    let rest = line.split_once(r#"Z","#).unwrap().1;
    assert_snapshot!(rest.trim_end(), @r#""level":"warn","message":"slow","component":"irmgard","service":{"name":"irmgard","version":"1.2.3"},"photo":{"id":17},"target":"lines"}"#);
}

#[test]
fn a_line_outside_of_spans_and_clusters_has_neither_ids_nor_block() {
    let lines = lines_of(&[], || info!("started"));
    for absent in ["trace_id", "span_id", "kubernetes", "truncated"] {
        assert_eq!(lines[0].get(absent), None);
    }
}

#[test]
fn ids_are_there_whatever_is_logged_and_sampled() {
    for variables in [
        [("RUST_LOG", "error"), ("OTEL_TRACES_SAMPLER", "always_on")],
        [("RUST_LOG", "error"), ("OTEL_TRACES_SAMPLER", "always_off")],
    ] {
        let lines = lines_of(&variables, || {
            let _request = info_span!("request").entered();
            let _step = info_span!("step").entered();
            info!("not logged");
            error!("logged");
        });
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["trace_id"].as_str().unwrap().len(), 32);
        assert_ne!(lines[0]["trace_id"], "0".repeat(32));
        assert_eq!(lines[0]["span_id"].as_str().unwrap().len(), 16);
    }
}

#[test]
fn spans_of_one_request_share_its_trace() {
    let lines = lines_of(&[], || {
        let _request = info_span!("request", photo.id = 1).entered();
        info!("outer");
        info_span!("step", photo.id = 2).in_scope(|| info!("inner"));
        info!("outer again");
    });
    assert_eq!(lines[0]["trace_id"], lines[1]["trace_id"]);
    assert_ne!(lines[0]["span_id"], lines[1]["span_id"]);
    assert_eq!(lines[0]["span_id"], lines[2]["span_id"]);
    assert_eq!(lines[1]["photo"]["id"], 2);
    assert_eq!(lines[2]["photo"]["id"], 1);
}

#[test]
fn an_explicit_parent_and_late_fields_count() {
    let lines = lines_of(&[], || {
        let job = info_span!(
            "job",
            photo.id = tracing::field::Empty,
            outcome = tracing::field::Empty
        );
        job.record("photo.id", 5);
        info!(parent: &job, "never entered");
        job.record("outcome", "anonymized");
        info!(parent: &job, outcome = "failed", "the event's own value wins");
        info!(parent: None, "outside");
    });
    assert_eq!(lines[0]["photo"]["id"], 5);
    assert_eq!(lines[0]["trace_id"], lines[1]["trace_id"]);
    assert_eq!(lines[1]["outcome"], "failed");
    assert_eq!(lines[2].get("trace_id"), None);
}

#[test]
fn fields_that_contradict_each_other_both_stay() {
    let lines = lines_of(&[], || {
        info!(
            a = 1,
            a.b = 2,
            c.d = 3,
            c = 4,
            photo = 5,
            level = 6,
            service.name = 7,
            "odd"
        );
    });
    assert_eq!(lines[0]["a"], json!({"value": 1, "b": 2}));
    assert_eq!(lines[0]["c"], json!({"value": 4, "d": 3}));
    assert_eq!(lines[0]["photo"], json!({"value": 5}));
    assert_eq!(lines[0]["fields"], json!({"level": 6, "service.name": 7}));
    assert_eq!(lines[0]["level"], "info");
    assert_eq!(lines[0]["service"]["name"], "irmgard");
}

#[test]
fn an_error_is_told_with_its_causes() {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot reach the store")]
    struct Outer(#[source] std::io::Error);
    let error = Outer(std::io::Error::other("connection refused"));
    let lines = lines_of(&[], || {
        warn!(error = &error as &dyn std::error::Error, "put failed");
        warn!(error = %error, "put failed");
    });
    assert_eq!(
        lines[0]["error"]["message"],
        "cannot reach the store: connection refused"
    );
    assert_eq!(lines[1]["error"]["message"], "cannot reach the store");
}

#[test]
fn numbers_keep_their_kind() {
    let lines = lines_of(&[], || {
        info!(
            float = 2.0,
            tiny = 1e-300,
            nan = f64::NAN,
            max = u64::MAX,
            min = i64::MIN,
            huge = u128::MAX,
            yes = true,
            "n"
        );
    });
    assert!(lines[0]["float"].is_f64() && lines[0]["tiny"].is_f64());
    assert_eq!(lines[0]["nan"], Value::Null);
    assert_eq!(lines[0]["max"], u64::MAX);
    assert_eq!(lines[0]["min"], i64::MIN);
    assert_eq!(lines[0]["huge"], u128::MAX.to_string());
    assert_eq!(lines[0]["yes"], true);
}

#[test]
fn libraries_that_use_log_are_heard() {
    let (subscriber, _guard, lines) = captured::subscriber(&[]);
    // The bridge belongs to the process; another test may have set it.
    let _ = tracing_log::LogTracer::init();
    tracing::subscriber::with_default(subscriber, || {
        info_span!("job").in_scope(|| tracing_log::log::warn!(target: "lib::module", "from log"));
    });
    let line = &lines.json()[0];
    assert_eq!(line["message"], "from log");
    assert_eq!(line["target"], "lib::module");
    assert_eq!(line["level"], "warn");
    assert!(line["trace_id"].is_string());
    assert_eq!(line.get("log"), None);
}

#[test]
fn rust_log_adds_to_the_defaults() {
    let work = || {
        debug!(target: "irmgard::upload", "debug of ours");
        info!(target: "other", "info of another");
        debug!(target: "other", "debug of another");
        info!(target: "hyper::client", "chatter");
        warn!(target: "hyper::client", "warning");
        error!(target: "lapin::channel", "told elsewhere");
    };
    let messages = |rust_log| -> Vec<String> {
        lines_of(&[("RUST_LOG", rust_log)], work)
            .iter()
            .map(|line| line["message"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(messages(""), ["info of another", "warning"]);
    assert_eq!(
        messages("irmgard=debug"),
        ["debug of ours", "info of another", "warning"]
    );
    assert_eq!(
        messages("debug"),
        ["debug of ours", "info of another", "debug of another", "warning"]
    );
    assert_eq!(messages("warn,hyper=info"), ["chatter", "warning"]);
    assert_eq!(messages("warn,lapin=error"), ["warning", "told elsewhere"]);
    assert_eq!(messages("off"), Vec::<String>::new());
}

#[test]
fn for_people() {
    let (subscriber, _guard, lines) = captured::subscriber(&[("LOG_FORMAT", "pretty")]);
    tracing::subscriber::with_default(subscriber, || {
        warn!(
            photo.id = 17,
            project = "site north",
            odd = "\u{1b}[2J",
            "slow \u{7}bell"
        );
    });
    let line = lines.raw()[0].clone();
    assert_snapshot!(&line[12..], @r#"  WARN lines: slow \u0007bell photo.id=17 project="site north" odd=\u001b[2J"#);
}
