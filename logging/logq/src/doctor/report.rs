//! What was found, for people and for programs.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::finding::{Finding, State};
use crate::render::Palette;

/// All that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What each check has found, in their order.
    pub findings: Vec<Finding>,
    /// Whether OpenSearch could be asked at all.
    pub asked: bool,
}

impl Report {
    /// The exit status: 0 all is well, 1 something is not, 2 OpenSearch could
    /// not be asked.
    #[must_use]
    pub fn status(&self) -> u8 {
        let worst = self.findings.iter().map(|finding| finding.state).max();
        match worst {
            _ if !self.asked => 2,
            Some(State::Warn | State::Fail) => 1,
            _ => 0,
        }
    }

    fn count(&self, state: State) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.state == state)
            .count()
    }

    /// A line for each finding, and one for what to do.
    ///
    /// # Errors
    /// The output's.
    pub fn write(&self, palette: &Palette, out: &mut impl Write) -> io::Result<()> {
        let width = self
            .findings
            .iter()
            .map(|finding| finding.what.chars().count())
            .max()
            .unwrap_or(0);
        for finding in &self.findings {
            let style = palette.level(match finding.state {
                State::Ok => Some(schema::level::INFO),
                State::Skip => Some(schema::level::DEBUG),
                State::Warn => Some(schema::level::WARN),
                State::Fail => Some(schema::level::ERROR),
            });
            let what = terminal::escaped(&finding.what);
            let detail = terminal::escaped(&finding.detail);
            let state = finding.state.name();
            writeln!(out, "{style}{state:<4}{style:#}  {what:<width$}  {detail}")?;
            if let Some(remedy) = &finding.remedy {
                writeln!(out, "{:width$}        → {}", "", terminal::escaped(remedy))?;
            }
        }
        let counts = [
            (State::Ok, "ok"),
            (State::Warn, "to be looked at"),
            (State::Fail, "broken"),
            (State::Skip, "not checked"),
        ];
        let counts = counts
            .into_iter()
            .map(|(state, name)| (self.count(state), name))
            .filter(|(count, _)| *count > 0)
            .map(|(count, name)| format!("{count} {name}"));
        writeln!(out, "{}", counts.collect::<Vec<_>>().join(", "))
    }

    /// The same for programs.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "status": self.status(),
            "checks": self.findings.iter().map(Finding::json).collect::<Vec<_>>(),
        })
    }
}
