//! Comparison of the pods' lines with those in OpenSearch.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use logq::opensearch::Method;
use serde_json::{Value, json};

use super::{WHAT, ago, doctor, healthy, problems, report, without_times};
use crate::{api_server::ApiServer, log_store::LogStore};

/// The pods of a cluster and their lines in the kubelet's format.
struct DoctorFixture {
    folder: tempfile::TempDir,
    server: ApiServer,
}

impl DoctorFixture {
    /// Two nodes; only the first has a Fluentd.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = ApiServer::start(folder.path());
        let cluster = Self { folder, server };
        fs::write(
            cluster.path("fluentd-x:24231.metrics"),
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

    /// Appends a JSON line, `seconds` old.
    fn write(&self, component: &str, seconds: i64, text: &str) {
        let time = ago(seconds);
        let line = json!({ "@timestamp": time, "level": "info", "message": text, "component": component });
        append(&self.log(component), &format!("{time} stdout F {line}"));
    }

    /// Appends a line that is not JSON.
    fn write_raw(&self, component: &str, seconds: i64, stream: &str, text: &str) {
        append(
            &self.log(component),
            &format!("{} {stream} F {text}", ago(seconds)),
        );
    }

    /// Injects a fault into a pod.
    fn fault(&self, component: &str, fault: &str) {
        let mut list: Value = serde_json::from_slice(&fs::read(self.path("pods.json")).unwrap()).unwrap();
        for pod in list["items"].as_array_mut().unwrap() {
            if pod["metadata"]["name"] == Self::pod(component) {
                pod["metadata"]["annotations"] = json!({ "test/fault": fault });
            }
        }
        fs::write(self.path("pods.json"), list.to_string()).unwrap();
    }

    /// Stores all lines, except those with this text.
    async fn ship(&self, store: &LogStore, without: &str) {
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

    fn doctor(&self, store: &LogStore) -> Command {
        let mut command = doctor(store, &[]);
        self.server.configure(&mut command);
        command
    }
}

fn append(log: &Path, line: &str) {
    let mut log = OpenOptions::new().append(true).open(log).unwrap();
    writeln!(log, "{line}").unwrap();
}

/// The findings about lines, the same from pods and from files.
async fn line_problems(store: &LogStore, cluster: &DoctorFixture, pods: &Path) -> Vec<Vec<String>> {
    store.ask(Method::Post, "/logs-*/_refresh", None).await;
    let of_lines = |(_, found): (_, Vec<String>)| {
        let lines = found.iter().filter(|text| text.contains(": lines of "));
        lines.map(|text| without_times(text)).collect::<Vec<_>>()
    };
    let files = pods.to_str().unwrap();
    [
        problems(&mut cluster.doctor(store)),
        problems(&mut doctor(store, &[files])),
    ]
    .map(of_lines)
    .into()
}

#[tokio::test]
async fn written_lines_are_compared_with_arrived_lines() {
    let Some(store) = healthy().await else { return };
    let cluster = DoctorFixture::new();
    for (seconds, text) in [(900, "first"), (500, "middle"), (300, "third"), (1, "newest")] {
        cluster.write("irmgard", seconds, text);
    }
    cluster.ship(&store, "newest").await;
    let (code, text) = report(&mut cluster.doctor(&store));
    insta::assert_snapshot!("doctor_cluster", text);
    assert_eq!(code, Some(1));
}

/// Reports missing lines even if later lines arrived and the newest line is too new to judge.
#[tokio::test]
async fn gaps_and_missing_components_are_reported() {
    let Some(store) = LogStore::empty(WHAT).await else {
        return;
    };
    store.bootstrap().await;
    let cluster = DoctorFixture::new();
    let pods = cluster.path("pods");
    for (seconds, text) in [(900, "first"), (500, "middle"), (300, "third"), (1, "newest")] {
        cluster.write("irmgard", seconds, text);
    }
    for seconds in [120, 90, 2] {
        cluster.write("rabbitmq", seconds, "hello");
    }
    cluster.write("object-store", 1, "just started");
    cluster.ship(&store, "hello").await;
    for found in line_problems(&store, &cluster, &pods).await {
        assert_eq!(
            found,
            [
                "fail: lines of rabbitmq: none of 2 lines has come: photos/rabbitmq-a wrote the first TIME \
                 ago, the last \
              TIME ago"
            ],
        );
    }
    cluster.ship(&store, "no line has this").await;
    for found in line_problems(&store, &cluster, &pods).await {
        assert_eq!(found, Vec::<String>::new());
    }
}

#[tokio::test]
async fn gap_in_the_middle_is_reported() {
    let Some(store) = LogStore::empty(WHAT).await else {
        return;
    };
    store.bootstrap().await;
    let cluster = DoctorFixture::new();
    for (seconds, text) in [(900, "first"), (500, "middle"), (300, "third"), (1, "newest")] {
        cluster.write("irmgard", seconds, text);
    }
    cluster.ship(&store, "middle").await;
    for found in line_problems(&store, &cluster, &cluster.path("pods")).await {
        assert_eq!(
            found,
            ["fail: lines of irmgard: 1 of 3 lines have not come: photos/irmgard-a wrote TIME ago"]
        );
    }
}

/// The API mixes both streams of a container, and stack traces with other lines.
#[tokio::test]
async fn plain_text_lines_are_not_compared() {
    let Some(store) = LogStore::empty(WHAT).await else {
        return;
    };
    store.bootstrap().await;
    let cluster = DoctorFixture::new();
    cluster.write("rabbitmq", 600, "started");
    for (stream, text) in [
        ("stderr", "Traceback (most recent call last):"),
        ("stdout", "a line between"),
        ("stderr", "  File \"x.py\", line 1, in <module>"),
        ("stderr", "ValueError: wrong"),
    ] {
        cluster.write_raw("rabbitmq", 500, stream, text);
    }
    cluster.ship(&store, "no line has this").await;
    for found in line_problems(&store, &cluster, &cluster.path("pods")).await {
        assert_eq!(found, Vec::<String>::new());
    }
}

#[tokio::test]
async fn unreadable_pods_are_reported() {
    let Some(store) = LogStore::empty(WHAT).await else {
        return;
    };
    store.bootstrap().await;
    let cluster = DoctorFixture::new();
    cluster.write("irmgard", 500, "one");
    cluster.write("rabbitmq", 500, "one");
    cluster.ship(&store, "no line has this").await;
    cluster.fault("irmgard", "forbidden");
    let (_, found) = problems(&mut cluster.doctor(&store));
    let found: Vec<_> = found.iter().filter(|text| text.contains(": lines of ")).collect();
    assert_eq!(found.len(), 1, "{found:#?}");
    let message =
        "the lines of its pods were not compared: photos/irmgard-a, container irmgard: permission denied: ";
    assert!(
        found[0].starts_with("warn: lines of irmgard: the newest ") && found[0].contains(message),
        "{found:#?}"
    );
}

/// The lines of the previous start are deleted. The doctor compares those of the newest start, up to the limit for each
/// pod.
#[tokio::test]
async fn deleted_lines_do_not_hide_missing_ones() {
    let Some(store) = LogStore::empty(WHAT).await else {
        return;
    };
    store.bootstrap().await;
    let cluster = DoctorFixture::new();
    cluster.write("irmgard", 900, "before");
    cluster.ship(&store, "no line has this").await;
    fs::rename(
        cluster.log("irmgard"),
        cluster.log("irmgard").with_file_name("1.log"),
    )
    .unwrap();
    fs::write(cluster.log("irmgard"), "").unwrap();
    let line = json!({ "message": "missing" }).to_string();
    let newest = cluster.log("irmgard").with_file_name("1.log");
    append(&newest, &format!("{} stdout F {line}", ago(500)));
    cluster.fault("irmgard", "forgotten");
    let (_, found) = problems(&mut cluster.doctor(&store));
    let found: Vec<_> = found.iter().filter(|text| text.contains(": lines of ")).collect();
    assert_eq!(found.len(), 1, "{found:#?}");
    let missing = "fail: lines of irmgard: 1 of 2 lines have not come: photos/irmgard-a wrote ";
    assert!(found[0].contains(missing), "{found:#?}");
    assert!(!found[0].contains("could not be read"), "{found:#?}");
    let requests = cluster.server.requests();
    let logs: Vec<_> = requests.iter().filter(|path| path.contains("/log?")).collect();
    assert!(
        !logs.is_empty() && logs.iter().all(|path| path.contains("&tailLines=20000&")),
        "{requests:?}"
    );
}
