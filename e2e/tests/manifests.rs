//! Every pod of ours starts with settings that its program takes: read by the program itself, out of the manifests.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test, a panic is how it fails"
)]

use std::{collections::BTreeMap, fs, process::Command};

use e2e::cluster::Deployment;
use irmgard::api::{Scope, Tokens};
use manifests::{
    Object, Tree, environment,
    object::{list_of, text},
    tools::run,
};
use sha2::{Digest, Sha256};

/// Containers of our programs: irmgard, desk, irmgard-migrate, irmgard-sweep, anonymizer.
const CONTAINERS: usize = 5;

/// Reads a program's settings; what it complains of.
type Reader = fn(&BTreeMap<String, String>) -> Result<(), String>;

fn told<T>(read: Result<T, impl std::fmt::Display>) -> Result<(), String> {
    read.map(drop).map_err(|mistakes| mistakes.to_string())
}

/// The settings of the program that a container runs; none for programs that are not ours.
fn reader(image: &str, container: &serde_json::Value) -> Option<Reader> {
    let first = list_of(&container["args"]).first().map(text).unwrap_or_default();
    Some(match (image, first) {
        ("irmgard", "serve") => |all| {
            let read = irmgard::settings::ServeSettings::from_environment(all);
            let settings = read.map_err(|mistakes| mistakes.to_string())?;
            let asks = settings.tokens.are_required();
            asks.then_some(())
                .ok_or_else(|| "it asks for no token".to_owned())
        },
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
        let objects = built(&format!("overlays/{overlay}"));
        assert_eq!(check(&overlay, &objects), CONTAINERS, "{overlay}");
    }
    for component in tree.components().unwrap() {
        let objects = tree.with_components(&[&component]).unwrap();
        assert_eq!(check(&component, &objects), CONTAINERS, "{component}");
    }
}

/// A token that `make secrets` draws lets in for what its name says, and for nothing else; an installation's own are among them.
#[test]
fn cameras_may_post_and_viewers_look() {
    let Some(tree) = Tree::new("the tokens of the installation").unwrap() else {
        return;
    };
    let secrets = tree.path().join("manifests/secrets");
    let own = hex::encode(Sha256::digest("own"));
    fs::write(
        secrets.join("generated/more-tokens"),
        format!("gate-7:{own}:upload:site-7\n"),
    )
    .unwrap();
    run(&mut Command::new(secrets.join("make-secrets"))).unwrap();
    let values = fs::read_to_string(secrets.join("generated/values")).unwrap();
    let drawn = |name: &str| {
        let mut lines = values.lines().filter_map(|line| line.split_once('='));
        let (_, value) = lines.find(|(known, _)| *known == name).unwrap();
        value.to_owned()
    };
    let file = secrets.join("generated/tokens");
    let tokens = Tokens::from_file(&file).unwrap();
    for (token, upload, read) in [
        (drawn("token-camera"), true, false),
        (drawn("token-viewer"), false, true),
        ("own".to_owned(), true, false),
        (String::new(), false, false),
    ] {
        let header = format!("Bearer {token}");
        let admits = |scope| tokens.authorize(Some(header.as_bytes()), scope).is_ok();
        assert_eq!((admits(Scope::Upload), admits(Scope::Read)), (upload, read));
        let text = fs::read_to_string(&file).unwrap();
        assert!(
            token.is_empty() || !text.contains(&token),
            "irmgard knows a token"
        );
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
