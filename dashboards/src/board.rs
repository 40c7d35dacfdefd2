//! Dashboards.

use serde_json::{Value, json};

use crate::{
    lucene, reference,
    source::{Dashboard, Source, SourceError},
    text_of,
};

/// The release whose form the panels have; a newer one reads it.
const VERSION: &str = "3.0.0";

pub(crate) fn object(board: &Dashboard, source: &Source) -> Result<Value, SourceError> {
    let mut panels = Vec::new();
    let mut references = Vec::new();
    for (number, panel) in board.panels.iter().enumerate() {
        let kind = if source.searches.iter().any(|search| search.id == panel.object) {
            "search"
        } else if source.charts.iter().any(|chart| chart.id == panel.object) {
            "visualization"
        } else {
            return Err(SourceError::UnknownObject {
                id: board.id.clone(),
                object: panel.object.clone(),
            });
        };
        let (name, index) = (format!("panel_{number}"), (number + 1).to_string());
        panels.push(json!({
            "version": VERSION, "panelIndex": index, "panelRefName": name, "embeddableConfig": {},
            "gridData": {
                "x": panel.at[0], "y": panel.at[1], "w": panel.size[0], "h": panel.size[1], "i": index,
            },
        }));
        references.push(reference(&name, kind, &panel.object));
    }
    let milliseconds = board.refresh_seconds.unwrap_or(0) * 1000;
    Ok(json!({
        "id": board.id,
        "type": "dashboard",
        "attributes": {
            "title": board.title,
            "description": board.description,
            "hits": 0,
            "panelsJSON": text_of(&panels.into()),
            "optionsJSON": text_of(&json!({ "hidePanelTitles": false, "useMargins": true })),
            "version": 1,
            "timeRestore": true,
            "timeFrom": board.from,
            "timeTo": "now",
            "refreshInterval": { "pause": milliseconds == 0, "value": milliseconds },
            "kibanaSavedObjectMeta": {
                "searchSourceJSON": text_of(&json!({ "query": lucene(""), "filter": [] })),
            },
        },
        "references": references,
        "migrationVersion": { "dashboard": "7.9.3" },
    }))
}
