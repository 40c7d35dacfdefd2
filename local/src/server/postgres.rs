//! A private PostgreSQL from Debian's package.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use schema::component;

use super::handle::Server;
use super::managed::ManagedServer;
use crate::access::PostgresAccess;
use crate::container_log::make_fifo;
use crate::error::{Context, Error, Result};
use crate::layout::StackLayout;
use crate::process::{Account, LogDestination, Program, create_private_directory, is_root, set_owner};
use crate::project::system_program;
use crate::{ports, secret};

/// Names the directory of another version's programs; default: the newest under `/usr/lib/postgresql`.
const PROGRAMS_VARIABLE: &str = "LOCAL_POSTGRES_BIN";

/// PostgreSQL derives this name from the plain log's name.
const JSON_LOG: &str = "postgresql.json";
const PLAIN_LOG: &str = "postgresql.log";

/// Starts a server with a new data directory. The server's account must be able to reach the directory.
pub(crate) async fn start(layout: StackLayout<'_>) -> Result<Server<PostgresAccess>> {
    let programs = find_programs()?;
    let account = account()?;
    let home = layout.directory.join("postgres");
    create_private_directory(&home, account.as_ref())?;
    let access = PostgresAccess {
        host: "127.0.0.1".into(),
        port: ports::free()?,
        username: "irmgard".into(),
        password: secret::password()?,
        database: "irmgard".into(),
    };

    let data = home.join("data");
    initialise(&programs, &home, &data, account.as_ref(), &access).await?;
    let settings = settings(&home, access.port);
    let file = data.join("postgresql.auto.conf");
    fs::write(&file, settings).context(|| format!("cannot write {}", file.display()))?;

    let log = home.join("log");
    let mut output = layout.output(component::POSTGRES, "postgres.out")?;
    if let LogDestination::Container(container) = &mut output {
        container.fifos = make_log_fifos(&log, account.as_ref())?;
    }
    let lifetime = layout.lifetime("QUIT");
    let program = Program {
        arguments: vec!["-D".into(), data.display().to_string()],
        environment: BTreeMap::from([("LC_ALL".into(), "C.UTF-8".into())]),
        account,
        ..Program::new("PostgreSQL", programs.join("postgres"), &home, output, lifetime)
    };
    let mut server = ManagedServer::new(vec![program], layout.log_file(log.join(JSON_LOG)));
    server.start(&access).await?;
    access.create_database().await?;
    Ok(Server::managed(access, server))
}

/// PostgreSQL writes JSON lines only to a file, and other lines to a second file. In a pod both are named pipes to the
/// container's output.
fn make_log_fifos(log: &Path, account: Option<&Account>) -> Result<Vec<(bool, PathBuf)>> {
    create_private_directory(log, account)?;
    [(false, JSON_LOG), (true, PLAIN_LOG)]
        .into_iter()
        .map(|(is_stderr, name)| {
            let path = log.join(name);
            make_fifo(&path).context(|| format!("cannot make the named pipe {}", path.display()))?;
            set_owner(&path, 0o600, account)?;
            Ok((is_stderr, path))
        })
        .collect()
}

/// Log settings. The cluster's PostgreSQL reads this file too.
const LOGGING: &str = include_str!("../../../services/postgres/logging.conf");

/// Small memory, no Unix socket, verbose logs. The durability settings keep their defaults.
fn settings(home: &Path, port: u16) -> String {
    let log = home.join("log");
    format!(
        "listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 400
shared_buffers = '32MB'
dynamic_shared_memory_type = mmap
timezone = 'UTC'
log_directory = '{}'
log_file_mode = 0644
{LOGGING}",
        log.display()
    )
}

fn find_programs() -> Result<PathBuf> {
    let missing = || Error::MissingProgram {
        program: "PostgreSQL (initdb)".into(),
        package: "postgresql",
    };
    if let Some(directory) = env::var_os(PROGRAMS_VARIABLE) {
        let directory = PathBuf::from(directory);
        return if directory.join("initdb").is_file() {
            Ok(directory)
        } else {
            Err(missing())
        };
    }
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .map_err(|_| missing())?
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, programs)| programs.join("initdb").is_file())
        .collect();
    versions.sort();
    versions.pop().map(|(_, programs)| programs).ok_or_else(missing)
}

/// PostgreSQL does not run as root. Debian's package creates an account for it.
fn account() -> Result<Option<Account>> {
    if !is_root() {
        return Ok(None);
    }
    Account::find("postgres").map(Some).ok_or(Error::MissingProgram {
        program: "the account postgres".into(),
        package: "postgresql",
    })
}

async fn initialise(
    programs: &Path,
    home: &Path,
    data: &Path,
    account: Option<&Account>,
    access: &PostgresAccess,
) -> Result<()> {
    let password_file = home.join("password");
    fs::write(&password_file, &access.password).context(|| "cannot write a password file".into())?;
    set_owner(&password_file, 0o600, account)?;
    let initdb = programs.join("initdb");
    let mut command = match account {
        Some(account) => {
            let mut command = Command::new(system_program("setpriv", "util-linux")?);
            command.args(account.setpriv_arguments()).arg(initdb);
            command
        }
        None => Command::new(initdb),
    };
    command
        .arg("-D")
        .arg(data)
        .args(["-U", &access.username, "-A", "scram-sha-256"])
        .args(["-E", "UTF8", "--locale=C.UTF-8", "--no-sync"])
        .arg(format!("--pwfile={}", password_file.display()))
        .current_dir(home)
        .env_remove("PGDATA");
    let output = tokio::process::Command::from(command).output().await;
    fs::remove_file(&password_file).context(|| "cannot remove a password file".into())?;
    let output = output.context(|| "cannot run initdb".into())?;
    if !output.status.success() {
        return Err(Error::Command {
            command: "initdb".into(),
            output: String::from_utf8_lossy(&output.stderr).into_owned(),
        });
    }
    Ok(())
}
