//! What pods have written, beside what has come.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use logq::opensearch::Method;
use serde_json::{Value, json};

use super::{WHAT, ago, came, doctor, healthy, seen, without_times, wrong};
use crate::{kubectl::stand_in, store::Store};

/// Answers for Fluentd's metrics; the rest is the stand-in's.
const KUBECTL: &str = r#"#!/bin/sh
case "$*" in
"get --raw /api/v1/namespaces/photos/pods/fluentd-x:24231/proxy/metrics") cat "$0.metrics" ;;
*) exec "$STAND_IN" "$@" ;;
esac
"#;

/// The pods of a cluster and what they have written, as a node keeps it.
struct Cluster {
    folder: tempfile::TempDir,
}

impl Cluster {
    /// Two nodes, with a Fluentd on the first of them.
    fn new() -> Self {
        let cluster = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let kubectl = cluster.path("kubectl");
        fs::write(&kubectl, KUBECTL).unwrap();
        fs::set_permissions(&kubectl, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(
            cluster.path("kubectl.metrics"),
            "fluentd_dead_letters_total{tag=\"lines\"} 0.0\n\
             fluentd_output_status_buffer_total_bytes{plugin_id=\"opensearch\"} 1024.0\n\
             fluentd_output_status_buffer_available_space_ratio{plugin_id=\"opensearch\"} 99.9\n",
        )
        .unwrap();
        let pods = [
            ("irmgard", "node-1"),
            ("rabbitmq", "node-2"),
            ("object-store", "node-2"),
            ("fluentd", "node-1"),
        ]
        .map(|(component, node)| {
            fs::create_dir_all(cluster.log(component).parent().unwrap()).unwrap();
            fs::write(cluster.log(component), "").unwrap();
            json!({
                "metadata": {
                    "namespace": "photos", "name": Self::pod(component), "uid": format!("uid-of-{component}"),
                    "labels": { "app.kubernetes.io/name": component },
                },
                "spec": { "nodeName": node, "containers": [{ "name": component }] },
            })
        });
        fs::write(cluster.path("pods.json"), json!({ "items": pods }).to_string()).unwrap();
        cluster
    }

    fn pod(component: &str) -> String {
        let end = if component == "fluentd" { "x" } else { "a" };
        format!("{component}-{end}")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self, component: &str) -> PathBuf {
        let pod = Self::pod(component);
        self.path(&format!("pods/photos_{pod}_uid-of-{component}/{component}/0.log"))
    }

    /// A pod writes a line, so many seconds ago.
    fn write(&self, component: &str, seconds: i64, text: &str) {
        let time = ago(seconds);
        let line = json!({ "@timestamp": time, "level": "info", "message": text, "component": component });
        let mut log = OpenOptions::new().append(true).open(self.log(component)).unwrap();
        writeln!(log, "{time} stdout F {line}").unwrap();
    }

    /// All lines come but those with this text.
    async fn ship(&self, store: &Store, without: &str) {
        let shipped = tempfile::tempdir().unwrap();
        fs::copy(self.path("pods.json"), shipped.path().join("pods.json")).unwrap();
        for component in ["irmgard", "rabbitmq", "object-store"] {
            let log = self.log(component);
            let copy = shipped.path().join(log.strip_prefix(self.folder.path()).unwrap());
            fs::create_dir_all(copy.parent().unwrap()).unwrap();
            let lines = fs::read_to_string(log).unwrap();
            let lines = lines.lines().filter(|line| !line.contains(without));
            fs::write(copy, lines.map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        }
        let import = Command::new(env!("CARGO_BIN_EXE_logq"))
            .arg("import")
            .arg(shipped.path().join("pods"))
            .env("LOGQ_CONFIG", "")
            .env("LOGQ_OPENSEARCH_URL", store.url())
            .output()
            .unwrap();
        assert!(import.status.success(), "{import:?}");
        store.ask(Method::Post, "/logs-*/_refresh", None).await;
    }

    fn doctor(&self, store: &Store) -> Command {
        let mut command = doctor(store, &[]);
        command
            .env("LOGQ_KUBECTL", self.path("kubectl"))
            .env("STAND_IN", stand_in())
            .env("STAND_IN_FOLDER", self.folder.path());
        command
    }
}

/// What is wrong with lines, by what kubectl says, and by the same lines as files.
async fn lines_wrong(store: &Store, cluster: &Cluster, pods: &Path) -> Vec<Vec<String>> {
    store.ask(Method::Post, "/logs-*/_refresh", None).await;
    let of_lines = |(_, found): (_, Vec<String>)| {
        let lines = found.iter().filter(|text| text.contains(": lines of "));
        lines.map(|text| without_times(text)).collect::<Vec<_>>()
    };
    let files = pods.to_str().unwrap();
    [
        wrong(&mut cluster.doctor(store)),
        wrong(&mut doctor(store, &[files])),
    ]
    .map(of_lines)
    .into()
}

#[tokio::test]
async fn what_pods_have_written_is_compared_with_what_has_come() {
    let Some(store) = healthy().await else { return };
    let cluster = Cluster::new();
    for (seconds, text) in [(900, "first"), (500, "middle"), (300, "third"), (1, "newest")] {
        cluster.write("irmgard", seconds, text);
    }
    cluster.ship(&store, "newest").await;
    let (code, text) = seen(&mut cluster.doctor(&store));
    insta::assert_snapshot!("doctor_cluster", text);
    assert_eq!(code, Some(1));
}

/// Lines that are missing are told, although the newest line is too new to be missed, and lines after them have come.
#[tokio::test]
async fn holes_and_components_that_never_arrived_are_told() {
    let Some(store) = Store::empty(WHAT).await else {
        return;
    };
    store.bootstrap().await;
    let cluster = Cluster::new();
    let pods = cluster.path("pods");
    for (seconds, text) in [(900, "first"), (500, "middle"), (300, "third"), (1, "newest")] {
        cluster.write("irmgard", seconds, text);
    }
    for seconds in [120, 90, 2] {
        cluster.write("rabbitmq", seconds, "hello");
    }
    cluster.write("object-store", 1, "just started");
    cluster.ship(&store, "hello").await;
    for found in lines_wrong(&store, &cluster, &pods).await {
        assert_eq!(
            found,
            [
                "fail: lines of rabbitmq: none of 2 lines has come: photos/rabbitmq-a wrote the first TIME ago, the last \
              TIME ago"
            ],
        );
    }
    cluster.ship(&store, "no line has this").await;
    for found in lines_wrong(&store, &cluster, &pods).await {
        assert_eq!(found, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_hole_in_the_middle_is_told() {
    let Some(store) = Store::empty(WHAT).await else {
        return;
    };
    store.bootstrap().await;
    let cluster = Cluster::new();
    for (seconds, text) in [(900, "first"), (500, "middle"), (300, "third"), (1, "newest")] {
        cluster.write("irmgard", seconds, text);
    }
    cluster.ship(&store, "middle").await;
    for found in lines_wrong(&store, &cluster, &cluster.path("pods")).await {
        assert_eq!(
            found,
            ["fail: lines of irmgard: 1 of 3 lines have not come: photos/irmgard-a wrote TIME ago"]
        );
    }
}

/// Who sees only OpenSearch knows of the photos that wait what irmgard's lines say.
#[tokio::test]
async fn a_worker_that_is_silent_while_photos_wait_is_told() {
    let Some(store) = Store::empty(WHAT).await else {
        return;
    };
    store.bootstrap().await;
    let uses = |more: Value| {
        let mut all = json!({ "kubernetes": { "labels": { "irmgard_dev/uses-queue": "rabbitmq" } } });
        all.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        all
    };
    let accepted = |photo: u64, seconds: i64| {
        let request = json!({
            "photo": { "id": photo }, "outcome": "new",
            "http": { "request": { "method": "POST" }, "response": { "status_code": 202 } },
        });
        let (stream, id, text) = came("irmgard", seconds, uses(request));
        (stream, format!("{id}-{photo}"), text)
    };
    let verdict = |photo: u64, seconds: i64| {
        let line = json!({ "photo": { "id": photo }, "outcome": "anonymized" });
        let (stream, id, text) = came("anonymizer", seconds, uses(line));
        (stream, format!("{id}-{photo}"), text)
    };
    let others = ["rabbitmq", "postgres"].map(|name| came(name, 1, json!({})));
    let lines = [
        accepted(1, 700),
        verdict(1, 690),
        accepted(2, 600),
        accepted(3, 20),
    ];
    store.came(&[lines.as_slice(), &others].concat()).await;
    let (_, found) = wrong(&mut doctor(&store, &[]));
    let found: Vec<String> = found.iter().map(|text| without_times(text)).collect();
    assert_eq!(
        found,
        ["warn: lines of anonymizer: the newest TIME ago, while 2 photos wait, the oldest for TIME"]
    );

    // It goes on.
    store.came(&[verdict(2, 0), verdict(3, 0)]).await;
    let (code, text) = seen(&mut doctor(&store, &[]));
    assert!(text.contains("no photo waits"), "{text}");
    assert_eq!(code, Some(0), "{text}");
}
