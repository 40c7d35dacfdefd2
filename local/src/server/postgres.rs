//! A private PostgreSQL out of Debian's package.

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

use super::own::{Own, Probe};
use crate::access::PostgresAccess;
use crate::error::{Context, Error, Result};
use crate::node::log_writer::make_fifo;
use crate::process::{Account, Output, Program, find_on_path};
use crate::site::Site;
use crate::{ports, secret};

/// Where another version's programs are, when not the newest under `/usr/lib/postgresql` is wanted.
const PROGRAMS: &str = "LOCAL_POSTGRES_BIN";

/// The name of the file with lines of JSON: that of the other file, with this ending in place of `.log`.
const LOG: &str = "postgresql.json";
const PLAIN_LOG: &str = "postgresql.log";

/// Starts a server with a new data directory, which its account must be able to reach.
pub(crate) async fn start(site: Site<'_>) -> Result<(PostgresAccess, Own)> {
    let programs = programs()?;
    let account = account()?;
    let home = site.directory.join("postgres");
    fs::create_dir_all(&home).context(|| format!("cannot create {}", home.display()))?;
    fs::set_permissions(&home, Permissions::from_mode(0o700))
        .context(|| "cannot close a directory".into())?;
    if let Some(account) = &account {
        chown(&home, Some(account.user), Some(account.group))
            .context(|| "cannot give a directory away".into())?;
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
    let mut output = site.output(component::POSTGRES, "postgres.out")?;
    if let Output::Container(container) = &mut output {
        container.fifos = pipes(&log, account.as_ref())?;
    }
    let program = Program {
        name: "PostgreSQL".into(),
        executable: programs.join("postgres"),
        arguments: vec!["-D".into(), data.display().to_string()],
        environment: BTreeMap::from([("LC_ALL".into(), "C.UTF-8".into())]),
        directory: home.clone(),
        output,
        account,
        lifetime: site.lifetime("QUIT"),
        sources: Vec::new(),
    };
    let maintenance = PostgresAccess {
        database: "postgres".into(),
        ..access.clone()
    };
    let mut own = Own::new(
        vec![program],
        Probe::Postgres(maintenance.clone()),
        site.own_log(log.join(LOG)),
    );
    own.start().await?;
    create_database(&maintenance, &access.database).await?;
    Ok((access, own))
}

/// PostgreSQL writes JSON only to a file, and what is none to another beside it. In a pod they are pipes that lead to the
/// container's output.
fn pipes(log: &Path, account: Option<&Account>) -> Result<Vec<(bool, PathBuf)>> {
    let what = || format!("cannot make pipes in {}", log.display());
    let own = |path: &Path, mode| {
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        match account {
            Some(account) => chown(path, Some(account.user), Some(account.group)),
            None => Ok(()),
        }
    };
    fs::create_dir_all(log)
        .and_then(|()| own(log, 0o700))
        .context(what)?;
    [(false, LOG), (true, PLAIN_LOG)]
        .into_iter()
        .map(|(errors, name)| {
            let path = log.join(name);
            make_fifo(&path).and_then(|()| own(&path, 0o600)).context(what)?;
            Ok((errors, path))
        })
        .collect()
}

/// What is logged, and in what form: the cluster's PostgreSQL reads this file too.
const LOGGING: &str = include_str!("../../../services/postgres/logging.conf");

/// Everything that is durable stays durable; the rest is small, private and talkative.
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

fn programs() -> Result<PathBuf> {
    let missing = || Error::MissingProgram {
        program: "PostgreSQL (initdb)".into(),
        package: "postgresql",
    };
    if let Some(directory) = env::var_os(PROGRAMS) {
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

/// PostgreSQL refuses root; Debian's package brings an account for it.
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
                .context(|| "cannot give a file away".into())?;
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
    let work = async {
        let mut connection = connect(access).await?;
        connection.execute("SELECT 1").await?;
        connection.close().await
    };
    work.await.map_err(|error: sqlx::Error| error.to_string())
}

/// Sees that a server from outside answers and has the database, which is created where it is missing.
pub(crate) async fn use_given(access: &PostgresAccess) -> Result<()> {
    match connect(access).await {
        Ok(connection) => {
            // Whether the goodbye arrives makes no difference.
            let _ = connection.close().await;
            Ok(())
        }
        // 3D000: invalid_catalog_name, PostgreSQL's appendix A.
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
            format!("PostgreSQL at {}:{} is asked", access.host, access.port),
            error,
        )),
    }
}

/// Creates a database, through the one that `access` names. The name is one of ours: letters, digits, underscores.
pub(crate) async fn create_database(access: &PostgresAccess, name: &str) -> Result<()> {
    statement(access, format!("CREATE DATABASE \"{name}\"")).await
}

/// Removes a database with the sessions in it.
pub(crate) async fn drop_database(access: &PostgresAccess, name: &str) -> Result<()> {
    statement(access, format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)")).await
}

async fn statement(access: &PostgresAccess, sql: String) -> Result<()> {
    let failed = |error: sqlx::Error| Error::request(sql.clone(), error);
    let mut connection = connect(access).await.map_err(failed)?;
    connection
        .execute(AssertSqlSafe(sql.clone()))
        .await
        .map_err(failed)?;
    connection.close().await.map_err(failed)
}
