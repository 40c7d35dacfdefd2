//! base/opensearch/ready.sh decides when a pod of OpenSearch is ready. The answers are those of OpenSearch 3.6.0.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

use manifests::tools::project_root;
use tempfile::TempDir;

/// A node with a given health, and the folder of the script's state.
struct ReadinessFixture {
    folder: TempDir,
    port: u16,
    answer: Arc<Mutex<String>>,
}

/// The health of the cluster, as a node knows it.
#[derive(Clone, Copy)]
struct ClusterHealth {
    status: &'static str,
    nodes: u32,
    has_manager: bool,
    initializing: u32,
    relocating: u32,
    /// Copies of a node that left and may return.
    delayed: u32,
}

/// Three nodes, and all copies of each index.
const GREEN: ClusterHealth = ClusterHealth {
    status: "green",
    nodes: 3,
    has_manager: true,
    initializing: 0,
    relocating: 0,
    delayed: 0,
};

/// Three nodes. Copies are missing, and none is being created.
const MISSING: ClusterHealth = ClusterHealth {
    status: "yellow",
    ..GREEN
};

impl ClusterHealth {
    /// The body of `GET /_cluster/health?local=true`.
    fn body(self) -> String {
        let Self {
            status,
            nodes,
            has_manager,
            initializing,
            relocating,
            delayed,
        } = self;
        format!(
            r#"{{"cluster_name":"irmgard","status":"{status}","timed_out":false,"number_of_nodes":{nodes},"number_of_data_nodes":{nodes},"discovered_master":{has_manager},"discovered_cluster_manager":{has_manager},"active_primary_shards":0,"active_shards":0,"relocating_shards":{relocating},"initializing_shards":{initializing},"unassigned_shards":1,"delayed_unassigned_shards":{delayed},"number_of_pending_tasks":0}}"#
        )
    }
}

impl ReadinessFixture {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = Arc::new(Mutex::new(String::new()));
        let told = Arc::clone(&answer);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut asked = Vec::new();
                // Unread bytes would reset the connection.
                while !asked.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    asked.push(byte[0]);
                }
                assert_eq!(asked, b"GET /_cluster/health?local=true HTTP/1.0\r\n\r\n");
                let body = told.lock().unwrap().clone();
                write!(
                    stream,
                    "HTTP/1.0 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                )
                .unwrap();
            }
        });
        let folder = tempfile::tempdir().unwrap();
        Self { folder, port, answer }
    }

    fn is_ready(&self, health: ClusterHealth) -> bool {
        *self.answer.lock().unwrap() = health.body();
        let output = Command::new(project_root().join("manifests/base/opensearch/ready.sh"))
            .env("HTTP_PORT", self.port.to_string())
            .env("READY", self.folder.path().join("ready"))
            .env("QUIET", self.folder.path().join("quiet"))
            .output()
            .unwrap();
        assert!(
            output.status.success() || !output.stderr.is_empty(),
            "it does not say why"
        );
        output.status.success()
    }

    /// Moves the start of the time without new copies back.
    fn age_quiet_time(&self, seconds: u64) {
        let file = self.folder.path().join("quiet");
        let content = fs::read_to_string(&file).unwrap();
        let (process, since) = content.trim().split_once(' ').unwrap();
        let since = since.parse::<u64>().unwrap().saturating_sub(seconds);
        fs::write(file, format!("{process} {since}\n")).unwrap();
    }
}

#[test]
fn a_started_node_waits_for_all_copies() {
    let node = ReadinessFixture::new();
    assert!(!node.is_ready(MISSING));
    assert!(!node.is_ready(ClusterHealth {
        status: "red",
        ..GREEN
    }));
    assert!(node.is_ready(GREEN));
}

/// Its health would only describe itself.
#[test]
fn a_node_without_a_cluster_is_not_ready() {
    let node = ReadinessFixture::new();
    let alone = ClusterHealth {
        status: "red",
        nodes: 1,
        has_manager: false,
        ..GREEN
    };
    assert!(!node.is_ready(alone));
    fs::write(node.folder.path().join("quiet"), "0 0\n").unwrap();
    assert!(!node.is_ready(alone));
    assert!(!node.folder.path().join("quiet").exists());
}

#[test]
fn a_node_that_was_ready_stays_ready_alone() {
    let node = ReadinessFixture::new();
    let less = ClusterHealth { nodes: 2, ..MISSING };
    assert!(node.is_ready(GREEN));
    assert!(node.is_ready(less));
    // Another process in the same pod waits again.
    fs::write(node.folder.path().join("ready"), "0\n").unwrap();
    assert!(!node.is_ready(less));
}

#[test]
fn the_only_node_waits_for_no_copies() {
    assert!(ReadinessFixture::new().is_ready(ClusterHealth { nodes: 1, ..MISSING }));
}

/// As after a restart of all nodes that lost a copy.
#[test]
fn lost_copies_do_not_block_readiness() {
    let node = ReadinessFixture::new();
    assert!(!node.is_ready(MISSING));
    node.age_quiet_time(50);
    assert!(!node.is_ready(MISSING));
    node.age_quiet_time(20);
    assert!(node.is_ready(MISSING));
}

/// The next pod to stop may be the one with the index.
#[test]
fn a_missing_index_delays_readiness_for_longer() {
    let node = ReadinessFixture::new();
    let red = ClusterHealth {
        status: "red",
        ..GREEN
    };
    assert!(!node.is_ready(red));
    node.age_quiet_time(590);
    assert!(!node.is_ready(red));
    node.age_quiet_time(20);
    assert!(node.is_ready(red));
}

#[test]
fn a_node_waits_while_copies_are_created() {
    for busy in [
        ClusterHealth {
            initializing: 1,
            ..MISSING
        },
        ClusterHealth {
            relocating: 2,
            ..MISSING
        },
        ClusterHealth {
            delayed: 3,
            ..MISSING
        },
    ] {
        let node = ReadinessFixture::new();
        assert!(!node.is_ready(MISSING));
        node.age_quiet_time(100);
        assert!(!node.is_ready(busy));
        // The minute starts again.
        assert!(!node.is_ready(MISSING));
    }
}

/// Time that another process has waited does not count.
#[test]
fn the_minute_belongs_to_one_process() {
    let node = ReadinessFixture::new();
    fs::write(node.folder.path().join("quiet"), "0 0\n").unwrap();
    assert!(!node.is_ready(MISSING));
}

#[test]
fn a_node_that_does_not_answer_is_not_ready() {
    let node = ReadinessFixture::new();
    let silent = ReadinessFixture {
        port: TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port(),
        ..node
    };
    assert!(!silent.is_ready(GREEN));
}
