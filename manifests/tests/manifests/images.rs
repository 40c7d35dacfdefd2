//! Every image has a version, which one file sets. Our images have the version of the workspace.

use std::{collections::BTreeSet, fs};

use manifests::{
    object::{list_of, text},
    tools::project_root,
};
use serde_json::Value;

use crate::{assert_no_violations, builds};

const OURS: [&str; 3] = ["irmgard", "anonymizer", "logq"];

/// The folder of the Dockerfile of each image of this project.
const BUILT: [(&str, &str); 6] = [
    ("irmgard", "services/irmgard"),
    ("anonymizer", "services/anonymizer"),
    ("logq", "logging/logq"),
    ("postgres", "services/postgres"),
    ("rabbitmq", "services/rabbitmq"),
    ("fluentd", "fluentd"),
];

pub(crate) fn pinned() -> Vec<Value> {
    let component: Value = serde_saphyr::from_str(include_str!("../../images/kustomization.yaml")).unwrap();
    list_of(&component["images"]).to_vec()
}

pub(crate) fn tag_of(name: &str) -> String {
    let images = pinned();
    let image = images.iter().find(|image| image["name"] == name);
    let tag =
        image.unwrap_or_else(|| panic!("images/kustomization.yaml does not name {name}"))["newTag"].clone();
    // YAML reads an unquoted tag like 0.10 as a number, and kustomize would print another one.
    tag.as_str()
        .unwrap_or_else(|| panic!("{name}: its tag must be a text: {tag}"))
        .to_owned()
}

#[test]
fn images_are_pinned() {
    let Some(builds) = builds("images of the manifests") else {
        return;
    };
    let pinned: BTreeSet<String> = pinned()
        .iter()
        .map(|image| format!("{}:{}", text(&image["newName"]), text(&image["newTag"])))
        .collect();
    let mut used = BTreeSet::new();
    let mut violations = Vec::new();
    for build in &builds {
        for workload in &build.objects {
            for container in workload.containers() {
                let image = text(&container["image"]);
                used.insert(image.to_owned());
                let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
                if matches!(tag, "" | "latest") || tag.contains('/') {
                    violations.push(format!("{}: {workload}: {image} has no version", build.name));
                }
                if build.name == "base" && !pinned.contains(image) {
                    violations.push(format!("{workload}: {image} is not of images/kustomization.yaml"));
                }
            }
        }
    }
    for image in pinned.difference(&used) {
        violations.push(format!("images/kustomization.yaml: {image} is not used"));
    }
    assert_no_violations(violations);
}

#[test]
fn our_images_have_the_version_of_the_workspace() {
    for name in OURS {
        assert_eq!(tag_of(name), env!("CARGO_PKG_VERSION"), "{name}");
    }
}

#[test]
fn pods_of_our_images_are_labelled_with_its_version() {
    let Some(builds) = builds("version labels") else {
        return;
    };
    let mut violations = Vec::new();
    for build in &builds {
        for workload in &build.objects {
            for container in workload.containers() {
                let image = text(&container["image"]);
                let Some(rest) = OURS
                    .iter()
                    .find_map(|name| image.split_once(&format!("/{name}:")))
                else {
                    continue;
                };
                if workload
                    .pod_labels()
                    .get(schema::label::VERSION)
                    .map(String::as_str)
                    != Some(rest.1)
                {
                    violations.push(format!(
                        "{}: {workload}: {} is not {}",
                        build.name,
                        schema::label::VERSION,
                        rest.1
                    ));
                }
            }
        }
    }
    assert_no_violations(violations);
}

/// The label of each Dockerfile is the tag in the manifests. The build sets the revision.
#[test]
fn dockerfiles_label_their_version() {
    let mut violations = Vec::new();
    for (name, folder) in BUILT {
        let file = project_root().join(folder).join("Dockerfile");
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let version = format!("org.opencontainers.image.version=\"{}\"", tag_of(name));
        for wanted in [
            version.as_str(),
            "org.opencontainers.image.revision=\"$REVISION\"",
            "ARG REVISION",
        ] {
            if !text.contains(wanted) {
                violations.push(format!("{folder}/Dockerfile: it does not say {wanted}"));
            }
        }
        let runs_as_root = !text
            .lines()
            .any(|line| line.starts_with("USER ") && !line.contains("root"));
        if runs_as_root != (name == "fluentd") {
            violations.push(format!(
                "{folder}/Dockerfile: only Fluentd runs as root, and it does"
            ));
        }
        let mut stages = BTreeSet::new();
        for from in text.lines().filter_map(|line| line.strip_prefix("FROM ")) {
            let words: Vec<&str> = from.split_whitespace().collect();
            let image = words.first().copied().unwrap_or_default();
            if !stages.contains(image) && (!image.contains(':') || image.ends_with(":latest")) {
                violations.push(format!("{folder}/Dockerfile: FROM {image} has no version"));
            }
            if let [_, "AS", stage] = words[..] {
                stages.insert(stage);
            }
        }
    }
    assert_no_violations(violations);
}

/// The four images share their build stages, so a builder with a layer cache compiles once.
#[test]
fn our_images_share_their_build_stages() {
    let stages: BTreeSet<String> = BUILT
        .iter()
        .filter(|(name, _)| OURS.contains(name) || *name == "fluentd")
        .map(|(_, folder)| {
            let text = fs::read_to_string(project_root().join(folder).join("Dockerfile")).unwrap();
            let begin = text.find("FROM ").unwrap();
            let build = text.find(" AS build\n").unwrap();
            let end = build + text[build..].find("\nFROM ").unwrap();
            text[begin..end].trim_end().to_owned()
        })
        .collect();
    assert_eq!(
        stages.len(),
        1,
        "what is up to the stage `build` differs: {stages:#?}"
    );
}

#[test]
fn the_image_of_opensearch_has_the_version_of_the_tests() {
    let install = fs::read_to_string(project_root().join("local/install")).unwrap();
    let tested = install
        .lines()
        .find_map(|line| line.strip_prefix("readonly opensearch_version="));
    assert_eq!(tested, Some(tag_of("opensearch").as_str()));
    assert_eq!(tag_of("dashboards"), tag_of("opensearch"));
}
