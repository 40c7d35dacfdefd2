//! What the environment may say.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test, a panic is how it fails"
)]

mod captured;

use captured::{SERVICE, env};
use insta::assert_snapshot;
use telemetry::{InitError, VARIABLES};

fn mistakes(variables: &[(&str, &str)]) -> String {
    match telemetry::subscriber(SERVICE, &env(variables), Box::new(std::io::sink())) {
        Ok(_) => String::new(),
        Err(error @ InitError::Settings(_)) => error.to_string(),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn every_mistake_is_named_at_once() {
    assert_snapshot!(mistakes(&[
        ("LOG_FORMAT", "xml"),
        ("RUST_LOG", "inof"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
        ("OTEL_TRACES_SAMPLER", "traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
    ]));
    assert_snapshot!(mistakes(&[
        ("RUST_LOG", "irmgard=loud"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
    ]));
}

#[test]
fn what_is_right_is_taken() {
    for variables in [
        &[][..],
        &[("RUST_LOG", " warn , irmgard::upload=trace,lapin=info ,")],
        &[("RUST_LOG", "[job{photo.id=17}]=debug")],
        &[("LOG_FORMAT", "pretty"), ("OTEL_TRACES_SAMPLER", "")],
        &[
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ],
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector"),
            ("OTEL_SDK_DISABLED", "true"),
        ],
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector"),
            ("OTEL_TRACES_EXPORTER", "none"),
        ],
    ] {
        assert_eq!(mistakes(variables), "", "{variables:?}");
    }
}

#[test]
fn each_variable_is_documented_once() {
    for (i, variable) in VARIABLES.iter().enumerate() {
        assert!(
            VARIABLES
                .iter()
                .skip(i + 1)
                .all(|other| other.name != variable.name)
        );
        assert!(variable.meaning.ends_with('.'), "{}", variable.name);
    }
}

#[test]
fn labels_come_from_the_downward_volume() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("labels");
    std::fs::write(
        &file,
        "app.kubernetes.io/name=\"irmgard\"\nirmgard.dev/uses-queue=\"rabbitmq\"\nempty=\"\"\n",
    )
    .unwrap();
    let (subscriber, _guard, lines) = captured::subscriber(&[
        ("K8S_LABELS_FILE", file.to_str().unwrap()),
        ("K8S_POD_LABELS", "not=taken"),
        ("K8S_NAMESPACE", ""),
    ]);
    tracing::subscriber::with_default(subscriber, || tracing::info!("started"));
    assert_eq!(
        lines.json()[0]["kubernetes"],
        serde_json::json!({"labels": {"app.kubernetes.io/name": "irmgard", "irmgard.dev/uses-queue": "rabbitmq", "empty": ""}})
    );
}
