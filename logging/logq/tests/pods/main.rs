//! Tests with pods. A server in the test replaces the API server of a cluster.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails with a panic")]

#[path = "../support/api_server/mod.rs"]
mod api_server;
mod cluster;
mod errors;
mod follow;
mod forward;
#[path = "../support/pipe.rs"]
mod pipe;
mod queries;
#[path = "../support/running.rs"]
mod running;
mod source_choice;
#[path = "../support/world.rs"]
mod world;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

use api_server::ApiServer;
use world::first_words as words;

/// Pods of a test folder.
struct PodsFixture {
    folder: tempfile::TempDir,
    server: ApiServer,
}

impl PodsFixture {
    /// The pods of [`world`].
    fn with_world() -> Self {
        let pods = Self::empty();
        world::write(pods.folder.path());
        pods
    }

    fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = ApiServer::start(folder.path());
        let pods = Self { folder, server };
        pods.list(br#"{"items":[]}"#);
        pods
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Replaces the list of pods atomically.
    fn list(&self, json: &[u8]) {
        fs::write(self.path("next.json"), json).unwrap();
        fs::rename(self.path("next.json"), self.path("pods.json")).unwrap();
    }

    /// Adds a pod with one container, `main`; each start has written one text.
    fn add(&self, name: &str, starts: &[&str]) {
        let file = self.path("pods.json");
        let mut list: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        list["items"].as_array_mut().unwrap().push(serde_json::json!({
            "metadata": { "namespace": "photos", "name": name, "uid": format!("uid-of-{name}") },
            "spec": { "nodeName": "n", "containers": [{ "name": "main" }] },
        }));
        let place = self.path(&format!("pods/photos_{name}_uid-of-{name}/main"));
        fs::create_dir_all(&place).unwrap();
        for (number, lines) in starts.iter().enumerate() {
            fs::write(place.join(format!("{number}.log")), lines).unwrap();
        }
        self.list(list.to_string().as_bytes());
    }

    /// Injects a fault into a pod.
    fn fault(&self, name: &str, fault: &str) {
        let file = self.path("pods.json");
        let mut list: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        for pod in list["items"].as_array_mut().unwrap() {
            if pod["metadata"]["name"] == name {
                pod["metadata"]["annotations"] = serde_json::json!({ "test/fault": fault });
            }
        }
        self.list(list.to_string().as_bytes());
    }

    /// A command that reads these pods.
    fn logq(&self, arguments: &[&str]) -> Command {
        let mut command = logq(arguments);
        command.env("LOGQ_SOURCE", "kubectl");
        self.server.configure(&mut command);
        command
    }
}

fn logq(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logq"));
    command
        .args(arguments)
        .env("TZ", "UTC")
        .env("LOGQ_CONFIG", "")
        .env("LOGQ_SINCE", "all");
    for name in ["LOGQ_OPENSEARCH_URL", "LOGQ_SOURCE", "NO_COLOR", "KUBECONFIG"] {
        command.env_remove(name);
    }
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// All JSON lines of the output.
fn documents(output: &Output) -> Vec<Value> {
    let lines = text(&output.stdout);
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The documents that logq reads from the same lines as files.
fn documents_of_files(folder: &Path) -> Vec<Value> {
    let output = logq(&["-o", "jsonl", folder.to_str().unwrap()]).output().unwrap();
    documents(&output)
}
