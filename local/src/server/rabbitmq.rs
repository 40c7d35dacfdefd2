//! A private RabbitMQ from Debian's package.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use schema::component;
use serde_json::Value;
use tokio::time::timeout;

use super::definitions;
use super::managed::{ManagedServer, Probe};
use crate::access::{Environment, RabbitMqAccess};
use crate::error::{Context, Error, Result};
use crate::layout::Layout;
use crate::process::{Output, Program, find_on_path};
use crate::{ports, secret};

/// The script behind Debian's wrapper in PATH. The wrapper needs root and the system's directories.
const DEBIAN_SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// Names another `rabbitmq-server` script; default: Debian's.
const SERVER_VARIABLE: &str = "LOCAL_RABBITMQ_SERVER";

/// Starts a node.
pub(crate) async fn start(layout: Layout<'_>) -> Result<(RabbitMqAccess, ManagedServer)> {
    let server = env::var_os(SERVER_VARIABLE).map_or_else(|| PathBuf::from(DEBIAN_SERVER), PathBuf::from);
    let missing = |program: String| Error::MissingProgram {
        program,
        package: "rabbitmq-server",
    };
    if !server.is_file() {
        return Err(missing(server.display().to_string()));
    }
    let epmd = find_on_path("epmd").ok_or_else(|| missing("epmd".into()))?;
    let home = layout.directory.join("rabbitmq");
    fs::create_dir_all(&home).context(|| format!("cannot create {}", home.display()))?;
    fs::set_permissions(&home, Permissions::from_mode(0o700))
        .context(|| "cannot set the permissions of a directory".into())?;

    let management = ports::free()?;
    let access = RabbitMqAccess {
        host: "127.0.0.1".into(),
        port: ports::free()?,
        username: "irmgard".into(),
        password: secret::password()?,
        vhost: "/".into(),
        management: Some(format!("http://127.0.0.1:{management}")),
    };
    let write = |name: &str, text: &str| {
        let path = home.join(name);
        fs::write(&path, text).context(|| format!("cannot write {}", path.display()))
    };
    write("definitions.json", &definitions::with_user(&access)?.to_string())?;
    write(
        "rabbitmq.conf",
        &settings(&home, access.port, management, layout.logs_to_stdout()),
    )?;
    write("enabled_plugins", "[rabbitmq_management].\n")?;
    write("rabbitmq-env.conf", "")?;

    let environment = environment(&home)?;
    let lifetime = layout.lifetime("KILL");
    let epmd_port = environment.get("ERL_EPMD_PORT").cloned().unwrap_or_default();
    let program = |name: &str, executable, arguments, output| Program {
        name: name.into(),
        executable,
        arguments,
        environment: environment.clone(),
        directory: home.clone(),
        output,
        account: None,
        lifetime: lifetime.clone(),
        sources: Vec::new(),
    };
    let programs = vec![
        program(
            "epmd",
            epmd,
            vec!["-port".into(), epmd_port, "-address".into(), "127.0.0.1".into()],
            Output::File(layout.directory.join("epmd.out")),
        ),
        program(
            "RabbitMQ",
            server,
            Vec::new(),
            layout.output(component::RABBITMQ, "rabbitmq.out")?,
        ),
    ];
    let mut server = ManagedServer::new(
        programs,
        Probe::RabbitMq(access.clone()),
        layout.log_file(home.join("log/rabbitmq.log")),
    );
    server.start().await?;
    Ok((access, server))
}

/// `consumer_timeout` is today's default, fixed here against changes in later versions.
fn settings(home: &Path, port: u16, management: u16, logs_to_stdout: bool) -> String {
    let log = if logs_to_stdout {
        "log.file = false
log.console = true
log.console.level = info
log.console.formatter = json"
    } else {
        "log.console = false
log.file = rabbitmq.log
log.file.level = info
log.file.formatter = json"
    };
    format!(
        "listeners.tcp.1 = 127.0.0.1:{port}
management.tcp.ip = 127.0.0.1
management.tcp.port = {management}
load_definitions = {}
consumer_timeout = 1800000
disk_free_limit.absolute = 50MB
{log}
",
        home.join("definitions.json").display()
    )
}

/// Uses private ports and files, and nothing of the system's configuration. With `RUNNING_UNDER_SYSTEMD` the script execs
/// the Erlang machine, so the pid of the script is the pid of the server.
fn environment(home: &Path) -> Result<Environment> {
    let path = |name: &str| home.join(name).display().to_string();
    Ok(BTreeMap::from([
        ("HOME".into(), home.display().to_string()),
        ("LC_ALL".into(), "C.UTF-8".into()),
        ("RUNNING_UNDER_SYSTEMD".into(), "true".into()),
        (
            "RABBITMQ_NODENAME".into(),
            format!("irmgard{}@localhost", secret::suffix()?),
        ),
        ("RABBITMQ_MNESIA_BASE".into(), path("data")),
        ("RABBITMQ_LOG_BASE".into(), path("log")),
        ("RABBITMQ_CONFIG_FILE".into(), path("rabbitmq.conf")),
        ("RABBITMQ_ADVANCED_CONFIG_FILE".into(), path("advanced.config")),
        ("RABBITMQ_CONF_ENV_FILE".into(), path("rabbitmq-env.conf")),
        ("RABBITMQ_ENABLED_PLUGINS_FILE".into(), path("enabled_plugins")),
        ("RABBITMQ_GENERATED_CONFIG_DIR".into(), path("generated")),
        ("RABBITMQ_DIST_PORT".into(), ports::free()?.to_string()),
        ("ERL_EPMD_PORT".into(), ports::free()?.to_string()),
        ("ERL_EPMD_ADDRESS".into(), "127.0.0.1".into()),
        ("ERL_CRASH_DUMP".into(), path("erl_crash.dump")),
        // No busy waiting, because it would disturb measurements on this machine. Erlang's distribution port listens on all
        // addresses by default.
        (
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS".into(),
            "+sbwt none +sbwtdcpu none +sbwtdio none -start_epmd false \
             -kernel inet_dist_use_interface {127,0,0,1}"
                .into(),
        ),
    ]))
}

pub(super) async fn probe(access: &RabbitMqAccess) -> std::result::Result<(), String> {
    let properties = lapin::ConnectionProperties::default().with_connection_name("local".into());
    let connection = lapin::Connection::connect(&access.url(), properties)
        .await
        .map_err(|error| error.to_string())?;
    connection
        .close(200, "ready".into())
        .await
        .map_err(|error| error.to_string())?;
    if access.management.is_some() {
        management(access, Method::GET, "/api/whoami", None)
            .await
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Checks that an external server answers.
pub(crate) async fn check_external(access: &RabbitMqAccess) -> Result<()> {
    let what = || format!("cannot use RabbitMQ at {}:{}", access.host, access.port);
    timeout(Duration::from_secs(20), probe(access))
        .await
        .unwrap_or_else(|_| Err("no answer within 20 s".into()))
        .map_err(|error| Error::request(what(), error))
}

/// Sends a request to the management API. The caller must percent-encode `path`. A 404 for DELETE counts as success.
///
/// # Errors
/// When the API is not available or does not answer with success.
pub(crate) async fn management(
    access: &RabbitMqAccess,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Value> {
    let what = || format!("RabbitMQ management {method} {path}");
    let base = access
        .management
        .as_deref()
        .ok_or_else(|| Error::request(what(), "RABBITMQ_MANAGEMENT is not set"))?;
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(30))
        .build()
        .map_err(|error| Error::request(what(), error))?;
    let mut request = client
        .request(method.clone(), format!("{base}{path}"))
        .basic_auth(&access.username, Some(&access.password));
    if let Some(body) = body {
        request = request.json(body);
    }
    let response = request
        .send()
        .await
        .map_err(|error| Error::request(what(), error))?;
    let status = response.status();
    let bytes = response
        .bytes()
        .await
        .map_err(|error| Error::request(what(), error))?;
    let already_deleted = method == Method::DELETE && status == StatusCode::NOT_FOUND;
    if !status.is_success() && !already_deleted {
        return Err(Error::request(
            what(),
            format!("{status} {}", String::from_utf8_lossy(&bytes)),
        ));
    }
    Ok(serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}
