//! E2eSettings of the demonstrations, from the environment.

use std::{collections::BTreeMap, env, time::Duration};

use anyhow::{Context, Result, bail};

/// Third-party images by their names in the manifests, each with the variable that names a replacement.
pub const IMAGES: [(&str, &str); 5] = [
    ("dashboards", "E2E_IMAGE_DASHBOARDS"),
    ("fluentd", "E2E_IMAGE_FLUENTD"),
    ("mc", "E2E_IMAGE_MC"),
    ("minio", "E2E_IMAGE_MINIO"),
    ("opensearch", "E2E_IMAGE_OPENSEARCH"),
];

#[derive(Clone, Debug)]
pub struct E2eSettings {
    /// Replacement images by their names in the manifests.
    pub images: BTreeMap<&'static str, String>,
    /// The address for node ports; default: the first node's InternalIP.
    pub host: Option<String>,
    /// Whether namespaces that e2e did not create may be deleted.
    pub force: bool,
    /// New photos per second, unless a case sets another rate.
    pub photos_per_second: f64,
    /// How long workloads may take to become ready, and photos to be anonymised.
    pub time_limit: Duration,
    /// Whether the cluster has the images of the next releases already.
    pub release_built: bool,
    /// The parts of a case to run; all if empty.
    pub parts: Vec<String>,
    /// The commands that cut a node's power and restore it.
    pub node: Option<NodeCommands>,
}

/// Commands that get the node's name as their last argument.
#[derive(Clone, Debug)]
pub struct NodeCommands {
    pub stop: String,
    pub start: String,
}

impl E2eSettings {
    /// Reads the variables `E2E_…`.
    pub fn from_environment() -> Result<Self> {
        Self::parse(|name| env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn parse(get: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let number = |name: &str, default: f64| -> Result<f64> {
            let Some(text) = get(name) else {
                return Ok(default);
            };
            let number: f64 = text
                .parse()
                .with_context(|| format!("{name}={text}: not a number"))?;
            if !(0.01..=10_000.0).contains(&number) {
                bail!("{name}={text}: must be between 0.01 and 10000");
            }
            Ok(number)
        };
        let node = match (get("E2E_NODE_STOP"), get("E2E_NODE_START")) {
            (Some(stop), Some(start)) => Some(NodeCommands { stop, start }),
            (None, None) => None,
            _ => bail!("only one of E2E_NODE_STOP and E2E_NODE_START is set; set both"),
        };
        Ok(Self {
            node,
            images: IMAGES
                .iter()
                .filter_map(|(image, variable)| Some((*image, get(variable)?)))
                .collect(),
            host: get("E2E_HOST"),
            force: false,
            photos_per_second: number("E2E_PHOTOS_PER_SECOND", 1.0)?,
            time_limit: Duration::from_secs_f64(number("E2E_PATIENCE_SECONDS", 600.0)?),
            release_built: get("E2E_RELEASE_BUILT").is_some_and(|value| value != "0"),
            parts: get("E2E_ONLY")
                .map(|list| list.split(',').map(|name| name.trim().to_owned()).collect())
                .unwrap_or_default(),
        })
    }

    /// Whether to run this part of a case.
    pub fn includes(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|name| name == part)
    }

    /// The command that runs a case with the same parts.
    pub fn command(&self, case: &str) -> String {
        let parts = if self.parts.is_empty() {
            String::new()
        } else {
            format!("E2E_ONLY={} ", self.parts.join(","))
        };
        format!("{parts}make e2e CASE={case}")
    }

    /// Whether Fluentd ships log lines to OpenSearch.
    pub fn with_fluentd(&self) -> bool {
        self.images.contains_key("fluentd")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_variable() {
        let read = |name: &'static str, value: &'static str| {
            E2eSettings::parse(move |variable| (variable == name).then(|| value.to_owned()))
        };
        let error = read("E2E_PHOTOS_PER_SECOND", "many").unwrap_err();
        assert!(
            error.to_string().contains("E2E_PHOTOS_PER_SECOND=many"),
            "{error}"
        );
        assert!(read("E2E_PATIENCE_SECONDS", "0").is_err());
        assert!(read("E2E_NODE_STOP", "stop").is_err());
        let settings = read("E2E_ONLY", "postgres, minio").unwrap();
        assert!(settings.includes("minio") && !settings.includes("fluentd"));
        assert_eq!(
            settings.command("healing"),
            "E2E_ONLY=postgres,minio make e2e CASE=healing"
        );
        assert!(!settings.with_fluentd());
        assert!(read("E2E_IMAGE_FLUENTD", "fluentd:1").unwrap().with_fluentd());
    }
}
