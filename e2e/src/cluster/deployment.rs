//! A variant of the overlay `e2e`, as a kustomization.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::MADE_BY;

/// A variant of the overlay `e2e`.
#[derive(Clone, Debug)]
pub struct Deployment {
    name: String,
    components: Vec<String>,
    replicas: BTreeMap<String, u32>,
    images: Vec<(String, String)>,
    patches: Vec<Value>,
}

impl Deployment {
    /// The unchanged overlay, with one replica of each data service. Deployments with the same name are applied over each other.
    /// Before a deployment with another name, the namespaces are deleted.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            components: Vec::new(),
            replicas: BTreeMap::new(),
            images: Vec::new(),
            patches: Vec::new(),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Adds a component of `manifests/components`.
    pub fn with(mut self, component: &str) -> Self {
        self.components.push(component.to_owned());
        self
    }

    /// Sets the replicas of a workload.
    pub fn replicas(mut self, workload: &str, count: u32) -> Self {
        self.replicas.insert(workload.to_owned(), count);
        self
    }

    /// Replaces an image by another (`name:tag`).
    pub fn image(mut self, image: &str, replacement: &str) -> Self {
        self.images.push((image.to_owned(), replacement.to_owned()));
        self
    }

    /// Sets the CPU limit of each pod of a Deployment, for example `200m`.
    pub fn cpu_limit(self, deployment: &str, limit: &str) -> Self {
        self.patch(
            "Deployment",
            deployment,
            &json!([{ "op": "replace", "path": "/spec/template/spec/containers/0/resources/limits/cpu", "value": limit }]),
        )
    }

    /// Adds a JSON patch for an object.
    pub fn patch(mut self, kind: &str, name: &str, operations: &Value) -> Self {
        self.patches.push(json!({
            "target": { "kind": kind, "name": format!("^{name}$") },
            "patch": operations.to_string(),
        }));
        self
    }

    /// Uses the base's settings of OpenSearch, whose nodes discover each other. The overlay has a single node.
    pub fn opensearch_cluster(self, project: &Path) -> Result<Self> {
        let file = project.join("manifests/base/opensearch/opensearch.yml");
        let settings = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        // As in the overlay: the disk is shared, so its fill level says nothing.
        let value = format!("{settings}cluster.routing.allocation.disk.threshold_enabled: false\n");
        let operations = json!([{ "op": "replace", "path": "/data/opensearch.yml", "value": value }]);
        Ok(self.patch("ConfigMap", "opensearch", &operations))
    }

    /// The kustomization as JSON, which is valid YAML. `manifests` is the relative path of the manifests; `images` are pairs of an
    /// image and its replacement; `secrets` is the digest of the passwords.
    fn kustomization(&self, manifests: &str, images: &[(String, String)], secrets: &str) -> Value {
        let namespace = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": "any",
                "labels": { MADE_BY: "e2e" },
                "annotations": { super::DEPLOYMENT: self.name, super::SECRETS: secrets },
            },
        });
        let mut patches = self.patches.clone();
        patches.push(json!({ "target": { "kind": "Namespace" }, "patch": namespace.to_string() }));
        let components: Vec<_> = self
            .components
            .iter()
            .map(|component| format!("{manifests}/components/{component}"))
            .collect();
        let replicas: Vec<_> = self
            .replicas
            .iter()
            .map(|(name, count)| json!({ "name": name, "count": count }))
            .collect();
        let images: Vec<_> = images
            .iter()
            .chain(&self.images)
            .map(|(image, replacement)| {
                let (name, tag) = split_tag(replacement);
                json!({ "name": split_tag(image).0, "newName": name, "newTag": tag })
            })
            .collect();
        json!({
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [format!("{manifests}/overlays/e2e")],
            "components": components,
            "replicas": replicas,
            "images": images,
            "patches": patches,
        })
    }

    /// Writes the kustomization to `.local/e2e/<name>`, and returns that folder.
    pub fn write(&self, project: &Path, images: &[(String, String)], secrets: &str) -> Result<PathBuf> {
        let folder = project.join(".local/e2e").join(&self.name);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        // kustomize accepts no absolute paths, and resolves links first.
        let folder = folder.canonicalize()?;
        let manifests = relative_path(&folder, &project.join("manifests").canonicalize()?);
        let text = serde_json::to_string_pretty(&self.kustomization(&manifests, images, secrets))?;
        fs::write(folder.join("kustomization.yaml"), text)?;
        Ok(folder)
    }
}

/// Name and tag of an image; the default tag is `latest`.
fn split_tag(image: &str) -> (&str, &str) {
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, "latest"),
    }
}

/// The relative path from one absolute folder to another.
fn relative_path(from: &Path, to: &Path) -> String {
    let (from, to): (Vec<_>, Vec<_>) = (from.components().collect(), to.components().collect());
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = from[common..].iter().map(|_| "..".to_owned());
    let down = to[common..]
        .iter()
        .map(|part| part.as_os_str().to_string_lossy().into_owned());
    up.chain(down).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kustomization_contains_all_changes() {
        let deployment = Deployment::new("postgres-three")
            .with("postgres-three")
            .replicas("irmgard", 3)
            .image("irmgard/irmgard:1", "irmgard/irmgard:2")
            .cpu_limit("anonymizer", "200m");
        let images = [(
            "quay.io/minio/minio:1".to_owned(),
            "localhost:5000/store".to_owned(),
        )];
        let kustomization = deployment.kustomization("../../../manifests", &images, "abc");
        assert_eq!(kustomization["resources"][0], "../../../manifests/overlays/e2e");
        assert_eq!(
            kustomization["components"][0],
            "../../../manifests/components/postgres-three"
        );
        assert_eq!(
            kustomization["replicas"][0],
            json!({ "name": "irmgard", "count": 3 })
        );
        assert_eq!(
            kustomization["images"][0],
            json!({ "name": "quay.io/minio/minio", "newName": "localhost:5000/store", "newTag": "latest" })
        );
        assert_eq!(
            kustomization["images"][1],
            json!({ "name": "irmgard/irmgard", "newName": "irmgard/irmgard", "newTag": "2" })
        );
        assert_eq!(kustomization["patches"][0]["target"]["name"], "^anonymizer$");
        let namespace: Value =
            serde_json::from_str(kustomization["patches"][1]["patch"].as_str().unwrap()).unwrap();
        assert_eq!(namespace["metadata"]["labels"][MADE_BY], "e2e");
    }

    #[test]
    fn relative_paths_between_folders() {
        let path = |from, to| relative_path(Path::new(from), Path::new(to));
        assert_eq!(path("/a/.local/e2e/one", "/a/manifests"), "../../../manifests");
        assert_eq!(
            path("/b/.local/e2e/one", "/a/manifests"),
            "../../../../a/manifests"
        );
    }
}
