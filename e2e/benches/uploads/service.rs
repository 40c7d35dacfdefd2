//! The measured services.

use std::{
    env,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use futures::{TryStreamExt, stream};
use irmgard::settings::ToolSettings;
use local::{PostgresAccess, Scratch};
use service_runtime::store::Store;
use sqlx::{Connection, Executor, PgConnection};

use e2e::process_usage::MeasuredProcess;

/// Concurrent deletions of objects.
const CONCURRENT_DELETIONS: usize = 16;

/// A running web service.
pub struct BenchedService {
    /// The name in the table.
    pub name: String,
    pub url: String,
    pub process: MeasuredProcess,
    managed: Option<ManagedService>,
}

/// A service that this benchmark has started.
struct ManagedService {
    child: Child,
    /// Its database is deleted when this is dropped.
    scratch: Scratch,
}

impl BenchedService {
    /// Starts the release build of irmgard on the servers of the local stack.
    pub async fn start_irmgard() -> Result<Self> {
        let program = release_program("irmgard")?;
        let scratch = local::scratch().await?;
        let (port, admin_port) = (free_port()?, free_port()?);
        let command = |argument: &str| {
            let mut command = Command::new(&program);
            command
                .arg(argument)
                .envs(scratch.environment())
                .env("LISTEN", format!("127.0.0.1:{port}"))
                .env("ADMIN_LISTEN", format!("127.0.0.1:{admin_port}"))
                .env("RUST_LOG", "info")
                .stdout(Stdio::null())
                .stdin(Stdio::null());
            command
        };
        ensure!(command("migrate").status()?.success(), "irmgard migrate failed");
        let child = command("serve").spawn().context("cannot start irmgard")?;
        let service = Self {
            name: "irmgard".to_owned(),
            url: format!("http://127.0.0.1:{port}"),
            process: MeasuredProcess(child.id()),
            managed: Some(ManagedService { child, scratch }),
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        let ready = format!("http://127.0.0.1:{admin_port}/readyz");
        while !reqwest::get(&ready)
            .await
            .is_ok_and(|response| response.status().is_success())
        {
            ensure!(Instant::now() < deadline, "irmgard was not ready within 20 s");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(service)
    }

    /// Deletes all uploaded photos, because those of a whole run would fill a disk.
    pub async fn delete_photos(&self) -> Result<()> {
        let Some(ManagedService { scratch, .. }) = &self.managed else {
            return Ok(());
        };
        let settings = ToolSettings::from_environment(&scratch.environment())?.store;
        let bucket = settings.input_bucket.clone();
        let store = Store::new(settings)?;
        let client = store.client();
        let mut pages = client.list_objects_v2().bucket(&bucket).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page?;
            let keys = page.contents().iter().filter_map(|object| object.key());
            stream::iter(keys.map(Ok))
                .try_for_each_concurrent(CONCURRENT_DELETIONS, async |key| {
                    let request = client.delete_object().bucket(&bucket).key(key);
                    request.send().await.map(drop)
                })
                .await?;
        }
        Ok(())
    }

    /// The service for comparison, if the environment names one.
    pub fn baseline() -> Result<Option<Self>> {
        let (url, pid) = match (env::var("BASELINE_URL"), env::var("BASELINE_PID")) {
            (Ok(url), Ok(pid)) => (url, pid),
            (Err(_), Err(_)) => return Ok(None),
            _ => bail!("set both BASELINE_URL and BASELINE_PID, or none"),
        };
        let pid = MeasuredProcess(pid.parse().context("BASELINE_PID must be a process id")?);
        Ok(Some(Self {
            name: "baseline".to_owned(),
            url: url.trim_end_matches('/').to_owned(),
            process: pid,
            managed: None,
        }))
    }
}

impl Drop for BenchedService {
    fn drop(&mut self) {
        if let Some(ManagedService { child, .. }) = &mut self.managed {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn release_program(name: &str) -> Result<PathBuf> {
    let program = env::current_exe()?
        .ancestors()
        .find(|folder| folder.ends_with("release"))
        .context("the benchmark must run from target/release")?
        .join(name);
    ensure!(
        program.exists(),
        "{} is missing: cargo build --release -p {name}",
        program.display()
    );
    Ok(program)
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Set by `local exec` if the stack started the database.
const STACK_LOG_VARIABLE: &str = "LOCAL_POSTGRES_LOG";

/// Disables PostgreSQL's statement log, which the local stack enables but a production database normally does not. Does not change an
/// external server. Returns a message for the report.
pub async fn disable_statement_log() -> Result<&'static str> {
    if std::env::var_os(STACK_LOG_VARIABLE).is_none() {
        return Ok("the external PostgreSQL logs statements as it is configured");
    }
    let access = PostgresAccess::from_environment()?.context("the environment names no PostgreSQL")?;
    let mut connection = PgConnection::connect(&access.url()).await?;
    connection
        .execute("ALTER SYSTEM SET log_min_duration_statement = -1")
        .await?;
    connection.execute("SELECT pg_reload_conf()").await?;
    Ok("PostgreSQL logs no statements during the benchmark")
}
