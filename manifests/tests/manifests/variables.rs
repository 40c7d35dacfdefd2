//! Programs read every variable that their workload sets, and workloads set every variable that their program needs.

use std::{collections::BTreeMap, fs};

use manifests::{
    Object, environment,
    object::{list_of, text},
    tools::project_root,
};
use serde_json::Value;
use walkdir::WalkDir;

use crate::{assert_no_violations, builds};

/// The names of the variables of a workload's containers, those from ConfigMaps included.
pub fn names(workload: &Object, objects: &[Object]) -> Vec<String> {
    let containers = workload.containers();
    containers
        .iter()
        .flat_map(|container| variables(container, workload, objects).into_keys())
        .collect()
}

pub fn variables(container: &Value, workload: &Object, objects: &[Object]) -> BTreeMap<String, String> {
    environment::variables(container, workload, objects).unwrap()
}

/// A row of docs/configuration.md. A test of e2e generates that page from the programs' settings.
struct Documented {
    name: String,
    read_by: String,
    is_required: bool,
}

fn documented() -> Vec<Documented> {
    let page = fs::read_to_string(project_root().join("docs/configuration.md")).unwrap();
    let mut every_program = false;
    let mut rows = Vec::new();
    for line in page.lines() {
        every_program |= line == "## Log lines and traces";
        if !line.starts_with('|') {
            continue;
        }
        let cells: Vec<&str> = line
            .split(" | ")
            .map(|cell| cell.trim_matches([' ', '|']))
            .collect();
        let Some(name) = cells[0].strip_prefix('`').and_then(|cell| cell.strip_suffix('`')) else {
            continue;
        };
        rows.push(Documented {
            name: name.to_owned(),
            read_by: if every_program { "both" } else { cells[1] }.to_owned(),
            is_required: cells.get(2) == Some(&"**required**"),
        });
    }
    assert!(
        rows.len() > 80,
        "docs/configuration.md has only {} rows",
        rows.len()
    );
    rows
}

/// The variables that a source file names, for programs without a row in that page.
fn variables_in_source(folder: &str, begins: &str, ends: fn(char) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for entry in WalkDir::new(project_root().join(folder)) {
        let entry = entry.unwrap();
        let Ok(text) = fs::read_to_string(entry.path()) else {
            continue;
        };
        for (at, _) in text.match_indices(begins) {
            let rest = &text[at + 1..];
            found.extend(rest.split(ends).find(|part| !part.is_empty()).map(str::to_owned));
        }
    }
    assert!(!found.is_empty(), "{folder} reads no variable");
    found
}

fn ends_a_name(c: char) -> bool {
    !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// The variables that the program of an image reads. `None` for other projects' images.
fn program_variables(image: &str) -> Option<Vec<String>> {
    let names = match image {
        "irmgard/irmgard" | "irmgard/anonymizer" => {
            let program = image.trim_start_matches("irmgard/");
            let telemetry = schema::environment::SOURCES
                .iter()
                .map(|(name, _)| (*name).to_owned());
            documented()
                .into_iter()
                .filter(|row| row.read_by == program || row.read_by == "both")
                .flat_map(|row| [format!("{}_FILE", row.name), row.name])
                .chain(telemetry)
                .collect()
        }
        "irmgard/logq" => variables_in_source("logging/logq/src", "\"LOGQ_", ends_a_name),
        "irmgard/fluentd" => ["fluentd/fluent.conf", "fluentd/conf.d"]
            .into_iter()
            .flat_map(|folder| variables_in_source(folder, "'", ends_a_name))
            .collect(),
        _ => return None,
    };
    Some(names)
}

/// An image's name without its tag.
fn image(container: &Value) -> &str {
    let image = text(&container["image"]);
    image.rsplit_once(':').map_or(image, |(name, _)| name)
}

#[test]
fn programs_read_every_variable_that_is_set() {
    let Some(builds) = builds("variables of the manifests") else {
        return;
    };
    let mut known = BTreeMap::new();
    let mut checked = 0;
    let mut violations = Vec::new();
    for build in &builds {
        for workload in &build.objects {
            for container in workload.containers() {
                let name = image(container);
                let read = known
                    .entry(name.to_owned())
                    .or_insert_with(|| program_variables(name));
                let Some(read) = read else { continue };
                // A ConfigMap that programs share may contain more than each of them reads.
                for variable in variables(container, workload, &build.objects).keys() {
                    checked += 1;
                    if !read.contains(variable) {
                        violations.push(format!(
                            "{}: {workload}: {name} does not read {variable}",
                            build.name
                        ));
                    }
                }
            }
        }
    }
    assert!(checked > 100, "only {checked} variables were checked");
    assert_no_violations(violations);
}

#[test]
fn every_required_variable_is_set() {
    let Some(builds) = builds("variables that are needed") else {
        return;
    };
    let needed = documented();
    let mut violations = Vec::new();
    for build in &builds {
        for workload in &build.objects {
            for container in workload.containers() {
                let program = image(container).trim_start_matches("irmgard/");
                let serves = list_of(&container["args"]).iter().any(|word| word == "serve");
                if !matches!(program, "irmgard" | "anonymizer") || !serves {
                    continue;
                }
                let set = variables(container, workload, &build.objects);
                let is_set = |name: &str| set.contains_key(name) || set.contains_key(&format!("{name}_FILE"));
                for row in &needed {
                    let reads = row.read_by == program || row.read_by == "both";
                    if reads && row.is_required && !is_set(&row.name) {
                        violations.push(format!("{}: {workload}: {} is not set", build.name, row.name));
                    }
                }
                if !is_set("OBJECT_STORE_ENDPOINT") && !is_set("OBJECT_STORE_HOST") {
                    violations.push(format!("{}: {workload}: no object store is named", build.name));
                }
            }
        }
    }
    assert_no_violations(violations);
}

/// Each of our programs gets its pod's identity from the downward API, by the names of logging/schema.
#[test]
fn our_programs_get_their_pods_identity() {
    let Some(builds) = builds("the downward API") else {
        return;
    };
    use schema::environment as env;
    let fields = [
        (env::NAMESPACE, "metadata.namespace"),
        (env::POD_NAME, "metadata.name"),
        (env::POD_UID, "metadata.uid"),
        (env::NODE_NAME, "spec.nodeName"),
    ];
    let mut violations = Vec::new();
    for build in &builds {
        for workload in &build.objects {
            for container in workload.containers() {
                // `operator-shell` runs a program only when a person starts one. Its lines are not collected.
                if !matches!(image(container), "irmgard/irmgard" | "irmgard/anonymizer")
                    || text(&container["name"]) == "operator-shell"
                {
                    continue;
                }
                let variable = |name: &str| list_of(&container["env"]).iter().find(|v| v["name"] == name);
                for (name, field) in fields {
                    let path = variable(name).map(|v| text(&v["valueFrom"]["fieldRef"]["fieldPath"]));
                    if path != Some(field) {
                        violations.push(format!("{}: {workload}: {name} is not {field}", build.name));
                    }
                }
                if variable(env::CONTAINER_NAME).map(|v| &v["value"]) != Some(&container["name"]) {
                    violations.push(format!(
                        "{}: {workload}: {} is not its name",
                        build.name,
                        env::CONTAINER_NAME
                    ));
                }
                let folder = env::DEFAULT_LABELS_FILE.rsplit_once('/').unwrap().0;
                if !list_of(&container["volumeMounts"])
                    .iter()
                    .any(|mount| mount["mountPath"] == folder)
                {
                    violations.push(format!(
                        "{}: {workload}: its labels are not mounted at {folder}",
                        build.name
                    ));
                }
            }
        }
    }
    assert_no_violations(violations);
}
