//! services/postgres/irmgard-roles, with a stand-in for psql that records its calls.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use manifests::tools::project_root;
use tempfile::TempDir;

/// The pod's folder for the socket and, for a moment, new passwords.
const SOCKETS: &str = "/run/postgresql";

/// The file `standby` says whether the server is a standby. If `cut` exists, psql terminates the script while it sets the roles.
const PSQL: &str = r#"#!/bin/sh
cd "$(dirname "$0")"
case $* in
    *pg_is_in_recovery*) cat standby ;;
    *)
        echo "$(ls "$SECRETS" | wc -l) passwords" >>calls
        [ ! -e cut ] || kill -TERM "$PPID" ;;
esac
"#;

struct RolesFixture(TempDir);

impl RolesFixture {
    fn new(standby: &str) -> Self {
        let pod = Self(tempfile::tempdir().unwrap());
        let script = fs::read_to_string(project_root().join("services/postgres/irmgard-roles")).unwrap();
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

    /// Passes new passwords by standard input. No file with them remains.
    fn change_passwords(&self) -> Output {
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
            "passwords remain: {output:?}"
        );
        output
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.at("calls")).unwrap_or_default()
    }
}

#[test]
fn a_standby_names_the_primary() {
    let pod = RolesFixture::new("t\n");
    let output = pod.change_passwords();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        message.contains("this pod is a standby") && message.contains("role=primary"),
        "{message}"
    );
    assert_eq!(pod.calls(), "");
}

#[test]
fn no_password_remains_after_success_or_failure() {
    let pod = RolesFixture::new("f\n");
    let output = pod.change_passwords();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(pod.calls(), "4 passwords\n4 passwords\n");

    let pod = RolesFixture::new("f\n");
    pod.file("cut", "");
    assert!(!pod.change_passwords().status.success());
    assert_eq!(pod.calls(), "4 passwords\n");
}
