//! Checks the manifests with our programs: each program accepts the settings of its pods.

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

/// The number of containers with our programs: irmgard, operator-shell, irmgard-migrate, irmgard-sweep, anonymizer.
const CONTAINERS: usize = 5;

/// Parses a program's settings. The error has all mistakes.
type SettingsParser = fn(&BTreeMap<String, String>) -> Result<(), String>;

fn into_text<T>(result: Result<T, impl std::fmt::Display>) -> Result<(), String> {
    result.map(drop).map_err(|mistakes| mistakes.to_string())
}

/// The settings parser of the program in a container; `None` for other programs.
fn settings_parser(image: &str, container: &serde_json::Value) -> Option<SettingsParser> {
    let first = list_of(&container["args"]).first().map(text).unwrap_or_default();
    Some(match (image, first) {
        ("irmgard", "serve") => |all| {
            let result = irmgard::settings::ServeSettings::from_environment(all);
            let settings = result.map_err(|mistakes| mistakes.to_string())?;
            let needs_token = settings.tokens.are_required();
            needs_token
                .then_some(())
                .ok_or_else(|| "it accepts requests without a token".to_owned())
        },
        ("irmgard", "migrate") => |all| into_text(irmgard::settings::MigrateSettings::from_environment(all)),
        // Pods for commands of an operator.
        ("irmgard", _) => |all| into_text(irmgard::settings::ToolSettings::from_environment(all)),
        ("anonymizer", "serve") => {
            |all| into_text(anonymizer::settings::WorkerSettings::from_environment(all))
        }
        _ => return None,
    })
}

/// Parses the settings of all containers. Returns the number of containers with our programs.
fn check_settings(name: &str, objects: &[Object]) -> usize {
    let mut checked = 0;
    for workload in objects {
        for container in workload.containers() {
            let image = text(&container["image"]);
            let image = image
                .rsplit('/')
                .next()
                .and_then(|image| image.split(':').next())
                .unwrap_or_default();
            let Some(parse) = settings_parser(image, container) else {
                continue;
            };
            checked += 1;
            let scratch = tempfile::tempdir().unwrap();
            let variables =
                environment::resolved_variables(container, workload, objects, scratch.path()).unwrap();
            parse(&variables).unwrap_or_else(|mistakes| panic!("{name}: {workload}: {mistakes}"));
        }
    }
    checked
}

#[test]
fn programs_accept_the_settings_of_their_pods() {
    let Some(tree) = Tree::new("settings of the pods, read by their programs").unwrap() else {
        return;
    };
    let build = |path: &str| {
        tree.build(path)
            .unwrap_or_else(|error| panic!("{path}: {error:#}"))
    };
    for overlay in tree.overlays().unwrap() {
        let objects = build(&format!("overlays/{overlay}"));
        assert_eq!(check_settings(&overlay, &objects), CONTAINERS, "{overlay}");
    }
    for component in tree.components().unwrap() {
        let objects = tree.with_components(&[&component]).unwrap();
        assert_eq!(check_settings(&component, &objects), CONTAINERS, "{component}");
    }
}

/// Tokens from `make secrets` and an installation's own tokens allow exactly their scope.
#[test]
fn camera_tokens_allow_uploads_and_viewer_tokens_allow_reading() {
    let Some(tree) = Tree::new("the tokens of the installation").unwrap() else {
        return;
    };
    let secrets = tree.path().join("manifests/secrets");
    let own_token = hex::encode(Sha256::digest("own"));
    fs::write(
        secrets.join("generated/more-tokens"),
        format!("gate-7:{own_token}:upload:site-7\n"),
    )
    .unwrap();
    run(&mut Command::new(secrets.join("make-secrets"))).unwrap();
    let values = fs::read_to_string(secrets.join("generated/values")).unwrap();
    let secret = |name: &str| {
        let mut lines = values.lines().filter_map(|line| line.split_once('='));
        let (_, value) = lines.find(|(listed, _)| *listed == name).unwrap();
        value.to_owned()
    };
    let file = secrets.join("generated/tokens");
    let tokens = Tokens::from_file(&file).unwrap();
    for (token, upload, read) in [
        (secret("token-camera"), true, false),
        (secret("token-viewer"), false, true),
        ("own".to_owned(), true, false),
        (String::new(), false, false),
    ] {
        let header = format!("Bearer {token}");
        let admits = |scope| tokens.authorize(Some(header.as_bytes()), scope).is_ok();
        assert_eq!((admits(Scope::Upload), admits(Scope::Read)), (upload, read));
        let text = fs::read_to_string(&file).unwrap();
        assert!(
            token.is_empty() || !text.contains(&token),
            "irmgard's file contains a token in plain text"
        );
    }
}

/// A deployment of the demonstrations contains all requested changes.
#[test]
fn deployments_of_the_demonstrations_can_be_built() {
    let Some(tree) = Tree::new("deployments of the demonstrations").unwrap() else {
        return;
    };
    let images = [(
        "quay.io/minio/minio:any".to_owned(),
        "localhost:5000/store:7".to_owned(),
    )];
    let deployment = Deployment::new("built")
        .with("postgres-three")
        .with("without-fluentd")
        .with("without-dashboards")
        .replicas("irmgard", 5)
        .cpu_limit("anonymizer", "200m");
    deployment.write(tree.path(), &images, "digest").unwrap();
    let built = tree.build("../.local/e2e/built").unwrap();
    let object = |kind: &str, name: &str| {
        built
            .iter()
            .find(|object| object.kind() == kind && object.name() == name)
            .unwrap_or_else(|| panic!("no {kind} {name}"))
    };
    assert_eq!(object("Deployment", "irmgard").at("/spec/replicas"), 5);
    assert_eq!(object("StatefulSet", "postgres").at("/spec/replicas"), 3);
    assert_eq!(
        object("Deployment", "anonymizer").at("/spec/template/spec/containers/0/resources/limits/cpu"),
        "200m"
    );
    assert_eq!(
        object("StatefulSet", "minio").at("/spec/template/spec/containers/0/image"),
        "localhost:5000/store:7"
    );
    let namespace = object("Namespace", "irmgard");
    assert_eq!(
        namespace.labels().get("irmgard.dev/made-by").map(String::as_str),
        Some("e2e")
    );
    assert_eq!(
        namespace.at("/metadata/annotations/irmgard.dev~1e2e-deployment"),
        "built"
    );
    assert!(built.iter().all(|object| object.namespace() != "irmgard-fluentd"));
    for name in ["irmgard", "postgres", "rabbitmq", "minio", "opensearch"] {
        let service = object("Service", &format!("{name}-outside"));
        assert_eq!(service.at("/spec/type"), "NodePort", "{name}");
    }
}
