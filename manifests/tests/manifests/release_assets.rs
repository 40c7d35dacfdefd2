//! The files of a release that people install, and its images.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
};

use manifests::{
    Object,
    object::{list_of, text},
    tools::{go_program, run},
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    assert_no_violations,
    images::{pinned, tag_of},
    release::{CURRENT, Copy, REPOSITORY},
};

/// Writes a release's files with images of a registry, and the archives `logq-VERSION-TARGET.tar.gz` in place.
fn assets(copy: &Copy, kustomize: &Path) -> TempDir {
    let out = tempfile::tempdir().unwrap();
    for target in ["x86_64", "aarch64"] {
        let name = format!("logq-{CURRENT}-{target}-unknown-linux-gnu.tar.gz");
        fs::write(out.path().join(name), target).unwrap();
    }
    let images = copy.path(".git/images");
    let digest = "0123456789abcdef".repeat(4);
    let lines = own_images().map(|name| format!("{name} registry.example/{name}@sha256:{digest}\n"));
    fs::write(&images, lines.collect::<String>()).unwrap();
    let mut script = copy.script("assets");
    script.arg(out.path()).arg(images);
    run(script.env("KUSTOMIZE", format!("{} build", kustomize.display()))).unwrap();
    out
}

/// The names of the images that the project builds.
fn own_images() -> impl Iterator<Item = String> {
    let images = pinned().into_iter();
    images.filter_map(|image| Some(text(&image["newName"]).strip_prefix("irmgard/")?.to_owned()))
}

fn objects(yaml: &str) -> Vec<Object> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).unwrap();
    documents
        .into_iter()
        .map(|document| Object::try_from(document).unwrap())
        .collect()
}

/// The Secrets that a pod mounts, with their keys.
fn mounted(object: &Object) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    for volume in list_of(&object.pod()["volumes"]) {
        let sources = list_of(&volume["projected"]["sources"])
            .iter()
            .map(|source| &source["secret"]);
        for secret in sources
            .chain([&volume["secret"]])
            .filter(|secret| !secret.is_null())
        {
            let name = if secret["secretName"].is_null() {
                &secret["name"]
            } else {
                &secret["secretName"]
            };
            let keys = list_of(&secret["items"])
                .iter()
                .map(|item| text(&item["key"]).to_owned());
            found.push((text(name).to_owned(), keys.collect()));
        }
    }
    found
}

#[test]
fn installed_files_have_no_secret_and_name_those_that_the_script_generates() {
    let Some(kustomize) = go_program("kustomize", "files of a release").unwrap() else {
        return;
    };
    let copy = Copy::new();
    // Somebody's secrets in the folder that a release is made in.
    let generated = copy.path("manifests/secrets/generated");
    fs::create_dir(&generated).unwrap();
    fs::write(generated.join("values"), "postgres-superuser=hunter2\n").unwrap();
    let out = assets(&copy, &kustomize);

    run(Command::new("tar")
        .arg("-xzf")
        .arg(out.path().join("secrets.tar.gz"))
        .arg("-C")
        .arg(out.path()))
    .unwrap();
    let secrets = out.path().join("secrets");
    assert!(!secrets.join("generated").exists());
    run(&mut Command::new(secrets.join("make-secrets"))).unwrap();
    let built = run(Command::new(&kustomize).arg("build").arg(&secrets)).unwrap();
    let keys = |object: &Object| {
        let data = object.value()["data"].as_object().cloned().unwrap_or_default();
        (
            object.name().to_owned(),
            data.keys().cloned().collect::<BTreeSet<_>>(),
        )
    };
    let secrets: BTreeMap<_, _> = objects(&built)
        .iter()
        .filter(|object| object.kind() == "Secret")
        .map(keys)
        .collect();
    assert!(secrets.len() > 5, "{secrets:?}");

    let mut violations = Vec::new();
    for overlay in ["minikube", "minikube-lean", "ha"] {
        let yaml = fs::read_to_string(out.path().join(format!("install-{overlay}.yaml"))).unwrap();
        assert!(!yaml.contains("hunter2"));
        let mut uses = 0;
        for object in objects(&yaml) {
            if object.kind() == "Secret" {
                violations.push(format!("{overlay}: {object} is a Secret"));
            }
            for (name, items) in mounted(&object) {
                uses += 1;
                match secrets.get(&name) {
                    None => violations.push(format!(
                        "{overlay}: {object} mounts {name}, which is not generated"
                    )),
                    Some(keys) => {
                        violations.extend(items.iter().filter(|item| !keys.contains(*item)).map(|item| {
                            format!("{overlay}: {object} mounts {name}/{item}, which is not generated")
                        }))
                    }
                }
            }
            for container in object.containers() {
                let image = text(&container["image"]);
                let name = image
                    .rsplit('/')
                    .next()
                    .and_then(|rest| rest.split([':', '@']).next());
                let is_own = own_images().any(|own| Some(own.as_str()) == name);
                if image.starts_with("irmgard/") || is_own != image.contains("@sha256:") {
                    violations.push(format!(
                        "{overlay}: {object}: {image} is not of the registry, by digest"
                    ));
                }
            }
        }
        assert!(uses > 8, "{overlay}: only {uses} Secrets are mounted");
    }
    assert_no_violations(violations);
}

/// krew and `cargo binstall` download the archives under the names that `release/archives` gives them.
#[test]
fn installers_find_the_archives() {
    let Some(kustomize) = go_program("kustomize", "the krew plugin").unwrap() else {
        return;
    };
    let copy = Copy::new();
    let out = assets(&copy, &kustomize);
    let plugin = fs::read_to_string(out.path().join("logq.yaml")).unwrap();
    let plugin: Value = serde_saphyr::from_str(&plugin).unwrap();
    assert_eq!(plugin["metadata"]["name"], "logq");
    assert_eq!(plugin["spec"]["version"], format!("v{CURRENT}"));
    assert_eq!(plugin["spec"]["homepage"], REPOSITORY);
    let archives = copy.read("release/archives");
    assert!(archives.contains("name=$program-$version-$target\n"));
    assert!(archives.contains("\"$out/$name.tar.gz\""));

    let mut systems = Vec::new();
    for platform in list_of(&plugin["spec"]["platforms"]) {
        let system = text(&platform["selector"]["matchLabels"]["arch"]).to_owned();
        let target = match system.as_str() {
            "amd64" => "x86_64-unknown-linux-gnu",
            _ => "aarch64-unknown-linux-gnu",
        };
        let name = format!("logq-{CURRENT}-{target}");
        let archive = out.path().join(format!("{name}.tar.gz"));
        let sum = run(Command::new("sha256sum").arg(&archive)).unwrap();
        assert_eq!(text(&platform["sha256"]), &sum[..64]);
        assert_eq!(text(&platform["bin"]), format!("{name}/logq"));
        let url = text(&platform["uri"]);
        assert_eq!(
            url,
            format!("{REPOSITORY}/releases/download/v{CURRENT}/{name}.tar.gz")
        );
        for package in ["logging/logq", "services/anonymizer"] {
            let manifest = copy.read(&format!("{package}/Cargo.toml"));
            let value = |key: &str| {
                let line = manifest
                    .lines()
                    .find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""));
                let line = line.unwrap_or_else(|| panic!("{package}: no {key}"));
                line.trim_end_matches('"')
                    .replace("{ repo }", REPOSITORY)
                    .replace("{ version }", CURRENT)
                    .replace("{ target }", target)
                    .replace("{ name }", "logq")
                    .replace("{ bin }", "logq")
            };
            assert_eq!(value("pkg-url"), url);
            assert_eq!(value("bin-dir"), text(&platform["bin"]));
        }
        systems.push(system);
    }
    assert_eq!(systems, ["amd64", "arm64"]);
}

/// In place of docker. It notes its arguments, and takes those images for published that are in the file `published`.
const DOCKER: &str = r#"#!/bin/sh
set -eu
here=$(dirname "$0")
echo "$*" >>"$here/said"
case "$*" in
    *--format*) echo sha256:1234 ;;
    'buildx imagetools inspect '*) grep -qxF "$4" "$here/published" ;;
esac
"#;

#[test]
fn published_images_are_not_changed() {
    let copy = Copy::new();
    let folder = tempfile::tempdir().unwrap();
    let docker = folder.path().join("docker");
    fs::write(&docker, DOCKER).unwrap();
    fs::set_permissions(&docker, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let images = |arguments: &[&str]| {
        let mut script = copy.script("images");
        script
            .args(arguments)
            .env("PATH", &path)
            .env("REGISTRY", "registry.example/Irmgard");
        run(&mut script).unwrap();
        let said = fs::read_to_string(folder.path().join("said")).unwrap();
        fs::remove_file(folder.path().join("said")).unwrap();
        said
    };
    let architecture = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };

    let postgres = format!("registry.example/irmgard/postgres:{}", tag_of("postgres"));
    fs::write(folder.path().join("published"), format!("{postgres}\n")).unwrap();
    let said = images(&["push"]);
    let builds: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("buildx build "))
        .collect();
    assert_eq!(builds.len(), own_images().count() - 1, "{said}");
    let logq = builds
        .iter()
        .find(|line| line.contains("logging/logq/Dockerfile"))
        .unwrap();
    for argument in [
        "--push",
        "--sbom=true",
        "--provenance=mode=max",
        &format!("--platform linux/{architecture}"),
        &format!("-t registry.example/irmgard/logq:{CURRENT}-{architecture}"),
        "--build-arg REVISION=",
    ] {
        assert!(logq.contains(argument), "{argument}: {logq}");
    }
    assert!(!said.contains(&format!("{postgres}-")), "{said}");

    let list = folder.path().join("list");
    let said = images(&["join", &list.display().to_string()]);
    let name = format!("registry.example/irmgard/logq:{CURRENT}");
    let joined = format!("buildx imagetools create --tag {name} {name}-amd64 {name}-arm64\n");
    assert!(said.contains(&joined), "{said}");
    assert!(!said.contains(&format!("--tag {postgres}")), "{said}");
    let list = fs::read_to_string(list).unwrap();
    assert_eq!(list.lines().count(), own_images().count());
    assert!(
        list.contains("\nlogq registry.example/irmgard/logq@sha256:1234\n"),
        "{list}"
    );
}
