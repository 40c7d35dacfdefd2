//! The lines that pods or files hold, compared by their ids with those that OpenSearch has.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    path::PathBuf,
    time::Duration,
};

use line::{Document, Time};
use schema::{component, field, tag};
use serde_json::{Value, json};

use super::arrival::{Missing, Place, TOO_LATE_SECONDS, Written};
use crate::{
    filter::{Comparison, Filter, Literal},
    opensearch::{Client, Method, Result},
    source::{
        Entry,
        files::{self, FileError},
        kubectl::{self, Kubectl, Program, Scope},
        opensearch::streams,
    },
};

/// Lines of the last day are compared, or of the time that they are kept, where that is shorter.
const SPAN: Duration = Duration::from_secs(86_400);

/// Most lines of one pod that are compared: the newest.
const MOST_LINES: usize = 20_000;

/// Ids in one request. OpenSearch returns at most 10,000 documents, and a line can be there twice after a rollover.
const MOST_IDS: usize = 5_000;

/// No more lines of pods are read after this time.
const PATIENCE: Duration = Duration::from_secs(60);

/// A line that OpenSearch should have.
#[derive(Debug)]
struct Line {
    time: f64,
    id: String,
}

/// The lines of one pod.
#[derive(Debug, Default)]
struct PodLines {
    /// When its newest line was written, seconds since 1970.
    newest: Option<f64>,
    lines: VecDeque<Line>,
    /// Lines whose ids depend on how they are read.
    texts: u64,
}

/// The lines that pods or files hold.
#[derive(Debug, Default)]
pub struct Lines {
    by_pod: BTreeMap<(Place, String), PodLines>,
    /// Why lines of a component could not be read.
    unread: BTreeMap<Place, String>,
}

/// Which lines are compared.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    now: f64,
    keep: Duration,
}

impl Window {
    /// `now`: seconds since 1970 by OpenSearch's clock; `keep`: how long it keeps lines.
    pub const fn new(now: f64, keep: Duration) -> Self {
        Self { now, keep }
    }

    /// The lines of our components within the window. Fluentd leaves out its own.
    fn filter(self) -> Filter {
        let is = |name: &str| Filter::Is(field::COMPONENT.to_owned(), Literal::new(name));
        let names = component::ALL
            .into_iter()
            .filter(|name| *name != component::FLUENTD);
        let mut all = vec![Filter::Any(names.map(is).collect())];
        let since = self.now - SPAN.min(self.keep).as_secs_f64();
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

impl Lines {
    /// The lines that the pods of a cluster hold.
    pub fn of_pods(program: Program, window: Window) -> std::result::Result<Self, kubectl::Error> {
        let pods = Kubectl::new(program, Scope::default())?;
        let read = pods.by_container(&window.filter(), MOST_LINES, PATIENCE, |container, entries| {
            let mut lines = Self::default();
            for entry in entries {
                match entry {
                    Ok(entry) => lines.add(&entry, window.now),
                    Err(error) if error.is_of_deleted_lines() => {}
                    Err(error) => {
                        lines.unread.insert(place(&container.known), error.to_string());
                    }
                }
            }
            lines
        });
        Ok(read.into_iter().fold(Self::default(), Self::joined))
    }

    /// The lines that files hold, and which files cannot be read.
    pub fn of_files(
        paths: &[PathBuf],
        window: Window,
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

    fn joined(mut self, other: Self) -> Self {
        for (pod, more) in other.by_pod {
            let of_pod = self.by_pod.entry(pod).or_default();
            of_pod.newest = later(of_pod.newest, more.newest);
            of_pod.lines.extend(more.lines);
            of_pod.texts += more.texts;
        }
        self.unread.extend(other.unread);
        self
    }

    fn add(&mut self, entry: &Entry, now: f64) {
        let document = &entry.document;
        let (Some(time), Some(id)) = (document.timestamp(), document.id()) else {
            return;
        };
        let time = time.nanos() as f64 / 1e9;
        let of_pod = self.by_pod.entry((place(document), pod(document))).or_default();
        // Another finding reports a clock that is ahead.
        of_pod.newest = later(of_pod.newest, Some(time.min(now)));
        // A newer line may still be on its way.
        if now - time <= TOO_LATE_SECONDS {
            return;
        }
        if !has_one_id(entry) {
            of_pod.texts += 1;
            return;
        }
        if of_pod.lines.len() == MOST_LINES {
            of_pod.lines.pop_front();
        }
        let id = id.to_owned();
        of_pod.lines.push_back(Line { time, id });
    }

    /// Asks OpenSearch for all of them.
    ///
    /// # Errors
    /// Every error of [`Client::ask`].
    pub async fn compare(&self, client: &Client) -> Result<BTreeMap<Place, Written>> {
        let ids: Vec<&str> = self
            .by_pod
            .values()
            .flat_map(|of_pod| &of_pod.lines)
            .map(|line| line.id.as_str())
            .collect();
        let mut stored = HashSet::new();
        for ids in ids.chunks(MOST_IDS) {
            stored.extend(stored_of(client, ids).await?);
        }
        Ok(self.judged(&|id| stored.contains(id)))
    }

    fn judged(&self, is_stored: &dyn Fn(&str) -> bool) -> BTreeMap<Place, Written> {
        let mut all: BTreeMap<Place, Written> = BTreeMap::new();
        for ((place, pod), of_pod) in &self.by_pod {
            let written = all.entry(place.clone()).or_default();
            written.newest = later(written.newest, of_pod.newest);
            written.compared += of_pod.lines.len() as u64;
            written.texts += of_pod.texts;
            for line in of_pod.lines.iter().filter(|line| !is_stored(&line.id)) {
                written
                    .missing
                    .get_or_insert_with(Missing::default)
                    .add(pod, line.time);
            }
        }
        for (place, why) in &self.unread {
            all.entry(place.clone()).or_default().unread = Some(why.clone());
        }
        all
    }
}

fn later(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    one.into_iter().chain(other).reduce(f64::max)
}

fn place(document: &Document) -> Place {
    let text = |name: &str| document.text(name).unwrap_or_default().to_owned();
    Place {
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

/// Whether the line has the same id however it is read: a line of JSON. Lines of text are joined to stack traces
/// otherwise where a file begins in the middle of one, or where `kubectl logs` mixes both streams.
fn has_one_id(entry: &Entry) -> bool {
    let raw = entry.raw.as_deref().unwrap_or_default();
    raw.first() == Some(&b'{') && !entry.document.has_tag(tag::UNPARSED_JSON)
}

/// Those of these ids that OpenSearch has.
async fn stored_of(client: &Client, ids: &[&str]) -> Result<Vec<String>> {
    let body = json!({
        "size": 2 * MOST_IDS,
        "track_total_hits": false,
        "_source": false,
        "query": { "ids": { "values": ids } },
    });
    let path = format!("/{}/_search", streams());
    let query = [
        ("ignore_unavailable", "true"),
        ("filter_path", "hits.hits._id,_shards"),
    ];
    let what = "say which lines it has";
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

    fn written(entries: &[Entry], is_stored: &dyn Fn(&str) -> bool) -> Written {
        let mut lines = Lines::default();
        entries.iter().for_each(|entry| lines.add(entry, NOW));
        lines.judged(is_stored).into_values().next().unwrap()
    }

    #[test]
    fn each_line_counts_and_the_newest_says_nothing_of_the_others() {
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
        // Nothing has ever come, and the newest line is still too new to be missed.
        let none = written(&entries, &|_| false).missing.unwrap();
        assert_eq!((none.count, none.first, none.last), (3, NOW - 500.0, NOW - 300.0));
    }

    #[test]
    fn only_lines_of_json_are_compared() {
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
    fn the_newest_lines_of_a_pod_are_compared() {
        let entries: Vec<Entry> = (0..MOST_LINES + 5)
            .map(|number| entry("a", "{}", 40_000.0 - number as f64))
            .collect();
        let written = written(&entries, &|_| false);
        let missing = written.missing.unwrap();
        assert_eq!(
            (written.compared, missing.first),
            (MOST_LINES as u64, NOW - 39_995.0)
        );
    }
}
