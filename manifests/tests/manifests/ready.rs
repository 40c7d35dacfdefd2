//! When a pod of OpenSearch counts as ready: base/opensearch/ready.sh, with the answers that OpenSearch 3.6.0 gives.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

use manifests::tools::project;
use tempfile::TempDir;

/// A node that answers with what it is told, and the folder for what the script notes.
struct Node {
    folder: TempDir,
    port: u16,
    answer: Arc<Mutex<String>>,
}

/// What a node knows of its cluster.
#[derive(Clone, Copy)]
struct Health {
    status: &'static str,
    nodes: u32,
    has_manager: bool,
    initializing: u32,
    relocating: u32,
    /// Copies of a node that has left and may come back.
    delayed: u32,
}

/// Three nodes, each index with all its copies.
const GREEN: Health = Health {
    status: "green",
    nodes: 3,
    has_manager: true,
    initializing: 0,
    relocating: 0,
    delayed: 0,
};

/// Three nodes, copies are missing and none is being made.
const MISSING: Health = Health {
    status: "yellow",
    ..GREEN
};

impl Health {
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

impl Node {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = Arc::new(Mutex::new(String::new()));
        let told = Arc::clone(&answer);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut asked = Vec::new();
                // All of it: what is left unread would reset the connection.
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

    fn is_ready(&self, health: Health) -> bool {
        *self.answer.lock().unwrap() = health.body();
        let output = Command::new(project().join("manifests/base/opensearch/ready.sh"))
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

    /// Puts the beginning of the time without copies so many seconds back.
    fn quiet_began_earlier(&self, seconds: u64) {
        let file = self.folder.path().join("quiet");
        let content = fs::read_to_string(&file).unwrap();
        let (process, since) = content.trim().split_once(' ').unwrap();
        let since = since.parse::<u64>().unwrap().saturating_sub(seconds);
        fs::write(file, format!("{process} {since}\n")).unwrap();
    }
}

#[test]
fn a_node_that_has_started_waits_for_all_copies() {
    let node = Node::new();
    assert!(!node.is_ready(MISSING));
    assert!(!node.is_ready(Health {
        status: "red",
        ..GREEN
    }));
    assert!(node.is_ready(GREEN));
}

/// It would say so of itself alone.
#[test]
fn a_node_without_a_cluster_is_not_ready() {
    let node = Node::new();
    let alone = Health {
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
fn a_node_that_was_ready_answers_for_itself() {
    let node = Node::new();
    let less = Health { nodes: 2, ..MISSING };
    assert!(node.is_ready(GREEN));
    assert!(node.is_ready(less));
    // Another process in the same pod waits again.
    fs::write(node.folder.path().join("ready"), "0\n").unwrap();
    assert!(!node.is_ready(less));
}

#[test]
fn the_only_node_waits_for_no_copies() {
    assert!(Node::new().is_ready(Health { nodes: 1, ..MISSING }));
}

/// As after a restart of all nodes where one copy is lost.
#[test]
fn copies_that_do_not_come_keep_no_node_out() {
    let node = Node::new();
    assert!(!node.is_ready(MISSING));
    node.quiet_began_earlier(50);
    assert!(!node.is_ready(MISSING));
    node.quiet_began_earlier(20);
    assert!(node.is_ready(MISSING));
}

/// The pod that is stopped next may be the one that brings the index.
#[test]
fn a_missing_index_keeps_a_node_out_for_longer() {
    let node = Node::new();
    let red = Health {
        status: "red",
        ..GREEN
    };
    assert!(!node.is_ready(red));
    node.quiet_began_earlier(590);
    assert!(!node.is_ready(red));
    node.quiet_began_earlier(20);
    assert!(node.is_ready(red));
}

/// However long it takes.
#[test]
fn a_node_waits_while_copies_are_made() {
    for busy in [
        Health {
            initializing: 1,
            ..MISSING
        },
        Health {
            relocating: 2,
            ..MISSING
        },
        Health {
            delayed: 3,
            ..MISSING
        },
    ] {
        let node = Node::new();
        assert!(!node.is_ready(MISSING));
        node.quiet_began_earlier(100);
        assert!(!node.is_ready(busy));
        // The minute begins anew.
        assert!(!node.is_ready(MISSING));
    }
}

/// The time in which another process saw no copies made does not count.
#[test]
fn the_minute_belongs_to_one_process() {
    let node = Node::new();
    fs::write(node.folder.path().join("quiet"), "0 0\n").unwrap();
    assert!(!node.is_ready(MISSING));
}

#[test]
fn a_node_that_does_not_answer_is_not_ready() {
    let node = Node::new();
    let silent = Node {
        port: TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port(),
        ..node
    };
    assert!(!silent.is_ready(GREEN));
}
