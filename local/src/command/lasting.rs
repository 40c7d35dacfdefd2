//! `local up`, `down` and `status`.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use local::{Carrier, Lasting, Process, Status};

use super::{complain, say};

/// Starts the servers that do not run, and says which these were and where all are. The whole environment, passwords included, goes to a file.
pub async fn up(with_opensearch: bool) -> anyhow::Result<ExitCode> {
    let before: Vec<i32> = Lasting::status()?
        .processes
        .iter()
        .map(|process| process.pid)
        .collect();
    let mut lasting = Lasting::start().await?;
    let searched = if with_opensearch {
        match search(&mut lasting) {
            Ok(true) => searchable(&lasting).await.map(drop),
            other => other.map(drop),
        }
    } else {
        Ok(())
    };
    let revived = lasting.revive().await;
    write_environment(&lasting)?;
    lasting.keep().await?;
    let status = Lasting::status()?;
    for Process { name, pid } in status
        .processes
        .iter()
        .filter(|process| !before.contains(&process.pid))
    {
        say(&format!("started {name} ({pid})"));
    }
    tell(&status);
    searched?;
    revived?;
    Ok(ExitCode::SUCCESS)
}

/// Writes what programs are told of this stack, passwords included, and where its web service is, to a file for shells; returns its
/// path.
pub fn write_environment(lasting: &Lasting) -> anyhow::Result<PathBuf> {
    let path = lasting.environment();
    let mut environment = lasting.stack().environment();
    if let Some(service) = lasting.service("irmgard") {
        environment.insert("IRMGARD_URL".into(), format!("http://{}", service.address()));
    }
    let text: String = environment
        .iter()
        .map(|(name, value)| format!("{name}='{value}'\n"))
        .collect();
    OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// Starts OpenSearch where the machine can have it, and does not wait for it. Says so where it cannot; then lines are found in the
/// files only.
pub fn search(lasting: &mut Lasting) -> anyhow::Result<bool> {
    lasting.search()?;
    match lasting.stack().opensearch() {
        Ok(_) => Ok(true),
        Err(reason) => {
            complain(&reason);
            Ok(false)
        }
    }
}

/// Waits for OpenSearch, puts templates and streams there as in a cluster, by `logq admin bootstrap`, and sees that lines are
/// brought to it: not before, or the first line would make an index without them.
pub async fn searchable(lasting: &Lasting) -> anyhow::Result<Carrier> {
    let stack = lasting.stack();
    let opensearch = stack.opensearch().map_err(|reason| anyhow::anyhow!("{reason}"))?;
    opensearch.ready().await?;
    let program = local::program("logq")?;
    let output = tokio::process::Command::new(&program)
        .args(["admin", "bootstrap"])
        .envs(stack.environment())
        .output()
        .await
        .with_context(|| format!("cannot run {}", program.display()))?;
    anyhow::ensure!(
        output.status.success(),
        "logq admin bootstrap failed ({}):\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    Ok(lasting.carry().await?)
}

/// Ends what was started.
pub fn down() -> anyhow::Result<ExitCode> {
    let ended = Lasting::down()?;
    if ended.is_empty() {
        say(&"nothing was running");
    }
    for process in ended {
        say(&format!("ended {} ({})", process.name, process.pid));
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows what runs and where, and what has died. As with service managers, the exit code is 1 when something has died, and 3 when
/// nothing runs.
pub fn status() -> anyhow::Result<ExitCode> {
    let status = Lasting::status()?;
    if status.processes.is_empty() {
        say(&"nothing is running");
    }
    for process in &status.processes {
        say(&format!("{:>8}  {}", process.pid, process.name));
    }
    for Process { name, pid } in &status.dead {
        say(&format!("{:>8}  {name} (was {pid})", "dead"));
    }
    if !status.dead.is_empty() {
        let program = std::env::args().next().unwrap_or_else(|| "local".to_owned());
        say(&format!("`{program} up` starts again what is dead."));
    }
    if status.processes.is_empty() {
        return Ok(ExitCode::from(3));
    }
    say(&"");
    tell(&status);
    Ok(ExitCode::from(u8::from(!status.dead.is_empty())))
}

fn tell(status: &Status) {
    let width = status
        .addresses
        .iter()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or(0);
    for (name, address) in &status.addresses {
        say(&format!("{name:<width$}  {address}"));
    }
    if let Some(environment) = &status.environment {
        say(&format!(
            "The environment for programs: set -a; . {}; set +a",
            environment.display()
        ));
    }
}
