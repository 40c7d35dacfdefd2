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

/// The answer of a node that sees so many nodes.
fn health(status: &str, nodes: u32, managed: bool) -> String {
    format!(
        r#"{{"cluster_name":"irmgard","status":"{status}","timed_out":false,"number_of_nodes":{nodes},"number_of_data_nodes":{nodes},"discovered_master":{managed},"discovered_cluster_manager":{managed},"active_primary_shards":0}}"#
    )
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

    /// Whether it is ready when it answers so, and its process has begun less than `patience` seconds ago or not.
    fn is_ready_after(&self, answer: String, patience: u32) -> bool {
        *self.answer.lock().unwrap() = answer;
        let output = Command::new(project().join("manifests/base/opensearch/ready.sh"))
            .env("HTTP_PORT", self.port.to_string())
            .env("MARK", self.folder.path().join("ready"))
            .env("PATIENCE", patience.to_string())
            .output()
            .unwrap();
        assert!(
            output.status.success() || !output.stderr.is_empty(),
            "it does not say why"
        );
        output.status.success()
    }

    fn is_ready(&self, answer: String) -> bool {
        self.is_ready_after(answer, u32::MAX)
    }
}

#[test]
fn a_node_that_has_started_waits_for_all_copies() {
    let node = Node::new();
    assert!(!node.is_ready(health("yellow", 3, true)));
    assert!(!node.is_ready(health("red", 3, true)));
    assert!(node.is_ready(health("green", 3, true)));
}

/// It would say so of itself alone.
#[test]
fn a_node_without_a_cluster_is_not_ready() {
    let node = Node::new();
    assert!(!node.is_ready(health("red", 1, false)));
    assert!(!node.is_ready_after(health("red", 1, false), 0));
}

#[test]
fn a_node_that_was_ready_answers_for_itself() {
    let node = Node::new();
    assert!(node.is_ready(health("green", 3, true)));
    assert!(node.is_ready(health("yellow", 2, true)));
    // Another process in the same pod waits again.
    fs::write(node.folder.path().join("ready"), "0\n").unwrap();
    assert!(!node.is_ready(health("yellow", 2, true)));
}

#[test]
fn the_only_node_waits_for_no_copies() {
    assert!(Node::new().is_ready(health("yellow", 1, true)));
}

#[test]
fn copies_that_never_come_keep_no_node_out() {
    assert!(Node::new().is_ready_after(health("yellow", 3, true), 0));
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
    assert!(!silent.is_ready(String::new()));
}
