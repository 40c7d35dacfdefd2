//! `logq doctor`: checks every step from a program's line to a search result.
//!
//! Architecture invariant: it only reads. Each check separates observation from judgement, so that tests need no broken
//! cluster.

mod arrival;
mod cli;
mod cluster;
mod compare;
mod finding;
mod fluentd;
mod format;
mod pods;
mod report;
mod store;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use self::{
    arrival::{ComponentKey, WrittenStats},
    compare::{CompareWindow, WrittenLines},
    pods::PodSummary,
};
pub use self::{
    cli::{DoctorOptions, ReportFormat},
    finding::{CheckStatus, Finding},
    report::DoctorReport,
};
use tokio::task::spawn_blocking;

use crate::{
    admin,
    config::Config,
    kubernetes::{self, Cluster, ForwardError},
    opensearch::{Client, Error, OpenSearchSettings},
};

const OPENSEARCH: &str = "OpenSearch";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

const LIST_TIMEOUT: Duration = Duration::from_secs(15);

/// Pause between two runs of --wait.
const RECHECK_INTERVAL: Duration = Duration::from_secs(2);

/// Runs all checks, repeatedly until healthy or until --wait ends.
pub async fn run(options: &DoctorOptions, config: &Config) -> DoctorReport {
    let end = options.wait.map(|wait| Instant::now() + wait.0);
    loop {
        let report = run_checks(options, config).await;
        let over = end.is_none_or(|end| Instant::now() + RECHECK_INTERVAL >= end);
        if over || report.exit_status() == 0 {
            return report;
        }
        tokio::time::sleep(RECHECK_INTERVAL).await;
    }
}

async fn run_checks(options: &DoctorOptions, config: &Config) -> DoctorReport {
    let mut report = DoctorReport::default();
    let cluster = cluster_pods(options).await;
    match settings(options, config) {
        Ok((settings, finding)) => {
            report.findings.push(finding);
            match connect(&settings).await {
                Ok(connected) => {
                    let pods = cluster.as_ref().ok().map(|(_, (pods, _))| pods.as_slice());
                    check_opensearch(options, connected, pods, &mut report).await;
                }
                Err(error) => report.findings.push(request_error(OPENSEARCH, &error)),
            }
        }
        Err(finding) => report.findings.push(finding),
    }
    for url in &options.fluentd {
        report.findings.extend(fluentd::check(url).await);
    }
    match &cluster {
        Ok((cluster, (pods, skipped))) => {
            report.findings.push(pods::judge_list(pods.len(), *skipped));
            report.findings.push(pods::check_fluentd_nodes(pods));
            if options.fluentd.is_empty() {
                report.findings.extend(pods::check_fluentds(cluster, pods).await);
            }
        }
        Err(why) => {
            if options.fluentd.is_empty() {
                report.findings.push(Finding::skip(
                    "Fluentd",
                    "its address is unknown",
                    "set the address of its metrics: --fluentd http://host:24231, or LOGQ_FLUENTD",
                ));
            }
            report.findings.push(Finding::skip(
                "kubectl",
                "only for a cluster: compares the lines of its pods with those in OpenSearch",
                why,
            ));
        }
    }
    report
}

async fn cluster_pods(options: &DoctorOptions) -> Result<(Cluster, (Vec<PodSummary>, usize)), String> {
    let list = async {
        let cluster = Cluster::connect(&options.cluster).await?;
        let pages = cluster.list_pods(None, None).await?;
        Ok::<_, kubernetes::Error>((cluster, pages))
    };
    let listed = tokio::time::timeout(LIST_TIMEOUT, list).await;
    let listed = listed.unwrap_or(Err(kubernetes::Error::Timeout(LIST_TIMEOUT)));
    let (cluster, pages) = listed.map_err(|error| error.to_string())?;
    Ok((cluster, pods::read(&pages)?))
}

fn settings(options: &DoctorOptions, config: &Config) -> Result<(OpenSearchSettings, Finding), Finding> {
    const WHAT: &str = "settings";
    let remedy = "`logq config` shows all settings and their origin";
    let fail = |detail: String| Finding::fail(WHAT, detail.replace('\n', "; "), remedy);
    let settings = config
        .opensearch()
        .map_err(|errors| fail(errors.to_string()))?
        .with_cluster(&options.cluster);
    let file = config
        .path()
        .map_or_else(|| "no file".to_owned(), |path| path.display().to_string());
    let detail = format!("{}, {} ({file})", settings.url(), settings.identity());
    Ok((settings, Finding::ok(WHAT, detail)))
}

/// A connected OpenSearch.
struct ConnectedOpenSearch {
    client: Client,
    settings: OpenSearchSettings,
    version: String,
    took: Duration,
}

/// Connects as a search does: to the configured URL, or this machine, then the cluster.
async fn connect(settings: &OpenSearchSettings) -> Result<ConnectedOpenSearch, Error> {
    match say_hello(settings).await {
        Err(error) if error.is_unreachable() => match settings.in_cluster() {
            Some(settings) => say_hello(&settings)
                .await
                .map_err(|cluster_error| match cluster_error {
                    // Without a cluster, or an OpenSearch in it, report the local error.
                    Error::Forward {
                        error: ForwardError::Cluster(_) | ForwardError::NoService { .. },
                        ..
                    } => error,
                    cluster_error => cluster_error,
                }),
            None => Err(error),
        },
        result => result,
    }
}

async fn say_hello(settings: &OpenSearchSettings) -> Result<ConnectedOpenSearch, Error> {
    let client = Client::new(settings)?;
    // Exclude the port-forward from the response time.
    client.connect().await?;
    let began = Instant::now();
    let version = client.reach(CONNECT_TIMEOUT).await?;
    Ok(ConnectedOpenSearch {
        client,
        settings: settings.clone(),
        version,
        took: began.elapsed(),
    })
}

async fn check_opensearch(
    options: &DoctorOptions,
    connected: ConnectedOpenSearch,
    pods: Option<&[PodSummary]>,
    report: &mut DoctorReport,
) {
    let ConnectedOpenSearch {
        client,
        settings,
        version,
        took,
    } = connected;
    report.reached_opensearch = true;
    let tls = match (settings.service(), settings.url().scheme()) {
        (Some(service), _) => format!("through a port-forward to {service}"),
        (None, "https") => "over TLS".to_owned(),
        (None, _) => "without TLS".to_owned(),
    };
    let detail = format!("{version}, {tls}, answers in {} ms", took.as_millis());
    let found = &mut report.findings;
    found.push(Finding::ok(OPENSEARCH, detail));
    found.push(finding_or_error(
        "identity",
        cluster::identity(&client, &settings).await,
    ));
    found.push(finding_or_error("cluster", cluster::health(&client).await));
    found.push(finding_or_error("disks", cluster::disks(&client).await));
    let now = match cluster::clock(&client).await {
        Ok((now, finding)) => {
            found.push(finding);
            now
        }
        Err(error) => {
            found.push(admin_error("clock of OpenSearch", &error));
            cluster::local_time()
        }
    };
    match store::templates(&client).await {
        Ok(findings) => found.extend(findings),
        Err(error) => found.push(admin_error("templates, streams", &error)),
    }
    match store::retention(&client, options.policy, now).await {
        Ok(findings) => found.extend(findings),
        Err(error) => found.push(admin_error("retention", &error)),
    }
    let written = compare_written_lines(options, pods, &client, now, found).await;
    match arrival::fetch(&client).await {
        Ok(arrivals) => {
            found.extend(arrival::judge(&arrivals, written.as_ref(), now));
            found.push(arrival::clocks(&arrivals));
            found.push(arrival::tags(&arrivals));
        }
        Err(error) => found.push(request_error("lines", &error)),
    }
}

/// Compares the lines of files or pods with OpenSearch; None without either.
async fn compare_written_lines(
    options: &DoctorOptions,
    pods: Option<&[PodSummary]>,
    client: &Client,
    now: f64,
    found: &mut Vec<Finding>,
) -> Option<BTreeMap<ComponentKey, WrittenStats>> {
    const WHAT: &str = "lines that were written";
    const FILES: &str = "name readable files or folders";
    let window = CompareWindow::new(now, options.policy.keep.0);
    let lines = if !options.files.is_empty() {
        let files = options.files.clone();
        let read = spawn_blocking(move || WrittenLines::from_files(&files, window)).await;
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
        let cluster = options.cluster.clone();
        let read = spawn_blocking(move || WrittenLines::from_pods(cluster, window)).await;
        read.map_err(|error| error.to_string())
            .and_then(|read| read.map_err(|error| error.to_string()))
            .map_err(|why| Finding::warn(WHAT, why, "grant get and list on pods, and get on pods/log"))
    };
    let mut written = match lines {
        Ok(lines) => match lines.compare(client).await {
            Ok(written) => written,
            Err(error) => {
                found.push(request_error(WHAT, &error));
                return None;
            }
        },
        Err(finding) => {
            found.push(finding);
            return None;
        }
    };
    if options.files.is_empty() {
        for stats in written.values_mut() {
            stats.running = Some(0);
        }
        for (key, count) in pods::count_running(pods.unwrap_or_default()) {
            written.entry(key).or_default().running = Some(count);
        }
    }
    Some(written)
}

fn finding_or_error(what: &str, found: Result<Finding, Error>) -> Finding {
    found.unwrap_or_else(|error| request_error(what, &error))
}

fn admin_error(what: &str, error: &admin::Error) -> Finding {
    match error {
        admin::Error::OpenSearch(error) => request_error(what, error),
        error => Finding::fail(what, error.to_string(), "this is a bug: report it"),
    }
}

/// A finding for a failed request.
fn request_error(what: &str, error: &Error) -> Finding {
    let detail = error.to_string();
    match error {
        Error::Forbidden { .. } => Finding::warn(
            what,
            format!("not checked: {detail}"),
            "the role irmgard-logq of this release has the permission (logq admin bootstrap --roles)",
        ),
        Error::Unauthorized { .. } | Error::Settings(_) => {
            Finding::fail(what, detail, "`logq config` shows all settings and their origin")
        }
        Error::Unreachable { .. } => Finding::fail(
            what,
            detail,
            "start it, or set its address in LOGQ_OPENSEARCH_URL; `logq config` shows the current settings",
        ),
        Error::Forward {
            error: ForwardError::NotRunning { .. },
            ..
        } => Finding::fail(
            what,
            detail,
            "check its pods with kubectl get and kubectl describe; logq --source kubectl shows lines \
             meanwhile",
        ),
        Error::Forward { .. } => Finding::fail(
            what,
            detail,
            "set its address in LOGQ_OPENSEARCH_URL; `logq config` shows the current settings",
        ),
        Error::Tls { .. } => Finding::fail(
            what,
            detail,
            "logq cannot read or store lines until this is \
            fixed",
        ),
        error if error.is_transient() => {
            Finding::fail(what, detail, "try again; if it persists, check OpenSearch's log")
        }
        _ => Finding::fail(
            what,
            detail,
            "check that it is OpenSearch 3 and that the templates exist (logq admin bootstrap)",
        ),
    }
}
