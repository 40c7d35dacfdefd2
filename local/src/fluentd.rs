//! Fluentd with the project's configuration, as a process.

use std::collections::BTreeMap;
use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::access::OpenSearchAccess;
use crate::error::{Context as _, Error, Result};
use crate::process::{Lifetime, LogDestination, Program};
use crate::project::{find_on_path, project_root};

/// Names the executable; default: `fluentd` on PATH.
pub const EXECUTABLE_VARIABLE: &str = "FLUENTD";

/// The executable: `FLUENTD`, or `fluentd` on PATH, if any.
#[must_use]
pub fn executable() -> Option<PathBuf> {
    env::var_os(EXECUTABLE_VARIABLE)
        .map(PathBuf::from)
        .or_else(|| find_on_path("fluentd"))
}

/// The library that Fluentd's plugin loads: beside the running program, or in the folder `deps` beside it.
fn library() -> Result<PathBuf> {
    const NAME: &str = "libfluentd_normalizer.so";
    let executable = env::current_exe().context(|| "cannot find the path of this program".into())?;
    let folder = executable.parent().unwrap_or(Path::new("/"));
    let candidates = [folder.join(NAME), folder.join("deps").join(NAME)];
    let found = candidates.into_iter().find(|path| path.is_file());
    let release = if folder.ends_with("release") {
        " --release"
    } else {
        ""
    };
    found.ok_or_else(|| Error::NotBuilt {
        program: NAME.into(),
        looked_in: folder.to_owned(),
        command: format!("cargo build{release} -p fluentd-normalizer"),
    })
}

/// Input, files and servers of a Fluentd process.
#[derive(Clone, Debug)]
pub struct FluentdSettings<'s> {
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
///
/// # Errors
/// [`Error::NotBuilt`] when the library for its plugin does not exist.
pub fn program(
    executable: PathBuf,
    settings: &FluentdSettings<'_>,
    output: LogDestination,
    lifetime: Lifetime,
) -> Result<Program> {
    let FluentdSettings {
        pods,
        exclude,
        state,
        api,
        opensearch,
        metrics,
    } = settings;
    let library = library()?;
    let pods = pods.display();
    let exclude: Vec<String> = exclude.iter().map(|path| format!("\"{path}\"")).collect();
    let set = |name: &str, value: String| (name.to_owned(), value);
    let mut environment = BTreeMap::from([
        set("FLUENT_STATE_PATH", state.display().to_string()),
        set("FLUENTD_NORMALIZER", library.display().to_string()),
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
    let sources = ["fluent.conf", "conf.d", "plugins"].map(config);
    Ok(Program {
        // One process as in the image; Kubernetes or `local up` restarts it.
        arguments: vec![
            "--no-supervisor".to_owned(),
            "-c".to_owned(),
            argument("fluent.conf"),
            "-p".to_owned(),
            argument("plugins"),
        ],
        environment,
        sources: sources.into_iter().chain([library]).collect(),
        ..Program::new("Fluentd", executable, state, output, lifetime)
    })
}
