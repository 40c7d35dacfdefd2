//! Probes uploads during an outage: the answers that a camera gets, and the warnings that the web service logs.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    cluster::{Cluster, NAMESPACE},
    load::{Shot, WebEndpoint},
};

/// The time between two uploads.
const INTERVAL: Duration = Duration::from_secs(1);
/// The timeout of an upload, as in the load's client.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Texts of answers or log lines, with their counts.
pub type ResponseCounts = BTreeMap<String, usize>;

/// Uploads a photo every second and counts the answers.
pub struct UploadProbe {
    end: CancellationToken,
    task: JoinHandle<ResponseCounts>,
}

impl UploadProbe {
    pub fn start(web: &WebEndpoint, project: &str, shot: Shot) -> Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(REQUEST_TIMEOUT)
            .pool_max_idle_per_host(0)
            .build()?;
        let (web, path) = (
            web.clone(),
            format!("/projects/{project}/photos?taken_at={}", shot.taken_at()),
        );
        let end = CancellationToken::new();
        let stopped = end.clone();
        let task = tokio::spawn(async move {
            let mut answers = ResponseCounts::new();
            while !stopped.is_cancelled() {
                let request = web.post(&http, &path).header("content-type", "image/jpeg");
                let answer = match request.body(shot.file.clone()).send().await {
                    Ok(response) => describe(response).await,
                    Err(error) if error.is_timeout() => {
                        format!("no answer within {} s", REQUEST_TIMEOUT.as_secs())
                    }
                    Err(error) if error.is_connect() => "no connection".to_owned(),
                    Err(_) => "connection broke".to_owned(),
                };
                *answers.entry(answer).or_default() += 1;
                tokio::select! {
                    () = sleep(INTERVAL) => {}
                    () = stopped.cancelled() => {}
                }
            }
            answers
        });
        Ok(Self { end, task })
    }

    /// Stops the probe and returns the counts.
    pub async fn stop(self) -> Result<ResponseCounts> {
        self.end.cancel();
        self.task.await.context("the upload probe panicked")
    }
}

async fn describe(response: reqwest::Response) -> String {
    let status = response.status();
    let retry = response
        .headers()
        .get("retry-after")
        .and_then(|value| value.to_str().ok())
        .map(|seconds| format!(", Retry-After {seconds}"))
        .unwrap_or_default();
    let body = response.json::<Value>().await.unwrap_or_default();
    let detail = body["detail"].as_str().or_else(|| body["title"].as_str());
    match detail {
        Some(detail) if !status.is_success() => format!("{}{retry}: {detail}", status.as_u16()),
        _ => format!("{}{retry}", status.as_u16()),
    }
}

/// The number of warnings and errors of the web service's pods in this last period, by message.
pub async fn web_warnings(cluster: &Cluster, since: Duration) -> Result<ResponseCounts> {
    let command = format!(
        "logs --namespace {NAMESPACE} --selector=app.kubernetes.io/name=irmgard,app.kubernetes.io/component=web --tail=-1 --since={}s",
        since.as_secs().max(1)
    );
    Ok(warnings_by_message(&cluster.kubectl().run(&command).await?))
}

fn warnings_by_message(text: &str) -> ResponseCounts {
    let mut found = ResponseCounts::new();
    for line in text.lines() {
        let Ok(line) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let level = line["level"].as_str().unwrap_or_default();
        if let ("warn" | "error", Some(message)) = (level, line["message"].as_str()) {
            *found.entry(format!("{level}: {message}")).or_default() += 1;
        }
    }
    found
}

/// Formats counts for a table cell, the most frequent first.
pub fn format_counts(answers: &ResponseCounts, max: usize) -> String {
    let mut sorted: Vec<_> = answers.iter().collect();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let mut texts: Vec<_> = sorted
        .iter()
        .take(max)
        .map(|(answer, count)| format!("{count} × {answer}"))
        .collect();
    if sorted.len() > max {
        texts.push(format!("{} others", sorted.len() - max));
    }
    if texts.is_empty() {
        "nothing".to_owned()
    } else {
        texts.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_and_errors_are_counted_by_message() {
        let text = "{\"level\":\"warn\",\"message\":\"away\"}\nno JSON\n\
                    {\"level\":\"warn\",\"message\":\"away\"}\n{\"level\":\"info\",\"message\":\"fine\"}\n";
        let found = warnings_by_message(text);
        assert_eq!(format_counts(&found, 5), "2 × warn: away");
        assert_eq!(format_counts(&ResponseCounts::new(), 5), "nothing");
    }

    #[test]
    fn the_most_frequent_text_is_first() {
        let answers: ResponseCounts = [("a".to_owned(), 1), ("b".to_owned(), 3), ("c".to_owned(), 2)].into();
        assert_eq!(format_counts(&answers, 2), "3 × b; 2 × c; 1 others");
    }
}
