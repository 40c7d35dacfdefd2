//! Fluentd with the project's own configuration, as a process.

use std::collections::BTreeMap;
use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::access::OpenSearchAccess;
use crate::process::{Lifetime, Output, Program};
use crate::runtime_library::project;

/// Names the executable, where it is not on PATH.
pub const VARIABLE: &str = "FLUENTD";

/// The executable: `FLUENTD`, or `fluentd` on PATH. None where there is none.
#[must_use]
pub fn executable() -> Option<PathBuf> {
    let on_path = || {
        let path = env::var_os("PATH")?;
        let mut found = env::split_paths(&path).map(|directory| directory.join("fluentd"));
        found.find(|candidate| candidate.is_file())
    };
    env::var_os(VARIABLE).map(PathBuf::from).or_else(on_path)
}

/// What one Fluentd reads, and with whom it talks.
#[derive(Clone, Debug)]
pub struct Settings<'s> {
    /// The folder of the pods' logs, or a pattern of such.
    pub pods: &'s Path,
    /// Files that it does not read.
    pub exclude: &'s [String],
    /// Where it keeps positions, buffer and dead letters.
    pub state: &'s Path,
    /// `host:port` of the API server, or of what tells of pods in its place.
    pub api: SocketAddr,
    /// Where the lines go.
    pub opensearch: &'s OpenSearchAccess,
    /// Where its metrics are.
    pub metrics: SocketAddr,
}

/// How it is started.
#[must_use]
pub fn program(executable: PathBuf, settings: &Settings<'_>, output: Output, lifetime: Lifetime) -> Program {
    let Settings {
        pods,
        exclude,
        state,
        api,
        opensearch,
        metrics,
    } = settings;
    let pods = pods.display();
    let exclude: Vec<String> = exclude.iter().map(|path| format!("\"{path}\"")).collect();
    let set = |name: &str, value: String| (name.to_owned(), value);
    let mut environment = BTreeMap::from([
        set("FLUENT_STATE_PATH", state.display().to_string()),
        set(
            "FLUENT_CONTAINER_TAIL_PATH",
            format!("{pods}/*/*/*.log.????????-??????,{pods}/*/*/*.log"),
        ),
        set(
            "FLUENT_CONTAINER_TAIL_EXCLUDE_PATH",
            format!("[{}]", exclude.join(",")),
        ),
        set("FLUENT_FILTER_KUBERNETES_URL", format!("http://{api}/api")),
        set("FLUENT_OPENSEARCH_HOSTS", opensearch.url.clone()),
        set(
            "FLUENT_OPENSEARCH_SCHEME",
            opensearch.url.split("://").next().unwrap_or_default().to_owned(),
        ),
        set("FLUENT_OPENSEARCH_BUFFER_RETRY_MAX_INTERVAL", "1".to_owned()),
        set("FLUENTD_PROMETHEUS_BIND", metrics.ip().to_string()),
        set("FLUENTD_PROMETHEUS_PORT", metrics.port().to_string()),
    ]);
    for (name, value) in [
        ("FLUENT_OPENSEARCH_USER", &opensearch.username),
        ("FLUENT_OPENSEARCH_PASSWORD", &opensearch.password),
    ] {
        if let Some(value) = value {
            environment.insert(name.to_owned(), value.clone());
        }
    }
    let own = |path: &str| project().join("fluentd").join(path);
    let argument = |path: &str| own(path).display().to_string();
    Program {
        name: "Fluentd".to_owned(),
        executable,
        // As in the image: one process, which is started again from outside.
        arguments: vec![
            "--no-supervisor".to_owned(),
            "-c".to_owned(),
            argument("fluent.conf"),
            "-p".to_owned(),
            argument("plugins"),
        ],
        environment,
        directory: state.to_path_buf(),
        output,
        account: None,
        lifetime,
        sources: ["fluent.conf", "conf.d", "plugins"].map(own).into(),
    }
}
