//! A private RabbitMQ from Debian's package.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use schema::component;

use super::handle::Server;
use super::managed::ManagedServer;
use crate::access::{Environment, RabbitMqAccess, definitions_with_user};
use crate::error::{Context, Error, Result};
use crate::layout::StackLayout;
use crate::process::{LogDestination, Program, create_private_directory};
use crate::project::system_program;
use crate::{ports, secret};

/// The script behind Debian's wrapper in PATH. The wrapper needs root and the system's directories.
const DEBIAN_SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// Names another `rabbitmq-server` script; default: Debian's.
const SERVER_VARIABLE: &str = "LOCAL_RABBITMQ_SERVER";

/// Starts a node.
pub(crate) async fn start(layout: StackLayout<'_>) -> Result<Server<RabbitMqAccess>> {
    const PACKAGE: &str = "rabbitmq-server";
    let executable = env::var_os(SERVER_VARIABLE).map_or_else(|| PathBuf::from(DEBIAN_SERVER), PathBuf::from);
    if !executable.is_file() {
        return Err(Error::MissingProgram {
            program: executable.display().to_string(),
            package: PACKAGE,
        });
    }
    let epmd = system_program("epmd", PACKAGE)?;
    let home = layout.directory.join("rabbitmq");
    create_private_directory(&home, None)?;

    let management = ports::free()?;
    let access = RabbitMqAccess {
        host: "127.0.0.1".into(),
        port: ports::free()?,
        username: "irmgard".into(),
        password: secret::password()?,
        vhost: "/".into(),
        management: Some(format!("http://127.0.0.1:{management}")),
    };
    let definitions = definitions_with_user(&access.username, &access.password, &access.vhost)?;
    for (name, text) in [
        ("definitions.json", definitions.to_string()),
        (
            "rabbitmq.conf",
            settings(&home, access.port, management, layout.logs_to_stdout()),
        ),
        ("enabled_plugins", "[rabbitmq_management].\n".into()),
        ("rabbitmq-env.conf", String::new()),
    ] {
        let path = home.join(name);
        fs::write(&path, text).context(|| format!("cannot write {}", path.display()))?;
    }

    let environment = environment(&home)?;
    let epmd_port = environment.get("ERL_EPMD_PORT").cloned().unwrap_or_default();
    let program = |name: &str, executable, arguments, output| Program {
        arguments,
        environment: environment.clone(),
        ..Program::new(name, executable, &home, output, layout.lifetime("KILL"))
    };
    let programs = vec![
        program(
            "epmd",
            epmd,
            vec!["-port".into(), epmd_port, "-address".into(), "127.0.0.1".into()],
            LogDestination::File(layout.directory.join("epmd.out")),
        ),
        program(
            "RabbitMQ",
            executable,
            Vec::new(),
            layout.output(component::RABBITMQ, "rabbitmq.out")?,
        ),
    ];
    let mut server = ManagedServer::new(programs, layout.log_file(home.join("log/rabbitmq.log")));
    server.start(&access).await?;
    Ok(Server::managed(access, server))
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
