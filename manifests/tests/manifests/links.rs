//! What the project's documents point to is there: files, and headings in them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
    process::Command,
};

use manifests::tools::{project, run};

use crate::none;

/// The Markdown files of the project, by their paths in it.
fn documents() -> BTreeMap<PathBuf, String> {
    let mut command = Command::new("git");
    command
        .current_dir(project())
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "*.md"]);
    let listed = run(&mut command).unwrap();
    let there = listed.lines().filter(|path| project().join(path).is_file());
    there
        .map(|path| (path.into(), fs::read_to_string(project().join(path)).unwrap()))
        .collect()
}

/// The lines that are not in a fenced block of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// Where a line's links lead, images among them; what stands in backticks is none.
fn links(line: &str) -> Vec<&str> {
    let parts = line.split('`').enumerate();
    let mut found = Vec::new();
    let mut open = false;
    for (number, part) in parts {
        // A link's text may end with code: its target begins the next part.
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

/// The names that a document's headings can be reached by, as GitHub makes them, and those that it gives itself.
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

/// `a/b/../c` without the way up; None where it leads out of the project.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => plain.pop().then_some(())?,
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    Some(plain)
}

/// What is wrong with a link of a document.
fn wrong(link: &str, of: &Path, documents: &BTreeMap<PathBuf, String>) -> Option<String> {
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    let folder = of.parent().unwrap_or(Path::new(""));
    let target = if file.is_empty() {
        of.to_owned()
    } else {
        match plain(&folder.join(file)) {
            Some(path) if project().join(&path).exists() => path,
            _ => return Some(format!("{}: {link}: there is no such file", of.display())),
        }
    };
    if heading.is_empty() {
        return None;
    }
    let there = documents
        .get(&target)
        .is_some_and(|text| anchors(text).contains(heading));
    (!there).then(|| format!("{}: {link}: there is no such heading", of.display()))
}

#[test]
fn documents_point_to_what_is_there() {
    let documents = documents();
    let mut seen = 0;
    let mut all = Vec::new();
    for (path, text) in &documents {
        for link in prose(text).flat_map(links) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            seen += 1;
            all.extend(wrong(link, path, &documents));
        }
    }
    assert!(seen > 80, "only {seen} links were looked at");
    none(all);
}

#[test]
fn a_link_that_leads_nowhere_is_seen() {
    let documents = BTreeMap::from([
        (
            PathBuf::from("README.md"),
            "# A `b` and c\n## Two\n## Two\n".to_owned(),
        ),
        (PathBuf::from("docs/a.md"), String::new()),
    ]);
    let is_wrong = |link: &str, of: &str| wrong(link, Path::new(of), &documents).is_some();
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
