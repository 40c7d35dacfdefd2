//! Every link of the project's documents leads to an existing file and heading.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
    process::Command,
};

use manifests::tools::{project_root, run};

use crate::assert_no_violations;

/// The project's Markdown files by path.
fn documents() -> BTreeMap<PathBuf, String> {
    let mut command = Command::new("git");
    command.current_dir(project_root()).args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "*.md",
    ]);
    let listed = run(&mut command).unwrap();
    let files = listed.lines().filter(|path| project_root().join(path).is_file());
    files
        .map(|path| {
            (
                path.into(),
                fs::read_to_string(project_root().join(path)).unwrap(),
            )
        })
        .collect()
}

/// The lines outside of fenced code blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// The targets of the links and images in a line. Text in backticks contains no links.
fn links(line: &str) -> Vec<&str> {
    let parts = line.split('`').enumerate();
    let mut found = Vec::new();
    let mut open = false;
    for (number, part) in parts {
        // If a link's text ends with code, its target begins the next part.
        if number % 2 == 1 {
            continue;
        }
        let mut pieces = part.split("](");
        let first = pieces.next().unwrap_or_default();
        open |= first.contains('[');
        for piece in pieces {
            if open && let Some((target, _)) = piece.split_once(')') {
                found.push(target);
            }
            open = true;
        }
    }
    found
}

/// The anchors of a document: those that GitHub derives from headings, and explicit ones.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for line in prose(text) {
        if let Some((_, rest)) = line.split_once("<a id=\"")
            && let Some((name, _)) = rest.split_once('"')
        {
            names.insert(name.to_owned());
        }
        if !line.starts_with('#') {
            continue;
        }
        let name: String = line
            .trim_start_matches('#')
            .trim()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .flat_map(char::to_lowercase)
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let number = (1..).map(|number| format!("{name}-{number}"));
        let free = [name.clone()]
            .into_iter()
            .chain(number)
            .find(|name| !names.contains(name));
        names.extend(free);
    }
    names
}

/// The path without `..`: `a/b/../c` becomes `a/c`. `None` if it leaves the project.
fn normalized(path: &Path) -> Option<PathBuf> {
    let mut path_in_project = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => path_in_project.pop().then_some(())?,
            Component::CurDir => {}
            part => path_in_project.push(part),
        }
    }
    Some(path_in_project)
}

/// Why a link of a document leads nowhere.
fn find_problem(link: &str, document: &Path, documents: &BTreeMap<PathBuf, String>) -> Option<String> {
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    let folder = document.parent().unwrap_or(Path::new(""));
    let target = if file.is_empty() {
        document.to_owned()
    } else {
        match normalized(&folder.join(file)) {
            Some(path) if project_root().join(&path).exists() => path,
            _ => return Some(format!("{}: {link}: the file does not exist", document.display())),
        }
    };
    if heading.is_empty() {
        return None;
    }
    let exists = documents
        .get(&target)
        .is_some_and(|text| anchors(text).contains(heading));
    (!exists).then(|| format!("{}: {link}: the heading does not exist", document.display()))
}

#[test]
fn links_lead_to_existing_files_and_headings() {
    let documents = documents();
    let mut checked = 0;
    let mut all = Vec::new();
    for (path, text) in &documents {
        for link in prose(text).flat_map(links) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            checked += 1;
            all.extend(find_problem(link, path, &documents));
        }
    }
    assert!(checked > 80, "only {checked} links were checked");
    assert_no_violations(all);
}

/// The table in the section "Checks without a cluster" has every test file.
#[test]
fn the_table_of_tests_names_the_files() {
    let page = fs::read_to_string(project_root().join("manifests/README.md")).unwrap();
    let (_, section) = page.split_once("## Checks without a cluster\n").unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let named: BTreeSet<&str> = rows
        .flat_map(|row| row.split('|').nth(1).unwrap_or_default().split(", "))
        .map(|name| name.trim().trim_matches('`'))
        .collect();
    let folder = fs::read_dir(project_root().join("manifests/tests/manifests")).unwrap();
    let files: Vec<PathBuf> = folder.map(|file| file.unwrap().path()).collect();
    let stems = files.iter().filter_map(|file| file.file_stem()?.to_str());
    let files: BTreeSet<&str> = stems.filter(|name| *name != "main").collect();
    assert_eq!(named, files);
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let documents = BTreeMap::from([
        (
            PathBuf::from("README.md"),
            "# A `b` and c\n## Two\n## Two\n".to_owned(),
        ),
        (PathBuf::from("docs/a.md"), String::new()),
    ]);
    let is_wrong = |link: &str, of: &str| find_problem(link, Path::new(of), &documents).is_some();
    for link in [
        "../README.md#a-b-and-c",
        "../README.md#two-1",
        "../Makefile",
        "../docs",
    ] {
        assert!(!is_wrong(link, "docs/a.md"), "{link}");
    }
    for link in [
        "README.md",
        "../README.md#three",
        "../README.md#two-2",
        "#two",
        "../../README.md",
        "../Makefile#a",
    ] {
        assert!(is_wrong(link, "docs/a.md"), "{link}");
    }
    let line = "see [`x`](a.md), ![i](b.png) and `[no](c.md)`; [d](e.md#f)";
    assert_eq!(links(line), ["a.md", "b.png", "e.md#f"]);
}
