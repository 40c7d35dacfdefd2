//! A node of RabbitMQ with a new volume is forgotten by the others before it starts, and begins no broker of its own beside theirs:
//! base/rabbitmq/begin.sh, with a name server, a rabbitmqctl and a clock that only say what they are told.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command};

use manifests::tools::project;
use tempfile::TempDir;

/// Names of the nodes end like this.
const SUFFIX: &str = ".rabbitmq-nodes.irmgard";

/// Seconds, as begin.sh has them.
const PATIENCE: u64 = 60;
const SETTLING: u64 = 15;

/// What rabbitmq-1 does.
#[derive(Clone, Copy)]
enum Peer {
    Silent,
    /// Erlang is there, the broker is not.
    Runs,
    /// Says from this second on that these are the members; until then it runs.
    Answers(u64, &'static str),
}

struct Node {
    folder: TempDir,
    number: u8,
}

/// What came of it.
struct Begun {
    starts: bool,
    /// Who was told to forget whom.
    forget: String,
    /// In seconds.
    waited: u64,
    /// Names that the name server was asked for.
    names: usize,
    complaint: String,
}

impl Node {
    /// The node of this number, and the numbers of the pods that have an address; all others but rabbitmq-1 are silent.
    fn new(number: u8, pods: &str, peer: Peer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let node = Self { folder, number };
        fs::create_dir(node.at("bin")).unwrap();
        fs::write(node.at("cookie"), "secret").unwrap();
        fs::write(node.at("clock"), "0").unwrap();
        let addresses: String = pods
            .chars()
            .map(|pod| format!("10.0.0.{pod} STREAM name\n10.0.0.{pod} DGRAM\n"))
            .collect();
        node.program(
            "getent",
            &format!(
                "case $* in\n\
                 'ahosts rabbitmq-nodes') cat <<END\n{addresses}END\n;;\n\
                 'hosts '*) echo \"$2\" >> {}; case $2 in rabbitmq-[{pods}]{SUFFIX}) ;; *) exit 2 ;; esac ;;\n\
                 *) exit 3 ;; esac",
                node.at("names").display()
            ),
        );
        let clock = node.at("clock").display().to_string();
        node.program("date", &format!("cat {clock}"));
        node.program("sleep", &format!("echo $(($(cat {clock}) + $1)) > {clock}"));
        let (runs, since, members) = match peer {
            Peer::Silent => (69, u64::MAX >> 1, ""),
            Peer::Runs => (0, u64::MAX >> 1, ""),
            Peer::Answers(since, members) => (0, since, members),
        };
        node.program(
            "rabbitmqctl",
            &format!(
                "echo \"$*\" >> {}\n\
                 case $* in\n\
                 *forget*) exit ${{FORGETS:-0}} ;;\n\
                 *rabbit@rabbitmq-1.*' ping') exit {runs} ;;\n\
                 *rabbit@rabbitmq-1.*' cluster_status '*) [ \"$(cat {clock})\" -ge {since} ] || exit 69\n\
                 echo '{{\"disk_nodes\":[{members}]}}' ;;\n\
                 *) exit 69 ;; esac",
                node.at("asked").display()
            ),
        );
        node
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn program(&self, name: &str, text: &str) {
        let file = self.at("bin").join(name);
        fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn begin(&self, forgets: &str) -> Begun {
        let path = format!("{}:{}", self.at("bin").display(), std::env::var("PATH").unwrap());
        let output = Command::new(project().join("manifests/base/rabbitmq/begin.sh"))
            .env("PATH", path)
            .env("FORGETS", forgets)
            .env("COOKIE", self.at("cookie"))
            .env("RABBITMQ_HOME_VOLUME", self.folder.path())
            .env("K8S_SERVICE_NAME", "rabbitmq-nodes")
            .env("K8S_HOSTNAME_SUFFIX", SUFFIX)
            .env("POD_IP", format!("10.0.0.{}", self.number))
            .env(
                "RABBITMQ_NODENAME",
                format!("rabbit@rabbitmq-{}{SUFFIX}", self.number),
            )
            .output()
            .unwrap();
        let cookie = fs::metadata(self.at(".erlang.cookie")).unwrap();
        assert_eq!(cookie.permissions().mode() & 0o777, 0o400);
        let lines = |name: &str| fs::read_to_string(self.at(name)).unwrap_or_default();
        let asked = lines("asked");
        let forget = asked.lines().filter(|line| line.contains("forget_cluster_node"));
        Begun {
            starts: output.status.success(),
            forget: forget.collect::<Vec<_>>().join("\n"),
            waited: lines("clock").trim().parse().unwrap(),
            names: lines("names").lines().count(),
            complaint: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

const ALL: &str = r#""rabbit@rabbitmq-1.rabbitmq-nodes.irmgard","rabbit@rabbitmq-2.rabbitmq-nodes.irmgard""#;
const OTHERS: &str =
    r#""rabbit@rabbitmq-1.rabbitmq-nodes.irmgard","rabbit@rabbitmq-2.rabbitmq-nodes.irmgard.svc""#;
const FORGET: &str = "--node rabbit@rabbitmq-1.rabbitmq-nodes.irmgard forget_cluster_node rabbit@rabbitmq-2.rabbitmq-nodes.irmgard";

#[test]
fn a_new_volume_is_forgotten_by_the_others() {
    let begun = Node::new(2, "012", Peer::Answers(0, ALL)).begin("0");
    assert!(begun.starts && begun.waited == 0, "{}", begun.complaint);
    assert_eq!(begun.forget, FORGET);
}

/// It would be a broker of its own.
#[test]
fn who_is_not_forgotten_does_not_start() {
    let begun = Node::new(2, "012", Peer::Answers(0, ALL)).begin("70");
    assert!(!begun.starts);
    assert_eq!(begun.forget, FORGET);
}

/// After a loss of power the others boot, or wait for each other.
#[test]
fn who_boots_is_waited_for() {
    let begun = Node::new(2, "012", Peer::Answers(PATIENCE - 10, ALL)).begin("0");
    assert!(begun.starts, "{}", begun.complaint);
    assert_eq!(begun.forget, FORGET);
}

#[test]
fn beside_one_that_never_says_who_belongs_to_it_no_node_starts() {
    for number in [0, 2] {
        let begun = Node::new(number, "012", Peer::Runs).begin("0");
        assert!(!begun.starts && begun.waited >= PATIENCE, "{number}");
        assert!(
            begun.complaint.contains("rabbitmq-1") && begun.complaint.contains("its log"),
            "{}",
            begun.complaint
        );
    }
}

#[test]
fn who_comes_for_the_first_time_is_not_known() {
    let begun = Node::new(2, "012", Peer::Answers(0, OTHERS)).begin("0");
    assert!(begun.starts && begun.waited == 0, "{}", begun.complaint);
    assert_eq!(begun.forget, "");
}

/// All three at once, none of which has data: the first is soon there, and then lets the others in.
#[test]
fn of_three_new_ones_the_first_begins_alone() {
    let first = Node::new(0, "012", Peer::Silent).begin("0");
    assert!(first.starts, "{}", first.complaint);
    assert!(
        (SETTLING..SETTLING + 5).contains(&first.waited),
        "{} s",
        first.waited
    );
    for number in [1, 2] {
        let other = Node::new(number, "012", Peer::Silent).begin("0");
        assert!(!other.starts && other.waited < PATIENCE + 5, "{number}");
        assert!(other.complaint.contains("rabbitmq-0"), "{}", other.complaint);
    }
}

/// The name server may have to ask the world for a name that nobody has.
#[test]
fn a_single_node_begins_at_once_and_asks_for_no_name() {
    let begun = Node::new(0, "0", Peer::Silent).begin("0");
    assert!(begun.starts && begun.waited == 0, "{}", begun.complaint);
    assert_eq!(begun.names, 0);
}

/// Whom it leaves out it may leave others out, too.
#[test]
fn a_service_that_does_not_know_this_pod_yet_says_nothing() {
    let begun = Node::new(0, "", Peer::Silent).begin("0");
    assert!(!begun.starts && begun.waited >= PATIENCE);
    assert!(begun.complaint.contains("rabbitmq-nodes"), "{}", begun.complaint);
}

#[test]
fn a_volume_with_data_is_not_forgotten() {
    let node = Node::new(2, "012", Peer::Answers(0, ALL));
    fs::create_dir_all(node.at(&format!("mnesia/rabbit@rabbitmq-2{SUFFIX}"))).unwrap();
    // The cookie of the last start is replaced.
    for _ in 0..2 {
        let begun = node.begin("0");
        assert!(begun.starts && begun.forget.is_empty());
    }
}
