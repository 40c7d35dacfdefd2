//! base/opensearch/begin.sh decides which pod bootstraps OpenSearch's cluster. Stand-ins answer for the other nodes.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
    thread,
};

use anyhow::Result;
use manifests::{
    environment,
    tools::{project_root, run},
};
use tempfile::TempDir;

use crate::{assert_no_violations, builds};

const SETTING: &str = "cluster.initial_cluster_manager_nodes: opensearch-0";

/// A pod's folders, and the answers of its name server.
struct BootstrapFixture {
    folder: TempDir,
    port: u16,
}

impl BootstrapFixture {
    /// A pod with an empty volume. Other pods have these addresses and listen on this port.
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
        let pod = Self { folder, port };
        pod.program("getent", &format!("cat <<END\n{addresses}END"));
        pod
    }

    fn program(&self, name: &str, text: &str) {
        let file = self.at("bin").join(name);
        fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn at(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// The settings with which OpenSearch would start, as one of this number of pods.
    ///
    /// # Errors
    /// When OpenSearch must not start. The error has the script's message.
    fn begin(&self, name: &str, pods: usize, settings: &Path) -> Result<String> {
        let path = format!("{}:{}", self.at("bin").display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(project_root().join("manifests/base/opensearch/begin.sh"));
        command
            .env("PATH", path)
            .env("HOSTNAME", name)
            .env("POD_IP", "127.0.0.1")
            .env("OPENSEARCH_HOME", self.at("opensearch"))
            .env("SETTINGS", settings)
            .env("CONFIGURATION", self.at("configuration"))
            .env("PEER_PORT", self.port.to_string())
            .env("PODS", pods.to_string())
            .env("PATIENCE", "1")
            // This machine may allow fewer open files than a node of a cluster needs.
            .env("OPEN_FILES", "1");
        run(&mut command)?;
        assert!(self.at("configuration/jvm.options").exists());
        Ok(fs::read_to_string(self.at("configuration/opensearch.yml"))?)
    }

    fn bootstraps_among(&self, name: &str, pods: usize) -> Result<bool> {
        let settings = project_root().join("manifests/base/opensearch/opensearch.yml");
        let written = self.begin(name, pods, &settings)?;
        Ok(written.lines().any(|line| line == SETTING))
    }

    /// Whether it bootstraps the cluster, among the pods that have an address.
    fn bootstraps(&self, name: &str) -> bool {
        self.bootstraps_among(name, 1).unwrap()
    }
}

/// Starts a node at 127.0.0.2 that answers with its cluster's name. Returns its port.
fn node(cluster: &'static str) -> u16 {
    node_at("127.0.0.2:0", cluster)
}

fn node_at(address: &str, cluster: &'static str) -> u16 {
    let listener = TcpListener::bind(address).unwrap();
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
fn the_first_pod_bootstraps_once() {
    let pod = BootstrapFixture::new(&[], 1);
    assert!(!pod.bootstraps("opensearch-1"));
    assert!(pod.bootstraps("opensearch-0"));
    // After an interrupted first start, and at every later one.
    fs::create_dir(pod.at("opensearch/data/nodes")).unwrap();
    assert!(pod.bootstraps("opensearch-0"));
}

#[test]
fn a_pod_with_data_does_not_bootstrap() {
    let pod = BootstrapFixture::new(&[], 1);
    fs::create_dir(pod.at("opensearch/data/nodes")).unwrap();
    assert!(!pod.bootstraps("opensearch-0"));
}

/// Also when the other nodes do not answer at first.
#[test]
fn a_pod_with_an_empty_volume_joins_an_existing_cluster() {
    let pod = BootstrapFixture::new(&["127.0.0.3", "127.0.0.2"], node("fKj2Tn0mRLu"));
    assert!(!pod.bootstraps("opensearch-0"));
    assert!(!pod.at("opensearch/data/founded").exists());
}

#[test]
fn nodes_without_a_cluster_wait_for_the_first_pod() {
    let port = node("_na_");
    node_at(&format!("127.0.0.3:{port}"), "_na_");
    let pod = BootstrapFixture::new(&["127.0.0.2", "127.0.0.3"], port);
    assert!(pod.bootstraps_among("opensearch-0", 3).unwrap());
}

/// A silent or missing pod may have the data of a cluster. A second cluster would take a part of the lines.
#[test]
fn beside_a_silent_pod_only_a_person_can_bootstrap() {
    for others in [&["127.0.0.2", "127.0.0.3"][..], &["127.0.0.2"], &[]] {
        let pod = BootstrapFixture::new(others, node("_na_"));
        let refusal = format!("{:#}", pod.bootstraps_among("opensearch-0", 3).unwrap_err());
        let founded = pod.at("opensearch/data/founded");
        let command = format!(
            "kubectl exec -n irmgard opensearch-0 -c configuration -- touch {}",
            founded.display()
        );
        assert!(refusal.contains(&command), "{refusal}");
        assert!(!founded.exists());
        fs::write(founded, "").unwrap();
        assert!(pod.bootstraps_among("opensearch-0", 3).unwrap());
    }
    // More pods than configured, after scaling by hand.
    assert!(
        BootstrapFixture::new(&["127.0.0.2"], 1)
            .bootstraps_among("opensearch-0", 1)
            .is_err()
    );
}

#[test]
fn the_decision_of_a_person_holds_at_once() {
    let pod = BootstrapFixture::new(&["127.0.0.2"], 1);
    let founded = pod.at("opensearch/data/founded");
    pod.program("sleep", &format!("touch {}", founded.display()));
    assert!(pod.bootstraps_among("opensearch-0", 3).unwrap());
}

#[test]
fn the_number_of_pods_is_configured() {
    let Some(builds) = builds("the number of OpenSearch's pods") else {
        return;
    };
    let mut violations = Vec::new();
    let mut three = 0;
    for build in &builds {
        for set in build
            .objects
            .iter()
            .filter(|object| object.kind() == "StatefulSet" && object.name() == "opensearch")
        {
            let replicas = set.at("/spec/replicas").to_string();
            three += usize::from(replicas == "3");
            let told = environment::variables(set.containers()[0], set, &build.objects).unwrap();
            if told.get("PODS") != Some(&replicas) {
                violations.push(format!(
                    "{}: of {replicas} pods it is told {:?}",
                    build.name,
                    told.get("PODS")
                ));
            }
        }
    }
    assert!(three > 1, "only {three} builds have three pods");
    assert_no_violations(violations);
}

/// OpenSearch itself would exit with a message without a remedy.
#[test]
fn too_few_open_files_are_refused_with_the_remedy() {
    let pod = BootstrapFixture::new(&[], 1);
    let begin = |settings: &str| {
        let script = project_root().join("manifests/base/opensearch/begin.sh");
        Command::new("bash")
            .args(["-c", "ulimit -n 1000 && exec \"$0\""])
            .arg(script)
            .env("HOSTNAME", "opensearch-1")
            .env("OPENSEARCH_HOME", pod.at("opensearch"))
            .env("SETTINGS", project_root().join(settings))
            .env("CONFIGURATION", pod.at("configuration"))
            .output()
            .unwrap()
    };
    let refused = begin("manifests/base/opensearch/opensearch.yml");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    for wanted in [
        "may open 1000 files",
        "needs 65535",
        "systemctl edit containerd",
        "LimitNOFILE=1048576",
    ] {
        assert!(said.contains(wanted), "no {wanted:?} in {said}");
    }
    let one = begin("manifests/overlays/e2e/opensearch.yml");
    assert!(one.status.success(), "{one:?}");
}

/// A single node rejects the bootstrap setting.
#[test]
fn a_single_node_needs_no_bootstrap_setting() {
    let pod = BootstrapFixture::new(&[], 1);
    let settings = project_root().join("manifests/overlays/e2e/opensearch.yml");
    let written = pod.begin("opensearch-0", 1, &settings).unwrap();
    assert!(
        written.contains("discovery.type: single-node") && !written.contains(SETTING),
        "{written}"
    );
}
