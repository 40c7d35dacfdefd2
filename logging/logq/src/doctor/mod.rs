//! `logq doctor`: whether every link from a program's line to who looks for it
//! holds.
//!
//! Architecture invariant: it only reads. Each check has what was seen as data
//! and what is found of it apart, so that what it says of a broken cluster is
//! tested without one.

mod arrival;
mod cli;
mod cluster;
mod finding;
mod fluentd;
mod kubectl;
mod pods;
mod report;
mod store;
mod text;
mod written;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use self::{
    arrival::{Place, Written},
    kubectl::Kubectl,
    pods::Pod,
    written::{Lines, Window},
};
pub use self::{
    cli::{Doctor, Form},
    finding::{Finding, State},
    report::Report,
};
use tokio::task::spawn_blocking;

use crate::{
    admin,
    config::Config,
    forward::NoForward,
    opensearch::{Client, Error, Settings},
};

const OPENSEARCH: &str = "OpenSearch";

/// How long OpenSearch may take to say who it is.
const PATIENCE: Duration = Duration::from_secs(10);

/// From one look to the next, where one waits until all is well.
const PAUSE: Duration = Duration::from_secs(2);

/// Looks at everything, again and again until all is well or the time that is
/// asked for is over.
pub async fn examine(asked: &Doctor, config: &Config) -> Report {
    let end = asked.wait.map(|wait| Instant::now() + wait.0);
    loop {
        let report = look(asked, config).await;
        let over = end.is_none_or(|end| Instant::now() + PAUSE >= end);
        if over || report.status() == 0 {
            return report;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn look(asked: &Doctor, config: &Config) -> Report {
    let mut report = Report::default();
    let cluster = cluster_pods(asked).await;
    match settings(asked, config) {
        Ok((settings, finding)) => {
            report.findings.push(finding);
            match reached(&settings).await {
                Ok(reached) => {
                    let pods = cluster.as_ref().ok().map(|(_, (pods, _))| pods.as_slice());
                    opensearch(asked, reached, pods, &mut report).await;
                }
                Err(error) => report.findings.push(refused(OPENSEARCH, &error)),
            }
        }
        Err(finding) => report.findings.push(finding),
    }
    for url in &asked.fluentd {
        report.findings.extend(fluentd::at(url).await);
    }
    match &cluster {
        Ok((kubectl, (pods, strange))) => {
            report.findings.push(pods::listed(pods.len(), *strange));
            report.findings.push(pods::on_each_node(pods));
            if asked.fluentd.is_empty() {
                report.findings.extend(pods::fluentds(kubectl, pods).await);
            }
        }
        Err(why) => {
            if asked.fluentd.is_empty() {
                report.findings.push(Finding::skip(
                    "Fluentd",
                    "its address is not known",
                    "name the address of its metrics: --fluentd http://host:24231, or LOGQ_FLUENTD",
                ));
            }
            report.findings.push(Finding::skip(
                "kubectl",
                "only needed for a cluster: lines that its pods wrote are compared with those that arrived",
                why,
            ));
        }
    }
    report
}

async fn cluster_pods(asked: &Doctor) -> Result<(Kubectl, (Vec<Pod>, usize)), String> {
    let kubectl = Kubectl(asked.kubectl.clone());
    let json = kubectl
        .run(&[
            "get",
            "pods",
            "--all-namespaces",
            "--output=json",
            "--request-timeout=15s",
        ])
        .await?;
    let pods = pods::read(&json)?;
    Ok((kubectl, pods))
}

fn settings(asked: &Doctor, config: &Config) -> Result<(Settings, Finding), Finding> {
    const WHAT: &str = "settings";
    let remedy = "logq config shows every setting and where it comes from";
    let fail = |detail: String| Finding::fail(WHAT, detail.replace('\n', "; "), remedy);
    let settings = config
        .opensearch()
        .map_err(|mistakes| fail(mistakes.to_string()))?
        .by(&asked.kubectl);
    let file = config
        .path()
        .map_or_else(|| "no file".to_owned(), |path| path.display().to_string());
    let detail = format!("{}, {} ({file})", settings.url(), settings.identity());
    Ok((settings, Finding::ok(WHAT, detail)))
}

/// OpenSearch that has said who it is.
struct Reached {
    client: Client,
    settings: Settings,
    version: String,
    took: Duration,
}

/// As a search reaches it: where nobody has said where it is, on this machine, else in the cluster.
async fn reached(settings: &Settings) -> Result<Reached, Error> {
    match hello(settings).await {
        Err(error) if error.is_unreachable() => match settings.in_cluster() {
            Some(settings) => hello(&settings).await.map_err(|there| match there {
                // Who has no cluster, or one without it, does not look for one.
                Error::Forward {
                    error: NoForward::Kubectl(_) | NoForward::NoService { .. },
                    ..
                } => error,
                there => there,
            }),
            None => Err(error),
        },
        reached => reached,
    }
}

async fn hello(settings: &Settings) -> Result<Reached, Error> {
    let client = Client::new(settings)?;
    // The way to it is made before.
    client.open().await?;
    let began = Instant::now();
    let version = client.reach(PATIENCE).await?;
    Ok(Reached {
        client,
        settings: settings.clone(),
        version,
        took: began.elapsed(),
    })
}

async fn opensearch(asked: &Doctor, reached: Reached, pods: Option<&[Pod]>, report: &mut Report) {
    let Reached {
        client,
        settings,
        version,
        took,
    } = reached;
    report.asked = true;
    let tls = match (settings.place(), settings.url().scheme()) {
        (Some(place), _) => format!("through a port-forward to {place}"),
        (None, "https") => "over TLS".to_owned(),
        (None, _) => "without TLS".to_owned(),
    };
    let detail = format!("{version}, {tls}, answers in {} ms", took.as_millis());
    let found = &mut report.findings;
    found.push(Finding::ok(OPENSEARCH, detail));
    found.push(told("identity", cluster::identity(&client, &settings).await));
    found.push(told("cluster", cluster::health(&client).await));
    found.push(told("disks", cluster::disks(&client).await));
    let now = match cluster::clock(&client).await {
        Ok((now, finding)) => {
            found.push(finding);
            now
        }
        Err(error) => {
            found.push(unknown("clock of OpenSearch", &error));
            cluster::here()
        }
    };
    match store::templates(&client).await {
        Ok(findings) => found.extend(findings),
        Err(error) => found.push(unknown("templates, streams", &error)),
    }
    match store::retention(&client, asked.policy, now).await {
        Ok(findings) => found.extend(findings),
        Err(error) => found.push(unknown("retention", &error)),
    }
    let written = written(asked, pods, &client, now, found).await;
    match arrival::day(&client, now).await {
        Ok(day) => {
            found.extend(arrival::judge(&day, written.as_ref(), now));
            found.push(arrival::clocks(&day));
            found.push(arrival::tags(&day));
        }
        Err(error) => found.push(refused("lines", &error)),
    }
}

/// The lines that files or pods hold, compared with those that have arrived; none where neither is known.
async fn written(
    asked: &Doctor,
    pods: Option<&[Pod]>,
    client: &Client,
    now: f64,
    found: &mut Vec<Finding>,
) -> Option<BTreeMap<Place, Written>> {
    const WHAT: &str = "lines that were written";
    const FILES: &str = "name files or folders that can be read";
    let window = Window::new(now, asked.policy.keep.0);
    let lines = if !asked.files.is_empty() {
        let files = asked.files.clone();
        let read = spawn_blocking(move || Lines::of_files(&files, window)).await;
        read.map_err(|error| error.to_string())
            .and_then(|read| read.map_err(|error| error.to_string()))
            .map(|(lines, errors)| {
                let errors = errors
                    .into_iter()
                    .map(|error| Finding::warn(WHAT, error.to_string(), FILES));
                found.extend(errors);
                lines
            })
            .map_err(|why| Finding::fail(WHAT, why, FILES))
    } else {
        pods?;
        let program = asked.kubectl.clone();
        let read = spawn_blocking(move || Lines::of_pods(program, window)).await;
        read.map_err(|error| error.to_string())
            .and_then(|read| read.map_err(|error| error.to_string()))
            .map_err(|why| Finding::warn(WHAT, why, "needed are get and list on pods, and get on pods/log"))
    };
    let mut written = match lines {
        Ok(lines) => match lines.compare(client).await {
            Ok(written) => written,
            Err(error) => {
                found.push(refused(WHAT, &error));
                return None;
            }
        },
        Err(finding) => {
            found.push(finding);
            return None;
        }
    };
    if asked.files.is_empty() {
        for of_component in written.values_mut() {
            of_component.running = Some(0);
        }
        for (place, count) in pods::running(pods.unwrap_or_default()) {
            written.entry(place).or_default().running = Some(count);
        }
    }
    Some(written)
}

fn told(what: &str, found: Result<Finding, Error>) -> Finding {
    found.unwrap_or_else(|error| refused(what, &error))
}

fn unknown(what: &str, error: &admin::Error) -> Finding {
    match error {
        admin::Error::OpenSearch(error) => refused(what, error),
        error => Finding::fail(what, error.to_string(), "this must not be: report it"),
    }
}

/// Why OpenSearch did not say it.
fn refused(what: &str, error: &Error) -> Finding {
    let detail = error.to_string();
    match error {
        Error::Forbidden { .. } => Finding::warn(
            what,
            format!("not checked: {detail}"),
            "the role irmgard-logq of this release may (logq admin bootstrap --roles)",
        ),
        Error::Unauthorized { .. } | Error::Settings(_) => Finding::fail(
            what,
            detail,
            "logq config shows every setting and where it comes from",
        ),
        Error::Unreachable { .. } => Finding::fail(
            what,
            detail,
            "start it, or name its address: LOGQ_OPENSEARCH_URL; logq config shows what is in force",
        ),
        Error::Forward {
            error: NoForward::NotRunning { .. },
            ..
        } => Finding::fail(
            what,
            detail,
            "get it to run: kubectl get and kubectl describe its pods; logq --source kubectl shows lines meanwhile",
        ),
        Error::Forward { .. } => Finding::fail(
            what,
            detail,
            "name its address where it has one: LOGQ_OPENSEARCH_URL; logq config shows what is in force",
        ),
        Error::Tls { .. } => Finding::fail(what, detail, "no line can be read or stored until this is right"),
        error if error.is_passing() => {
            Finding::fail(what, detail, "look again; then at OpenSearch's own lines")
        }
        _ => Finding::fail(
            what,
            detail,
            "is it an OpenSearch 3, and are the templates in place (logq admin bootstrap)?",
        ),
    }
}
