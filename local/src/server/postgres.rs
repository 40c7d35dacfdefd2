//! A private PostgreSQL from Debian's package.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{Uid, User};
use schema::component;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

use super::managed::{ManagedServer, Probe};
use crate::access::PostgresAccess;
use crate::error::{Context, Error, Result};
use crate::layout::Layout;
use crate::node::log_writer::make_fifo;
use crate::process::{Account, Output, Program, find_on_path};
use crate::{ports, secret};

/// Names the directory of another version's programs; default: the newest under `/usr/lib/postgresql`.
const PROGRAMS_VARIABLE: &str = "LOCAL_POSTGRES_BIN";

/// PostgreSQL derives this name from the plain log's name.
const JSON_LOG: &str = "postgresql.json";
const PLAIN_LOG: &str = "postgresql.log";

/// Starts a server with a new data directory. The server's account must be able to reach the directory.
pub(crate) async fn start(layout: Layout<'_>) -> Result<(PostgresAccess, ManagedServer)> {
    let programs = find_programs()?;
    let account = account()?;
    let home = layout.directory.join("postgres");
    fs::create_dir_all(&home).context(|| format!("cannot create {}", home.display()))?;
    fs::set_permissions(&home, Permissions::from_mode(0o700))
        .context(|| "cannot set the permissions of a directory".into())?;
    if let Some(account) = &account {
        chown(&home, Some(account.user), Some(account.group))
            .context(|| "cannot change the owner of a directory".into())?;
    }
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
    if let Output::Container(container) = &mut output {
        container.fifos = make_log_fifos(&log, account.as_ref())?;
    }
    let program = Program {
        name: "PostgreSQL".into(),
        executable: programs.join("postgres"),
        arguments: vec!["-D".into(), data.display().to_string()],
        environment: BTreeMap::from([("LC_ALL".into(), "C.UTF-8".into())]),
        directory: home.clone(),
        output,
        account,
        lifetime: layout.lifetime("QUIT"),
        sources: Vec::new(),
    };
    let maintenance = PostgresAccess {
        database: "postgres".into(),
        ..access.clone()
    };
    let mut server = ManagedServer::new(
        vec![program],
        Probe::Postgres(maintenance.clone()),
        layout.log_file(log.join(JSON_LOG)),
    );
    server.start().await?;
    create_database(&maintenance, &access.database).await?;
    Ok((access, server))
}

/// PostgreSQL writes JSON lines only to a file, and other lines to a second file. In a pod both are named pipes to the
/// container's output.
fn make_log_fifos(log: &Path, account: Option<&Account>) -> Result<Vec<(bool, PathBuf)>> {
    let what = || format!("cannot make named pipes in {}", log.display());
    let set_owner = |path: &Path, mode| {
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        match account {
            Some(account) => chown(path, Some(account.user), Some(account.group)),
            None => Ok(()),
        }
    };
    fs::create_dir_all(log)
        .and_then(|()| set_owner(log, 0o700))
        .context(what)?;
    [(false, JSON_LOG), (true, PLAIN_LOG)]
        .into_iter()
        .map(|(is_stderr, name)| {
            let path = log.join(name);
            make_fifo(&path)
                .and_then(|()| set_owner(&path, 0o600))
                .context(what)?;
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
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    let user = User::from_name("postgres")
        .ok()
        .flatten()
        .ok_or(Error::MissingProgram {
            program: "the account postgres".into(),
            package: "postgresql",
        })?;
    Ok(Some(Account {
        name: user.name,
        user: user.uid.as_raw(),
        group: user.gid.as_raw(),
    }))
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
    let mut command = match account {
        Some(account) => {
            chown(&password_file, Some(account.user), Some(account.group))
                .context(|| "cannot change the owner of a file".into())?;
            let setpriv = find_on_path("setpriv").ok_or(Error::MissingProgram {
                program: "setpriv".into(),
                package: "util-linux",
            })?;
            let mut command = Command::new(setpriv);
            command
                .arg(format!("--reuid={}", account.user))
                .arg(format!("--regid={}", account.group))
                .arg("--init-groups")
                .arg(programs.join("initdb"));
            command
        }
        None => Command::new(programs.join("initdb")),
    };
    command
        .arg("-D")
        .arg(data)
        .args([
            "-U",
            &access.username,
            "-A",
            "scram-sha-256",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ])
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

async fn connect(access: &PostgresAccess) -> std::result::Result<PgConnection, sqlx::Error> {
    PgConnectOptions::new_without_pgpass()
        .host(&access.host)
        .port(access.port)
        .username(&access.username)
        .password(&access.password)
        .database(&access.database)
        .application_name("local")
        .disable_statement_logging()
        .connect()
        .await
}

pub(super) async fn probe(access: &PostgresAccess) -> std::result::Result<(), String> {
    let request = async {
        let mut connection = connect(access).await?;
        connection.execute("SELECT 1").await?;
        connection.close().await
    };
    request.await.map_err(|error: sqlx::Error| error.to_string())
}

/// Checks that an external server answers, and creates its database if it is missing.
pub(crate) async fn check_external(access: &PostgresAccess) -> Result<()> {
    match connect(access).await {
        Ok(connection) => {
            // An error here is harmless.
            let _ = connection.close().await;
            Ok(())
        }
        // 3D000: invalid_catalog_name (PostgreSQL, appendix A).
        Err(error)
            if error
                .as_database_error()
                .is_some_and(|error| error.code().as_deref() == Some("3D000")) =>
        {
            let maintenance = PostgresAccess {
                database: "postgres".into(),
                ..access.clone()
            };
            create_database(&maintenance, &access.database).await
        }
        Err(error) => Err(Error::request(
            format!("cannot use PostgreSQL at {}:{}", access.host, access.port),
            error,
        )),
    }
}

/// Creates a database over a connection to the one in `access`. The name has only letters, digits and underscores.
pub(crate) async fn create_database(access: &PostgresAccess, name: &str) -> Result<()> {
    execute(access, format!("CREATE DATABASE \"{name}\"")).await
}

/// Removes a database and ends its sessions.
pub(crate) async fn drop_database(access: &PostgresAccess, name: &str) -> Result<()> {
    execute(access, format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)")).await
}

async fn execute(access: &PostgresAccess, sql: String) -> Result<()> {
    let failed = |error: sqlx::Error| Error::request(sql.clone(), error);
    let mut connection = connect(access).await.map_err(failed)?;
    connection
        .execute(AssertSqlSafe(sql.clone()))
        .await
        .map_err(failed)?;
    connection.close().await.map_err(failed)
}
