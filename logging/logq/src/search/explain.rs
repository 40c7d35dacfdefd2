//! `--explain`: what would be asked.

use std::io::Write;

use super::{Outcome, SearchError};
use crate::{
    cli::Search,
    plan::{Known, Wanted},
    source::Source,
};

/// Says what would be asked: in words, and as the source is asked.
///
/// # Errors
/// [`SearchError`]: what belongs together is found out before.
pub fn explain(
    search: &Search,
    wanted: &Wanted,
    source: Option<&Source>,
    out: &mut impl Write,
) -> Result<Outcome, SearchError> {
    let known = match source {
        Some(source) if wanted.depends() => source.known(wanted)?,
        _ => Known::default(),
    };
    let filter = wanted.filter(&known);
    writeln!(
        out,
        "lines that match: {}",
        terminal::escaped(&filter.to_string())
    )?;
    if let Some(source) = source {
        source.explain(&filter, out)?;
    } else {
        let files = search.files.iter().map(|file| file.display().to_string());
        let files = files.collect::<Vec<_>>().join(", ");
        writeln!(out, "looked for in: {}", terminal::escaped(&files))?;
        if wanted.depends() {
            writeln!(
                out,
                "What is used, and the traces of a photo, are read from the files first."
            )?;
        }
    }
    out.flush()?;
    Ok(Outcome::something())
}
