//! A private OpenSearch: the server and its core modules, which `local/install` fetches from Maven Central.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use schema::component;

use super::handle::Server;
use super::managed::ManagedServer;
use crate::access::OpenSearchAccess;
use crate::error::{Context, Error, Result};
use crate::layout::{StackLayout, is_reachable};
use crate::ports;
use crate::process::{Account, Program, create_private_directory, is_root, set_owner};
use crate::project::{find_on_path, project_root};

/// Where `local/install` puts OpenSearch in the project.
const INSTALLED_HOME: &str = ".local/opensearch/3.6.0";

/// Names the directory of another installation.
const HOME_VARIABLE: &str = "LOCAL_OPENSEARCH_HOME";

/// Names the JDK. No other JDK is used then.
const JAVA_VARIABLE: &str = "LOCAL_JAVA_HOME";

/// OpenSearch 3.x needs at least this JDK version.
const MIN_JAVA: u32 = 21;

/// Enough for a developer's log lines. The resident size is then 750 MB.
const HEAP: &str = "512m";

/// An installed OpenSearch and its JDK.
#[derive(Debug)]
struct Installation {
    home: PathBuf,
    java: PathBuf,
}

/// Why this machine cannot run OpenSearch. This is not an error.
pub(crate) type Unavailable = String;

/// Finds the server and a JDK.
fn find() -> Result<std::result::Result<Installation, Unavailable>> {
    let Some(java) = find_java() else {
        return Ok(Err(format!(
            "OpenSearch cannot run on this machine: there is no JDK {MIN_JAVA} or newer (in {JAVA_VARIABLE}, JAVA_HOME, /usr/lib/jvm)"
        )));
    };
    let home = env::var_os(HOME_VARIABLE).map_or_else(|| project_root().join(INSTALLED_HOME), PathBuf::from);
    if !home.join("bin/opensearch").is_file() {
        return if find_on_path("mvn").is_some() || env::var_os(HOME_VARIABLE).is_some() {
            Err(Error::NotInstalled { looked_in: home })
        } else {
            Ok(Err(
                "OpenSearch is not installed: `local/install` needs Maven (mvn) to fetch it".into(),
            ))
        };
    }
    if !is_reachable(&home) {
        return Ok(Err(format!(
            "OpenSearch cannot run as root, and the account `nobody` cannot reach {}",
            home.display()
        )));
    }
    Ok(Ok(Installation { home, java }))
}

/// The JDK that the environment names, or the newest one under `/usr/lib/jvm`. The file `release` of a JDK has its version.
fn find_java() -> Option<PathBuf> {
    let version = |home: &Path| -> Option<u32> {
        let release = fs::read_to_string(home.join("release")).ok()?;
        let text = release
            .lines()
            .find_map(|line| line.strip_prefix("JAVA_VERSION="))?;
        let digits = text.trim_matches('"');
        let major = digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
        (major >= MIN_JAVA && home.join("bin/java").is_file()).then_some(major)
    };
    if let Some(home) = env::var_os(JAVA_VARIABLE).map(PathBuf::from) {
        return version(&home).map(|_| home);
    }
    if let Some(home) = env::var_os("JAVA_HOME").map(PathBuf::from)
        && version(&home).is_some()
    {
        return Some(home);
    }
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/jvm")
        .ok()?
        .flatten()
        .filter_map(|entry| Some((version(&entry.path())?, entry.path())))
        .collect();
    found.sort();
    found.pop().map(|(_, home)| home)
}

/// OpenSearch does not run as root. The account `nobody` exists on every Debian; other accounts cannot read its data directory.
fn account() -> Result<Option<Account>> {
    if !is_root() {
        return Ok(None);
    }
    Account::find("nobody")
        .map(Some)
        .ok_or_else(|| Error::request("cannot start OpenSearch", "the account `nobody` does not exist"))
}

/// Starts a node without waiting, or returns why this machine cannot run it. It needs half a minute until it answers.
///
/// # Errors
/// [`Error::NotInstalled`] when the machine could run OpenSearch and it is not installed.
pub(crate) fn launch(
    layout: StackLayout<'_>,
) -> Result<std::result::Result<Server<OpenSearchAccess>, Unavailable>> {
    let installation = match find()? {
        Ok(installation) => installation,
        Err(unavailable) => return Ok(Err(unavailable)),
    };
    let home = layout.directory.join("opensearch");
    let account = account()?;
    for folder in ["", "config", "data", "logs", "tmp"] {
        create_private_directory(&home.join(folder), account.as_ref())?;
    }
    let port = ports::free()?;
    let access = OpenSearchAccess {
        url: format!("http://127.0.0.1:{port}"),
        username: None,
        password: None,
    };
    let distribution_options_path = installation.home.join("config/jvm.options");
    let options = fs::read_to_string(&distribution_options_path)
        .context(|| format!("cannot read {}", distribution_options_path.display()))?;
    for (name, text) in [
        ("opensearch.yml", settings(&home, port, ports::free()?)),
        ("jvm.options", java_options(&options, &home)),
        ("log4j2.properties", LOGGING.into()),
    ] {
        let path = home.join("config").join(name);
        fs::write(&path, text).context(|| format!("cannot write {}", path.display()))?;
        set_owner(&path, 0o600, account.as_ref())?;
    }

    let path = |path: &Path| path.display().to_string();
    let output = layout.output(component::OPENSEARCH, "opensearch.out")?;
    let executable = installation.home.join("bin/opensearch");
    let program = Program {
        environment: BTreeMap::from([
            ("OPENSEARCH_JAVA_HOME".into(), path(&installation.java)),
            ("JAVA_HOME".into(), path(&installation.java)),
            ("OPENSEARCH_PATH_CONF".into(), path(&home.join("config"))),
            ("OPENSEARCH_TMPDIR".into(), path(&home.join("tmp"))),
            ("LC_ALL".into(), "C.UTF-8".into()),
        ]),
        account,
        ..Program::new("OpenSearch", executable, &home, output, layout.lifetime("KILL"))
    };
    let mut server = ManagedServer::new(vec![program], None);
    server.launch()?;
    Ok(Ok(Server::managed(access, server)))
}

/// Memory mapping is off, since `vm.max_map_count` may be too low. The disk threshold is off, since a developer's disk is
/// often nearly full.
fn settings(home: &Path, port: u16, transport: u16) -> String {
    format!(
        "cluster.name: irmgard-local
node.name: local
discovery.type: single-node
network.host: 127.0.0.1
http.port: {port}
transport.port: {transport}
path.data: {home}/data
path.logs: {home}/logs
node.store.allow_mmap: false
cluster.routing.allocation.disk.threshold_enabled: false
",
        home = home.display()
    )
}

/// The distribution's options with our heap size and error file, and without garbage collection logs.
fn java_options(distribution: &str, home: &Path) -> String {
    let mut options: String = distribution
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter(|line| {
            ![
                "-Xms",
                "-Xmx",
                "-Xlog:gc",
                "HeapDump",
                "ErrorFile",
                "PrintGC",
                "Xloggc",
                "GCLogFile",
            ]
            .iter()
            .any(|option| line.contains(option))
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    options.push_str(&format!(
        "-Xms{HEAP}\n-Xmx{HEAP}\n-XX:ErrorFile={}/logs/hs_err_pid%p.log\n",
        home.display()
    ));
    options
}

/// Logs everything to standard output, in the distribution's format.
const LOGGING: &str = "status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%-25c{1.}] [%node_name]%marker %m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_options_replace_only_heap_and_files() {
        let distribution = "# heap\n-Xms1g\n-Xmx1g\n11-:-XX:+UseG1GC\n-XX:HeapDumpPath=data\n9-:-Xlog:gc*:file=logs/gc.log\n";
        let options = java_options(distribution, Path::new("/x"));
        assert_eq!(
            options,
            "11-:-XX:+UseG1GC\n-Xms512m\n-Xmx512m\n-XX:ErrorFile=/x/logs/hs_err_pid%p.log\n"
        );
    }
}
