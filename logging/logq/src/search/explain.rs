//! `--explain`: what would be asked.

use std::io::Write;

use super::{Outcome, SearchError};
use crate::{
    cli::Search,
    filter::push,
    plan::{Known, Wanted},
    source::opensearch::{Order, Store, page, streams},
};

/// Says what would be asked: in words, and of OpenSearch as its query.
///
/// # Errors
/// [`SearchError`]: what belongs together is found out before.
pub fn explain(
    search: &Search,
    wanted: &Wanted,
    store: Option<&Store>,
    out: &mut impl Write,
) -> Result<Outcome, SearchError> {
    let known = match store {
        Some(store) if wanted.depends() => store.known(wanted)?,
        _ => Known::default(),
    };
    let filter = wanted.filter(&known);
    writeln!(
        out,
        "lines that match: {}",
        terminal::escaped(&filter.to_string())
    )?;
    if let Some(store) = store {
        writeln!(
            out,
            "asked of {}: POST /_search, a point in time of {}",
            store.url(),
            streams()
        )?;
        let query = serde_json::to_string_pretty(&page(&filter, Order::Forward)).unwrap_or_default();
        let query: Vec<String> = query.lines().map(terminal::escaped).collect();
        writeln!(out, "{}", query.join("\n"))?;
        if !push(&filter).exact {
            writeln!(out, "The rest is tested here, line by line.")?;
        }
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
