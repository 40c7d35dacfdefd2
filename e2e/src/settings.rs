//! What the environment says about a demonstration.

use std::{collections::BTreeMap, env, time::Duration};

use anyhow::{Context, Result, bail};

/// Third-party images, as the manifests call them, and the variable that names another one.
pub const IMAGES: [(&str, &str); 5] = [
    ("dashboards", "E2E_IMAGE_DASHBOARDS"),
    ("fluentd", "E2E_IMAGE_FLUENTD"),
    ("mc", "E2E_IMAGE_MC"),
    ("minio", "E2E_IMAGE_MINIO"),
    ("opensearch", "E2E_IMAGE_OPENSEARCH"),
];

/// Settings of a run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Images in place of the manifests', by the name there.
    pub images: BTreeMap<&'static str, String>,
    /// Where the ports of the nodes are reached, if not at the first node's address.
    pub host: Option<String>,
    /// Whether namespaces that are not ours may be changed and deleted.
    pub force: bool,
    /// New photos in a second, where a case does not say.
    pub photos_per_second: f64,
    /// How long a workload may need to become ready, and photos to be anonymised.
    pub patience: Duration,
    /// Whether the images of the next releases are in the cluster already.
    pub built: bool,
    /// Which parts of a case are run: all, where none is named.
    pub only: Vec<String>,
    /// The commands that end a node as if its power were cut, and that bring it back; each is given the node's name.
    pub node: Option<NodeCommands>,
}

/// How a node is lost and comes back.
#[derive(Clone, Debug)]
pub struct NodeCommands {
    /// Ends it.
    pub stop: String,
    /// Brings it back.
    pub start: String,
}

impl Settings {
    /// Reads `E2E_…`.
    ///
    /// # Errors
    /// When a value cannot be understood.
    pub fn from_environment() -> Result<Self> {
        Self::from(|name| env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn from(get: impl Fn(&str) -> Option<String>) -> Result<Self> {
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
            _ => bail!("E2E_NODE_STOP and E2E_NODE_START: one is set, and both are needed"),
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
            patience: Duration::from_secs_f64(number("E2E_PATIENCE_SECONDS", 600.0)?),
            built: get("E2E_RELEASE_BUILT").is_some_and(|value| value != "0"),
            only: get("E2E_ONLY")
                .map(|list| list.split(',').map(|name| name.trim().to_owned()).collect())
                .unwrap_or_default(),
        })
    }

    /// Whether a part of a case is to be run.
    #[must_use]
    pub fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|wanted| wanted == part)
    }

    /// The command that runs a case with those settings that change what is in its report.
    #[must_use]
    pub fn command(&self, case: &str) -> String {
        let parts = if self.only.is_empty() {
            String::new()
        } else {
            format!("E2E_ONLY={} ", self.only.join(","))
        };
        format!("{parts}make e2e CASE={case}")
    }

    /// Whether log lines are brought to OpenSearch.
    #[must_use]
    pub fn with_fluentd(&self) -> bool {
        self.images.contains_key("fluentd")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_name_the_variable() {
        let read = |name: &'static str, value: &'static str| {
            Settings::from(move |asked| (asked == name).then(|| value.to_owned()))
        };
        let error = read("E2E_PHOTOS_PER_SECOND", "many").unwrap_err();
        assert!(
            error.to_string().contains("E2E_PHOTOS_PER_SECOND=many"),
            "{error}"
        );
        assert!(read("E2E_PATIENCE_SECONDS", "0").is_err());
        assert!(read("E2E_NODE_STOP", "stop").is_err());
        let settings = read("E2E_ONLY", "postgres, minio").unwrap();
        assert!(settings.wants("minio") && !settings.wants("fluentd"));
        assert_eq!(
            settings.command("healing"),
            "E2E_ONLY=postgres,minio make e2e CASE=healing"
        );
        assert!(!settings.with_fluentd());
        assert!(read("E2E_IMAGE_FLUENTD", "fluentd:1").unwrap().with_fluentd());
    }
}
