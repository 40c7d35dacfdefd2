//! A node of RabbitMQ with a new volume is forgotten by the others before it starts: base/rabbitmq/begin.sh, with a rabbitmqctl that
//! only writes down what it is asked.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command};

use manifests::tools::project;
use tempfile::TempDir;

/// Names of the nodes end like this.
const SUFFIX: &str = ".rabbitmq-nodes.irmgard";

struct Node(TempDir);

impl Node {
    /// Which of the names rabbitmq-0 to -2 lead to a pod, and the members that the node rabbitmq-1 answers with, if it does.
    fn new(pods: &str, members: Option<&str>) -> Self {
        let node = Self(tempfile::tempdir().unwrap());
        fs::create_dir(node.at("bin")).unwrap();
        fs::write(node.at("cookie"), "secret").unwrap();
        node.program(
            "getent",
            &format!("case $2 in rabbitmq-[{pods}]{SUFFIX}) ;; *) exit 2 ;; esac"),
        );
        let answer = members.map_or("exit 69".to_owned(), |members| {
            format!("echo '{{\"disk_nodes\":[{members}]}}'")
        });
        node.program(
            "rabbitmqctl",
            &format!(
                "echo \"$*\" >> {}\ncase $* in *forget*) exit ${{FORGETS:-0}} ;; *rabbit@rabbitmq-1.*) {answer} ;; *) exit 69 ;; esac",
                node.at("asked").display()
            ),
        );
        node
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn program(&self, name: &str, text: &str) {
        let file = self.at("bin").join(name);
        fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Whether rabbitmq-2 may start, and whom it was asked to be forgotten by.
    fn begin(&self, forgets: &str) -> (bool, String) {
        let path = format!("{}:{}", self.at("bin").display(), std::env::var("PATH").unwrap());
        let output = Command::new(project().join("manifests/base/rabbitmq/begin.sh"))
            .env("PATH", path)
            .env("FORGETS", forgets)
            .env("COOKIE", self.at("cookie"))
            .env("RABBITMQ_HOME_VOLUME", self.0.path())
            .env("K8S_HOSTNAME_SUFFIX", SUFFIX)
            .env("RABBITMQ_NODENAME", format!("rabbit@rabbitmq-2{SUFFIX}"))
            .output()
            .unwrap();
        let cookie = fs::metadata(self.at(".erlang.cookie")).unwrap();
        assert_eq!(cookie.permissions().mode() & 0o777, 0o400);
        let asked = fs::read_to_string(self.at("asked")).unwrap_or_default();
        let forget = asked.lines().filter(|line| line.contains("forget_cluster_node"));
        (output.status.success(), forget.collect::<Vec<_>>().join("\n"))
    }
}

const ALL: &str = r#""rabbit@rabbitmq-1.rabbitmq-nodes.irmgard","rabbit@rabbitmq-2.rabbitmq-nodes.irmgard""#;
const OTHERS: &str =
    r#""rabbit@rabbitmq-1.rabbitmq-nodes.irmgard","rabbit@rabbitmq-2.rabbitmq-nodes.irmgard.svc""#;
const FORGET: &str = "--node rabbit@rabbitmq-1.rabbitmq-nodes.irmgard forget_cluster_node rabbit@rabbitmq-2.rabbitmq-nodes.irmgard";

#[test]
fn a_new_volume_is_forgotten_by_the_others() {
    assert_eq!(Node::new("012", Some(ALL)).begin("0"), (true, FORGET.to_owned()));
}

/// It would be a broker of its own.
#[test]
fn who_is_not_forgotten_does_not_start() {
    assert_eq!(
        Node::new("012", Some(ALL)).begin("70"),
        (false, FORGET.to_owned())
    );
}

#[test]
fn who_comes_for_the_first_time_is_not_known() {
    for node in [
        Node::new("012", Some(OTHERS)),
        Node::new("012", None),
        Node::new("2", Some(ALL)),
    ] {
        assert_eq!(node.begin("0"), (true, String::new()));
    }
}

#[test]
fn a_volume_with_data_is_not_forgotten() {
    let node = Node::new("012", Some(ALL));
    fs::create_dir_all(node.at(&format!("mnesia/rabbit@rabbitmq-2{SUFFIX}"))).unwrap();
    // The cookie of the last start is replaced.
    assert_eq!(node.begin("0"), (true, String::new()));
    assert_eq!(node.begin("0"), (true, String::new()));
}
