//! services/postgres/irmgard-roles, with a psql that only writes down what it is asked.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use manifests::tools::project;
use tempfile::TempDir;

/// Where the pod has its socket, and new passwords for a moment.
const SOCKETS: &str = "/run/postgresql";

/// `standby` answers whether the server is one; with `cut` the script is told to end while it sets the roles.
const PSQL: &str = r#"#!/bin/sh
cd "$(dirname "$0")"
case $* in
    *pg_is_in_recovery*) cat standby ;;
    *)
        echo "$(ls "$SECRETS" | wc -l) passwords" >>asked
        [ ! -e cut ] || kill -TERM "$PPID" ;;
esac
"#;

struct Pod(TempDir);

impl Pod {
    fn new(standby: &str) -> Self {
        let pod = Self(tempfile::tempdir().unwrap());
        let script = fs::read_to_string(project().join("services/postgres/irmgard-roles")).unwrap();
        let sockets = pod.at("sockets").display().to_string();
        fs::create_dir(&sockets).unwrap();
        pod.file("roles", &script.replace(SOCKETS, &sockets));
        pod.file("psql", PSQL);
        pod.file("standby", standby);
        pod.file(
            "new",
            "migrate-password=a\nruntime-password=b\nreplication-password=c\nrewind-password=d\n",
        );
        pod
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, text: &str) {
        fs::write(self.at(name), text).unwrap();
        fs::set_permissions(self.at(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// New passwords by standard input; nothing of them is left afterwards.
    fn renew(&self) -> Output {
        let path = format!("{}:{}", self.0.path().display(), std::env::var("PATH").unwrap());
        let output = Command::new("sh")
            .arg(self.at("roles"))
            .arg("-")
            .env("PATH", path)
            .stdin(Stdio::from(fs::File::open(self.at("new")).unwrap()))
            .output()
            .unwrap();
        assert_eq!(
            fs::read_dir(self.at("sockets")).unwrap().count(),
            0,
            "passwords are left: {output:?}"
        );
        output
    }

    fn asked(&self) -> String {
        fs::read_to_string(self.at("asked")).unwrap_or_default()
    }
}

#[test]
fn a_standby_says_where_to_go() {
    let pod = Pod::new("t\n");
    let output = pod.renew();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        told.contains("this pod is a standby") && told.contains("role=primary"),
        "{told}"
    );
    assert_eq!(pod.asked(), "");
}

#[test]
fn new_passwords_are_forgotten_however_it_ends() {
    let pod = Pod::new("f\n");
    let output = pod.renew();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(pod.asked(), "4 passwords\n4 passwords\n");

    let pod = Pod::new("f\n");
    pod.file("cut", "");
    assert!(!pod.renew().status.success());
    assert_eq!(pod.asked(), "4 passwords\n");
}
