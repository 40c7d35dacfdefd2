//! Compares the lines of pods or files with OpenSearch, by id.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    path::PathBuf,
    time::Duration,
};

use log_normalizer::{Document, Time};
use schema::{component, field, tag};
use serde_json::{Value, json};

use super::arrival::{ComponentKey, MissingLines, TOO_LATE_SECONDS, WrittenStats};
use crate::{
    entry::Entry,
    filter::{Comparison, Filter, Literal},
    kubernetes::ClusterOptions,
    opensearch::{Client, Method, Result},
    source::{
        files::{self, FileError},
        opensearch::streams,
        pods::{self, PodScope, PodsSource},
    },
};

/// Maximum age of compared lines, unless retention is shorter.
const MAX_AGE: Duration = Duration::from_secs(86_400);

/// Maximum number of compared lines per pod, the newest.
const MAX_LINES_PER_POD: usize = 20_000;

/// Ids per request. OpenSearch returns at most 10,000 documents, and a rollover can duplicate a line.
const MAX_IDS: usize = 5_000;

/// Limit for reading pods.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct WrittenLine {
    time: f64,
    id: String,
}

#[derive(Debug, Default)]
struct PodLines {
    /// When its newest line was written, seconds since 1970.
    newest: Option<f64>,
    lines: VecDeque<WrittenLine>,
    /// Number of plain text lines. Their ids depend on how they are read.
    texts: u64,
}

/// The lines of pods or files.
#[derive(Debug, Default)]
pub struct WrittenLines {
    by_pod: BTreeMap<(ComponentKey, String), PodLines>,
    /// Why lines of a component are unreadable.
    unreadable: BTreeMap<ComponentKey, String>,
}

#[derive(Clone, Copy, Debug)]
pub struct CompareWindow {
    now: f64,
    keep: Duration,
}

impl CompareWindow {
    /// `now`: seconds since 1970 by OpenSearch's clock. `keep`: the retention time.
    pub const fn new(now: f64, keep: Duration) -> Self {
        Self { now, keep }
    }

    /// The lines of our components. Fluentd does not ship its own.
    fn filter(self) -> Filter {
        let is = |name: &str| Filter::Equals(field::COMPONENT.to_owned(), Literal::new(name));
        let names = component::ALL
            .into_iter()
            .filter(|name| *name != component::FLUENTD);
        let mut all = vec![Filter::Any(names.map(is).collect())];
        let since = self.now - MAX_AGE.min(self.keep).as_secs_f64();
        if let Some(since) = Time::from_seconds(since) {
            let since = Literal::new(&since.to_string());
            all.push(Filter::Compare(
                field::TIMESTAMP.to_owned(),
                Comparison::AtLeast,
                since,
            ));
        }
        Filter::All(all)
    }
}

impl WrittenLines {
    /// Reads the pods of a cluster.
    pub fn from_pods(
        cluster: ClusterOptions,
        window: CompareWindow,
    ) -> std::result::Result<Self, pods::Error> {
        let pods = PodsSource::new(cluster, PodScope::default())?;
        let read = pods.read_by_container(
            &window.filter(),
            MAX_LINES_PER_POD,
            READ_TIMEOUT,
            |container, entries| {
                let mut lines = Self::default();
                for entry in entries {
                    match entry {
                        Ok(entry) => lines.add(&entry, window.now),
                        Err(error) if error.is_deleted_lines() => {}
                        Err(error) => {
                            lines
                                .unreadable
                                .insert(component_key(&container.pod_fields), error.to_string());
                        }
                    }
                }
                lines
            },
        );
        Ok(read.into_iter().fold(Self::default(), Self::merge))
    }

    /// Reads files; also returns unreadable files.
    pub fn from_files(
        paths: &[PathBuf],
        window: CompareWindow,
    ) -> std::result::Result<(Self, Vec<FileError>), FileError> {
        let mut lines = Self::default();
        let mut errors = Vec::new();
        for entry in files::open(paths, &window.filter())? {
            match entry {
                Ok(entry) => lines.add(&entry, window.now),
                Err(error) => errors.push(error),
            }
        }
        Ok((lines, errors))
    }

    fn merge(mut self, other: Self) -> Self {
        for (pod, more) in other.by_pod {
            let pod_lines = self.by_pod.entry(pod).or_default();
            pod_lines.newest = later(pod_lines.newest, more.newest);
            pod_lines.lines.extend(more.lines);
            pod_lines.texts += more.texts;
        }
        self.unreadable.extend(other.unreadable);
        self
    }

    fn add(&mut self, entry: &Entry, now: f64) {
        let document = &entry.document;
        let (Some(time), Some(id)) = (document.timestamp(), document.id()) else {
            return;
        };
        let time = time.nanos() as f64 / 1e9;
        let pod_lines = self
            .by_pod
            .entry((component_key(document), pod(document)))
            .or_default();
        // Another finding reports a clock that is ahead.
        pod_lines.newest = later(pod_lines.newest, Some(time.min(now)));
        // A newer line may still be on its way.
        if now - time <= TOO_LATE_SECONDS {
            return;
        }
        if !has_stable_id(entry) {
            pod_lines.texts += 1;
            return;
        }
        if pod_lines.lines.len() == MAX_LINES_PER_POD {
            pod_lines.lines.pop_front();
        }
        let id = id.to_owned();
        pod_lines.lines.push_back(WrittenLine { time, id });
    }

    /// Looks up all lines in OpenSearch.
    ///
    /// # Errors
    /// Every error of [`Client::ask`].
    pub async fn compare(&self, client: &Client) -> Result<BTreeMap<ComponentKey, WrittenStats>> {
        let ids: Vec<&str> = self
            .by_pod
            .values()
            .flat_map(|pod_lines| &pod_lines.lines)
            .map(|line| line.id.as_str())
            .collect();
        let mut stored = HashSet::new();
        for ids in ids.chunks(MAX_IDS) {
            stored.extend(find_stored(client, ids).await?);
        }
        Ok(self.stats_by_component(&|id| stored.contains(id)))
    }

    fn stats_by_component(&self, is_stored: &dyn Fn(&str) -> bool) -> BTreeMap<ComponentKey, WrittenStats> {
        let mut all: BTreeMap<ComponentKey, WrittenStats> = BTreeMap::new();
        for ((component, pod), pod_lines) in &self.by_pod {
            let written = all.entry(component.clone()).or_default();
            written.newest = later(written.newest, pod_lines.newest);
            written.compared += pod_lines.lines.len() as u64;
            written.texts += pod_lines.texts;
            for line in pod_lines.lines.iter().filter(|line| !is_stored(&line.id)) {
                written
                    .missing
                    .get_or_insert_with(MissingLines::default)
                    .add(pod, line.time);
            }
        }
        for (component, why) in &self.unreadable {
            all.entry(component.clone()).or_default().unreadable = Some(why.clone());
        }
        all
    }
}

fn later(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    one.into_iter().chain(other).reduce(f64::max)
}

fn component_key(document: &Document) -> ComponentKey {
    let text = |name: &str| document.text(name).unwrap_or_default().to_owned();
    ComponentKey {
        component: text(field::COMPONENT),
        namespace: text(field::KUBERNETES_NAMESPACE),
    }
}

fn pod(document: &Document) -> String {
    let text = |name: &str| document.text(name).unwrap_or("?");
    format!(
        "{}/{}",
        text(field::KUBERNETES_NAMESPACE),
        text(field::KUBERNETES_POD)
    )
}

/// Whether the id does not depend on how the line is read, which is true for JSON. Text lines join to other stack
/// traces if a file starts inside one, or if the API mixes both streams.
fn has_stable_id(entry: &Entry) -> bool {
    let raw = entry.raw.as_deref().unwrap_or_default();
    raw.first() == Some(&b'{') && !entry.document.has_tag(tag::UNPARSED_JSON)
}

/// The ids that OpenSearch has.
async fn find_stored(client: &Client, ids: &[&str]) -> Result<Vec<String>> {
    let body = json!({
        "size": 2 * MAX_IDS,
        "track_total_hits": false,
        "_source": false,
        "query": { "ids": { "values": ids } },
    });
    let path = format!("/{}/_search", streams());
    let query = [
        ("ignore_unavailable", "true"),
        ("filter_path", "hits.hits._id,_shards"),
    ];
    let what = "report which lines it has";
    let answer = client.ask(what, Method::Post, &path, &query, Some(&body)).await?;
    let hits = answer.pointer("/hits/hits").and_then(Value::as_array);
    let ids = hits
        .into_iter()
        .flatten()
        .filter_map(|hit| hit.get("_id")?.as_str());
    Ok(ids.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: f64 = 2_000_000_000.0;

    fn entry(pod: &str, raw: &str, age: f64) -> Entry {
        let time = Time::from_seconds(NOW - age).unwrap();
        let document = json!({
            "@timestamp": time.to_string(), "component": "irmgard", "event": { "id": format!("{pod} {raw} {age}") },
            "kubernetes": { "namespace": "photos", "pod": pod },
        });
        Entry {
            document: Document::from_json(document.to_string().as_bytes()).unwrap(),
            raw: Some(raw.as_bytes().to_vec()),
        }
    }

    fn written(entries: &[Entry], is_stored: &dyn Fn(&str) -> bool) -> WrittenStats {
        let mut lines = WrittenLines::default();
        entries.iter().for_each(|entry| lines.add(entry, NOW));
        lines.stats_by_component(is_stored).into_values().next().unwrap()
    }

    #[test]
    fn delays_of_all_lines_count() {
        let entries = [
            entry("a", "{}", 500.0),
            entry("a", "{}", 400.0),
            entry("b", "{}", 300.0),
            entry("b", "{}", 10.0),
        ];
        let all = written(&entries, &|_| true);
        assert_eq!(
            (all.compared, all.newest, &all.missing),
            (3, Some(NOW - 10.0), &None)
        );
        let hole = written(&entries, &|id| !id.contains("400"));
        let missing = hole.missing.unwrap();
        assert_eq!(
            (missing.count, missing.pods.into_iter().collect::<Vec<_>>()),
            (1, vec!["photos/a".to_owned()])
        );
        // Nothing arrived, and the newest line is too recent to count.
        let none = written(&entries, &|_| false).missing.unwrap();
        assert_eq!((none.count, none.first, none.last), (3, NOW - 500.0, NOW - 300.0));
    }

    #[test]
    fn only_json_lines_are_compared() {
        let raws = [
            ("{\"a\":1}", 1),
            ("plain", 0),
            ("\tat Frame.java:1", 0),
            ("Exception\n\tat Frame.java:1", 0),
            ("", 0),
        ];
        for (raw, compared) in raws {
            let all = written(&[entry("a", raw, 100.0)], &|_| true);
            assert_eq!((all.compared, all.texts), (compared, 1 - compared), "{raw}");
        }
    }

    #[test]
    fn only_the_newest_lines_of_a_pod_are_compared() {
        let entries: Vec<Entry> = (0..MAX_LINES_PER_POD + 5)
            .map(|number| entry("a", "{}", 40_000.0 - number as f64))
            .collect();
        let written = written(&entries, &|_| false);
        let missing = written.missing.unwrap();
        assert_eq!(
            (written.compared, missing.first),
            (MAX_LINES_PER_POD as u64, NOW - 39_995.0)
        );
    }
}
