//! `local up`, `down` and `status`.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use local::Lasting;

use super::{complain, say};

/// Starts the servers and says where they are. The whole environment, passwords included, goes to a file.
pub async fn up(with_opensearch: bool) -> anyhow::Result<ExitCode> {
    let mut lasting = Lasting::start().await?;
    let searched = if with_opensearch {
        search(&mut lasting).await
    } else {
        Ok(())
    };
    let path = write_environment(&lasting)?;
    let stack = lasting.stack();
    say(&format!(
        "PostgreSQL  {}:{}",
        stack.postgres().access().host,
        stack.postgres().access().port
    ));
    say(&format!(
        "RabbitMQ    {}:{}",
        stack.rabbitmq().access().host,
        stack.rabbitmq().access().port
    ));
    say(&format!("S3          {}", stack.object_store().access().endpoint));
    if let Ok(opensearch) = stack.opensearch() {
        say(&format!("OpenSearch  {}", opensearch.access().url));
    }
    say(&format!(
        "The environment for programs: set -a; . {}; set +a",
        path.display()
    ));
    lasting.keep().await?;
    searched?;
    Ok(ExitCode::SUCCESS)
}

/// Writes what programs are told of this stack, passwords included, to a file for shells; returns its path.
pub fn write_environment(lasting: &Lasting) -> anyhow::Result<PathBuf> {
    let path = lasting.directory().join("environment");
    let text: String = lasting
        .stack()
        .environment()
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

/// Starts OpenSearch where the machine can have it, and says so where not; waits for it, and puts templates and streams as in a
/// cluster: by `logq admin bootstrap`.
pub async fn search(lasting: &mut Lasting) -> anyhow::Result<()> {
    lasting.search()?;
    let stack = lasting.stack();
    let opensearch = match stack.opensearch() {
        Ok(opensearch) => opensearch,
        Err(reason) => {
            complain(&reason);
            return Ok(());
        }
    };
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
    Ok(())
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

/// Shows what runs; the exit code is 3 when nothing does, as with service managers.
pub fn status() -> anyhow::Result<ExitCode> {
    let running = Lasting::running()?;
    if running.is_empty() {
        say(&"nothing is running");
        return Ok(ExitCode::from(3));
    }
    for process in running {
        say(&format!("{:>8}  {}", process.pid, process.name));
    }
    Ok(ExitCode::SUCCESS)
}
