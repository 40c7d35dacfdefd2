//! The manifests without a cluster: what `kubectl apply -k` would be given, in every overlay and with every component.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test, a panic is how it fails"
)]

mod accounts;
mod configuration;
mod deploy;
mod forgotten;
mod founding;
mod images;
mod labels;
mod life;
mod limits;
mod links;
mod network;
mod outside;
mod pods;
mod programs;
mod ready;
mod roles;
mod schemas;
mod score;
mod secrets;
mod variables;

use std::sync::OnceLock;

use manifests::{Object, Tree, tools};

/// Components that an installation is likely to take together.
const TOGETHER: [&[&str]; 5] = [
    &[
        "network-policies",
        "postgres-three",
        "rabbitmq-three",
        "opensearch-three",
        "autoscaling",
        "ingress",
        "tls",
        "otel-collector",
    ],
    &["network-policies", "autoscaling", "ingress", "external-s3"],
    &["network-policies", "without-fluentd", "without-dashboards"],
    &["network-policies", "tls"],
    &["network-policies", "otel-collector"],
];

/// A build and what it is called.
#[derive(Clone)]
struct Build {
    name: String,
    objects: Vec<Object>,
}

/// The base, every overlay, and the base with each component. None where there is no kustomize; then that `what` is not tested
/// is said.
fn builds(what: &str) -> Option<Vec<Build>> {
    static BUILDS: OnceLock<Vec<Build>> = OnceLock::new();
    // Says what is not tested; the copy is made again only where the builds are not there yet.
    tools::go_program("kustomize", what).unwrap()?;
    Some(BUILDS.get_or_init(|| build_all(what)).clone())
}

fn build_all(what: &str) -> Vec<Build> {
    let Some(tree) = Tree::new(what).unwrap() else {
        return Vec::new();
    };
    let mut builds = vec![built("base", tree.build("base"))];
    for overlay in tree.overlays().unwrap() {
        builds.push(built(
            &format!("overlay {overlay}"),
            tree.build(&format!("overlays/{overlay}")),
        ));
    }
    for component in tree.components().unwrap() {
        builds.push(built(
            &format!("component {component}"),
            tree.with_components(&[&component]),
        ));
    }
    for components in TOGETHER {
        builds.push(built(
            &format!("components {}", components.join(", ")),
            tree.with_components(components),
        ));
    }
    builds
}

/// What is made to be deployed: the overlays alone.
fn overlays(what: &str) -> Option<Vec<Build>> {
    let mut builds = builds(what)?;
    builds.retain(|build| build.name.starts_with("overlay "));
    Some(builds)
}

fn built(name: &str, objects: anyhow::Result<Vec<Object>>) -> Build {
    Build {
        name: name.to_owned(),
        objects: objects.unwrap_or_else(|error| panic!("{name}: {error:#}")),
    }
}

/// What is wrong with the pods of one workload.
type Check = fn(&Object, &Build) -> Vec<String>;

/// Asks it of every workload of every build.
fn check(what: &str, check: Check) {
    let Some(builds) = builds(what) else {
        return;
    };
    let mut wrong = Vec::new();
    let mut seen = 0;
    for build in &builds {
        for workload in build.objects.iter().filter(|object| object.template().is_some()) {
            seen += 1;
            wrong.extend(
                check(workload, build)
                    .into_iter()
                    .map(|what| format!("{}: {workload}: {what}", build.name)),
            );
        }
    }
    assert!(seen > 20, "only {seen} workloads were looked at");
    none(wrong);
}

/// Fails with all that is wrong, a line each.
fn none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}
