//! Fluentd with the project's configuration, as a process.

use std::collections::BTreeMap;
use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::access::OpenSearchAccess;
use crate::layout::project_root;
use crate::process::{Lifetime, Output, Program};

/// Names the executable; default: `fluentd` on PATH.
pub const EXECUTABLE_VARIABLE: &str = "FLUENTD";

/// The executable: `FLUENTD`, or `fluentd` on PATH, if any.
#[must_use]
pub fn executable() -> Option<PathBuf> {
    let on_path = || {
        let path = env::var_os("PATH")?;
        let mut candidates = env::split_paths(&path).map(|directory| directory.join("fluentd"));
        candidates.find(|candidate| candidate.is_file())
    };
    env::var_os(EXECUTABLE_VARIABLE)
        .map(PathBuf::from)
        .or_else(on_path)
}

/// Input, files and servers of a Fluentd process.
#[derive(Clone, Debug)]
pub struct Settings<'s> {
    /// The folder of the pods' logs, or a glob pattern.
    pub pods: &'s Path,
    /// Glob patterns of files that it does not read.
    pub exclude: &'s [String],
    /// The folder for positions, buffer and dead letters.
    pub state: &'s Path,
    /// The Kubernetes API server, or a stand-in.
    pub api: SocketAddr,
    pub opensearch: &'s OpenSearchAccess,
    /// The address of its metrics.
    pub metrics: SocketAddr,
}

/// The program with these settings.
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
    let config = |path: &str| project_root().join("fluentd").join(path);
    let argument = |path: &str| config(path).display().to_string();
    Program {
        name: "Fluentd".to_owned(),
        executable,
        // One process as in the image; Kubernetes or `local up` restarts it.
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
        sources: ["fluent.conf", "conf.d", "plugins"].map(config).into(),
    }
}
