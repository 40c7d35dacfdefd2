//! Saved searches.

use serde_json::{Value, json};

use crate::{
    INDEX, lucene,
    pattern::checked,
    reference,
    source::{Pattern, Search, SourceError},
    text_of,
};

pub(crate) fn object(search: &Search, pattern: &Pattern) -> Result<Value, SourceError> {
    let of = format!("search {}", search.id);
    for column in &search.columns {
        checked(&of, column, false)?;
    }
    checked(&of, &search.sort.by, true)?;
    Ok(json!({
        "id": search.id,
        "type": "search",
        "attributes": {
            "title": search.title,
            "description": search.description,
            "hits": 0,
            "columns": search.columns,
            "sort": [[search.sort.by, search.sort.order.name()]],
            "version": 1,
            "kibanaSavedObjectMeta": { "searchSourceJSON": text_of(&json!({
                "highlightAll": true, "version": true, "query": lucene(&search.query), "filter": [],
                "indexRefName": INDEX,
            })) },
        },
        "references": [reference(INDEX, "index-pattern", &pattern.id)],
        "migrationVersion": { "search": "7.9.3" },
    }))
}
