//! Runs the pipeline's tests with programs on this machine, and PostgreSQL, RabbitMQ and object store of the cluster.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use tokio::{
    process::{Child, Command},
    time::{Instant, timeout},
};

use super::{Harness, patroni};
use crate::{
    cluster::{Cluster, Deployment, NAMESPACE},
    console::print_line,
    load::seconds,
};

/// The role of the tests. irmgard's roles may not create databases.
const ROLE: &str = "e2e";
/// How long all tests may take.
const TIME_LIMIT: Duration = Duration::from_secs(45 * 60);

pub(super) async fn run(harness: &mut Harness) -> Result<()> {
    // The pods of our programs would take CPU time from the tests.
    let deployment = Deployment::new("one");
    harness.cluster.deploy(&deployment).await?;
    for program in ["irmgard", "anonymizer"] {
        harness.cluster.scale(&format!("deployment/{program}"), 0).await?;
    }
    let versions = create_role(harness).await?;
    let variables = server_environment(&harness.cluster).await?;
    build(harness.cluster.project()).await?;
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("postgres.log");
    let _log_process = follow_postgres_log(&harness.cluster, &log)?;
    let start = Instant::now();
    let (passed, output) = run_tests(harness, &variables, &log).await?;
    let duration = start.elapsed();
    let report = &mut harness.report;
    report.fact("servers", versions);
    report.fact("duration", seconds(duration));
    let results: Vec<_> = output
        .lines()
        .filter_map(|line| line.strip_prefix("test ")?.split_once(" ... "))
        .collect();
    for (test, result) in &results {
        let row = vec![("test", (*test).to_owned()), ("result", (*result).to_owned())];
        report.row("tests", row);
    }
    let not_tested: Vec<_> = output
        .lines()
        .filter_map(|line| line.split_once("not tested: ").map(|(_, what)| what))
        .collect();
    for what in not_tested {
        report.limitation(format_args!("Not tested: {what}"));
    }
    let summary = output.lines().find(|line| line.starts_with("test result:"));
    report.require(
        "the pipeline's tests pass with the cluster's servers",
        passed && !results.is_empty(),
        summary.unwrap_or("the tests did not complete"),
    );
    Ok(())
}

/// Creates a role for the tests and allows it in pg_hba.conf. Returns the versions of the servers.
async fn create_role(harness: &Harness) -> Result<String> {
    let (cluster, time_limit) = (&harness.cluster, harness.time_limit());
    cluster
        .wait_until_ready("statefulset", "postgres", time_limit)
        .await?;
    let primary = patroni::primary(cluster).await?.name;
    let password = password(cluster).await?;
    let statement = format!(
        "set log_statement = none; set log_min_duration_statement = -1;\n\
         select 'create role {ROLE}' where not exists (select from pg_roles where rolname = '{ROLE}') \\gexec\n\
         alter role {ROLE} login createdb password '{password}';\n"
    );
    patroni::run_script(cluster, &primary, "postgres", &statement).await?;
    let rule = format!("1i host all {ROLE} all scram-sha-256");
    let file = "/var/lib/postgresql/data/pgdata/pg_hba.conf";
    patroni::exec(cluster, &primary, &["sed", "-i", &rule, file]).await?;
    let version = patroni::query(
        cluster,
        &primary,
        "select pg_reload_conf(), current_setting('server_version')",
    )
    .await?;
    let postgres = version
        .first()
        .and_then(|row| row.get(1))
        .cloned()
        .unwrap_or_default();
    let words = ["rabbitmqctl", "--quiet", "version"];
    let rabbitmq = cluster.exec("rabbitmq-0", "rabbitmq", &words, None).await?;
    Ok(format!("PostgreSQL {postgres}, RabbitMQ {}", rabbitmq.trim()))
}

/// The role's password, derived from a secret, so that nothing needs to store it.
async fn password(cluster: &Cluster) -> Result<String> {
    let (secrets, _) = cluster.secrets().await?;
    let text = format!("{ROLE} {}", secrets.get("postgres-runtime")?);
    Ok(hex::encode(Sha256::digest(text)))
}

/// The environment that makes the tests use the cluster's servers.
async fn server_environment(cluster: &Cluster) -> Result<Vec<(&'static str, String)>> {
    let (secrets, _) = cluster.secrets().await?;
    let postgres = cluster.node_port("postgres-outside").await?;
    let rabbitmq = cluster.node_port("rabbitmq-outside").await?;
    let management = cluster.node_port("rabbitmq-management-outside").await?;
    let store = cluster.node_port("minio-outside").await?;
    let url = |(host, port): (String, u16)| format!("http://{host}:{port}");
    Ok(vec![
        ("POSTGRES_HOST", postgres.0),
        ("POSTGRES_PORT", postgres.1.to_string()),
        ("POSTGRES_USERNAME", ROLE.to_owned()),
        ("POSTGRES_PASSWORD", password(cluster).await?),
        ("POSTGRES_DATABASE", "postgres".to_owned()),
        ("RABBITMQ_HOST", rabbitmq.0),
        ("RABBITMQ_PORT", rabbitmq.1.to_string()),
        ("RABBITMQ_USERNAME", "operator".to_owned()),
        ("RABBITMQ_PASSWORD", secrets.get("rabbitmq-operator")?.to_owned()),
        ("RABBITMQ_MANAGEMENT", url(management)),
        ("OBJECT_STORE_ENDPOINT", url(store)),
        ("OBJECT_STORE_ACCESS_KEY_ID", "root-of-minio".to_owned()),
        (
            "OBJECT_STORE_SECRET_ACCESS_KEY",
            secrets.get("minio-root")?.to_owned(),
        ),
    ])
}

/// Builds the programs with their failpoints (e2e/README.md), and the tests.
async fn build(project: &Path) -> Result<()> {
    let programs = [
        "build",
        "-p",
        "local",
        "-p",
        "irmgard",
        "-p",
        "anonymizer",
        "--features",
        "irmgard/failpoints,anonymizer/failpoints",
    ];
    for arguments in [
        &programs[..],
        &["test", "-p", "e2e", "--test", "pipeline", "--no-run"],
    ] {
        let status = Command::new("cargo")
            .args(arguments)
            .current_dir(project)
            .kill_on_drop(true)
            .status();
        let status = status.await.context("cannot start cargo")?;
        ensure!(status.success(), "cargo {}: {status}", arguments.join(" "));
    }
    Ok(())
}

/// Copies PostgreSQL's log lines into a file, for tests that read its log.
fn follow_postgres_log(cluster: &Cluster, file: &Path) -> Result<Child> {
    let arguments = format!("logs --follow --tail=0 --namespace {NAMESPACE} postgres-0 --container postgres");
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    let mut command = cluster.kubectl().command(&arguments);
    command.stdout(std::fs::File::create(file)?).stderr(Stdio::null());
    command.spawn().context("cannot start kubectl logs")
}

/// Runs the tests. Returns whether all passed, and their output.
async fn run_tests(
    harness: &Harness,
    variables: &[(&'static str, String)],
    log: &Path,
) -> Result<(bool, String)> {
    let project = harness.cluster.project();
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| project.join("target"), Into::into);
    harness.step("cargo test -p e2e --test pipeline");
    let run = Command::new(folder.join("debug/local"))
        .args(["exec", "--", "cargo", "test", "-p", "e2e", "--test", "pipeline"])
        .current_dir(project)
        .envs(variables.iter().map(|(name, value)| (*name, value)))
        .env("LOCAL_POSTGRES_LOG", log)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(TIME_LIMIT, run)
        .await
        .with_context(|| format!("the tests still run after {TIME_LIMIT:?}"))?
        .context("cannot start target/debug/local")?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    text.lines().for_each(print_line);
    Ok((output.status.success(), text))
}
