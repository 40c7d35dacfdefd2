//! Reports findings, to people and to the log.

use std::io::Write;

use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use terminal::escaped;

use super::SweepFinding;

pub(super) fn print_json(findings: &[SweepFinding], out: &mut impl Write) -> anyhow::Result<()> {
    for finding in findings {
        writeln!(out, "{}", escaped(&serde_json::to_string(finding)?))?;
    }
    Ok(())
}

/// Logs each finding that was not deleted. Deletions are logged when they happen.
pub(super) fn log(findings: &[SweepFinding]) {
    for finding in findings.iter().filter(|finding| !finding.deleted) {
        tracing::info!(
            object.location = finding.location,
            kind = finding.kind.into_str(),
            "found, and not deleted"
        );
    }
    let deleted = findings.iter().filter(|finding| finding.deleted).count();
    tracing::info!(count = deleted, "sweep finished");
}

/// `refusal` is the reason why `--delete` would delete nothing.
pub(super) fn print_table(
    findings: &[SweepFinding],
    delete: bool,
    refusal: Option<&anyhow::Error>,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    if findings.is_empty() {
        writeln!(out, "Nothing found.")?;
    } else {
        writeln!(out, "{}", table(findings))?;
    }
    if delete {
        return Ok(());
    }
    let deletable = findings.iter().filter(|f| f.kind.is_deletable()).count();
    match refusal {
        Some(refusal) => writeln!(
            out,
            "Nothing was deleted, and --delete would delete nothing: {}",
            escaped(&format!("{refusal:#}"))
        )?,
        None if deletable > 0 => writeln!(
            out,
            "Nothing was deleted; --delete deletes {deletable} of {}.",
            findings.len()
        )?,
        None => {}
    }
    Ok(())
}

fn table(findings: &[SweepFinding]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header(["found", "where", "since", "bytes", "deleted"]);
    for finding in findings {
        table.add_row([
            finding.kind.title().to_owned(),
            escaped(&finding.location),
            finding.since.format("%Y-%m-%d %H:%M:%SZ").to_string(),
            finding.size_bytes.map(|n| n.to_string()).unwrap_or_default(),
            if finding.deleted { "yes" } else { "no" }.to_owned(),
        ]);
    }
    table
}
