//! `docs/log-fields.md` says what the code says. `make generate` writes it.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is how it fails")]

use std::{
    fmt::{Display, Write},
    fs,
    path::Path,
};

use schema::{FIELDS, component, environment, label, level, stream, tag};

const BEGINNING: &str = r#"# Log fields

Generated from `logging/schema` by `make generate`. Change it there.

Programs write one JSON object per line to standard output: UTF-8, control characters escaped, under
16 KiB with its newline. Fluentd gives other programs' lines the same form. An example, with line
breaks added:

```json
{
  "@timestamp": "2026-03-04T05:06:07.890123Z", "level": "info", "message": "stored original",
  "component": "irmgard", "service": {"name": "irmgard", "version": "0.1.0"},
  "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7",
  "kubernetes": {
    "namespace": "photos", "pod": "irmgard-7d4f-x2", "container": "irmgard", "node": "node-1",
    "labels": {"app.kubernetes.io/name": "irmgard", "irmgard.dev/uses-database": "postgres"}
  },
  "photo": {"id": 17}, "target": "irmgard::upload"
}
```

- A dotted name is a nested object; only the names of labels keep their dots.
- A field of a span (a request, a job) is on every line within it.
- Lines from outside a cluster lack `kubernetes`; lines outside a span lack `trace_id` and `span_id`.
- A text that is too long ends in `…[+N bytes]`, and the line has `"truncated": true`.
- If a line sets both `a` and `a.b`, the value of `a` is in `a.value`. If it sets a reserved name (`level`,
  `service.name`), the value is in `fields`.
- `error.message` has an error's text with its causes.

OpenSearch stores, and `logq` shows, the lines of all programs in the same form:

- `kubernetes` comes from the shipper, which asks Kubernetes, not from the line. Its `labels` are those with
  the prefixes `app.kubernetes.io/` and `irmgard.dev/`, with `_` for `.` in their names; all others are in
  `other_labels`.
- `component` is the pod's label `app.kubernetes.io/name`, else `k8s-app`, else `app`, else the container's name.
- `level` is set only if it is certain.
- A value whose type differs from the table below is in `fields`, as text under its dotted name, so no line is
  ever refused. A field that is not in the table is stored but cannot be searched.
"#;

fn listed(names: &[impl Display]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

fn rendered() -> String {
    let mut out = BEGINNING.to_owned();
    out.push_str("\n## Fields\n\n| field | type | meaning |\n|---|---|---|\n");
    for field in FIELDS {
        writeln!(
            out,
            "| `{}` | {} | {} |",
            field.name,
            field.kind.described(),
            field.meaning
        )
        .unwrap();
    }
    writeln!(
        out,
        "\n## Values\n\n- `level`: {}\n- `component`: {},\n  and any other program's\n- data streams: {}",
        listed(&level::ALL),
        listed(&component::ALL),
        listed(&stream::ALL.map(stream::data_stream))
    )
    .unwrap();
    out.push_str("\n| tag | meaning |\n|---|---|\n");
    for (name, meaning) in tag::MEANINGS {
        writeln!(out, "| `{name}` | {meaning} |").unwrap();
    }
    out.push_str("\n## Labels that name the component\n\n| label | meaning |\n|---|---|\n");
    for (name, meaning) in label::MEANINGS {
        writeln!(out, "| `{name}` | {meaning} |").unwrap();
    }
    out.push_str("\n## Variables with the pod\n\nA workload sets these variables for its programs (Kubernetes downward API):\n\n| variable | source |\n|---|---|\n");
    for (name, source) in environment::SOURCES {
        writeln!(out, "| `{name}` | {source} |").unwrap();
    }
    out
}

#[test]
fn the_documentation_is_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/log-fields.md");
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, rendered()).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == rendered(),
        "docs/log-fields.md is out of date: run `make generate`"
    );
}
