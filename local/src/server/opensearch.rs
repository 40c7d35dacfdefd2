//! A private OpenSearch: the server and its core modules, which `local/install` has fetched from Maven Central.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Uid, User};
use schema::component;

use super::own::{Own, Probe};
use crate::access::OpenSearchAccess;
use crate::directory;
use crate::error::{Context, Error, Result};
use crate::ports;
use crate::process::{Account, Program, find_on_path};
use crate::runtime_library::project;
use crate::site::Site;

/// Where `local/install` puts it, within the project.
const HOME: &str = ".local/opensearch/3.6.0";

/// Another installation's directory.
const HOME_VARIABLE: &str = "LOCAL_OPENSEARCH_HOME";

/// This JDK and no other, where it is set.
const JAVA_VARIABLE: &str = "LOCAL_JAVA_HOME";

/// OpenSearch 3.x runs on nothing older.
const JAVA: u32 = 21;

/// Enough for a developer's lines: 750 MB are resident then.
const HEAP: &str = "512m";

/// What OpenSearch is started from.
#[derive(Debug)]
pub(crate) struct Installed {
    home: PathBuf,
    java: PathBuf,
}

/// Why there is no OpenSearch on this machine, where that is nobody's mistake.
#[derive(Debug)]
pub(crate) struct Unavailable(pub String);

/// Looks for server and JDK.
///
/// # Errors
/// [`Error::MissingProgram`] when the machine has all that is needed to install it, and it is not installed.
pub(crate) fn installed() -> Result<std::result::Result<Installed, Unavailable>> {
    let Some(java) = java() else {
        return Ok(Err(Unavailable(format!(
            "OpenSearch cannot run on this machine: there is no JDK {JAVA} or newer (in {JAVA_VARIABLE}, JAVA_HOME, /usr/lib/jvm)"
        ))));
    };
    let home = env::var_os(HOME_VARIABLE).map_or_else(|| project().join(HOME), PathBuf::from);
    if !home.join("bin/opensearch").is_file() {
        return if find_on_path("mvn").is_some() || env::var_os(HOME_VARIABLE).is_some() {
            Err(Error::NotInstalled { looked_in: home })
        } else {
            Ok(Err(Unavailable(
                "OpenSearch is not on this machine: without Maven (mvn) it is not fetched".into(),
            )))
        };
    }
    if !directory::reachable(&home) {
        return Ok(Err(Unavailable(format!(
            "OpenSearch refuses root, and the account that it would run as cannot reach {}",
            home.display()
        ))));
    }
    Ok(Ok(Installed { home, java }))
}

/// The JDK that is named, else the newest under `/usr/lib/jvm`. Which version one is stands in its file `release`.
fn java() -> Option<PathBuf> {
    let version = |home: &Path| -> Option<u32> {
        let release = fs::read_to_string(home.join("release")).ok()?;
        let text = release
            .lines()
            .find_map(|line| line.strip_prefix("JAVA_VERSION="))?;
        let digits = text.trim_matches('"');
        let major = digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
        (major >= JAVA && home.join("bin/java").is_file()).then_some(major)
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

/// OpenSearch refuses root; `nobody` is on every Debian, and its data are in a directory that nobody else can read.
fn account() -> Result<Option<Account>> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    let user = User::from_name("nobody")
        .ok()
        .flatten()
        .ok_or_else(|| Error::request("OpenSearch is started", "there is no account `nobody`"))?;
    Ok(Some(Account {
        name: user.name,
        user: user.uid.as_raw(),
        group: user.gid.as_raw(),
    }))
}

/// Starts a node, and does not wait: it takes half a minute until it answers.
pub(crate) fn launch(installed: &Installed, site: Site<'_>) -> Result<(OpenSearchAccess, Own)> {
    let home = site.directory.join("opensearch");
    let account = account()?;
    let own = |path: &Path, mode: u32| {
        fs::set_permissions(path, Permissions::from_mode(mode))
            .and_then(|()| match &account {
                Some(account) => chown(path, Some(account.user), Some(account.group)),
                None => Ok(()),
            })
            .context(|| format!("cannot give {} away", path.display()))
    };
    for folder in ["", "config", "data", "logs", "tmp"] {
        let path = home.join(folder);
        fs::create_dir_all(&path).context(|| format!("cannot create {}", path.display()))?;
        own(&path, 0o700)?;
    }
    let port = ports::free()?;
    let access = OpenSearchAccess {
        url: format!("http://127.0.0.1:{port}"),
        username: None,
        password: None,
    };
    let options_of_the_distribution = installed.home.join("config/jvm.options");
    let options = fs::read_to_string(&options_of_the_distribution)
        .context(|| format!("cannot read {}", options_of_the_distribution.display()))?;
    for (name, text) in [
        ("opensearch.yml", settings(&home, port, ports::free()?)),
        ("jvm.options", java_options(&options, &home)),
        ("log4j2.properties", LOGGING.into()),
    ] {
        let path = home.join("config").join(name);
        fs::write(&path, text).context(|| format!("cannot write {}", path.display()))?;
        own(&path, 0o600)?;
    }

    let path = |path: &Path| path.display().to_string();
    let program = Program {
        name: "OpenSearch".into(),
        executable: installed.home.join("bin/opensearch"),
        arguments: Vec::new(),
        environment: BTreeMap::from([
            ("OPENSEARCH_JAVA_HOME".into(), path(&installed.java)),
            ("JAVA_HOME".into(), path(&installed.java)),
            ("OPENSEARCH_PATH_CONF".into(), path(&home.join("config"))),
            ("OPENSEARCH_TMPDIR".into(), path(&home.join("tmp"))),
            ("LC_ALL".into(), "C.UTF-8".into()),
        ]),
        directory: home,
        output: site.output(component::OPENSEARCH, "opensearch.out")?,
        account,
        lifetime: site.lifetime("KILL"),
        sources: Vec::new(),
    };
    let mut own = Own::new(vec![program], Probe::OpenSearch(access.clone()), None);
    own.launch()?;
    Ok((access, own))
}

/// A machine that may not raise `vm.max_map_count` has no memory for mapped files, and a developer's disk is often nearly full.
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

/// The distribution's options with our heap, with files of ours in place of relative ones, and without a log of collections.
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
            .any(|ours| line.contains(ours))
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    options.push_str(&format!(
        "-Xms{HEAP}\n-Xmx{HEAP}\n-XX:ErrorFile={}/logs/hs_err_pid%p.log\n",
        home.display()
    ));
    options
}

/// Everything on standard output, in the form of the distribution.
const LOGGING: &str = "status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%-25c{1.}] [%node_name]%marker %m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
";

pub(crate) async fn probe(access: &OpenSearchAccess) -> std::result::Result<(), String> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(5))
        .build()
        .map_err(|error| error.to_string())?;
    // Once it answers this it has a manager, and its indices can be used.
    let mut request = client.get(format!("{}/_cluster/health", access.url));
    if let Some(username) = &access.username {
        request = request.basic_auth(username, access.password.as_deref());
    }
    let answer = request.send().await.map_err(|error| error.to_string())?;
    if answer.status().is_success() {
        Ok(())
    } else {
        Err(answer.status().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_the_distribution_stay_but_for_heap_and_files() {
        let distribution = "# heap\n-Xms1g\n-Xmx1g\n11-:-XX:+UseG1GC\n-XX:HeapDumpPath=data\n9-:-Xlog:gc*:file=logs/gc.log\n";
        let options = java_options(distribution, Path::new("/x"));
        assert_eq!(
            options,
            "11-:-XX:+UseG1GC\n-Xms512m\n-Xmx512m\n-XX:ErrorFile=/x/logs/hs_err_pid%p.log\n"
        );
    }
}
