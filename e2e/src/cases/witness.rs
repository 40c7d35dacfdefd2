//! What a camera is told while a server is away, in words, and what the web service writes meanwhile.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    cluster::{Cluster, NAMESPACE},
    load::{Shot, Web},
};

/// Between two questions of the witness.
const PACE: Duration = Duration::from_secs(1);
/// As long as a camera of the load waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers, and how many there were of each.
pub type Answers = BTreeMap<String, usize>;

/// Posts a photo again and again, and notes what is answered.
pub struct Witness {
    end: CancellationToken,
    task: JoinHandle<Answers>,
}

impl Witness {
    /// Begins, with photos of a project of its own.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn start(web: &Web, project: &str, shot: Shot) -> Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .pool_max_idle_per_host(0)
            .build()?;
        let (web, path) = (
            web.clone(),
            format!("/projects/{project}/photos?taken_at={}", shot.taken_at()),
        );
        let end = CancellationToken::new();
        let ended = end.clone();
        let task = tokio::spawn(async move {
            let mut answers = Answers::new();
            while !ended.is_cancelled() {
                let request = web.post(&http, &path).header("content-type", "image/jpeg");
                let answer = match request.body(shot.file.clone()).send().await {
                    Ok(response) => told(response).await,
                    Err(error) if error.is_timeout() => format!("no answer within {} s", PATIENCE.as_secs()),
                    Err(error) if error.is_connect() => "no connection".to_owned(),
                    Err(_) => "connection broke".to_owned(),
                };
                *answers.entry(answer).or_default() += 1;
                tokio::select! {
                    () = sleep(PACE) => {}
                    () = ended.cancelled() => {}
                }
            }
            answers
        });
        Ok(Self { end, task })
    }

    /// Ends; what was answered.
    ///
    /// # Errors
    /// When it broke.
    pub async fn stop(self) -> Result<Answers> {
        self.end.cancel();
        self.task.await.context("the witness broke off")
    }
}

async fn told(response: reqwest::Response) -> String {
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

/// Warnings and errors that the web service's pods wrote in the last seconds: how many of each.
///
/// # Errors
/// When kubectl fails.
pub async fn web_lines(cluster: &Cluster, since: Duration) -> Result<Answers> {
    let since = format!("--since={}s", since.as_secs().max(1));
    let arguments = [
        "logs",
        "--namespace",
        NAMESPACE,
        "--selector=app.kubernetes.io/name=irmgard,app.kubernetes.io/component=web",
        "--tail=-1",
        &since,
    ];
    Ok(complaints(&cluster.kubectl().run(&arguments).await?))
}

fn complaints(text: &str) -> Answers {
    let mut found = Answers::new();
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

/// For a cell of a table: the most frequent first.
#[must_use]
pub fn list(answers: &Answers, at_most: usize) -> String {
    let mut sorted: Vec<_> = answers.iter().collect();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let mut told: Vec<_> = sorted
        .iter()
        .take(at_most)
        .map(|(answer, count)| format!("{count} × {answer}"))
        .collect();
    if sorted.len() > at_most {
        told.push(format!("{} others", sorted.len() - at_most));
    }
    if told.is_empty() {
        "nothing".to_owned()
    } else {
        told.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_warnings_and_errors_by_message() {
        let text = "{\"level\":\"warn\",\"message\":\"away\"}\nno JSON\n\
                    {\"level\":\"warn\",\"message\":\"away\"}\n{\"level\":\"info\",\"message\":\"fine\"}\n";
        let found = complaints(text);
        assert_eq!(list(&found, 5), "2 × warn: away");
        assert_eq!(list(&Answers::new(), 5), "nothing");
    }

    #[test]
    fn the_most_frequent_answer_is_first() {
        let answers: Answers = [("a".to_owned(), 1), ("b".to_owned(), 3), ("c".to_owned(), 2)].into();
        assert_eq!(list(&answers, 2), "3 × b; 2 × c; 1 others");
    }
}
