//! Dashboards, and the saved searches that they show.

use serde_json::{Value, json};

use crate::{
    INDEX, json_string, lucene,
    pattern::check_field,
    reference,
    source::{Dashboard, DashboardSource, DashboardSourceError, IndexPattern, SavedSearch},
};

/// The release whose panel format is used. Newer releases read it.
const VERSION: &str = "3.0.0";

pub(crate) fn object(dashboard: &Dashboard, source: &DashboardSource) -> Result<Value, DashboardSourceError> {
    let mut panels = Vec::new();
    let mut references = Vec::new();
    for (number, panel) in dashboard.panels.iter().enumerate() {
        let kind = if source.searches.iter().any(|search| search.id == panel.object) {
            "search"
        } else if source.charts.iter().any(|chart| chart.id == panel.object) {
            "visualization"
        } else {
            return Err(DashboardSourceError::UnknownObject {
                id: dashboard.id.clone(),
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
    let milliseconds = dashboard.refresh_seconds.unwrap_or(0) * 1000;
    Ok(json!({
        "id": dashboard.id,
        "type": "dashboard",
        "attributes": {
            "title": dashboard.title,
            "description": dashboard.description,
            "hits": 0,
            "panelsJSON": json_string(&panels.into()),
            "optionsJSON": json_string(&json!({ "hidePanelTitles": false, "useMargins": true })),
            "version": 1,
            "timeRestore": true,
            "timeFrom": dashboard.from,
            "timeTo": "now",
            "refreshInterval": { "pause": milliseconds == 0, "value": milliseconds },
            "kibanaSavedObjectMeta": {
                "searchSourceJSON": json_string(&json!({ "query": lucene(""), "filter": [] })),
            },
        },
        "references": references,
        "migrationVersion": { "dashboard": "7.9.3" },
    }))
}

pub(crate) fn search_object(
    search: &SavedSearch,
    pattern: &IndexPattern,
) -> Result<Value, DashboardSourceError> {
    let location = format!("search {}", search.id);
    for column in &search.columns {
        check_field(&location, column, false)?;
    }
    check_field(&location, &search.sort.by, true)?;
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
            "kibanaSavedObjectMeta": { "searchSourceJSON": json_string(&json!({
                "highlightAll": true, "version": true, "query": lucene(&search.query), "filter": [],
                "indexRefName": INDEX,
            })) },
        },
        "references": [reference(INDEX, "index-pattern", &pattern.id)],
        "migrationVersion": { "search": "7.9.3" },
    }))
}
