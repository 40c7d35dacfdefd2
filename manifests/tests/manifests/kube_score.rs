//! kube-score finds nothing critical in the overlays. Each ignored finding has a reason beside it.

use std::{fs, process::Command};

use manifests::{Tree, tools};
use walkdir::WalkDir;

use crate::assert_no_violations;

const IGNORED: &str = "kube-score/ignore:";

#[test]
fn nothing_critical_is_found() {
    let what = "kube-score's findings";
    let Some(program) = tools::go_program("kube-score", what).unwrap() else {
        return;
    };
    let Some(tree) = Tree::new(what).unwrap() else {
        return;
    };
    let mut violations = Vec::new();
    for overlay in tree.overlays().unwrap() {
        let file = tree.path().join("built.yaml");
        fs::write(&file, tree.text(&format!("overlays/{overlay}")).unwrap()).unwrap();
        let mut command = Command::new(&program);
        command.args(["score", "--output-format", "ci", "--kubernetes-version", "v1.34"]);
        // It exits with an error when it finds something.
        let output = command.arg(&file).output().unwrap();
        let findings = String::from_utf8(output.stdout).unwrap();
        assert!(
            findings.lines().filter(|line| line.starts_with("[OK]")).count() > 100,
            "kube-score did not look at {overlay}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        violations.extend(
            findings
                .lines()
                .filter(|line| line.starts_with("[CRITICAL]"))
                .map(|line| format!("{overlay}: {line}")),
        );
    }
    assert_no_violations(violations);
}

#[test]
fn every_ignored_finding_has_a_reason() {
    let mut ignored = 0;
    let mut violations = Vec::new();
    for entry in WalkDir::new(env!("CARGO_MANIFEST_DIR")) {
        let entry = entry.unwrap();
        if entry
            .path()
            .extension()
            .is_none_or(|extension| extension != "yaml")
        {
            continue;
        }
        let text = fs::read_to_string(entry.path()).unwrap();
        let mut before = "";
        for (number, line) in text.lines().enumerate() {
            if line.trim_start().starts_with(IGNORED) {
                ignored += 1;
                if !before.trim_start().starts_with('#') {
                    violations.push(format!(
                        "{}:{}: a comment above must say why this is ignored",
                        entry.path().display(),
                        number + 1
                    ));
                }
            }
            before = line;
        }
    }
    assert!(ignored > 0, "no finding is ignored, so this test checks nothing");
    assert_no_violations(violations);
}
