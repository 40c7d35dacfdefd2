//! `release/prepare` and `release/notes`: the version in all its places, and the section of CHANGELOG.md.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use manifests::tools::{project_root, run};
use serde_json::Value;
use tempfile::TempDir;

use crate::assert_no_violations;

pub(crate) const CURRENT: &str = env!("CARGO_PKG_VERSION");
const NEXT: &str = "98.7.6";
pub(crate) const REPOSITORY: &str = "https://github.example/irmgard/irmgard";

/// Files with versions of the past or of examples.
const NO_PLACES: [&str; 10] = [
    ".rs",
    "CHANGELOG.md",
    "Cargo.lock",
    "docs/log-fields.md",
    "docs/measured/",
    "e2e/reports/",
    "/corpus/",
    "/golden/",
    "/snapshots/",
    "/tests/",
];

/// A repository with the project's files, all committed. Without large ones, such as models and photos.
pub(crate) struct Copy {
    folder: TempDir,
}

impl Copy {
    pub(crate) fn new() -> Self {
        let copy = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let listed = run(Command::new("git").current_dir(project_root()).args([
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
        ]));
        for path in listed.unwrap().lines() {
            let (from, to) = (project_root().join(path), copy.path(path));
            if fs::metadata(&from).is_ok_and(|file| file.is_file() && file.len() < 1 << 20) {
                fs::create_dir_all(to.parent().unwrap()).unwrap();
                fs::copy(from, to).unwrap();
            }
        }
        copy.edit("Cargo.toml", |toml| {
            let without = toml.lines().filter(|line| !line.starts_with("repository = "));
            let toml = without.collect::<Vec<_>>().join("\n") + "\n";
            toml.replace(
                "[workspace.package]\n",
                &format!("[workspace.package]\nrepository = \"{REPOSITORY}\"\n"),
            )
        });
        // A library that has the same version.
        copy.edit("Cargo.lock", |lock| lock + &format!("\n{}", foreign_package()));
        // A section that can be released, also right after a release.
        copy.edit("CHANGELOG.md", |changelog| {
            changelog.replace("## [Unreleased]\n", "## [Unreleased]\n\n- A change.\n")
        });
        copy.git(&["init", "--quiet"]);
        copy.commit();
        copy
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn edit(&self, path: &str, change: impl Fn(String) -> String) {
        fs::write(self.path(path), change(self.read(path))).unwrap();
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null");
        command
    }

    fn git(&self, arguments: &[&str]) -> String {
        let author = ["-c", "user.name=test", "-c", "user.email=test@example.org"];
        run(self.command("git").args(author).args(arguments)).unwrap()
    }

    fn commit(&self) {
        self.git(&["add", "--all", "--force"]);
        self.git(&["commit", "--quiet", "--message", "test"]);
    }

    /// A script of the copy's folder `release`.
    pub(crate) fn script(&self, name: &str) -> Command {
        self.command(&self.path("release").join(name).display().to_string())
    }

    fn prepare(&self, version: &str) -> Output {
        self.script("prepare").arg(version).output().unwrap()
    }
}

fn error_of(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn foreign_package() -> String {
    format!("[[package]]\nname = \"zzz\"\nversion = \"{CURRENT}\"\nsource = \"registry+index\"\n")
}

/// Whether a line has the version as a word of its own.
fn has_version(line: &str, version: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '.';
    line.match_indices(version).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + version.len()..]);
        !before.ends_with(is_part) && !after.starts_with(is_part)
    })
}

#[test]
fn a_release_changes_the_version_everywhere() {
    let copy = Copy::new();
    let output = copy.prepare(NEXT);
    assert!(output.status.success(), "{output:?}");
    let commands = String::from_utf8_lossy(&output.stdout);
    assert!(
        commands.contains(&format!("git push origin HEAD v{NEXT}")),
        "{commands}"
    );

    let mut forgotten = Vec::new();
    for file in copy.git(&["ls-files"]).lines() {
        if NO_PLACES.iter().any(|place| file.contains(place)) {
            continue;
        }
        // Not a text.
        let Ok(content) = fs::read_to_string(copy.path(file)) else {
            continue;
        };
        let lines = content.lines().filter(|line| has_version(line, CURRENT));
        forgotten.extend(lines.map(|line| format!("{file}: {line}")));
    }
    assert_no_violations(forgotten);

    // Only packages of the workspace have no source.
    let lock = copy.read("Cargo.lock");
    let mut own = 0;
    for package in lock.split("\n\n").filter(|package| package.contains("\nname = ")) {
        if !package.contains("\nsource = ") {
            own += 1;
            assert!(package.contains(&format!("\nversion = \"{NEXT}\"")), "{package}");
        }
    }
    assert!(own > 10, "only {own} packages");
    assert!(
        lock.ends_with(&foreign_package()),
        "the version of a library changed"
    );

    let openapi: Value = serde_json::from_str(&copy.read("docs/openapi.json")).unwrap();
    assert_eq!(openapi["info"]["version"], NEXT);
    let changelog = copy.read("CHANGELOG.md");
    let heading = changelog
        .find(&format!("## [Unreleased]\n\n## [{NEXT}] - 2"))
        .unwrap();
    assert!(heading < changelog.find("- A change.").unwrap(), "{changelog}");
}

#[test]
fn what_cannot_be_a_release_is_refused() {
    let copy = Copy::new();
    for (version, message) in [
        ("", "is not a version"),
        ("v1.2.3", "is not a version"),
        ("1.2", "is not a version"),
        ("1.02.3", "is not a version"),
        ("0.0.0", "0.0.0 is older than "),
    ] {
        let error = error_of(&copy.prepare(version));
        assert!(error.contains(message), "{version}: {error}");
    }
    copy.git(&["tag", "v98.7.5"]);
    assert!(error_of(&copy.prepare("98.7.5")).contains("the tag v98.7.5 exists"));

    fs::write(copy.path("new-file"), "").unwrap();
    assert!(error_of(&copy.prepare(NEXT)).contains("uncommitted changes"));
    fs::remove_file(copy.path("new-file")).unwrap();
    assert_eq!(
        copy.git(&["status", "--porcelain"]),
        "",
        "a refused release changed a file"
    );

    let changelog = copy.read("CHANGELOG.md");
    let (head, _) = changelog.split_once("## [Unreleased]\n").unwrap();
    copy.edit("CHANGELOG.md", |_| {
        format!("{head}## [Unreleased]\n\n## [0.0.1] - 2026-01-01\n\n- Old.\n")
    });
    copy.commit();
    assert!(error_of(&copy.prepare(NEXT)).contains("[Unreleased] of CHANGELOG.md is missing or empty"));
    copy.edit("CHANGELOG.md", |_| {
        format!("{head}## [Unreleased]\n\n- New.\n\n## [{NEXT}] - 2026-01-01\n")
    });
    copy.commit();
    assert!(error_of(&copy.prepare(NEXT)).contains(&format!("already has a section {NEXT}")));
}

#[test]
fn notes_are_the_section_of_the_tag() {
    let copy = Copy::new();
    let notes = |tag: &str, repository: &str| {
        let mut script = copy.script("notes");
        script.arg(tag).env("REPOSITORY", repository).output().unwrap()
    };
    assert!(copy.prepare(NEXT).status.success());
    let tag = format!("v{NEXT}");
    let output = notes(&tag, REPOSITORY);
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        printed.starts_with("- A change.") && !printed.contains("\n## "),
        "{printed}"
    );

    assert!(error_of(&notes("v98.7.5", REPOSITORY)).contains("Cargo.toml has the version 98.7.6"));
    assert!(error_of(&notes(&tag, "https://github.example/other")).contains("repository = "));
    copy.edit("CHANGELOG.md", |changelog| {
        changelog.replace(&format!("[{NEXT}]"), "[98.7.5]")
    });
    assert!(error_of(&notes(&tag, REPOSITORY)).contains("has no section"));
}
