//! Which pod of OpenSearch founds the cluster: base/opensearch/begin.sh, run with other nodes that only answer.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
    thread,
};

use manifests::tools::{project, run};
use tempfile::TempDir;

const SETTING: &str = "cluster.initial_cluster_manager_nodes: opensearch-0";

/// A pod's folders, and what the name server says.
struct Pod {
    folder: TempDir,
    port: u16,
}

impl Pod {
    /// With an empty volume, beside other pods at these addresses; the port is what these listen on.
    fn new(others: &[&str], port: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["opensearch/config", "opensearch/data", "configuration", "bin"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        fs::write(at("opensearch/config/jvm.options"), "").unwrap();
        let addresses: String = [&["127.0.0.1"], others]
            .concat()
            .iter()
            .map(|one| format!("{one} STREAM name\n{one} DGRAM\n"))
            .collect();
        fs::write(
            at("bin/getent"),
            format!("#!/bin/sh\ncat <<END\n{addresses}END\n"),
        )
        .unwrap();
        fs::set_permissions(at("bin/getent"), fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder, port }
    }

    fn at(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// What OpenSearch would be configured with.
    fn begin(&self, name: &str, settings: &Path) -> String {
        let path = format!("{}:{}", self.at("bin").display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(project().join("manifests/base/opensearch/begin.sh"));
        command
            .env("PATH", path)
            .env("HOSTNAME", name)
            .env("POD_IP", "127.0.0.1")
            .env("OPENSEARCH_HOME", self.at("opensearch"))
            .env("SETTINGS", settings)
            .env("CONFIGURATION", self.at("configuration"))
            .env("PEER_PORT", self.port.to_string())
            .env("PATIENCE", "2");
        run(&mut command).unwrap();
        assert!(self.at("configuration/jvm.options").exists());
        fs::read_to_string(self.at("configuration/opensearch.yml")).unwrap()
    }

    fn founds(&self, name: &str) -> bool {
        let settings = project().join("manifests/base/opensearch/opensearch.yml");
        self.begin(name, &settings).lines().any(|line| line == SETTING)
    }
}

/// A node at 127.0.0.2 that says to what cluster it belongs; its port.
fn node(cluster: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.2:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = [0; 18];
            stream.read_exact(&mut asked).unwrap();
            assert_eq!(&asked, b"GET / HTTP/1.0\r\n\r\n");
            let body =
                format!("{{\n  \"name\" : \"opensearch-1\",\n  \"cluster_uuid\" : \"{cluster}\"\n}}\n");
            write!(
                stream,
                "HTTP/1.0 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
        }
    });
    port
}

#[test]
fn the_first_pod_founds_once() {
    let pod = Pod::new(&[], 1);
    assert!(!pod.founds("opensearch-1"));
    assert!(pod.founds("opensearch-0"));
    // A first start that broke off, and every later one.
    fs::create_dir(pod.at("opensearch/data/nodes")).unwrap();
    assert!(pod.founds("opensearch-0"));
}

#[test]
fn a_volume_with_data_founds_nothing() {
    let pod = Pod::new(&[], 1);
    fs::create_dir(pod.at("opensearch/data/nodes")).unwrap();
    assert!(!pod.founds("opensearch-0"));
}

/// Nor does it with those that have not answered at first.
#[test]
fn an_empty_volume_joins_the_cluster_that_is_there() {
    let pod = Pod::new(&["127.0.0.3", "127.0.0.2"], node("fKj2Tn0mRLu"));
    assert!(!pod.founds("opensearch-0"));
    assert!(!pod.at("opensearch/data/founded").exists());
}

#[test]
fn nodes_without_a_cluster_wait_for_the_founder() {
    assert!(Pod::new(&["127.0.0.2"], node("_na_")).founds("opensearch-0"));
}

/// One that never starts must not keep the others from beginning.
#[test]
fn who_never_answers_is_not_waited_for_for_ever() {
    assert!(Pod::new(&["127.0.0.2", "127.0.0.3"], node("_na_")).founds("opensearch-0"));
}

/// OpenSearch refuses the setting there.
#[test]
fn a_single_node_founds_by_itself() {
    let pod = Pod::new(&[], 1);
    let settings = project().join("manifests/overlays/e2e/opensearch.yml");
    let written = pod.begin("opensearch-0", &settings);
    assert!(
        written.contains("discovery.type: single-node") && !written.contains(SETTING),
        "{written}"
    );
}
