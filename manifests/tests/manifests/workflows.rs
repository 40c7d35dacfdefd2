//! The workflows of `.github`: actionlint accepts them, actions are pinned, and jobs have only the rights that they need.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use manifests::{
    object::text,
    tools::{go_program, project_root},
};
use serde_json::Value;

use crate::assert_no_violations;

fn files() -> Vec<PathBuf> {
    let folder = fs::read_dir(project_root().join(".github/workflows")).unwrap();
    let files: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 2, "{files:?}");
    files
}

/// The workflows by file name.
fn workflows() -> Vec<(String, Value)> {
    let parse = |file: PathBuf| {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let workflow = serde_saphyr::from_str(&fs::read_to_string(&file).unwrap());
        (
            name.clone(),
            workflow.unwrap_or_else(|error| panic!("{name}: {error}")),
        )
    };
    files().into_iter().map(parse).collect()
}

fn jobs(workflow: &Value) -> impl Iterator<Item = (&String, &Value)> {
    workflow["jobs"].as_object().unwrap().iter()
}

/// Checks a workflow as if it were in the folder of the others.
fn lint(actionlint: &Path, workflow: &str) -> Output {
    let mut command = Command::new(actionlint);
    command
        .current_dir(project_root())
        .args(["-no-color", "-stdin-filename", ".github/workflows/test.yml", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(workflow.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn actionlint_accepts_all_workflows_and_refuses_a_broken_one() {
    let Some(actionlint) = go_program("actionlint", "workflows").unwrap() else {
        return;
    };
    for file in files() {
        let output = lint(&actionlint, &fs::read_to_string(&file).unwrap());
        let found = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{}: {found}", file.display());
    }
    let release = fs::read_to_string(project_root().join(".github/workflows/release.yml")).unwrap();
    for (right, wrong) in [
        ("needs: images", "needs: image"),
        ("matrix.runner", "matrix.runners"),
        ("contents: write", "contents: append"),
    ] {
        assert!(release.contains(right), "{right}");
        let output = lint(&actionlint, &release.replace(right, wrong));
        assert!(!output.status.success(), "{wrong} was accepted");
    }
}

/// A tag of an action can be moved to other code; a commit cannot. Renovate reads the version from the comment.
#[test]
fn actions_are_pinned_to_commits() {
    let mut pinned = 0;
    let mut violations = Vec::new();
    for file in files() {
        let content = fs::read_to_string(&file).unwrap();
        for (number, line) in content.lines().enumerate() {
            let Some((_, action)) = line.split_once("uses: ") else {
                continue;
            };
            let words: Vec<&str> = action.split([' ', '@']).collect();
            match words[..] {
                [_, commit, "#", version]
                    if commit.len() == 40
                        && commit.chars().all(|c| c.is_ascii_hexdigit())
                        && version.starts_with('v') =>
                {
                    pinned += 1;
                }
                // A workflow of this commit.
                [path] if path.starts_with("./") => {}
                _ => violations.push(format!(
                    "{}:{}: use NAME@COMMIT # VERSION: {action}",
                    file.display(),
                    number + 1
                )),
            }
        }
    }
    assert!(pinned > 5, "only {pinned} actions were found");
    assert_no_violations(violations);
}

#[test]
fn jobs_have_only_the_rights_that_they_need() {
    /// The jobs with other rights than reading the repository.
    const RIGHTS: [(&str, &str, &[&str]); 3] = [
        ("release.yml", "images", &["packages"]),
        ("release.yml", "join", &["attestations", "id-token", "packages"]),
        (
            "release.yml",
            "publish",
            &["attestations", "contents", "id-token"],
        ),
    ];
    let mut violations = Vec::new();
    for (file, workflow) in workflows() {
        if workflow["permissions"]
            .as_object()
            .is_none_or(|rights| !rights.is_empty())
        {
            violations.push(format!(
                "{file}: the workflow itself must have `permissions: {{}}`"
            ));
        }
        if workflow["concurrency"]["group"].as_str().is_none() {
            violations.push(format!("{file}: it has no `concurrency`"));
        }
        for (name, job) in jobs(&workflow) {
            let allowed = RIGHTS.iter().find(|(f, j, _)| *f == file && j == name);
            let allowed = allowed.map_or([].as_slice(), |(_, _, rights)| rights);
            let rights = job["permissions"].as_object();
            let mut written: Vec<&str> = rights
                .into_iter()
                .flatten()
                .filter(|(_, level)| *level != "read")
                .map(|(right, _)| right.as_str())
                .collect();
            written.sort_unstable();
            if rights.is_none() || written != allowed {
                violations.push(format!("{file}: {name} may write {written:?}, not {allowed:?}"));
            }
            if job["uses"].is_null() && job["timeout-minutes"].is_null() {
                violations.push(format!("{file}: {name} has no timeout"));
            }
        }
    }
    assert_no_violations(violations);
}

/// The token stays out of `.git/config`, where every later program of the job could read it.
#[test]
fn a_checkout_keeps_no_token() {
    let mut checkouts = 0;
    for (file, workflow) in workflows() {
        for (name, job) in jobs(&workflow) {
            for step in job["steps"].as_array().into_iter().flatten() {
                if text(&step["uses"]).starts_with("actions/checkout@") {
                    checkouts += 1;
                    assert_eq!(step["with"]["persist-credentials"], false, "{file}: {name}");
                }
            }
        }
    }
    assert!(checkouts > 5, "only {checkouts} checkouts were found");
}

/// The job that may change the repository runs no program from it.
#[test]
fn the_job_that_publishes_checks_nothing_out() {
    let workflows = workflows();
    let (_, release) = workflows.iter().find(|(file, _)| file == "release.yml").unwrap();
    let steps = release["jobs"]["publish"]["steps"].as_array().unwrap();
    assert!(!steps.is_empty());
    for step in steps {
        assert!(!text(&step["uses"]).starts_with("actions/checkout@"), "{step}");
    }
}
