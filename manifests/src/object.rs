//! An object of a build.

use std::{collections::BTreeMap, fmt};

use anyhow::{Result, ensure};
use serde_json::Value;

/// Labels, or a selector of them.
pub type Labels = BTreeMap<String, String>;

/// A Kubernetes object.
#[derive(Clone, Debug, PartialEq)]
pub struct Object(Value);

impl TryFrom<Value> for Object {
    type Error = anyhow::Error;

    fn try_from(value: Value) -> Result<Self> {
        ensure!(
            value["kind"].is_string()
                && value["apiVersion"].is_string()
                && value["metadata"]["name"].is_string(),
            "not a Kubernetes object: {value}"
        );
        Ok(Self(value))
    }
}

impl fmt::Display for Object {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.kind(), self.name())
    }
}

impl Object {
    #[must_use]
    pub const fn value(&self) -> &Value {
        &self.0
    }

    /// The value at a JSON pointer, or null.
    #[must_use]
    pub fn at(&self, pointer: &str) -> &Value {
        self.0.pointer(pointer).unwrap_or(&Value::Null)
    }

    #[must_use]
    pub fn kind(&self) -> &str {
        text(self.at("/kind"))
    }

    #[must_use]
    pub fn name(&self) -> &str {
        text(self.at("/metadata/name"))
    }

    /// The namespace; empty for an object without one.
    #[must_use]
    pub fn namespace(&self) -> &str {
        text(self.at("/metadata/namespace"))
    }

    #[must_use]
    pub fn labels(&self) -> Labels {
        labels(self.at("/metadata/labels"))
    }

    /// The pod template of a workload.
    #[must_use]
    pub fn template(&self) -> Option<&Value> {
        let pointer = match self.kind() {
            "Deployment" | "StatefulSet" | "DaemonSet" | "Job" => "/spec/template",
            "CronJob" => "/spec/jobTemplate/spec/template",
            _ => return None,
        };
        self.0.pointer(pointer)
    }

    /// The labels of its pods; empty if it has no pods.
    #[must_use]
    pub fn pod_labels(&self) -> Labels {
        self.template()
            .map(|template| labels(&template["metadata"]["labels"]))
            .unwrap_or_default()
    }

    /// The specification of its pods, or null.
    #[must_use]
    pub fn pod(&self) -> &Value {
        self.template().map_or(&Value::Null, |template| &template["spec"])
    }

    /// The containers of its pods, init containers included.
    #[must_use]
    pub fn containers(&self) -> Vec<&Value> {
        ["initContainers", "containers"]
            .into_iter()
            .flat_map(|list| list_of(&self.pod()[list]))
            .collect()
    }
}

/// A string value; empty for any other value.
#[must_use]
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The elements of a list; empty for any other value.
#[must_use]
pub fn list_of(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The string members of an object.
#[must_use]
pub fn labels(value: &Value) -> Labels {
    let members = value.as_object().into_iter().flatten();
    members
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// Whether a selector of labels matches these labels.
#[must_use]
pub fn selects(selector: &Labels, labels: &Labels) -> bool {
    selector
        .iter()
        .all(|(name, value)| labels.get(name) == Some(value))
}
