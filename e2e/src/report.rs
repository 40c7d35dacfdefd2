//! The report of a case: data, which a template renders as Markdown. Each run overwrites both files.

use std::{collections::BTreeMap, fmt::Display, fs, path::Path};

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use minijinja::{Environment, context};
use serde::{Deserialize, Serialize};

use crate::console::print_progress;

/// The parts that the templates of all cases share.
const SHARED_TEMPLATES: [(&str, &str); 2] = [
    ("layout.md", include_str!("../reports/layout.md")),
    ("availability.md", include_str!("../reports/availability.md")),
];

/// The cells of a table row, each with its column.
pub type ReportRow = Vec<(&'static str, String)>;

/// A requirement, and whether it is met.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Requirement {
    what: String,
    met: bool,
    observed: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// The data of a case's report.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    title: String,
    command: String,
    start: DateTime<Utc>,
    /// Why the case ended early.
    aborted: Option<String>,
    requirements: Vec<Requirement>,
    /// Values for the template's text, by name.
    facts: BTreeMap<String, String>,
    tables: BTreeMap<String, Table>,
    /// What this run does not show, beside the template's list.
    limitations: Vec<String>,
    /// Facts about cluster and machine: name, value.
    environment: Vec<(String, String)>,
}

impl Report {
    /// An empty report of a run that starts now.
    pub fn new(title: &str, command: &str) -> Self {
        Self {
            title: title.to_owned(),
            command: command.to_owned(),
            start: Utc::now(),
            aborted: None,
            requirements: Vec::new(),
            facts: BTreeMap::new(),
            tables: BTreeMap::new(),
            limitations: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// Adds a fact about the environment. A fact with the same name is replaced.
    pub fn environment(&mut self, name: &str, value: impl Display) {
        self.environment.retain(|(existing, _)| existing != name);
        self.environment.push((name.to_owned(), value.to_string()));
    }

    /// Sets a value for the template's text.
    pub fn fact(&mut self, name: &str, value: impl Display) {
        self.facts.insert(name.to_owned(), value.to_string());
    }

    /// Adds a row to a table. Add it when it is measured: then the report of an aborted case contains it too.
    pub fn row(&mut self, table: &str, row: ReportRow) {
        let (columns, cells) = row
            .into_iter()
            .map(|(column, cell)| (column.to_owned(), cell))
            .unzip();
        let table = self.tables.entry(table.to_owned()).or_insert_with(|| Table {
            columns,
            rows: Vec::new(),
        });
        table.rows.push(cells);
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
    pub fn passed(&self) -> bool {
        self.aborted.is_none() && self.requirements.iter().all(|requirement| requirement.met)
    }

    /// The number of unmet requirements, and of all.
    pub fn unmet(&self) -> (usize, usize) {
        let unmet = self
            .requirements
            .iter()
            .filter(|requirement| !requirement.met)
            .count();
        (unmet, self.requirements.len())
    }

    /// The report as Markdown. The template can use `facts`, `tables` and `limitations`, which are Markdown already.
    pub fn markdown(&self, template: &str) -> Result<String> {
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_keep_trailing_newline(true);
        for (name, text) in SHARED_TEMPLATES {
            environment.add_template(name, text)?;
        }
        let result = match (&self.aborted, self.unmet()) {
            (Some(reason), _) => format!("**Aborted**: {}.", one_line(reason)),
            (None, (0, all)) => format!("Passed: all {all} requirements are met."),
            (None, (unmet, all)) => format!("**Failed**: {unmet} of {all} requirements are not met."),
        };
        let requirements = self.requirements.iter().map(|requirement| {
            let met = if requirement.met { "yes" } else { "**no**" };
            vec![
                requirement.what.clone(),
                met.to_owned(),
                requirement.observed.clone(),
            ]
        });
        let facts = self
            .environment
            .iter()
            .map(|(name, value)| vec![name.clone(), value.clone()]);
        let tables: BTreeMap<_, _> = self
            .tables
            .iter()
            .map(|(name, table)| (name, markdown_table(&table.columns, &table.rows)))
            .collect();
        let limitations: String = self
            .limitations
            .iter()
            .map(|limitation| format!("- {}\n", one_line(limitation)))
            .collect();
        let text = environment.template_from_str(template)?.render(context! {
            title => self.title,
            result,
            start => self.start.format("%Y-%m-%d %H:%M").to_string(),
            command => self.command,
            facts => self.facts,
            tables,
            limitations,
            requirements => markdown_table(&["requirement", "met", "observed"], &requirements.collect::<Vec<_>>()),
            environment => markdown_table(&["environment", ""], &facts.collect::<Vec<_>>()),
        })?;
        Ok(single_blank_lines(&text))
    }

    /// Writes the report to `<folder>/<name>.json` and `<folder>/<name>.md`.
    pub fn write(&self, folder: &Path, name: &str, template: &str) -> Result<()> {
        let path = folder.join(name);
        fs::create_dir_all(folder)
            .and_then(|()| {
                fs::write(
                    path.with_extension("json"),
                    serde_json::to_string_pretty(self)? + "\n",
                )
            })
            .with_context(|| format!("cannot write {}.json", path.display()))?;
        fs::write(path.with_extension("md"), self.markdown(template)?)
            .with_context(|| format!("cannot write {}.md", path.display()))?;
        print_progress(format_args!("report: {}.md", path.display()));
        Ok(())
    }
}

fn markdown_table(columns: &[impl AsRef<str>], rows: &[Vec<String>]) -> String {
    let mut text = table_line(columns);
    text.push_str(&format!("|{}\n", "---|".repeat(columns.len())));
    text.extend(rows.iter().map(|row| table_line(row)));
    text
}

fn table_line(cells: &[impl AsRef<str>]) -> String {
    let cells: Vec<_> = cells
        .iter()
        .map(|cell| one_line(cell.as_ref()).replace('|', "\\|"))
        .collect();
    format!("| {} |\n", cells.join(" | "))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Removes repeated blank lines, which template blocks without output leave.
fn single_blank_lines(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.dedup_by(|line, previous| line.is_empty() && previous.is_empty());
    lines.join("\n").trim_end().to_owned() + "\n"
}
