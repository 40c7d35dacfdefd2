//! Checks OpenSearch: health, disks, clock and identity.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::{finding::Finding, format::format_seconds};
use crate::{
    admin::{self, Size},
    opensearch::{Client, Error, OpenSearchSettings, Result},
};

/// Maximum difference between two clocks that counts as equal.
pub const CLOCK_TOLERANCE_SECONDS: f64 = 2.0;

const HEALTH: &str = "cluster";
const DISKS: &str = "disks";
const CLOCK: &str = "clock of OpenSearch";
const IDENTITY: &str = "identity";

pub async fn health(client: &Client) -> Result<Finding> {
    let answer = client.get("report its health", "/_cluster/health", &[]).await?;
    Ok(judge_health(&answer))
}

fn judge_health(answer: &Value) -> Finding {
    let number = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or(0);
    let status = answer.get("status").and_then(Value::as_str).unwrap_or("unknown");
    let nodes = number("number_of_nodes");
    let node_count = if nodes == 1 {
        "1 node".to_owned()
    } else {
        format!("{nodes} nodes")
    };
    let unassigned = number("unassigned_shards");
    match status {
        "green" => Finding::ok(HEALTH, format!("green, {node_count}")),
        "yellow" if nodes == 1 => Finding::warn(
            HEALTH,
            format!("yellow, {node_count}: {unassigned} replicas are not assigned"),
            "Irmgard's streams need no replica on a single node: GET _cat/indices?health=yellow lists the \
             indices with replicas",
        ),
        "yellow" => Finding::warn(
            HEALTH,
            format!("yellow, {node_count}: {unassigned} replicas are missing"),
            "a node is down or just restarted: GET _cluster/allocation/explain shows the reason",
        ),
        status => Finding::fail(
            HEALTH,
            format!(
                "{status}, {node_count}: {unassigned} shards are missing, so lines cannot be stored or found"
            ),
            "restart the node that has them: GET _cluster/allocation/explain shows which",
        ),
    }
}

/// OpenSearch's disk watermarks, as used fractions of the disk.
#[derive(Clone, Copy, Debug)]
struct DiskWatermarks {
    /// OpenSearch moves shards away.
    high: f64,
    /// OpenSearch rejects writes.
    flood: f64,
    /// Whether OpenSearch enforces them. If not, only a full disk is reported.
    is_enforced: bool,
}

const DEFAULT_WATERMARKS: DiskWatermarks = DiskWatermarks {
    high: 0.90,
    flood: 0.95,
    is_enforced: true,
};

/// Below this, a disk counts as full.
const MIN_FREE_BYTES: u64 = 1 << 30;

pub async fn disks(client: &Client) -> Result<Finding> {
    let watermarks = match watermarks(client).await {
        Ok(watermarks) => watermarks,
        // Without the permission to read them, use the defaults.
        Err(Error::Forbidden { .. }) => DEFAULT_WATERMARKS,
        Err(error) => return Err(error),
    };
    let query = [("filter_path", "nodes.*.name,nodes.*.fs.total")];
    let answer = client
        .get("report the use of its disks", "/_nodes/stats/fs", &query)
        .await?;
    Ok(judge_disks(&answer, watermarks))
}

async fn watermarks(client: &Client) -> Result<DiskWatermarks> {
    let query = [
        ("include_defaults", "true"),
        ("flat_settings", "true"),
        // The dots of a flat name do not separate path elements.
        ("filter_path", "*.*routing*allocation*disk*"),
    ];
    let answer = client
        .get("report its disk watermarks", "/_cluster/settings", &query)
        .await?;
    Ok(read_watermarks(&answer))
}

fn read_watermarks(answer: &Value) -> DiskWatermarks {
    let text = |name: &str| {
        let name = format!("cluster.routing.allocation.disk.{name}");
        ["transient", "persistent", "defaults"]
            .into_iter()
            .find_map(|kind| answer.get(kind)?.get(&name)?.as_str())
    };
    let share = |name: &str, default: f64| {
        // A watermark in bytes is ignored here.
        text(name)
            .and_then(|text| text.strip_suffix('%')?.parse::<f64>().ok())
            .map_or(default, |percent| percent / 100.0)
    };
    DiskWatermarks {
        high: share("watermark.high", DEFAULT_WATERMARKS.high),
        flood: share("watermark.flood_stage", DEFAULT_WATERMARKS.flood),
        is_enforced: text("threshold_enabled") != Some("false"),
    }
}

fn judge_disks(answer: &Value, watermarks: DiskWatermarks) -> Finding {
    let nodes = answer.get("nodes").and_then(Value::as_object);
    let fullest = nodes
        .into_iter()
        .flat_map(|nodes| nodes.values())
        .filter_map(|node| {
            let number = |path: &str| node.pointer(path).and_then(Value::as_u64);
            let total = number("/fs/total/total_in_bytes").filter(|total| *total > 0)?;
            let free = number("/fs/total/available_in_bytes")?;
            let name = node.get("name").and_then(Value::as_str).unwrap_or("?");
            Some((1.0 - free as f64 / total as f64, name, Size(free)))
        })
        .max_by(|one, other| one.0.total_cmp(&other.0));
    let Some((used, name, free)) = fullest else {
        return Finding::warn(
            DISKS,
            "OpenSearch reports no disks",
            "check the disks on the machines",
        );
    };
    let detail = format!("{:.0} % used on {name}, {free} free", used * 100.0);
    let remedy = "keep lines for a shorter time (logq admin retain --keep …), or add disk space";
    if watermarks.is_enforced && used >= watermarks.flood {
        let flood = watermarks.flood * 100.0;
        let detail = format!("{detail}: OpenSearch rejects new lines (flood stage {flood:.0} %)");
        Finding::fail(DISKS, detail, remedy)
    } else if watermarks.is_enforced && used >= watermarks.high {
        let high = watermarks.high * 100.0;
        let detail = format!("{detail}: OpenSearch moves shards away (high watermark {high:.0} %)");
        Finding::warn(DISKS, detail, remedy)
    } else if free.0 < MIN_FREE_BYTES {
        Finding::warn(DISKS, detail, remedy)
    } else if !watermarks.is_enforced {
        Finding::ok(
            DISKS,
            format!("{detail}; OpenSearch's disk thresholds are disabled"),
        )
    } else {
        Finding::ok(DISKS, detail)
    }
}

/// OpenSearch's time in seconds since 1970, and a finding about the clock difference.
pub async fn clock(client: &Client) -> std::result::Result<(f64, Finding), admin::Error> {
    let before = local_time();
    let server_time = admin::server_time(client).await? as f64 / 1_000.0;
    let after = local_time();
    // OpenSearch read its clock between the two local times.
    let ahead = if server_time < before {
        before - server_time
    } else {
        (after - server_time).min(0.0)
    };
    Ok((server_time, judge_clock(ahead)))
}

/// Local time in seconds since 1970.
pub fn local_time() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs_f64()
}

fn judge_clock(ahead: f64) -> Finding {
    if ahead.abs() < CLOCK_TOLERANCE_SECONDS {
        return Finding::ok(
            CLOCK,
            format!(
                "equal to this machine's within {}",
                format_seconds(CLOCK_TOLERANCE_SECONDS)
            ),
        );
    }
    let direction = if ahead > 0.0 { "behind" } else { "ahead of" };
    Finding::warn(
        CLOCK,
        format!("{} {direction} this machine's", format_seconds(ahead.abs())),
        "--since 5m uses this machine's clock: synchronize both with NTP",
    )
}

/// The user and its permissions.
pub async fn identity(client: &Client, settings: &OpenSearchSettings) -> Result<Finding> {
    let what = "report the user";
    let path = "/_plugins/_security/authinfo";
    match client.get(what, path, &[]).await {
        Ok(answer) => Ok(judge_identity(&answer)),
        // Without the plugin, this path does not exist.
        Err(error) if matches!(error.rejection_status(), Some(400 | 404)) => {
            Ok(judge_without_security(settings))
        }
        Err(error) => Err(error),
    }
}

fn judge_without_security(settings: &OpenSearchSettings) -> Finding {
    let detail = "OpenSearch runs without its security plugin: every client has all rights";
    if settings.is_local() {
        Finding::ok(IDENTITY, format!("{detail}; it runs on this machine"))
    } else if settings.service().is_some() {
        Finding::ok(
            IDENTITY,
            format!("{detail}; the cluster's network policies limit the clients"),
        )
    } else {
        Finding::warn(
            IDENTITY,
            detail,
            "enable the plugin, then create the roles with logq admin bootstrap --roles",
        )
    }
}

fn judge_identity(answer: &Value) -> Finding {
    let user = answer.get("user_name").and_then(Value::as_str).unwrap_or("?");
    let roles: Vec<&str> = answer
        .get("roles")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let detail = format!("{user}, with the roles {}", roles.join(", "));
    if roles.contains(&"all_access") {
        return Finding::warn(
            IDENTITY,
            detail,
            "logq only reads: use the role irmgard-logq (logq admin bootstrap --roles)",
        );
    }
    Finding::ok(IDENTITY, detail)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::finding::CheckStatus;

    #[test]
    fn health_depends_on_color_and_nodes() {
        for (status, nodes, state, detail) in [
            ("green", 3, CheckStatus::Ok, "green, 3 nodes"),
            ("yellow", 1, CheckStatus::Warn, "yellow, 1 node: 2 replicas"),
            (
                "yellow",
                3,
                CheckStatus::Warn,
                "yellow, 3 nodes: 2 replicas are missing",
            ),
            ("red", 3, CheckStatus::Fail, "red, 3 nodes: 2 shards are missing"),
        ] {
            let answer = json!({ "status": status, "number_of_nodes": nodes, "unassigned_shards": 2 });
            let found = judge_health(&answer);
            assert!(
                found.status == state && found.detail.starts_with(detail),
                "{found:?}"
            );
        }
    }

    #[test]
    fn fullest_disk_is_judged() {
        let disk = |name: &str, free: u64| json!({ "name": name, "fs": { "total": { "total_in_bytes": 100_u64 << 30, "available_in_bytes": free << 30 } } });
        for (free, state, detail) in [
            (50, CheckStatus::Ok, "50 % used on b, 50gb free"),
            (
                9,
                CheckStatus::Warn,
                "91 % used on b, 9gb free: OpenSearch moves shards away",
            ),
            (
                5,
                CheckStatus::Fail,
                "95 % used on b, 5gb free: OpenSearch rejects new lines",
            ),
        ] {
            let answer = json!({ "nodes": { "1": disk("a", 60), "2": disk("b", free) } });
            let found = judge_disks(&answer, DEFAULT_WATERMARKS);
            assert!(
                found.status == state && found.detail.starts_with(detail),
                "{found:?}"
            );
        }
        assert_eq!(
            judge_disks(&json!({}), DEFAULT_WATERMARKS).status,
            CheckStatus::Warn
        );
        let full = json!({ "nodes": { "1": disk("a", 3) } });
        let unwatched = DiskWatermarks {
            is_enforced: false,
            ..DEFAULT_WATERMARKS
        };
        assert_eq!(judge_disks(&full, unwatched).status, CheckStatus::Ok);
        let fuller = json!({ "nodes": { "1": disk("a", 0) } });
        assert_eq!(judge_disks(&fuller, unwatched).status, CheckStatus::Warn);
    }

    #[test]
    fn disk_watermarks_are_read() {
        let watermarks = read_watermarks(&json!({
            "defaults": {
                "cluster.routing.allocation.disk.watermark.high": "90%",
                "cluster.routing.allocation.disk.threshold_enabled": "true",
            },
            "persistent": { "cluster.routing.allocation.disk.watermark.flood_stage": "10gb" },
            "transient": { "cluster.routing.allocation.disk.watermark.high": "80%" },
        }));
        assert!(
            (watermarks.high - 0.8).abs() < 1e-9
                && (watermarks.flood - DEFAULT_WATERMARKS.flood).abs() < 1e-9
                && watermarks.is_enforced
        );
    }

    #[test]
    fn small_clock_differences_are_ignored() {
        assert_eq!(judge_clock(-1.9).status, CheckStatus::Ok);
        assert_eq!(judge_clock(30.0).detail, "30 s behind this machine's");
        assert_eq!(judge_clock(-90.0).detail, "1 m 30 s ahead of this machine's");
    }

    #[test]
    fn excess_permissions_are_reported() {
        let judge = |roles: &[&str]| judge_identity(&json!({ "user_name": "u", "roles": roles }));
        assert_eq!(
            judge(&["irmgard-logq"]),
            Finding::ok(IDENTITY, "u, with the roles irmgard-logq")
        );
        assert_eq!(judge(&["own_index", "all_access"]).status, CheckStatus::Warn);
        for (url, state) in [
            ("http://localhost:9200", CheckStatus::Ok),
            ("http://logs.example:9200", CheckStatus::Warn),
            ("kubernetes://irmgard/opensearch", CheckStatus::Ok),
        ] {
            let settings =
                OpenSearchSettings::read(&|name| (name == "LOGQ_OPENSEARCH_URL").then(|| url.to_owned()));
            assert_eq!(judge_without_security(&settings.unwrap()).status, state, "{url}");
        }
    }
}
