//! `--explain`: shows the query.

use std::io::Write;

use super::{RunReport, SearchError, SearchOptions};
use crate::{
    query::{MARGIN, Query, ResolvedContext},
    source::LineSource,
};

/// Prints the query in words, and as the source receives it.
///
/// # Errors
/// [`SearchError`]. Resolving the context needs the source.
pub fn explain(
    search: &SearchOptions,
    query: &Query,
    source: &dyn LineSource,
    out: &mut impl Write,
) -> Result<RunReport, SearchError> {
    let reads_files = !search.files.is_empty();
    let context = if query.needs_context() && !reads_files {
        source.resolve(query)?
    } else {
        ResolvedContext::default()
    };
    let filter = query.filter(&context);
    writeln!(
        out,
        "lines that match: {}",
        terminal::escaped(&filter.to_string())
    )?;
    source.explain(&filter, out)?;
    if search
        .summary()?
        .is_some_and(|summary| source.can_count(&filter, &summary))
    {
        writeln!(out, "OpenSearch counts these lines; logq reads none.")?;
    }
    if query.needs_context() && reads_files {
        writeln!(
            out,
            "logq first reads the files for dependencies and for the traces of a photo."
        )?;
    }
    if query.broker_option().is_some() {
        writeln!(
            out,
            "logq adds all lines of the broker from {} s before the first line of a trace to {0} s after its \
             last.",
            MARGIN.as_secs()
        )?;
    }
    out.flush()?;
    Ok(RunReport::success())
}
