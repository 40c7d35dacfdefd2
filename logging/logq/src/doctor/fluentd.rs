//! Checks Fluentd's buffer and dead letters.

use std::{collections::BTreeMap, time::Duration};

use prometheus_parse::{Sample, Scrape, Value};

use super::{
    finding::Finding,
    format::{format_count, format_seconds},
};
use crate::admin::Size;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Below this percentage of free buffer space, warn.
const LOW_PERCENT: f64 = 50.0;
/// Below this percentage, Fluentd will soon stop reading.
const CRITICAL_PERCENT: f64 = 10.0;

const DEAD_LETTERS: &str = "fluentd_dead_letters_total";
const OUTPUT: &str = "fluentd_output_status_";

#[derive(Clone, Debug, Default, PartialEq)]
struct OutputMetrics {
    /// Bytes in the buffer.
    waiting: f64,
    /// Free buffer space, percent.
    free: Option<f64>,
    /// Failed attempts since the start.
    retries: f64,
    /// Seconds from the first failed attempt to the next attempt; 0 after a success.
    retrying: f64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct FluentdMetrics {
    dead_letters: f64,
    outputs: BTreeMap<String, OutputMetrics>,
}

impl FluentdMetrics {
    /// Parses metrics in Prometheus format.
    ///
    /// # Errors
    /// The text contains no metrics of Fluentd.
    pub fn read(text: &str) -> Result<Self, String> {
        let lines = text.lines().map(|line| Ok(line.to_owned()));
        let scrape = Scrape::parse(lines).map_err(|error| error.to_string())?;
        let mut metrics = Self::default();
        for sample in &scrape.samples {
            metrics.take(sample);
        }
        if metrics.outputs.is_empty() {
            return Err(format!("the response has no metric {OUTPUT}…"));
        }
        Ok(metrics)
    }

    fn take(&mut self, sample: &Sample) {
        let (Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value)) = sample.value else {
            return;
        };
        if sample.metric == DEAD_LETTERS {
            self.dead_letters += value;
            return;
        }
        let (Some(name), Some(plugin)) = (sample.metric.strip_prefix(OUTPUT), sample.labels.get("plugin_id"))
        else {
            return;
        };
        let output = self.outputs.entry(plugin.to_owned()).or_default();
        match name {
            "buffer_total_bytes" => output.waiting = value,
            "buffer_available_space_ratio" => output.free = Some(value),
            "retry_count" => output.retries = value,
            "retry_wait" => output.retrying = value,
            _ => {}
        }
    }

    pub fn judge(&self, name: &str) -> Vec<Finding> {
        const WHAT: &str = "dead letters";
        let with_name = |detail: String| format!("{name}: {detail}");
        let dead = self.dead_letters.max(0.0) as u64;
        let mut findings = vec![if dead == 0 {
            Finding::ok(WHAT, with_name("none since the start".to_owned()))
        } else {
            Finding::fail(
                WHAT,
                with_name(format!(
                    "{} rejected by OpenSearch since the start",
                    format_count(dead, "line")
                )),
                "Fluentd's log shows the reason; fluentd/README.md, Dead letters, describes how to send them \
                 again",
            )
        }];
        let buffers = self.outputs.iter().filter(|(_, output)| output.free.is_some());
        for (plugin, output) in buffers {
            findings.push(buffer(with_name(plugin.clone()), output));
        }
        findings
    }
}

fn buffer(name: String, output: &OutputMetrics) -> Finding {
    const WHAT: &str = "buffer of Fluentd";
    let free = output.free.unwrap_or(100.0);
    let waiting = Size(output.waiting.max(0.0) as u64);
    let detail = format!(
        "{name}: {waiting} waiting, {free:.0} % free, {} failed attempts since the start",
        output.retries
    );
    let remedy = "check that OpenSearch runs, has disk space, and accepts Fluentd's credentials; Fluentd's \
        log shows its responses";
    if free < CRITICAL_PERCENT {
        Finding::fail(WHAT, format!("{detail}: it will stop reading soon"), remedy)
    } else if output.retrying > 0.0 {
        let length = format_seconds(output.retrying);
        Finding::warn(
            WHAT,
            format!("{detail}: it has been retrying for {length}"),
            remedy,
        )
    } else if free < LOW_PERCENT {
        Finding::warn(WHAT, detail, remedy)
    } else {
        Finding::ok(WHAT, detail)
    }
}

/// Fetches and judges the metrics at a URL.
pub async fn check(url: &str) -> Vec<Finding> {
    match metrics(url).await.and_then(|text| FluentdMetrics::read(&text)) {
        Ok(metrics) => metrics.judge(url),
        Err(why) => vec![Finding::fail(
            "Fluentd",
            format!("{url}: {why}"),
            "check that it runs and that this is the address of its metrics (http://host:24231)",
        )],
    }
}

async fn metrics(url: &str) -> Result<String, String> {
    let mut address = url::Url::parse(url).map_err(|_| "this is not a URL".to_owned())?;
    if address.path() == "/" {
        address.set_path("/metrics");
    }
    let get = async {
        let client = reqwest::Client::builder().timeout(REQUEST_TIMEOUT).build()?;
        client.get(address).send().await?.error_for_status()?.text().await
    };
    get.await.map_err(|error: reqwest::Error| {
        let mut cause: &dyn std::error::Error = &error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        // The innermost cause is specific. The caller adds the URL.
        cause.to_string()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::CheckStatus;

    /// Output of Fluentd 1.19.3 while OpenSearch was unavailable.
    const AWAY: &str = r#"# TYPE fluentd_dead_letters_total counter
# HELP fluentd_dead_letters_total Lines that were not stored and are kept in the dead-letter files
# TYPE fluentd_output_status_buffer_total_bytes gauge
# HELP fluentd_output_status_buffer_total_bytes Current total size of stage and queue buffers.
fluentd_output_status_buffer_total_bytes{plugin_id="opensearch",type="opensearch"} 2580.0
# TYPE fluentd_output_status_buffer_available_space_ratio gauge
fluentd_output_status_buffer_available_space_ratio{plugin_id="opensearch",type="opensearch"} 100.0
# TYPE fluentd_output_status_retry_count gauge
fluentd_output_status_retry_count{plugin_id="opensearch",type="opensearch"} 4.0
fluentd_output_status_retry_count{plugin_id="object:654",type="null"} 0.0
# TYPE fluentd_output_status_retry_wait gauge
fluentd_output_status_retry_wait{plugin_id="opensearch",type="opensearch"} 15.564971488544035
fluentd_output_status_retry_wait{plugin_id="object:654",type="null"} 0.0
"#;

    fn found(text: &str) -> Vec<(CheckStatus, String, String)> {
        let findings = FluentdMetrics::read(text).unwrap().judge("node-1");
        findings
            .into_iter()
            .map(|finding| (finding.status, finding.what, finding.detail))
            .collect()
    }

    #[test]
    fn buffer_and_dead_letters_are_reported() {
        let dead = |state, detail: &str| (state, "dead letters".to_owned(), format!("node-1: {detail}"));
        let buffer = |state, detail: &str| {
            (
                state,
                "buffer of Fluentd".to_owned(),
                format!("node-1: opensearch: {detail}"),
            )
        };
        assert_eq!(
            found(AWAY),
            [
                dead(CheckStatus::Ok, "none since the start"),
                buffer(
                    CheckStatus::Warn,
                    "2.5kb waiting, 100 % free, 4 failed attempts since the start: it has been retrying for \
                     16 s"
                ),
            ]
        );
        let back = AWAY.replace("15.564971488544035", "0.0");
        let full = back.replace(
            "ratio{plugin_id=\"opensearch\",type=\"opensearch\"} 100.0",
            "ratio{plugin_id=\"opensearch\",type=\"opensearch\"} 7.0",
        );
        let refused = back
            + "fluentd_dead_letters_total{tag=\"lines\"} 2.0\nfluentd_dead_letters_total{tag=\"x\"} 1.0\n";
        assert_eq!(
            found(&refused),
            [
                dead(
                    CheckStatus::Fail,
                    "3 lines rejected by OpenSearch since the start"
                ),
                buffer(
                    CheckStatus::Ok,
                    "2.5kb waiting, 100 % free, 4 failed attempts since the start"
                ),
            ]
        );
        assert_eq!(found(&full)[1].0, CheckStatus::Fail);
    }

    #[test]
    fn missing_metrics_are_reported() {
        for text in ["", "<html>", "up 1\n"] {
            assert!(FluentdMetrics::read(text).is_err(), "{text}");
        }
    }
}
