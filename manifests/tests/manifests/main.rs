//! Tests of the manifests without a cluster: every overlay and every component, as `kubectl apply -k` gets them.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test, a panic is how it fails"
)]

mod accounts;
mod build_images;
mod configuration;
mod database_roles;
mod deploy;
mod external_traffic;
mod images;
mod kube_score;
mod labels;
mod limits;
mod links;
mod network;
mod opensearch_bootstrap;
mod opensearch_readiness;
mod pod_lifecycle;
mod pods;
mod rabbitmq_rejoin;
mod release;
mod release_assets;
mod schemas;
mod secrets;
mod variables;
mod workflows;

use std::sync::OnceLock;

use manifests::{Object, Tree, tools};

/// Components that an installation is likely to combine.
const COMBINATIONS: [&[&str]; 5] = [
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

/// The objects of an overlay, or of the base with components.
#[derive(Clone)]
struct Build {
    name: String,
    objects: Vec<Object>,
}

/// The base, every overlay, and the base with each component. Without kustomize: `None`, and a report that `what` is not tested.
fn builds(what: &str) -> Option<Vec<Build>> {
    static BUILDS: OnceLock<Vec<Build>> = OnceLock::new();
    // Reports what is not tested, also when another test has tried to build.
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
    for components in COMBINATIONS {
        builds.push(built(
            &format!("components {}", components.join(", ")),
            tree.with_components(components),
        ));
    }
    builds
}

/// The builds of the overlays, which are for deployment.
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

/// Returns the violations of one workload.
type Check = fn(&Object, &Build) -> Vec<String>;

/// Checks every workload of every build.
fn check_workloads(what: &str, check: Check) {
    let Some(builds) = builds(what) else {
        return;
    };
    let (mut checked, mut violations) = (0, Vec::new());
    for build in &builds {
        for workload in build.objects.iter().filter(|object| object.template().is_some()) {
            checked += 1;
            let found = check(workload, build).into_iter();
            violations.extend(found.map(|violation| format!("{}: {workload}: {violation}", build.name)));
        }
    }
    assert!(checked > 20, "only {checked} workloads were checked");
    assert_no_violations(violations);
}

/// Fails with all violations, one a line.
fn assert_no_violations(violations: Vec<String>) {
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}
