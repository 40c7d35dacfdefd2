//! base/rabbitmq/begin.sh: before a node of RabbitMQ starts with a new volume, the other nodes remove it from the cluster. A stand-in
//! for rabbitmqctl records its calls.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command};

use manifests::tools::project_root;
use tempfile::TempDir;

/// The end of the nodes' names.
const SUFFIX: &str = ".rabbitmq-nodes.irmgard";

struct RejoinFixture(TempDir);

impl RejoinFixture {
    /// `pods`: the digits of the names rabbitmq-0 to -2 that resolve. `members`: the answer of rabbitmq-1, if any.
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
                node.at("calls").display()
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

    /// Whether rabbitmq-2 may start, and the calls that remove it.
    fn begin(&self, forgets: &str) -> (bool, String) {
        let path = format!("{}:{}", self.at("bin").display(), std::env::var("PATH").unwrap());
        let output = Command::new(project_root().join("manifests/base/rabbitmq/begin.sh"))
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
        let calls = fs::read_to_string(self.at("calls")).unwrap_or_default();
        let forget = calls.lines().filter(|line| line.contains("forget_cluster_node"));
        (output.status.success(), forget.collect::<Vec<_>>().join("\n"))
    }
}

const ALL: &str = r#""rabbit@rabbitmq-1.rabbitmq-nodes.irmgard","rabbit@rabbitmq-2.rabbitmq-nodes.irmgard""#;
const OTHERS: &str =
    r#""rabbit@rabbitmq-1.rabbitmq-nodes.irmgard","rabbit@rabbitmq-2.rabbitmq-nodes.irmgard.svc""#;
const FORGET: &str = "--node rabbit@rabbitmq-1.rabbitmq-nodes.irmgard forget_cluster_node rabbit@rabbitmq-2.rabbitmq-nodes.irmgard";

#[test]
fn a_node_with_a_new_volume_is_removed_first() {
    assert_eq!(
        RejoinFixture::new("012", Some(ALL)).begin("0"),
        (true, FORGET.to_owned())
    );
}

/// It would start as a separate broker.
#[test]
fn a_node_that_cannot_be_removed_does_not_start() {
    assert_eq!(
        RejoinFixture::new("012", Some(ALL)).begin("70"),
        (false, FORGET.to_owned())
    );
}

#[test]
fn a_new_node_is_not_removed() {
    for node in [
        RejoinFixture::new("012", Some(OTHERS)),
        RejoinFixture::new("012", None),
        RejoinFixture::new("2", Some(ALL)),
    ] {
        assert_eq!(node.begin("0"), (true, String::new()));
    }
}

#[test]
fn a_node_with_data_is_not_removed() {
    let node = RejoinFixture::new("012", Some(ALL));
    fs::create_dir_all(node.at(&format!("mnesia/rabbit@rabbitmq-2{SUFFIX}"))).unwrap();
    // The second start replaces the cookie.
    assert_eq!(node.begin("0"), (true, String::new()));
    assert_eq!(node.begin("0"), (true, String::new()));
}
