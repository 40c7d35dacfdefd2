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

use anyhow::Result;
use manifests::{
    environment,
    tools::{project, run},
};
use tempfile::TempDir;

use crate::{builds, none};

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

    /// What OpenSearch would be configured with, as one of so many pods.
    ///
    /// # Errors
    /// When it is not to start: with what is said.
    fn begin(&self, name: &str, pods: usize, settings: &Path) -> Result<String> {
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
            .env("PODS", pods.to_string())
            .env("PATIENCE", "1")
            // This machine may allow fewer files than a node of a cluster must.
            .env("OPEN_FILES", "1");
        run(&mut command)?;
        assert!(self.at("configuration/jvm.options").exists());
        Ok(fs::read_to_string(self.at("configuration/opensearch.yml"))?)
    }

    fn tries(&self, name: &str, pods: usize) -> Result<bool> {
        let settings = project().join("manifests/base/opensearch/opensearch.yml");
        let written = self.begin(name, pods, &settings)?;
        Ok(written.lines().any(|line| line == SETTING))
    }

    /// Of as many pods as have an address.
    fn founds(&self, name: &str) -> bool {
        self.tries(name, 1).unwrap()
    }
}

/// A node at 127.0.0.2 that says to what cluster it belongs; its port.
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
    let port = node("_na_");
    node_at(&format!("127.0.0.3:{port}"), "_na_");
    let pod = Pod::new(&["127.0.0.2", "127.0.0.3"], port);
    assert!(pod.tries("opensearch-0", 3).unwrap());
}

/// It may have the data of a cluster, and so may one whose pod is not there yet: a second one would take a part of the lines.
#[test]
fn beside_one_that_does_not_answer_a_person_must_found() {
    for others in [&["127.0.0.2", "127.0.0.3"][..], &["127.0.0.2"], &[]] {
        let pod = Pod::new(others, node("_na_"));
        let refusal = format!("{:#}", pod.tries("opensearch-0", 3).unwrap_err());
        let founded = pod.at("opensearch/data/founded");
        let command = format!(
            "kubectl exec -n irmgard opensearch-0 -c configuration -- touch {}",
            founded.display()
        );
        assert!(refusal.contains(&command), "{refusal}");
        assert!(!founded.exists());
        fs::write(founded, "").unwrap();
        assert!(pod.tries("opensearch-0", 3).unwrap());
    }
    // More than were told of: who scales by hand.
    assert!(Pod::new(&["127.0.0.2"], 1).tries("opensearch-0", 1).is_err());
}

#[test]
fn what_a_person_says_holds_at_once() {
    let pod = Pod::new(&["127.0.0.2"], 1);
    let founded = pod.at("opensearch/data/founded");
    pod.program("sleep", &format!("touch {}", founded.display()));
    assert!(pod.tries("opensearch-0", 3).unwrap());
}

#[test]
fn it_is_told_how_many_pods_there_are() {
    let Some(builds) = builds("the number of OpenSearch's pods") else {
        return;
    };
    let mut wrong = Vec::new();
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
                wrong.push(format!(
                    "{}: of {replicas} pods it is told {:?}",
                    build.name,
                    told.get("PODS")
                ));
            }
        }
    }
    assert!(three > 1, "only {three} builds have three pods");
    none(wrong);
}

/// OpenSearch would end at its start with a message that names no remedy.
#[test]
fn too_few_open_files_are_refused_with_the_remedy() {
    let pod = Pod::new(&[], 1);
    let begin = |settings: &str| {
        let script = project().join("manifests/base/opensearch/begin.sh");
        Command::new("bash")
            .args(["-c", "ulimit -n 1000 && exec \"$0\""])
            .arg(script)
            .env("HOSTNAME", "opensearch-1")
            .env("OPENSEARCH_HOME", pod.at("opensearch"))
            .env("SETTINGS", project().join(settings))
            .env("CONFIGURATION", pod.at("configuration"))
            .output()
            .unwrap()
    };
    let refused = begin("manifests/base/opensearch/opensearch.yml");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    for wanted in [
        "may open 1000 files",
        "wants 65535",
        "systemctl edit containerd",
        "LimitNOFILE=1048576",
    ] {
        assert!(said.contains(wanted), "no {wanted:?} in {said}");
    }
    let one = begin("manifests/overlays/e2e/opensearch.yml");
    assert!(one.status.success(), "{one:?}");
}

/// OpenSearch refuses the setting there.
#[test]
fn a_single_node_founds_by_itself() {
    let pod = Pod::new(&[], 1);
    let settings = project().join("manifests/overlays/e2e/opensearch.yml");
    let written = pod.begin("opensearch-0", 1, &settings).unwrap();
    assert!(
        written.contains("discovery.type: single-node") && !written.contains(SETTING),
        "{written}"
    );
}
