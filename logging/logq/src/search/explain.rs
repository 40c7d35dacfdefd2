//! `--explain`: shows the query.

use std::io::Write;

use super::{RunReport, SearchError};
use crate::{
    cli::Search,
    query::{Query, ResolvedContext, related::MARGIN},
    source::Source,
    summary::Summary,
};

/// Prints the query in words, and as the source receives it.
///
/// # Errors
/// [`SearchError`]. Resolving the context needs the source.
pub fn explain(
    search: &Search,
    query: &Query,
    source: Option<&Source>,
    out: &mut impl Write,
) -> Result<RunReport, SearchError> {
    let context = match source {
        Some(source) if query.needs_context() => source.resolve(query)?,
        _ => ResolvedContext::default(),
    };
    let filter = query.filter(&context);
    writeln!(
        out,
        "lines that match: {}",
        terminal::escaped(&filter.to_string())
    )?;
    if let Some(source) = source {
        source.explain(&filter, out)?;
        if Summary::from_options(search)?.is_some_and(|summary| source.can_count(&filter, &summary)) {
            writeln!(out, "OpenSearch counts these lines; logq reads none.")?;
        }
    } else {
        let files = search.files.iter().map(|file| file.display().to_string());
        let files = files.collect::<Vec<_>>().join(", ");
        writeln!(out, "files: {}", terminal::escaped(&files))?;
        if query.needs_context() {
            writeln!(
                out,
                "logq first reads the files for dependencies and for the traces of a photo."
            )?;
        }
    }
    if query.related_option().is_some() {
        writeln!(
            out,
            "Then logq searches related lines of the broker: about the connections of these pods, from {} s \
             before the first line of a trace to {0} s after its last.",
            MARGIN.as_secs()
        )?;
    }
    out.flush()?;
    Ok(RunReport::success())
}
