//! Lines whose fate can be told one by one.

use std::collections::BTreeMap;

use anyhow::Result;
use fluentd::kubelet::Log;
use serde_json::{Value, json};

use super::Stand;

/// Lines that may be written and not stored yet: enough to keep Fluentd busy.
const AHEAD: usize = 2_000;
const BLOCK: usize = 100;

/// One container whose lines are counted.
pub struct Load {
    log: Log,
    messages: Vec<String>,
}

impl Load {
    pub fn new(stand: &Stand) -> Result<Self> {
        let pod = "photos_irmgard-6d5f7c9b8-x2x1z_00000001-0000-4000-8000-000000000001";
        Ok(Self {
            log: Log::new(stand.logs.path(), pod, "irmgard")?,
            messages: Vec::new(),
        })
    }

    /// How many documents there must be.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Writes lines as fast as they are stored.
    pub async fn write(&mut self, lines: usize, stand: &Stand) -> Result<()> {
        let end = self.len() + lines;
        while self.len() < end {
            self.write_at_once(BLOCK.min(end - self.len()))?;
            let written = self.len();
            let caught_up = async || stand.servers.count() + AHEAD >= written;
            stand.fluentd.wait("Fluentd to keep up", caught_up).await?;
        }
        Ok(())
    }

    /// Writes lines whether anybody reads them or not: of ours, long ones in parts, and stack traces.
    pub fn write_at_once(&mut self, lines: usize) -> Result<()> {
        for _ in 0..lines {
            let number = self.len();
            let (text, message) = match number {
                n if n % 25 == 0 => long(n),
                n if n % 35 == 0 => trace(n),
                n => own(n),
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

    /// Compares what is stored: every line once.
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
            "{} lost: {lost:?}\n{} twice: {twice:?}\n{other} that nobody wrote",
            lost.len(),
            twice.len(),
        );
    }
}

fn cut(text: &str) -> &str {
    &text[..text.len().min(60)]
}

fn own(number: usize) -> (String, String) {
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
