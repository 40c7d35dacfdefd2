//! Writes numbered lines and counts the stored ones.

use std::collections::BTreeMap;

use anyhow::Result;
use fluentd::kubelet::KubeletLog;
use serde_json::{Value, json};

use super::FluentdFixture;

/// Maximum number of lines that are written but not stored yet.
const AHEAD: usize = 2_000;
const BLOCK: usize = 100;

/// One container's log.
pub struct LogLoad {
    log: KubeletLog,
    messages: Vec<String>,
}

impl LogLoad {
    pub fn new(fixture: &FluentdFixture) -> Result<Self> {
        let pod = "photos_irmgard-6d5f7c9b8-x2x1z_00000001-0000-4000-8000-000000000001";
        Ok(Self {
            log: KubeletLog::new(fixture.logs.path(), pod, "irmgard")?,
            messages: Vec::new(),
        })
    }

    /// The expected number of documents.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Writes lines no faster than they are stored.
    pub async fn write(&mut self, lines: usize, fixture: &FluentdFixture) -> Result<()> {
        let end = self.len() + lines;
        while self.len() < end {
            self.write_at_once(BLOCK.min(end - self.len()))?;
            let written = self.len();
            let caught_up = async || fixture.servers.count() + AHEAD >= written;
            fixture.fluentd.wait("Fluentd to keep up", caught_up).await?;
        }
        Ok(())
    }

    /// Writes lines without waiting: our JSON, long lines in parts, and stack traces.
    pub fn write_at_once(&mut self, lines: usize) -> Result<()> {
        for _ in 0..lines {
            let number = self.len();
            let (text, message) = match number {
                n if n % 25 == 0 => long(n),
                n if n % 35 == 0 => trace(n),
                n => json_line(n),
            };
            for line in text.lines() {
                self.log.line(line)?;
            }
            self.messages.push(message);
        }
        Ok(())
    }

    pub fn rotate(&mut self) -> Result<()> {
        self.log.rotate()
    }

    /// Checks that each line is stored once.
    pub fn assert_each_once(&self, documents: &[Value]) {
        let mut found: BTreeMap<&str, usize> = BTreeMap::new();
        for document in documents {
            *found
                .entry(document["message"].as_str().unwrap_or_default())
                .or_default() += 1;
        }
        let count = |message: &String| found.get(message.as_str()).copied().unwrap_or(0);
        let lost: Vec<_> = self
            .messages
            .iter()
            .filter(|message| count(message) == 0)
            .map(|text| cut(text))
            .collect();
        let twice: Vec<_> = self
            .messages
            .iter()
            .filter(|message| count(message) > 1)
            .map(|text| cut(text))
            .collect();
        let other = documents.len() - self.messages.iter().filter(|message| count(message) > 0).count();
        assert!(
            lost.is_empty() && twice.is_empty() && other == 0,
            "{} lost: {lost:?}\n{} twice: {twice:?}\n{other} unknown",
            lost.len(),
            twice.len(),
        );
    }
}

fn cut(text: &str) -> &str {
    &text[..text.len().min(60)]
}

fn json_line(number: usize) -> (String, String) {
    let message = format!("line {number} {}", "x".repeat(300));
    let line = json!({
        "@timestamp": "2026-11-22T10:19:59.000001Z", "level": "info", "message": message,
        "photo": {"id": number}, "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    });
    (line.to_string(), message)
}

fn long(number: usize) -> (String, String) {
    let text = format!("line {number} {}", "0123456789".repeat(4_000));
    (text.clone(), text)
}

fn trace(number: usize) -> (String, String) {
    let text = format!(
        "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    g()\nValueError: line {number}"
    );
    (text.clone(), text)
}
