//! Monitors of OpenSearch's Alerting plugin: one for each rule.

use schema::{field, stream};
use serde_json::{Value, json};

use crate::source::{Alert, Trigger};

/// The id of the channel in OpenSearch's Notifications plugin. The installation creates it.
const CHANNEL: &str = "irmgard-operators";
/// How long the same alert is not repeated, in minutes.
const THROTTLE_MINUTES: u64 = 60;
/// The plugin replaces this with the time of the check, in milliseconds since 1970.
const NOW: &str = "{{period_end}}";

/// Lines that arrived in the last minutes before the check.
fn arrived(minutes: u64) -> Value {
    json!({ "range": { field::EVENT_INGESTED: {
        "gte": format!("{NOW}||-{minutes}m"), "lte": NOW, "format": "epoch_millis",
    } } })
}

fn matching(query: &str) -> Value {
    json!({ "query_string": { "query": query, "analyze_wildcard": true } })
}

/// The search request, and the Painless condition under which its response is an alert.
fn search_and_condition(trigger: &Trigger) -> (Value, String) {
    match trigger {
        Trigger::Lines {
            query,
            minutes,
            more_than,
        } => {
            let search = json!({
                "size": 0, "track_total_hits": true,
                "query": { "bool": { "filter": [arrived(*minutes), matching(query)] } },
            });
            (search, format!("ctx.results[0].hits.total.value > {more_than}L"))
        }
        Trigger::Silence {
            field,
            query,
            known_minutes,
            quiet_minutes,
        } => {
            let search = json!({
                "size": 0,
                "query": { "bool": { "filter": [arrived(*known_minutes), matching(query)] } },
                "aggregations": { "silent": {
                    "terms": { "field": field, "size": 100 },
                    "aggregations": {
                        "recent": { "filter": arrived(*quiet_minutes) },
                        "only_silent": { "bucket_selector": {
                            "buckets_path": { "recent": "recent._count" },
                            "script": { "source": "params.recent == 0", "lang": "painless" },
                        } },
                    },
                } },
            });
            let fires = "ctx.results[0].aggregations.silent.buckets.size() > 0";
            (search, fires.to_owned())
        }
    }
}

/// The monitor for `POST _plugins/_alerting/monitors`.
#[must_use]
pub fn monitor(alert: &Alert) -> Value {
    let (search, fires) = search_and_condition(&alert.trigger);
    let runbook = format!("docs/runbooks/{}.md", alert.id);
    json!({
        "type": "monitor",
        "monitor_type": "query_level_monitor",
        "name": format!("irmgard-{}", alert.id),
        "enabled": true,
        "schedule": { "period": { "interval": alert.every_minutes, "unit": "MINUTES" } },
        "inputs": [{ "search": { "indices": [format!("{}*", stream::PREFIX)], "query": search } }],
        "triggers": [{ "query_level_trigger": {
            "name": alert.title,
            "severity": alert.severity.to_string(),
            "condition": { "script": { "source": fires, "lang": "painless" } },
            "actions": [{
                "name": "tell",
                "destination_id": CHANNEL,
                "subject_template": { "source": format!("Irmgard: {}", alert.title), "lang": "mustache" },
                "message_template": {
                    "source": format!("{}\nWhat to do: {runbook}", alert.message), "lang": "mustache",
                },
                "throttle_enabled": true,
                "throttle": { "value": THROTTLE_MINUTES, "unit": "MINUTES" },
            }],
        } }],
    })
}
