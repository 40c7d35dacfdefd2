//! Secrets are in no source and no variable, and every file of a secret is mounted.

use std::{collections::BTreeSet, fs, process::Command};

use manifests::{
    Tree,
    environment::mounted_file,
    object::text,
    tools::{project_root, run},
};
use walkdir::WalkDir;

use crate::{assert_no_violations, builds, variables::variables};

/// Words in the names of variables with secrets.
const SECRET: [&str; 5] = ["PASSWORD", "SECRET", "TOKEN", "COOKIE", "ACCESS_KEY"];

fn is_secret(variable: &str) -> bool {
    SECRET.iter().any(|word| variable.contains(word))
}

#[test]
fn git_ignores_what_make_secrets_writes() {
    for file in ["generated/values", "tls/generated/authority.key"] {
        let mut command = Command::new("git");
        command
            .current_dir(project_root().join("manifests/secrets"))
            .args(["check-ignore", file]);
        run(&mut command).unwrap_or_else(|error| panic!("git would take {file}: {error:#}"));
    }
    let mut command = Command::new("git");
    command
        .current_dir(project_root())
        .args(["ls-files", "manifests/secrets"]);
    let kept = run(&mut command).unwrap();
    assert!(!kept.contains("generated"), "secrets are in git: {kept}");
}

#[test]
fn images_hold_no_secret() {
    let ignored = fs::read_to_string(project_root().join(".dockerignore")).unwrap();
    assert!(
        ignored.lines().any(|line| line == "manifests/secrets"),
        "{ignored}"
    );
}

#[test]
fn sources_hold_no_secret() {
    let mut violations = Vec::new();
    for entry in WalkDir::new(env!("CARGO_MANIFEST_DIR")) {
        let entry = entry.unwrap();
        if entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            let text = fs::read_to_string(entry.path()).unwrap();
            if text.lines().any(|line| line.trim() == "kind: Secret") {
                violations.push(format!(
                    "{}: a Secret comes from make secrets",
                    entry.path().display()
                ));
            }
        }
    }
    assert_no_violations(violations);
}

#[test]
fn variables_hold_no_secret() {
    let Some(builds) = builds("secrets in variables") else {
        return;
    };
    let mut violations = Vec::new();
    for build in &builds {
        for workload in &build.objects {
            for container in workload.containers() {
                for name in variables(container, workload, &build.objects).keys() {
                    // MINIO_ROOT_USER_FILE holds a path too.
                    if is_secret(name) && !name.ends_with("_FILE") {
                        violations.push(format!(
                            "{}: {workload}: {name}: mount it, and name its file",
                            build.name
                        ));
                    }
                }
            }
        }
    }
    assert_no_violations(violations);
}

/// `NAME_FILE` names a key of a mounted Secret or ConfigMap.
#[test]
fn files_in_variables_are_mounted() {
    let Some(builds) = builds("files of secrets") else {
        return;
    };
    let mut checked = 0;
    let mut violations = Vec::new();
    for build in &builds {
        for workload in &build.objects {
            for container in workload.containers() {
                for (name, path) in variables(container, workload, &build.objects) {
                    if !name.ends_with("_FILE") {
                        continue;
                    }
                    checked += 1;
                    if mounted_file(&path, container, workload, &build.objects).is_none() {
                        violations.push(format!(
                            "{}: {workload}: {name}: nothing is mounted at {path}",
                            build.name
                        ));
                    }
                }
            }
        }
    }
    assert!(checked > 20, "only {checked} files were checked");
    assert_no_violations(violations);
}

#[test]
fn secrets_are_generated_once_and_differ() {
    let Some(tree) = Tree::new("make secrets").unwrap() else {
        return;
    };
    let file = tree.path().join("manifests/secrets/generated/values");
    let before = fs::read_to_string(&file).unwrap();
    let drawn: BTreeSet<&str> = before
        .lines()
        .map(|line| line.split_once('=').unwrap().1)
        .collect();
    assert_eq!(drawn.len(), before.lines().count(), "two secrets are the same");
    assert!(drawn.iter().all(|value| value.len() == 32), "{drawn:?}");

    let again = || {
        run(&mut Command::new(
            tree.path().join("manifests/secrets/make-secrets"),
        ))
        .unwrap();
        fs::read_to_string(&file).unwrap()
    };
    assert_eq!(again(), before);

    // The script replaces only the missing line.
    let (gone, kept): (Vec<&str>, Vec<&str>) =
        before.lines().partition(|line| line.starts_with("s3-irmgard="));
    fs::write(&file, format!("{}\n", kept.join("\n"))).unwrap();
    let after = again();
    assert!(!after.contains(gone[0]), "{}", gone[0].split_once('=').unwrap().0);
    assert!(kept.iter().all(|line| after.contains(line)));

    let other = Tree::new("make secrets").unwrap().unwrap();
    let elsewhere = fs::read_to_string(other.path().join("manifests/secrets/generated/values")).unwrap();
    assert!(
        drawn.iter().all(|value| !elsewhere.contains(value)),
        "secrets repeat"
    );
}

/// During a rollout, some pods have the old tokens and some the new ones. All pods accept both.
#[test]
fn a_token_and_its_predecessor_can_both_be_valid() {
    let Some(tree) = Tree::new("a change of tokens").unwrap() else {
        return;
    };
    let folder = tree.path().join("manifests/secrets");
    let values = folder.join("generated/values");
    let make = || -> BTreeSet<String> {
        run(&mut Command::new(folder.join("make-secrets"))).unwrap();
        let tokens = fs::read_to_string(folder.join("generated/tokens")).unwrap();
        tokens.lines().map(str::to_owned).collect()
    };
    let old = make();
    let renamed = fs::read_to_string(&values)
        .unwrap()
        .replace("token-camera=", "token-camera-before=");
    fs::write(&values, renamed).unwrap();
    let both = make();
    assert!(both.is_superset(&old), "an old token is refused");
    assert_eq!(both.len(), old.len() + 1);
    let text = fs::read_to_string(&values).unwrap();
    let kept = text
        .lines()
        .filter(|line| !line.starts_with("token-camera-before="));
    fs::write(&values, kept.map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let new = make();
    assert!(new.is_subset(&both), "a new token was refused");
    assert_eq!(
        new.intersection(&old).count(),
        old.len() - 1,
        "the old token is good no more"
    );
}

/// Only the owner can read the files, also while the script writes them.
#[test]
fn only_the_owner_can_read_secrets() {
    use std::os::unix::fs::PermissionsExt;
    let Some(tree) = Tree::new("the secrets' modes").unwrap() else {
        return;
    };
    let folder = tree.path().join("manifests/secrets");
    let of = |name: &str| fs::read_dir(folder.join(name)).unwrap();
    for entry in of("generated").chain(of("tls/generated")) {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", entry.path().display());
    }
}

/// Each server's certificate has the names that programs use, and the authority that they trust has signed it.
#[test]
fn certificates_have_the_names_that_programs_use() {
    let Some(tree) = Tree::new("certificates").unwrap() else {
        return;
    };
    let objects = tree.with_components(&["tls"]).unwrap();
    let setting = |map: &str, name: &str| {
        let found = objects.iter().find(|object| {
            object.kind() == "ConfigMap"
                && object
                    .name()
                    .rsplit_once('-')
                    .is_some_and(|(begin, _)| begin == map)
        });
        text(&found.unwrap().at("/data")[name]).to_owned()
    };
    let store = setting("connections", "OBJECT_STORE_ENDPOINT");
    let store = store.strip_prefix("https://").unwrap().split(':').next().unwrap();
    let certificates = tree.path().join("manifests/secrets/tls/generated");
    for (certificate, host) in [
        ("postgres", setting("irmgard", "POSTGRES_HOST").as_str()),
        ("rabbitmq", setting("connections", "RABBITMQ_HOST").as_str()),
        ("minio", store),
        ("postgres", "postgres-2.postgres-nodes.irmgard"),
        ("rabbitmq", "rabbitmq-2.rabbitmq-nodes.irmgard"),
    ] {
        let verify = |host: &str| {
            let mut command = Command::new("openssl");
            command
                .current_dir(&certificates)
                .args(["verify", "-CAfile", "authority.crt", "-verify_hostname", host])
                .arg(format!("{certificate}.crt"));
            run(&mut command)
        };
        verify(host).unwrap_or_else(|error| panic!("{certificate}, {host}: {error:#}"));
        assert!(verify("elsewhere").is_err(), "{certificate} is for any name");
    }
}

/// PostgreSQL accepts connections without TLS unless a rule forbids it. Patroni's `pg_hba` reads that rule from a file.
#[test]
fn with_tls_the_database_rejects_plain_connections() {
    let Some(tree) = Tree::new("pg_hba with TLS").unwrap() else {
        return;
    };
    let objects = tree.with_components(&["tls"]).unwrap();
    let database = objects
        .iter()
        .find(|object| object.kind() == "StatefulSet" && object.name() == "postgres")
        .unwrap();
    let patroni: serde_json::Value =
        serde_saphyr::from_str(include_str!("../../../services/postgres/patroni.yml")).unwrap();
    let lines: Vec<&str> = patroni["postgresql"]["pg_hba"]
        .as_array()
        .unwrap()
        .iter()
        .map(text)
        .collect();
    let place = lines
        .iter()
        .position(|line| line.starts_with("include_if_exists "))
        .unwrap();
    // The first matching line decides.
    assert!(
        lines[..place].iter().all(|line| line.starts_with("local ")),
        "{lines:?}"
    );
    let path = lines[place].split_whitespace().nth(1).unwrap();
    let [container] = database.containers()[..] else {
        panic!("the database has several containers");
    };
    let rules = mounted_file(path, container, database, &objects).unwrap();
    for database in ["all", "replication"] {
        let words = ["hostnossl", database, "all", "all", "reject"];
        assert!(
            rules.lines().any(|line| line.split_whitespace().eq(words)),
            "{rules}"
        );
    }
}
