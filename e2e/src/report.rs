//! The report of a case: Markdown, written anew by each run.

use std::{fmt::Display, fs, path::Path};

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};

use crate::say::say;

/// What must hold, and whether it did.
#[derive(Clone, Debug)]
struct Demand {
    what: String,
    met: bool,
    seen: String,
}

/// A part of the report, between its head and its end.
#[derive(Clone, Debug)]
enum Block {
    Text(String),
    Table {
        header: Vec<String>,
        rows: Vec<Vec<String>>,
    },
}

/// A table that rows can still be added to.
#[derive(Clone, Copy, Debug)]
pub struct Table(usize);

/// A case's report while it is being made.
#[derive(Clone, Debug)]
pub struct Report {
    title: String,
    command: String,
    began: DateTime<Utc>,
    /// What the machine and what runs on it is: name, value.
    machine: Vec<(String, String)>,
    body: Vec<Block>,
    demands: Vec<Demand>,
    limits: Vec<String>,
    broken: Option<String>,
}

impl Report {
    /// An empty one of a run that begins now.
    #[must_use]
    pub fn new(title: &str, command: &str) -> Self {
        Self {
            title: title.to_owned(),
            command: command.to_owned(),
            began: Utc::now(),
            machine: Vec::new(),
            body: Vec::new(),
            demands: Vec::new(),
            limits: Vec::new(),
            broken: None,
        }
    }

    /// Adds a fact about where it ran; the same name again replaces it.
    pub fn machine(&mut self, name: &str, value: impl Display) {
        self.machine.retain(|(known, _)| known != name);
        self.machine.push((name.to_owned(), value.to_string()));
    }

    /// Begins a section.
    pub fn section(&mut self, title: &str) {
        self.body.push(Block::Text(format!("## {title}")));
    }

    /// Adds a paragraph.
    pub fn text(&mut self, text: impl Display) {
        self.body.push(Block::Text(text.to_string()));
    }

    /// Adds a table. Rows that come later are added with [`Self::row`], so that a case that breaks off tells what it has measured.
    pub fn table(&mut self, header: &[&str], rows: &[Vec<String>]) -> Table {
        self.body.push(Block::Table {
            header: header.iter().map(ToString::to_string).collect(),
            rows: rows.to_vec(),
        });
        Table(self.body.len() - 1)
    }

    /// Adds a row to a table.
    pub fn row(&mut self, table: Table, row: Vec<String>) {
        if let Some(Block::Table { rows, .. }) = self.body.get_mut(table.0) {
            rows.push(row);
        }
    }

    /// Notes whether something holds that must hold, and says it.
    pub fn demand(&mut self, what: impl Display, met: bool, seen: impl Display) {
        let (what, seen) = (what.to_string(), seen.to_string());
        say(format_args!(
            "{} {what}: {seen}",
            if met { "ok  " } else { "FAIL" }
        ));
        self.demands.push(Demand { what, met, seen });
    }

    /// Adds something that this machine cannot show.
    pub fn cannot_show(&mut self, what: impl Display) {
        self.limits.push(what.to_string());
    }

    /// Notes why the case did not come to its end.
    pub fn broke_off(&mut self, why: impl Display) {
        self.broken = Some(why.to_string());
    }

    /// Whether the case came to its end, and all that must hold did.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.broken.is_none() && self.demands.iter().all(|demand| demand.met)
    }

    /// How many demands were not met, of how many.
    #[must_use]
    pub fn unmet(&self) -> (usize, usize) {
        let unmet = self.demands.iter().filter(|demand| !demand.met).count();
        (unmet, self.demands.len())
    }

    /// The whole report.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!("# {}\n\n", self.title);
        let outcome = match (&self.broken, self.unmet()) {
            (Some(why), _) => format!("**Broken off**: {}", one_line(why)),
            (None, (0, all)) => format!("Passed: all {all} demands were met."),
            (None, (unmet, all)) => format!("**Failed**: {unmet} of {all} demands were not met."),
        };
        text.push_str(&format!(
            "{outcome} {} UTC, `{}`. This file is written by the run.\n",
            self.began.format("%Y-%m-%d %H:%M"),
            self.command
        ));
        for block in &self.body {
            let block = match block {
                Block::Text(text) => format!("{text}\n"),
                Block::Table { header, rows } => table(header, rows),
            };
            text.push_str(&format!("\n{block}"));
        }
        if !self.demands.is_empty() {
            let rows: Vec<_> = self
                .demands
                .iter()
                .map(|demand| {
                    let met = if demand.met { "yes" } else { "**no**" };
                    vec![demand.what.clone(), met.to_owned(), demand.seen.clone()]
                })
                .collect();
            text.push_str("\n## What had to hold\n\n");
            text.push_str(&table(&["demand", "met", "seen"].map(str::to_owned), &rows));
        }
        if !self.limits.is_empty() {
            text.push_str("\n## What this does not show\n\n");
            for limit in &self.limits {
                text.push_str(&format!("- {}\n", one_line(limit)));
            }
        }
        if !self.machine.is_empty() {
            let rows: Vec<_> = self
                .machine
                .iter()
                .map(|(name, value)| vec![name.clone(), value.clone()])
                .collect();
            text.push_str("\n## Where\n\n");
            text.push_str(&table(&["what", ""].map(str::to_owned), &rows));
        }
        text
    }

    /// Writes it to `<folder>/<name>.md`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, folder: &Path, name: &str) -> Result<()> {
        let path = folder.join(format!("{name}.md"));
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, self.markdown()))
            .with_context(|| format!("the report {} cannot be written", path.display()))?;
        say(format_args!("report: {}", path.display()));
        Ok(())
    }
}

/// A Markdown table.
fn table(header: &[String], rows: &[Vec<String>]) -> String {
    let row = |cells: &[String]| {
        let cells: Vec<_> = cells
            .iter()
            .map(|cell| one_line(cell).replace('|', "\\|"))
            .collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let mut text = row(header);
    text.push_str(&format!("|{}\n", "---|".repeat(header.len())));
    rows.iter().for_each(|cells| text.push_str(&row(cells)));
    text
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demand_that_is_not_met_fails_the_case() {
        let mut report = Report::new("Case", "make e2e");
        report.demand("photos lost: 0", true, "0 of 12");
        assert!(report.passed());
        assert!(report.markdown().contains("Passed: all 1 demands were met."));
        report.demand("no failed request", false, "503: 2 | none: 1");
        assert!(!report.passed());
        let text = report.markdown();
        assert!(
            text.contains("**Failed**: 1 of 2 demands were not met."),
            "{text}"
        );
        assert!(
            text.contains("| no failed request | **no** | 503: 2 \\| none: 1 |"),
            "{text}"
        );
    }

    #[test]
    fn a_case_that_did_not_end_has_not_passed() {
        let mut report = Report::new("Case", "make e2e");
        report.broke_off("postgres:\n  not ready");
        assert!(!report.passed());
        assert!(report.markdown().contains("**Broken off**: postgres: not ready"));
    }

    #[test]
    fn rows_that_come_later_stand_in_their_table() {
        let mut report = Report::new("Case", "make e2e");
        report.section("First");
        let first = report.table(&["a"], &[vec!["1".to_owned()]]);
        report.section("Second");
        report.row(first, vec!["2".to_owned()]);
        let text = report.markdown();
        assert!(
            text.contains("\n## First\n\n| a |\n|---|\n| 1 |\n| 2 |\n\n## Second\n"),
            "{text}"
        );
    }

    #[test]
    fn what_a_machine_is_told_twice_stands_once() {
        let mut report = Report::new("Case", "make e2e");
        report.machine("images", "a");
        report.machine("images", "b");
        let text = report.markdown();
        assert!(
            text.contains("| images | b |") && !text.contains("| images | a |"),
            "{text}"
        );
    }
}
