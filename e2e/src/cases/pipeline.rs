//! The pipeline's tests, with programs on this machine and the servers of the cluster: PostgreSQL, RabbitMQ and the object store.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use tokio::{
    process::{Child, Command},
    time::{Instant, timeout},
};

use super::{Stage, patroni};
use crate::{
    cluster::{Cluster, Deployment, NAMESPACE},
    load::seconds,
    say::line,
};

/// The role that the tests use: nobody else may make databases from outside.
const ROLE: &str = "e2e";
/// How long all tests may take.
const PATIENCE: Duration = Duration::from_secs(45 * 60);

pub(super) async fn run(stage: &mut Stage) -> Result<()> {
    // The pods of the programs would only take the machine's cores from the tests.
    let deployment = Deployment::new("one");
    stage.cluster.deploy(&deployment).await?;
    for program in ["irmgard", "anonymizer"] {
        stage.cluster.scale(&format!("deployment/{program}"), 0).await?;
    }
    let versions = let_in(stage).await?;
    let variables = variables(&stage.cluster).await?;
    build(stage.cluster.project()).await?;
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("postgres.log");
    let _log = follow(&stage.cluster, &log)?;
    let began = Instant::now();
    let (passed, said) = test(stage, &variables, &log).await?;
    let took = began.elapsed();
    let results: Vec<_> = said
        .lines()
        .filter(|line| line.starts_with("test ") && line.contains(" ... "))
        .map(|line| {
            let (name, result) = line
                .trim_start_matches("test ")
                .split_once(" ... ")
                .unwrap_or((line, ""));
            vec![name.to_owned(), result.to_owned()]
        })
        .collect();
    let report = &mut stage.report;
    report.text(format_args!(
        "`cargo test -p e2e --test pipeline`, with the variables of local/README.md, *Other servers*: irmgard and the anonymizer are processes \
         of this machine, the servers are the cluster's, by ports of a node, each behind a proxy that cuts, refuses, stalls and slows. {versions}. \
         Before it a role was made that may make databases (`{ROLE}`) and let in from outside in pg_hba.conf, until Patroni writes that anew: \
         the image's own rules let in nobody but irmgard's roles, to irmgard's database. In {}.",
        seconds(took)
    ));
    report.table(&["test", "result"], &results);
    let not: Vec<_> = said
        .lines()
        .filter_map(|line| line.split_once("not tested: ").map(|(_, what)| what))
        .collect();
    for what in not {
        report.cannot_show(format_args!("Not tested: {what}"));
    }
    let summary = said.lines().find(|line| line.starts_with("test result:"));
    report.demand(
        "the pipeline's tests pass with the cluster's servers",
        passed && !results.is_empty(),
        summary.unwrap_or("they did not come to their end"),
    );
    Ok(())
}

/// Makes a role for the tests, and lets it in. Which servers these are.
async fn let_in(stage: &Stage) -> Result<String> {
    let (cluster, patience) = (&stage.cluster, stage.cluster.settings().patience);
    cluster.ready("statefulset", "postgres", patience).await?;
    let primary = patroni::primary(cluster).await?.name;
    let password = password(cluster).await?;
    let statement = format!(
        "set log_statement = none; set log_min_duration_statement = -1;\n\
         select 'create role {ROLE}' where not exists (select from pg_roles where rolname = '{ROLE}') \\gexec\n\
         alter role {ROLE} login createdb password '{password}';\n"
    );
    patroni::script(cluster, &primary, "postgres", &statement).await?;
    let rule = format!("1i host all {ROLE} all scram-sha-256");
    let file = "/var/lib/postgresql/data/pgdata/pg_hba.conf";
    patroni::inside(cluster, &primary, &["sed", "-i", &rule, file]).await?;
    let version = patroni::rows(
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
    let rabbitmq = cluster.inside("rabbitmq-0", "rabbitmq", &words, None).await?;
    Ok(format!("PostgreSQL {postgres}, RabbitMQ {}", rabbitmq.trim()))
}

/// The role's password: nobody's else, and none that must be kept.
async fn password(cluster: &Cluster) -> Result<String> {
    let (secrets, _) = cluster.secrets().await?;
    let text = format!("{ROLE} {}", secrets.get("postgres-runtime")?);
    Ok(hex::encode(Sha256::digest(text)))
}

/// Where the servers are, for the tests.
async fn variables(cluster: &Cluster) -> Result<Vec<(&'static str, String)>> {
    let (secrets, _) = cluster.secrets().await?;
    let postgres = cluster.outside("postgres-outside").await?;
    let rabbitmq = cluster.outside("rabbitmq-outside").await?;
    let management = cluster.outside("rabbitmq-management-outside").await?;
    let store = cluster.outside("minio-outside").await?;
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

/// The programs with their failpoints, as e2e/README.md says, and the tests.
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
        let status = status.await.context("cargo cannot be started")?;
        ensure!(status.success(), "cargo {}: {status}", arguments.join(" "));
    }
    Ok(())
}

/// PostgreSQL's lines into a file, for the tests that look into its log.
fn follow(cluster: &Cluster, file: &Path) -> Result<Child> {
    let arguments = [
        "logs",
        "--follow",
        "--tail=0",
        "--namespace",
        NAMESPACE,
        "postgres-0",
        "--container",
        "postgres",
    ];
    let mut command = cluster.kubectl().command(&arguments);
    command.stdout(std::fs::File::create(file)?).stderr(Stdio::null());
    command.spawn().context("kubectl logs cannot be started")
}

/// Runs the tests: whether all passed, and what they said.
async fn test(stage: &Stage, variables: &[(&'static str, String)], log: &Path) -> Result<(bool, String)> {
    let project = stage.cluster.project();
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| project.join("target"), Into::into);
    stage.step("cargo test -p e2e --test pipeline");
    let run = Command::new(folder.join("debug/local"))
        .args(["exec", "--", "cargo", "test", "-p", "e2e", "--test", "pipeline"])
        .current_dir(project)
        .envs(variables.iter().map(|(name, value)| (*name, value)))
        .env("LOCAL_POSTGRES_LOG", log)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(PATIENCE, run)
        .await
        .with_context(|| format!("the tests: no end after {PATIENCE:?}"))?
        .context("target/debug/local cannot be started")?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    text.lines().for_each(line);
    Ok((output.status.success(), text))
}
