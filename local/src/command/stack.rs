//! `local up`, `down` and `status`: the persistent stack.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use local::{LogShipper, PersistentStack, StackProcess, StackStatus};

use super::output::{print_error, print_line, run_program};

/// Starts the servers that do not run, and prints the started processes and all addresses. The environment, passwords
/// included, goes to a file.
pub async fn up(with_opensearch: bool) -> anyhow::Result<ExitCode> {
    let before: Vec<i32> = PersistentStack::status()?
        .running
        .iter()
        .map(|process| process.pid)
        .collect();
    let mut stack = PersistentStack::start().await?;
    let shipped = if with_opensearch {
        match start_opensearch(&mut stack) {
            Ok(true) => ship_logs(&stack).await.map(drop),
            other => other.map(drop),
        }
    } else {
        Ok(())
    };
    let restarted = stack.restart_dead().await;
    write_environment(&stack)?;
    stack.detach().await?;
    let status = PersistentStack::status()?;
    for StackProcess { name, pid } in status
        .running
        .iter()
        .filter(|process| !before.contains(&process.pid))
    {
        print_line(&format!("started {name} ({pid})"));
    }
    print_addresses(&status);
    shipped?;
    restarted?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the environment for programs, passwords included, and the web service's URL to a shell file. Returns its path.
pub fn write_environment(stack: &PersistentStack) -> anyhow::Result<PathBuf> {
    let path = stack.environment_file();
    let mut environment = stack.stack().environment();
    if let Some(service) = stack.service("irmgard") {
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

/// Starts OpenSearch without waiting for it. Where the machine cannot run it, prints the reason and returns false; then
/// log lines are only in files.
pub fn start_opensearch(stack: &mut PersistentStack) -> anyhow::Result<bool> {
    stack.start_opensearch()?;
    match stack.stack().opensearch() {
        Ok(_) => Ok(true),
        Err(reason) => {
            print_error(&reason);
            Ok(false)
        }
    }
}

/// Waits for OpenSearch, creates templates and data streams with `logq admin bootstrap`, and starts the log shipper. In this
/// order: the first line would otherwise create an index without the templates.
pub async fn ship_logs(stack: &PersistentStack) -> anyhow::Result<LogShipper> {
    let servers = stack.stack();
    let opensearch = servers
        .opensearch()
        .map_err(|reason| anyhow::anyhow!("{reason}"))?;
    opensearch.ready().await?;
    run_program("logq", &["admin", "bootstrap"], servers.environment()).await?;
    Ok(stack.ensure_log_shipper().await?)
}

/// Ends the stack and prints the ended processes.
pub fn down() -> anyhow::Result<ExitCode> {
    let ended = PersistentStack::down()?;
    if ended.is_empty() {
        print_line(&"nothing was running");
    }
    for process in ended {
        print_line(&format!("ended {} ({})", process.name, process.pid));
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints running and dead processes, and all addresses. Exit codes as of service managers: 1 when a process is dead, 3
/// when nothing runs.
pub fn status() -> anyhow::Result<ExitCode> {
    let status = PersistentStack::status()?;
    if status.running.is_empty() {
        print_line(&"nothing is running");
    }
    for process in &status.running {
        print_line(&format!("{:>8}  {}", process.pid, process.name));
    }
    for StackProcess { name, pid } in &status.dead {
        print_line(&format!("{:>8}  {name} (was {pid})", "dead"));
    }
    if !status.dead.is_empty() {
        let program = std::env::args().next().unwrap_or_else(|| "local".to_owned());
        print_line(&format!("Run `{program} up` to restart the dead processes."));
    }
    if status.running.is_empty() {
        return Ok(ExitCode::from(3));
    }
    print_line(&"");
    print_addresses(&status);
    Ok(ExitCode::from(u8::from(!status.dead.is_empty())))
}

fn print_addresses(status: &StackStatus) {
    let width = status
        .addresses
        .iter()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or(0);
    for (name, address) in &status.addresses {
        print_line(&format!("{name:<width$}  {address}"));
    }
    if let Some(file) = &status.environment_file {
        print_line(&format!(
            "The environment for programs: set -a; . {}; set +a",
            file.display()
        ));
    }
}
