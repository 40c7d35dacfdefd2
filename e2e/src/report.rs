//! The Markdown report of a case. Each run overwrites it.

use std::{fmt::Display, fs, path::Path};

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};

use crate::console::print_progress;

/// A requirement, and whether it is met.
#[derive(Clone, Debug)]
struct Requirement {
    what: String,
    met: bool,
    observed: String,
}

/// A block of the report's body.
#[derive(Clone, Debug)]
enum Block {
    Text(String),
    Table {
        header: Vec<String>,
        rows: Vec<Vec<String>>,
    },
}

/// A handle for [`Report::row`].
#[derive(Clone, Copy, Debug)]
pub struct Table(usize);

/// The report of a case.
#[derive(Clone, Debug)]
pub struct Report {
    title: String,
    command: String,
    start: DateTime<Utc>,
    /// Facts about cluster and machine: name, value.
    environment: Vec<(String, String)>,
    body: Vec<Block>,
    requirements: Vec<Requirement>,
    limitations: Vec<String>,
    /// Why the case ended early.
    aborted: Option<String>,
}

impl Report {
    /// An empty report of a run that starts now.
    #[must_use]
    pub fn new(title: &str, command: &str) -> Self {
        Self {
            title: title.to_owned(),
            command: command.to_owned(),
            start: Utc::now(),
            environment: Vec::new(),
            body: Vec::new(),
            requirements: Vec::new(),
            limitations: Vec::new(),
            aborted: None,
        }
    }

    /// Adds a fact about the environment. A fact with the same name is replaced.
    pub fn environment(&mut self, name: &str, value: impl Display) {
        self.environment.retain(|(existing, _)| existing != name);
        self.environment.push((name.to_owned(), value.to_string()));
    }

    /// Starts a section.
    pub fn section(&mut self, title: &str) {
        self.body.push(Block::Text(format!("## {title}")));
    }

    /// Adds a paragraph.
    pub fn text(&mut self, text: impl Display) {
        self.body.push(Block::Text(text.to_string()));
    }

    /// Adds a table. [`Self::row`] adds further rows, so that the report of an aborted case contains its measurements so far.
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

    /// Records and prints whether a requirement is met, with the observed value.
    pub fn require(&mut self, what: impl Display, met: bool, observed: impl Display) {
        let (what, observed) = (what.to_string(), observed.to_string());
        print_progress(format_args!(
            "{} {what}: {observed}",
            if met { "ok  " } else { "FAIL" }
        ));
        self.requirements.push(Requirement { what, met, observed });
    }

    /// Adds something that this run does not show.
    pub fn limitation(&mut self, what: impl Display) {
        self.limitations.push(what.to_string());
    }

    /// Records why the case ended early.
    pub fn abort(&mut self, reason: impl Display) {
        self.aborted = Some(reason.to_string());
    }

    /// Whether the case completed and all requirements are met.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.aborted.is_none() && self.requirements.iter().all(|requirement| requirement.met)
    }

    /// The number of unmet requirements, and of all.
    #[must_use]
    pub fn unmet(&self) -> (usize, usize) {
        let unmet = self
            .requirements
            .iter()
            .filter(|requirement| !requirement.met)
            .count();
        (unmet, self.requirements.len())
    }

    /// The report as Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!("# {}\n\n", self.title);
        let result = match (&self.aborted, self.unmet()) {
            (Some(reason), _) => format!("**Aborted**: {}", one_line(reason)),
            (None, (0, all)) => format!("Passed: all {all} requirements are met."),
            (None, (unmet, all)) => format!("**Failed**: {unmet} of {all} requirements are not met."),
        };
        text.push_str(&format!(
            "{result} {} UTC, `{}`. The run writes this file.\n",
            self.start.format("%Y-%m-%d %H:%M"),
            self.command
        ));
        for block in &self.body {
            let block = match block {
                Block::Text(text) => format!("{text}\n"),
                Block::Table { header, rows } => table(header, rows),
            };
            text.push_str(&format!("\n{block}"));
        }
        if !self.requirements.is_empty() {
            let rows: Vec<_> = self
                .requirements
                .iter()
                .map(|requirement| {
                    let met = if requirement.met { "yes" } else { "**no**" };
                    vec![
                        requirement.what.clone(),
                        met.to_owned(),
                        requirement.observed.clone(),
                    ]
                })
                .collect();
            text.push_str("\n## Requirements\n\n");
            text.push_str(&table(
                &["requirement", "met", "observed"].map(str::to_owned),
                &rows,
            ));
        }
        if !self.limitations.is_empty() {
            text.push_str("\n## What this does not show\n\n");
            for limitation in &self.limitations {
                text.push_str(&format!("- {}\n", one_line(limitation)));
            }
        }
        if !self.environment.is_empty() {
            let rows: Vec<_> = self
                .environment
                .iter()
                .map(|(name, value)| vec![name.clone(), value.clone()])
                .collect();
            text.push_str("\n## Environment\n\n");
            text.push_str(&table(&["what", ""].map(str::to_owned), &rows));
        }
        text
    }

    /// Writes the report to `<folder>/<name>.md`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, folder: &Path, name: &str) -> Result<()> {
        let path = folder.join(format!("{name}.md"));
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, self.markdown()))
            .with_context(|| format!("cannot write the report {}", path.display()))?;
        print_progress(format_args!("report: {}", path.display()));
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
    fn an_unmet_requirement_fails_the_case() {
        let mut report = Report::new("Case", "make e2e");
        report.require("photos lost: 0", true, "0 of 12");
        assert!(report.passed());
        assert!(report.markdown().contains("Passed: all 1 requirements are met."));
        report.require("no failed request", false, "503: 2 | none: 1");
        assert!(!report.passed());
        let text = report.markdown();
        assert!(
            text.contains("**Failed**: 1 of 2 requirements are not met."),
            "{text}"
        );
        assert!(
            text.contains("| no failed request | **no** | 503: 2 \\| none: 1 |"),
            "{text}"
        );
    }

    #[test]
    fn an_aborted_case_has_not_passed() {
        let mut report = Report::new("Case", "make e2e");
        report.abort("postgres:\n  not ready");
        assert!(!report.passed());
        assert!(report.markdown().contains("**Aborted**: postgres: not ready"));
    }

    #[test]
    fn later_rows_are_added_to_their_table() {
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
    fn a_fact_with_the_same_name_is_replaced() {
        let mut report = Report::new("Case", "make e2e");
        report.environment("images", "a");
        report.environment("images", "b");
        let text = report.markdown();
        assert!(
            text.contains("| images | b |") && !text.contains("| images | a |"),
            "{text}"
        );
    }
}
