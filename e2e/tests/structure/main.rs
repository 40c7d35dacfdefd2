//! Modules depend on each other in one direction.
//!
//! Two rules for each crate of the workspace:
//! 1. Its top-level modules form no circle.
//! 2. Deeper, a folder is in no circle with its siblings. Files of one folder may depend on each other.
//!
//! A parent may use its children, and a child may use what its parent defines.
//! A name that the parent only re-exports counts as the name of the module that defines it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test, a panic is how it fails"
)]

mod module_tree;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs,
    path::Path,
};

use module_tree::{ModuleDependency, ModuleTree};

#[test]
fn modules_depend_in_one_direction() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    std::env::set_current_dir(workspace).unwrap();
    let manifest: toml::Table = fs::read_to_string("Cargo.toml").unwrap().parse().unwrap();
    let members = manifest["workspace"]["members"].as_array().unwrap();
    let mut failures = Vec::new();
    for package in members.iter().map(|member| member.as_str().unwrap()) {
        let mut circles = Vec::new();
        for root in ["src/lib.rs", "src/main.rs"] {
            let root = Path::new(package).join(root);
            if root.exists() {
                circles.extend(find_circles(&ModuleTree::parse(&root)));
            }
        }
        failures.extend(circles.iter().map(|circle| circle.report(package)));
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// The shortest circle through a module, among modules with the same parent.
struct Circle {
    parent: String,
    modules: BTreeSet<String>,
    /// `a -> b`, and the place in the source.
    steps: Vec<String>,
}

impl Circle {
    fn report(&self, package: &str) -> String {
        let parent = if self.parent.is_empty() { "" } else { "::" };
        format!(
            "{package}{parent}{}: modules in a circle:\n{}",
            self.parent,
            self.steps.join("\n")
        )
    }
}

fn find_circles(tree: &ModuleTree) -> Vec<Circle> {
    let mut levels: BTreeMap<usize, BTreeMap<usize, BTreeMap<usize, String>>> = BTreeMap::new();
    for ModuleDependency {
        parent,
        from,
        to,
        evidence,
    } in tree.dependencies()
    {
        let targets = levels.entry(parent).or_default().entry(from).or_default();
        targets.entry(to).or_insert(evidence);
    }
    let mut circles = Vec::new();
    let mut reported = BTreeSet::new();
    for (parent, edges) in &levels {
        for module in edges
            .keys()
            .filter(|module| tree.is_root(*parent) || tree.is_folder(**module))
        {
            let Some(path) = shortest_circle(edges, *module) else {
                continue;
            };
            let modules: BTreeSet<usize> = path.iter().copied().collect();
            if !reported.insert(modules) {
                continue;
            }
            let steps = path.iter().zip(path.iter().cycle().skip(1)).map(|(from, to)| {
                format!(
                    "  {} -> {}  {}",
                    tree.path(*from),
                    tree.path(*to),
                    edges[from][to]
                )
            });
            circles.push(Circle {
                parent: tree.path(*parent),
                modules: path
                    .iter()
                    .map(|module| tree.path(*module).rsplit("::").next().unwrap().to_owned())
                    .collect(),
                steps: steps.collect(),
            });
        }
    }
    circles
}

fn shortest_circle(edges: &BTreeMap<usize, BTreeMap<usize, String>>, start: usize) -> Option<Vec<usize>> {
    let mut queue = VecDeque::from([vec![start]]);
    let mut seen = BTreeSet::new();
    while let Some(path) = queue.pop_front() {
        for next in edges
            .get(&path[path.len() - 1])
            .into_iter()
            .flat_map(BTreeMap::keys)
        {
            if *next == start {
                return Some(path);
            }
            if seen.insert(*next) {
                queue.push_back(path.iter().copied().chain([*next]).collect());
            }
        }
    }
    None
}

/// Circles of a crate with these files, each as its modules.
fn circles_in(files: &[(&str, &str)]) -> Vec<Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let circles = find_circles(&ModuleTree::parse(&folder.path().join("lib.rs")));
    circles
        .into_iter()
        .map(|circle| circle.modules.into_iter().collect())
        .collect()
}

#[test]
fn a_circle_is_found_whatever_form_the_path_has() {
    for path in [
        "use crate::b::B;",
        "use crate::{b::{self, B as C}};",
        "use super::b::B;",
        "fn f() { crate::b::f() }",
        "fn f(b: super::b::B) {}",
        "fn f() { println!(\"{}\", crate::b::f()); }",
        "macro_rules! m { () => { $crate::b::f() } }",
        "#[serde(with = \"crate::b\")] struct S;",
        "mod inner { use super::super::b::B; }",
        "fn f() { use crate::b::B; }",
        // The root imports it from there.
        "use crate::B;",
        "use super::b as c; fn f() { c::f() }",
    ] {
        let files = [
            ("lib.rs", "mod a; mod b; pub use b::B;"),
            ("a.rs", path),
            ("b.rs", "use crate::a::A;"),
        ];
        assert_eq!(circles_in(&files), [["a", "b"]], "{path}");
    }
}

#[test]
fn tests_parents_and_files_of_one_folder_are_permitted() {
    for path in [
        "#[cfg(test)] mod tests { use crate::b::B; }",
        "mod tests;",
        "#[cfg(test)] fn f() { crate::b::f() }",
        "impl A { #[cfg(test)] fn f() { crate::b::f() } }",
        // The root defines it.
        "use crate::Shared;",
        "// crate::b::B",
        "const TEXT: &str = \"crate::b::B\";",
    ] {
        let root = "mod a; mod b; pub use b::B; struct Shared;";
        let files = [("lib.rs", root), ("a.rs", path), ("b.rs", "use crate::a::A;")];
        assert_eq!(circles_in(&files), [] as [Vec<String>; 0], "{path}");
    }
    let files = [
        ("lib.rs", "mod a;"),
        ("a/mod.rs", "mod b; mod c; struct Shared;"),
        ("a/b.rs", "use super::{Shared, c::C};"),
        ("a/c.rs", "use super::b::B;"),
    ];
    assert_eq!(circles_in(&files), [] as [Vec<String>; 0]);
}

#[test]
fn a_folder_is_in_no_circle_with_its_siblings() {
    let files = [
        ("lib.rs", "mod a;"),
        ("a/mod.rs", "mod b; mod c; use c::C;"),
        ("a/b.rs", "use super::C;"),
        ("a/c/mod.rs", "mod d;"),
        ("a/c/d.rs", "use super::super::b::B;"),
    ];
    assert_eq!(circles_in(&files), [["b", "c"]]);
}
