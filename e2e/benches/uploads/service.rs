//! The services that are measured.

use std::{
    env,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use chassis::store::Store;
use futures::{TryStreamExt, stream};
use irmgard::settings::ToolSettings;
use local::Scratch;

use e2e::usage::Pid;

/// Objects that are deleted at a time.
const DELETIONS: usize = 16;

/// A running web service.
pub struct Service {
    /// Its name in the table.
    pub name: String,
    /// Where it listens.
    pub url: String,
    /// Its process.
    pub pid: Pid,
    own: Option<Own>,
}

/// What this program has started, and ends.
struct Own {
    process: Child,
    /// Dropped, its database is gone.
    servers: Scratch,
}

impl Service {
    /// Starts irmgard, as released, on the servers of the local stack.
    pub async fn start_irmgard() -> Result<Self> {
        let program = release_program("irmgard")?;
        let servers = local::scratch().await?;
        let (port, admin_port) = (free_port()?, free_port()?);
        let command = |argument: &str| {
            let mut command = Command::new(&program);
            command
                .arg(argument)
                .envs(servers.environment())
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
            pid: Pid(child.id()),
            own: Some(Own {
                process: child,
                servers,
            }),
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        let ready = format!("http://127.0.0.1:{admin_port}/readyz");
        while !reqwest::get(&ready)
            .await
            .is_ok_and(|answer| answer.status().is_success())
        {
            ensure!(Instant::now() < deadline, "irmgard was not ready within 20 s");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(service)
    }

    /// Removes the photos that were posted so far: those of a whole run would
    /// fill a disk.
    pub async fn forget_photos(&self) -> Result<()> {
        let Some(Own { servers, .. }) = &self.own else {
            return Ok(());
        };
        let settings = ToolSettings::from_environment(&servers.environment())?.store;
        let bucket = settings.input_bucket.clone();
        let store = Store::new(settings)?;
        let client = store.client();
        let mut pages = client.list_objects_v2().bucket(&bucket).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page?;
            let keys = page.contents().iter().filter_map(|object| object.key());
            stream::iter(keys.map(Ok))
                .try_for_each_concurrent(DELETIONS, async |key| {
                    let request = client.delete_object().bucket(&bucket).key(key);
                    request.send().await.map(drop)
                })
                .await?;
        }
        Ok(())
    }

    /// The service to compare with, where the environment names one.
    pub fn baseline() -> Result<Option<Self>> {
        let (url, pid) = match (env::var("BASELINE_URL"), env::var("BASELINE_PID")) {
            (Ok(url), Ok(pid)) => (url, pid),
            (Err(_), Err(_)) => return Ok(None),
            _ => bail!("BASELINE_URL and BASELINE_PID go together"),
        };
        let pid = Pid(pid.parse().context("BASELINE_PID is a process id")?);
        Ok(Some(Self {
            name: "baseline".to_owned(),
            url: url.trim_end_matches('/').to_owned(),
            pid,
            own: None,
        }))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(Own { process, .. }) = &mut self.own {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn release_program(name: &str) -> Result<PathBuf> {
    let program = env::current_exe()?
        .ancestors()
        .find(|folder| folder.ends_with("release"))
        .context("the benchmark runs from target/release")?
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
