//! The desired objects in OpenSearch, compiled in from the files in `opensearch/`.

use schema::stream;
use serde_json::{Value, json};

use super::{Error, Result};

/// The index template of all our data streams.
pub const TEMPLATE: &str = "irmgard-logs";
/// The ingest pipeline that stamps a line on arrival.
pub const PIPELINE: &str = "irmgard-logs";

/// Higher than the usual priorities of templates for `logs-*` (100 to 500). OpenSearch rejects two templates with the
/// same priority for the same name.
const PRIORITY: u32 = 5_000;

const MAPPINGS: &str = include_str!("../../../../opensearch/mappings.json");
const SETTINGS: &str = include_str!("../../../../opensearch/settings.json");
const CUSTOM: &str = include_str!("../../../../opensearch/custom.json");
const PIPELINE_FILE: &str = include_str!("../../../../opensearch/pipeline.json");
const ROLES: &str = include_str!("../../../../opensearch/roles.json");
const VERSION: &str = include_str!("../../../../opensearch/version.json");

#[must_use]
pub fn data_streams() -> Vec<String> {
    stream::ALL.into_iter().map(stream::data_stream).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    Pipeline,
    ComponentTemplate,
    IndexTemplate,
}

/// An object with a version.
#[derive(Clone, Debug)]
pub struct ManagedObject {
    pub kind: ObjectKind,
    pub name: &'static str,
    /// Includes the version.
    pub body: Value,
    /// The user owns it: bootstrap creates it but never changes it.
    pub is_user_owned: bool,
}

impl ObjectKind {
    /// The API path, without a name.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Pipeline => "/_ingest/pipeline",
            Self::ComponentTemplate => "/_component_template",
            Self::IndexTemplate => "/_index_template",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Pipeline => "ingest pipeline",
            Self::ComponentTemplate => "component template",
            Self::IndexTemplate => "index template",
        }
    }
}

impl ManagedObject {
    /// The API path.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}/{}", self.kind.path(), self.name)
    }

    /// A name for people.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{} {}", self.kind.name(), self.name)
    }

    /// Extracts the object from the response to a GET.
    pub(super) fn body_in<'a>(&self, answer: &'a Value) -> Option<&'a Value> {
        match self.kind {
            ObjectKind::Pipeline => answer.get(self.name),
            ObjectKind::ComponentTemplate => answer.pointer("/component_templates/0/component_template"),
            ObjectKind::IndexTemplate => answer.pointer("/index_templates/0/index_template"),
        }
    }
}

pub(super) fn parse(file: &'static str, text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| Error::Broken {
        file,
        reason: error.to_string(),
    })
}

/// The version of all objects. Every change increments it, so that an older release does not overwrite a newer object.
///
/// # Errors
/// [`Error::Broken`].
pub fn version() -> Result<u64> {
    parse("version.json", VERSION)?
        .get("version")
        .and_then(Value::as_u64)
        .ok_or_else(|| Error::Broken {
            file: "version.json",
            reason: "it has no numeric `version`".into(),
        })
}

/// All objects in installation order: a pipeline or component precedes the template that refers to it.
///
/// # Errors
/// [`Error::Broken`].
pub fn managed_objects() -> Result<Vec<ManagedObject>> {
    let version = version()?;
    let versioned = |file, text| {
        let mut body = parse(file, text)?;
        if let Some(body) = body.as_object_mut() {
            body.insert("version".into(), version.into());
        }
        Ok::<_, Error>(body)
    };
    let object = |kind, name, body| ManagedObject {
        kind,
        name,
        body,
        is_user_owned: false,
    };
    Ok(vec![
        object(
            ObjectKind::Pipeline,
            PIPELINE,
            versioned("pipeline.json", PIPELINE_FILE)?,
        ),
        object(
            ObjectKind::ComponentTemplate,
            "irmgard-logs-settings",
            versioned("settings.json", SETTINGS)?,
        ),
        object(
            ObjectKind::ComponentTemplate,
            "irmgard-logs-mappings",
            versioned("mappings.json", MAPPINGS)?,
        ),
        ManagedObject {
            is_user_owned: true,
            ..object(
                ObjectKind::ComponentTemplate,
                "irmgard-logs-custom",
                parse("custom.json", CUSTOM)?,
            )
        },
        object(
            ObjectKind::IndexTemplate,
            TEMPLATE,
            json!({
                "index_patterns": data_streams(),
                "data_stream": {},
                "priority": PRIORITY,
                "composed_of": ["irmgard-logs-settings", "irmgard-logs-mappings", "irmgard-logs-custom"],
                "version": version,
                "_meta": { "description": "Log lines, one stream for each component; made by `logq admin \
                 bootstrap`" },
            }),
        ),
    ])
}

/// Roles by name. The security plugin has no version field, so the description contains the version.
pub(super) fn roles() -> Result<Vec<(String, Value)>> {
    let version = version()?;
    let mut roles = Vec::new();
    if let Value::Object(all) = parse("roles.json", ROLES)? {
        for (name, mut role) in all {
            add_version(role.get_mut("description"), version);
            roles.push((name, role));
        }
    }
    Ok(roles)
}

fn add_version(description: Option<&mut Value>, version: u64) {
    if let Some(description) = description {
        let text = description.as_str().unwrap_or_default();
        *description = format!("{text} [version {version}]").into();
    }
}

/// The version at the end of a description.
pub(super) fn described_version(description: Option<&Value>) -> Option<u64> {
    let (_, version) = description?.as_str()?.rsplit_once("[version ")?;
    version.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn description_contains_the_version() {
        for (_, role) in roles().unwrap() {
            assert_eq!(
                described_version(role.get("description")),
                Some(version().unwrap())
            );
        }
        assert_eq!(described_version(Some(&json!("somebody's"))), None);
    }

    #[test]
    fn component_templates_precede_index_templates() {
        let managed_objects = managed_objects().unwrap();
        let template = managed_objects.last().unwrap();
        assert_eq!(template.kind, ObjectKind::IndexTemplate);
        for component in template.body["composed_of"].as_array().unwrap() {
            assert!(
                managed_objects
                    .iter()
                    .any(|object| component.as_str() == Some(object.name)
                        && object.kind == ObjectKind::ComponentTemplate)
            );
        }
    }
}
