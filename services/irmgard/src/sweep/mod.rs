//! `irmgard sweep`: objects that belong to no photo, and uploads that never
//! ended.
//!
//! An upload stores the object first and writes the rows afterwards; where
//! the outcome of the commit is unknown the object stays. What is then left
//! over is found here. Only keys of our own form are ever deleted.

mod find;
mod listing;

use std::{io::Write, time::Duration};

use anyhow::bail;
use chassis::store::Store;
use chrono::{DateTime, Utc};
use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use serde::Serialize;
use terminal::escaped;

pub use self::find::Sweep;
use crate::{cli::SweepArguments, database::Database, settings::ToolSettings};

/// Deleting what is younger could hit an upload that is just being made.
const YOUNGEST_TO_DELETE: Duration = Duration::from_secs(3600);

/// Why something was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An original whose photo has no row, or a row that names another object.
    NoPhoto,
    /// The original of a photo that is anonymised, whose output exists.
    OriginalOfAnonymized,
    /// A multipart upload that was neither completed nor aborted.
    UnfinishedUpload,
    /// An object in the output bucket that no photo names. Never deleted.
    UnknownOutput,
    /// An object with a key that is not ours. Never deleted.
    ForeignKey,
}

impl Kind {
    const fn is_deletable(self) -> bool {
        match self {
            Self::NoPhoto | Self::OriginalOfAnonymized | Self::UnfinishedUpload => true,
            Self::UnknownOutput | Self::ForeignKey => false,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::NoPhoto => "no photo",
            Self::OriginalOfAnonymized => "original of an anonymised photo",
            Self::UnfinishedUpload => "unfinished upload",
            Self::UnknownOutput => "output without a photo (kept)",
            Self::ForeignKey => "not a key of ours (kept)",
        }
    }
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Why.
    pub kind: Kind,
    /// Where.
    pub location: String,
    /// Since when it is there.
    pub since: DateTime<Utc>,
    /// Its size; unknown for an unfinished upload.
    pub size_bytes: Option<i64>,
    /// Whether it was deleted just now.
    pub deleted: bool,
    #[serde(skip)]
    upload_id: Option<String>,
}

/// Runs the command; the findings go to `out`.
///
/// # Errors
/// When a server is away or refuses, or the arguments are too bold.
pub async fn run(
    settings: &ToolSettings,
    arguments: &SweepArguments,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    if arguments.delete && arguments.older_than < YOUNGEST_TO_DELETE {
        bail!("--older-than must be at least 1h with --delete: an upload may be just on its way");
    }
    let database = Database::connect_lazily(&settings.database);
    database.check_schema().await?;
    let store = Store::new(settings.store.clone())?;
    let before = Utc::now() - chrono::Duration::from_std(arguments.older_than)?;
    let sweep = Sweep::new(&store, database.background(), before);
    let mut findings = sweep.find().await?;
    let deleted = if arguments.delete {
        sweep.delete(&mut findings).await
    } else {
        Ok(())
    };
    // What was deleted before something went wrong is told as well.
    if arguments.json {
        for finding in &findings {
            writeln!(out, "{}", escaped(&serde_json::to_string(finding)?))?;
        }
    } else {
        print(&findings, arguments.delete, out)?;
    }
    deleted
}

fn print(findings: &[Finding], delete: bool, out: &mut impl Write) -> anyhow::Result<()> {
    if findings.is_empty() {
        writeln!(out, "Nothing found.")?;
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header(["found", "where", "since", "bytes", "deleted"]);
    for finding in findings {
        table.add_row([
            finding.kind.name().to_owned(),
            escaped(&finding.location),
            finding.since.format("%Y-%m-%d %H:%M:%SZ").to_string(),
            finding.size_bytes.map(|n| n.to_string()).unwrap_or_default(),
            if finding.deleted { "yes" } else { "no" }.to_owned(),
        ]);
    }
    writeln!(out, "{table}")?;
    let deletable = findings.iter().filter(|f| f.kind.is_deletable()).count();
    if !delete && deletable > 0 {
        writeln!(
            out,
            "Nothing was deleted; --delete deletes {deletable} of {}.",
            findings.len()
        )?;
    }
    Ok(())
}
