//! Every pod of ours starts with settings that its program takes: read by the program itself, out of the manifests.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test, a panic is how it fails"
)]

use std::collections::BTreeMap;

use e2e::cluster::Deployment;
use manifests::{
    Object, Tree, environment,
    object::{list_of, text},
};

/// Reads a program's settings; what it complains of.
type Reader = fn(&BTreeMap<String, String>) -> Result<(), String>;

fn told<T>(read: Result<T, impl std::fmt::Display>) -> Result<(), String> {
    read.map(drop).map_err(|mistakes| mistakes.to_string())
}

/// The settings of the program that a container runs; none for programs that are not ours.
fn reader(image: &str, container: &serde_json::Value) -> Option<Reader> {
    let first = list_of(&container["args"]).first().map(text).unwrap_or_default();
    Some(match (image, first) {
        ("irmgard", "serve") => |all| told(irmgard::settings::ServeSettings::from_environment(all)),
        ("irmgard", "migrate") => |all| told(irmgard::settings::MigrateSettings::from_environment(all)),
        // A person's commands are typed there.
        ("irmgard", _) => |all| told(irmgard::settings::ToolSettings::from_environment(all)),
        ("anonymizer", "serve") => |all| told(anonymizer::settings::Settings::from_environment(all)),
        _ => return None,
    })
}

fn check(name: &str, objects: &[Object]) -> usize {
    let mut seen = 0;
    for workload in objects {
        for container in workload.containers() {
            let image = text(&container["image"]);
            let image = image
                .rsplit('/')
                .next()
                .and_then(|image| image.split(':').next())
                .unwrap_or_default();
            let Some(read) = reader(image, container) else {
                continue;
            };
            seen += 1;
            let scratch = tempfile::tempdir().unwrap();
            let found = environment::as_found(container, workload, objects, scratch.path()).unwrap();
            read(&found).unwrap_or_else(|mistakes| panic!("{name}: {workload}: {mistakes}"));
        }
    }
    seen
}

#[test]
fn pods_have_settings_that_their_programs_take() {
    let Some(tree) = Tree::new("settings of the pods, read by their programs").unwrap() else {
        return;
    };
    let built = |path: &str| {
        tree.build(path)
            .unwrap_or_else(|error| panic!("{path}: {error:#}"))
    };
    for overlay in tree.overlays().unwrap() {
        // irmgard, desk, irmgard-migrate, anonymizer.
        assert_eq!(
            check(&overlay, &built(&format!("overlays/{overlay}"))),
            4,
            "{overlay}"
        );
    }
    for component in tree.components().unwrap() {
        let objects = tree.with_components(&[&component]).unwrap();
        assert_eq!(check(&component, &objects), 4, "{component}");
    }
}

/// What the demonstrations bring into a cluster is what they ask for.
#[test]
fn deployments_of_the_demonstrations_can_be_built() {
    let Some(tree) = Tree::new("deployments of the demonstrations").unwrap() else {
        return;
    };
    let images = [(
        "quay.io/minio/minio:any".to_owned(),
        "localhost:5000/store:7".to_owned(),
    )];
    let deployment = Deployment::new("tried")
        .with("postgres-three")
        .with("without-fluentd")
        .with("without-dashboards")
        .replicas("irmgard", 5)
        .cpu_limit("anonymizer", "200m");
    deployment.write(tree.path(), &images, "digest").unwrap();
    let built = tree.build("../.local/e2e/tried").unwrap();
    let one = |kind: &str, name: &str| {
        built
            .iter()
            .find(|object| object.kind() == kind && object.name() == name)
            .unwrap_or_else(|| panic!("no {kind} {name}"))
    };
    assert_eq!(one("Deployment", "irmgard").at("/spec/replicas"), 5);
    assert_eq!(one("StatefulSet", "postgres").at("/spec/replicas"), 3);
    assert_eq!(
        one("Deployment", "anonymizer").at("/spec/template/spec/containers/0/resources/limits/cpu"),
        "200m"
    );
    assert_eq!(
        one("StatefulSet", "minio").at("/spec/template/spec/containers/0/image"),
        "localhost:5000/store:7"
    );
    let namespace = one("Namespace", "irmgard");
    assert_eq!(
        namespace.labels().get("irmgard.dev/made-by").map(String::as_str),
        Some("e2e")
    );
    assert_eq!(
        namespace.at("/metadata/annotations/irmgard.dev~1e2e-deployment"),
        "tried"
    );
    assert!(built.iter().all(|object| object.namespace() != "irmgard-fluentd"));
    for service in ["irmgard", "postgres", "rabbitmq", "minio", "opensearch"] {
        let outside = one("Service", &format!("{service}-outside"));
        assert_eq!(outside.at("/spec/type"), "NodePort", "{service}");
    }
}
