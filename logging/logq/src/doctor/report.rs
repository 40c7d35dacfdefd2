//! The report, for people and as JSON.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::finding::{CheckStatus, Finding};
use crate::render::Palette;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DoctorReport {
    /// Findings in check order.
    pub findings: Vec<Finding>,
    pub reached_opensearch: bool,
}

impl DoctorReport {
    /// 0 healthy, 1 warnings or failures, 2 OpenSearch unreachable.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        let worst = self.findings.iter().map(|finding| finding.status).max();
        match worst {
            _ if !self.reached_opensearch => 2,
            Some(CheckStatus::Warn | CheckStatus::Fail) => 1,
            _ => 0,
        }
    }

    fn count(&self, status: CheckStatus) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.status == status)
            .count()
    }

    /// Prints one line for each finding, and one for its remedy.
    ///
    /// # Errors
    /// An I/O error of the output.
    pub fn write(&self, palette: &Palette, out: &mut impl Write) -> io::Result<()> {
        let width = self
            .findings
            .iter()
            .map(|finding| finding.what.chars().count())
            .max()
            .unwrap_or(0);
        for finding in &self.findings {
            let style = palette.level(match finding.status {
                CheckStatus::Ok => Some(schema::level::INFO),
                CheckStatus::Skip => Some(schema::level::DEBUG),
                CheckStatus::Warn => Some(schema::level::WARN),
                CheckStatus::Fail => Some(schema::level::ERROR),
            });
            let what = terminal::escaped(&finding.what);
            let detail = terminal::escaped(&finding.detail);
            let status = finding.status.name();
            writeln!(out, "{style}{status:<4}{style:#}  {what:<width$}  {detail}")?;
            if let Some(remedy) = &finding.remedy {
                writeln!(out, "{:width$}        → {}", "", terminal::escaped(remedy))?;
            }
        }
        let counts = [
            (CheckStatus::Ok, "ok"),
            (CheckStatus::Warn, "to check"),
            (CheckStatus::Fail, "broken"),
            (CheckStatus::Skip, "not checked"),
        ];
        let counts = counts
            .into_iter()
            .map(|(status, name)| (self.count(status), name))
            .filter(|(count, _)| *count > 0)
            .map(|(count, name)| format!("{count} {name}"));
        writeln!(out, "{}", counts.collect::<Vec<_>>().join(", "))
    }

    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "status": self.exit_status(),
            "checks": self.findings.iter().map(Finding::json).collect::<Vec<_>>(),
        })
    }
}
