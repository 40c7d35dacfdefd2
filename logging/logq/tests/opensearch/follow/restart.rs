//! Kills and restarts a node under load.

use std::time::Duration;

use local::Stack;
use logq::{
    admin::{Options, bootstrap},
    opensearch::{Client, OpenSearchSettings},
};
use serde_json::json;
use test_support::eventually;

use super::{SHORT, plain};
use crate::running::RunningLogq;

/// Sends 200 lines until OpenSearch has stored all of them. Retries are safe, because the ids are fixed.
async fn send(client: &Client, batch: usize) -> Result<(), logq::opensearch::Error> {
    let body: String = (0..200)
        .map(|n| {
            let (stream, id, document) = plain(&format!("line-{batch:02}-{n:03}"), batch as f64);
            let action = json!({ "create": { "_index": stream, "_id": id } });
            format!("{action}\n{document}\n")
        })
        .collect();
    let sent = client
        .send_lines("take lines", "/_bulk", &[], body.into_bytes())
        .await?;
    for item in sent["items"].as_array().unwrap() {
        let status = item["create"]["status"].as_u64().unwrap();
        // Not ready yet: retry.
        if !matches!(status, 201 | 409) {
            return Err(logq::opensearch::Error::Settings(item.to_string()));
        }
    }
    Ok(())
}

#[tokio::test]
async fn node_restart_loses_no_line() {
    const BATCHES: usize = 40;
    if local::opensearch("a node restart while following")
        .await
        .unwrap()
        .is_none()
    {
        return;
    }
    // A separate server, because other tests use theirs.
    let stack = Stack::builder()
        .only_ours()
        .with_opensearch()
        .start()
        .await
        .unwrap();
    let server = stack.opensearch().unwrap();
    server.ready().await.unwrap();
    let url = server.access().url.clone();
    let settings =
        OpenSearchSettings::read(&|name| (name == "LOGQ_OPENSEARCH_URL").then(|| url.clone())).unwrap();
    let client = Client::new(&settings).unwrap();
    bootstrap(&client, Options::default(), &mut |_| Ok(()))
        .await
        .unwrap();
    let logq = RunningLogq::start(&url, &[["-o", "raw", "--tail", "0"].as_slice(), &SHORT].concat());
    // Lines count as old until logq starts to poll.
    let mut probes = 0;
    while logq.lines().is_empty() {
        let (stream, id, document) = plain(&format!("probe-{probes}"), 0.0);
        let action = json!({ "create": { "_index": stream, "_id": id } });
        let body = format!("{action}\n{document}\n").into_bytes();
        client
            .send_lines("take a line", "/_bulk", &[], body)
            .await
            .unwrap();
        probes += 1;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    for batch in 0..BATCHES {
        if batch == BATCHES / 2 {
            // Directly after OpenSearch stored lines, before they are searchable.
            server.kill().await.unwrap();
            logq.wait_for_message("output pauses until OpenSearch answers again");
            server.restart().await.unwrap();
        }
        while send(&client, batch).await.is_err() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    logq.wait_for(&format!("line-{:02}-199", BATCHES - 1));
    // A duplicate would appear no later than the last line.
    let (stream, id, document) = plain("the-end", 0.0);
    let action = json!({ "create": { "_index": stream, "_id": id } });
    client
        .send_lines(
            "take the last line",
            "/_bulk",
            &[],
            format!("{action}\n{document}\n").into_bytes(),
        )
        .await
        .unwrap();
    logq.wait_for("the-end");
    // Lines that waited for the restarted shard were stamped before it. The next far round finds them, after newer ones.
    let mut shown = eventually("all lines are shown", async || {
        let mut lines = logq.lines();
        lines.retain(|line| line.starts_with("line"));
        (lines.len() >= BATCHES * 200).then_some(lines)
    })
    .await;
    shown.sort_unstable();
    let wanted: Vec<String> = (0..BATCHES * 200)
        .map(|n| format!("line-{:02}-{:03}", n / 200, n % 200))
        .collect();
    assert!(shown == wanted, "{} lines of {}", shown.len(), wanted.len());
    assert_eq!(logq.stderr_lines().len(), 2, "{:#?}", logq.stderr_lines());
    stack.stop().await.unwrap();
}
