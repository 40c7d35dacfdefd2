//! The broker's lines that are related to a trace.
//!
//! RabbitMQ does not log single messages, so none of its lines has a trace id. Its lines about connections are matched
//! by connection name and time. A service names its connections `component pod role`, or `component role` if it does
//! not know its pod. Lines without a client name belong to the connection that an earlier line named.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use line::{Document, Time};
use schema::field;
use serde_json::{Value, json};

use super::{Query, ResolvedContext, TimeRange, all_of, is};
use crate::filter::{Filter, Glob};

/// The tag of a related line in the output. It is never stored.
pub const TAG: &str = "related";

/// Margin before the first and after the last line of a trace.
pub const MARGIN: Duration = Duration::from_secs(5);

/// Maximum length of a pod's `HOSTNAME`; longer pod names are cut (Kubernetes documentation, "DNS for Services and
/// Pods").
const HOST_NAME_BYTES: usize = 63;

/// Above this number, the query fetches all named connections and filters locally.
const MAX_NAMES: usize = 100;

/// Decides which lines of the broker are related.
#[derive(Clone, Debug)]
pub struct Related {
    traces: BTreeMap<String, Trace>,
    connections: HashMap<ConnectionKey, Vec<Connection>>,
    query: Query,
}

/// A connection: the broker's pod, the client's address and port.
type ConnectionKey = [String; 3];

#[derive(Clone, Debug)]
struct Connection {
    pid: Option<String>,
    name: String,
}

#[derive(Clone, Debug)]
struct Trace {
    first: Time,
    last: Time,
    /// Prefixes of the connection names of its services.
    names: BTreeSet<String>,
}

impl Related {
    #[must_use]
    pub fn new(query: &Query) -> Self {
        Self {
            traces: BTreeMap::new(),
            connections: HashMap::new(),
            query: query.clone(),
        }
    }

    /// All lines of the traces, without the other conditions.
    #[must_use]
    pub fn trace_filter(query: &Query, context: &ResolvedContext) -> Filter {
        let mut all = vec![query.scope(context)];
        all.extend(query.trace.clone());
        if !query.photos.is_empty() {
            let traces = context.traces.iter().map(|trace| is(field::TRACE_ID, trace));
            all.push(Filter::Any(traces.collect()));
        }
        all_of(all)
    }

    /// Only this trace.
    #[must_use]
    pub fn for_trace(&self, trace: &str) -> Self {
        let mut one = self.clone();
        one.traces.retain(|id, _| id == trace);
        one
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.traces.is_empty()
    }

    /// Extracts times and connection names from a line of a trace.
    pub fn add_trace_line(&mut self, document: &Document) {
        let (Some(trace), Some(time)) = (document.trace_id(), document.timestamp()) else {
            return;
        };
        let trace = self.traces.entry(trace.to_owned()).or_insert_with(|| Trace {
            first: time,
            last: time,
            names: BTreeSet::new(),
        });
        trace.first = trace.first.min(time);
        trace.last = trace.last.max(time);
        if let Some(component) = document.component() {
            let pod = document.text(field::KUBERNETES_POD).map(host_name);
            let pod = pod.map_or_else(String::new, |pod| format!("{pod} "));
            trace.names.insert(format!("{component} {pod}"));
        }
    }

    /// The lines that name the connections of these services, of any time.
    #[must_use]
    pub fn name_lines(&self) -> Filter {
        let Some(span) = self.span() else {
            return Filter::NOTHING;
        };
        let names: BTreeSet<&String> = self.traces.values().flat_map(|trace| &trace.names).collect();
        let parse_globs = names.iter().map(|name| Glob::new(&format!("{name}*")).ok());
        let parse_globs: Option<Vec<Glob>> = parse_globs.collect();
        let name = |parse_glob| Filter::Glob(field::MESSAGING_CLIENT_ID.to_owned(), parse_glob);
        let named = match parse_globs {
            Some(parse_globs) if parse_globs.len() <= MAX_NAMES => {
                Filter::Any(parse_globs.into_iter().map(name).collect())
            }
            _ => Filter::Exists(field::MESSAGING_CLIENT_ID.to_owned()),
        };
        let until = TimeRange { since: None, ..span };
        all_of(vec![
            broker(),
            named,
            until.filter(),
            self.query.pod_filter.clone(),
        ])
    }

    /// Records a line that names a connection; the newest comes last.
    pub fn add_connection(&mut self, document: &Document) {
        let Some(name) = document.text(field::MESSAGING_CLIENT_ID) else {
            return;
        };
        let pid = document.text(field::RABBITMQ_CONNECTION_PID).map(str::to_owned);
        let is_ours = self.traces.values().any(|trace| trace.has(name));
        if let (true, Some(key)) = (is_ours, connection_key(document)) {
            let connections = self.connections.entry(key).or_default();
            connections.retain(|connection| connection.pid != pid);
            connections.push(Connection {
                pid,
                name: name.to_owned(),
            });
        }
    }

    /// The lines that may be related; [`Self::contains`] decides.
    #[must_use]
    pub fn candidates(&self) -> Filter {
        let Some(span) = self.span() else {
            return Filter::NOTHING;
        };
        let about = [
            field::MESSAGING_CLIENT_ID,
            field::RABBITMQ_CONNECTION_PID,
            field::CLIENT_ADDRESS,
        ];
        let about = about.map(|field| Filter::Exists(field.to_owned()));
        all_of(vec![
            broker(),
            Filter::Any(about.into()),
            span.filter(),
            self.query.time_range.filter(),
            self.query.pod_filter.clone(),
            self.query.conditions.clone(),
        ])
    }

    #[must_use]
    pub fn contains(&self, document: &Document) -> bool {
        let Some(time) = document.timestamp() else {
            return false;
        };
        let name = match document.text(field::MESSAGING_CLIENT_ID) {
            Some(name) => Some(name),
            None => self.name(document),
        };
        let Some(name) = name else { return false };
        let then = |trace: &&Trace| {
            let span = trace.span();
            span.since <= Some(time) && Some(time) <= span.until
        };
        self.traces.values().filter(then).any(|trace| trace.has(name)) && self.candidates().matches(document)
    }

    /// The name of the connection that a line is about.
    fn name(&self, document: &Document) -> Option<&str> {
        let pid = document.text(field::RABBITMQ_CONNECTION_PID);
        // Some lines contain only the address.
        let fits = |connection: &&Connection| {
            pid.is_none() || connection.pid.as_deref().is_none_or(|own| Some(own) == pid)
        };
        let connections = self.connections.get(&connection_key(document)?)?;
        connections
            .iter()
            .rev()
            .find(fits)
            .map(|found| found.name.as_str())
    }

    fn span(&self) -> Option<TimeRange> {
        let spans = || self.traces.values().map(Trace::span);
        Some(TimeRange {
            since: spans().map(|span| span.since).min()?,
            until: spans().map(|span| span.until).max()?,
        })
    }
}

impl Trace {
    fn span(&self) -> TimeRange {
        let margin = i64::try_from(MARGIN.as_nanos()).unwrap_or(i64::MAX);
        TimeRange {
            since: Some(Time::from_nanos(self.first.nanos().saturating_sub(margin))),
            until: Some(Time::from_nanos(self.last.nanos().saturating_add(margin))),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|own| name.starts_with(own))
    }
}

/// Adds the tag.
#[must_use]
pub fn tag_related(document: Document) -> Document {
    let mut members = document.into_members();
    let tags = members.entry(field::TAGS).or_insert_with(|| json!([]));
    if let Value::Array(tags) = tags {
        tags.push(TAG.into());
    }
    // The members come from a document.
    Document::try_from(Value::Object(members)).unwrap_or_default()
}

fn broker() -> Filter {
    is(field::MESSAGING_SYSTEM, "rabbitmq")
}

fn connection_key(document: &Document) -> Option<ConnectionKey> {
    let address = document.text(field::CLIENT_ADDRESS)?;
    let pod = document.text(field::KUBERNETES_POD).unwrap_or_default();
    let port = document.get(field::CLIENT_PORT).map(Value::to_string);
    Some([pod.to_owned(), address.to_owned(), port.unwrap_or_default()])
}

/// The host name of a pod.
fn host_name(pod: &str) -> &str {
    match pod.get(..HOST_NAME_BYTES) {
        Some(begin) if begin.len() < pod.len() => begin.trim_end_matches(['-', '.']),
        _ => pod,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{SelectOptions, TimeOptions, time::Clock};

    fn related(select: SelectOptions) -> Related {
        Related::new(&Query::from_options(&select, &TimeOptions::default(), &Clock::system(true)).unwrap())
    }

    fn document(value: Value) -> Document {
        Document::try_from(value).unwrap()
    }

    /// A line of a trace.
    fn trace_line(second: u32, trace: &str, component: &str, pod: Option<&str>) -> Document {
        let mut line = json!({
            "@timestamp": format!("2026-11-22T10:00:{second:02}Z"), "trace_id": trace, "component": component,
        });
        if let Some(pod) = pod {
            line["kubernetes"] = json!({ "pod": pod });
        }
        document(line)
    }

    /// A line about a connection.
    fn broker(second: u32, port: u32, pid: Option<&str>, name: Option<&str>) -> Document {
        let mut line = json!({
            "@timestamp": format!("2026-11-22T10:00:{second:02}Z"), "component": "rabbitmq", "level": "info",
            "messaging": { "system": "rabbitmq" }, "client": { "address": "10.0.0.1", "port": port },
        });
        if let Some(pid) = pid {
            line["rabbitmq"] = json!({ "connection": { "pid": pid } });
        }
        if let Some(name) = name {
            line["messaging"]["client"] = json!({ "id": name });
        }
        document(line)
    }

    #[test]
    fn connection_is_identified_by_its_naming_line() {
        let mut related = related(SelectOptions::default());
        related.add_trace_line(&trace_line(20, "a", "irmgard", Some("irmgard-a")));
        related.add_trace_line(&trace_line(30, "a", "anonymizer", None));
        for line in [
            broker(1, 1, Some("<0.1.0>"), Some("irmgard irmgard-a relay")),
            broker(2, 2, Some("<0.2.0>"), Some("irmgard irmgard-ab relay")),
            broker(3, 3, None, Some("anonymizer host-1 consumer")),
            broker(4, 4, Some("<0.4.0>"), Some("anonymizer consumer")),
        ] {
            related.add_connection(&line);
        }
        for (line, expected) in [
            (broker(20, 1, Some("<0.1.0>"), None), true),
            // Another pod with the same name prefix.
            (broker(20, 2, Some("<0.2.0>"), None), false),
            (broker(20, 3, Some("<0.3.0>"), None), true),
            (broker(20, 4, None, None), true),
            // A later connection from the same port.
            (broker(20, 1, Some("<0.9.0>"), None), false),
            (broker(20, 9, Some("<0.1.0>"), None), false),
            (broker(20, 9, None, Some("irmgard irmgard-a relay")), true),
            (broker(20, 9, None, Some("irmgard irmgard-b relay")), false),
            (broker(20, 9, None, Some("irmgard relay")), false),
            // The line itself names another client.
            (broker(20, 1, Some("<0.1.0>"), Some("other")), false),
            (broker(14, 1, Some("<0.1.0>"), None), false),
            (broker(15, 1, Some("<0.1.0>"), None), true),
            (broker(35, 1, Some("<0.1.0>"), None), true),
            (broker(36, 1, Some("<0.1.0>"), None), false),
        ] {
            assert_eq!(related.contains(&line), expected, "{}", line.to_json());
            assert!(
                !expected || related.candidates().matches(&line),
                "{}",
                line.to_json()
            );
        }
    }

    #[test]
    fn each_trace_has_its_own_time_range() {
        let mut related = related(SelectOptions::default());
        related.add_trace_line(&trace_line(1, "a", "irmgard", Some("irmgard-a")));
        related.add_trace_line(&trace_line(50, "b", "irmgard", Some("irmgard-b")));
        let named = |second, name| related.contains(&broker(second, 1, None, Some(name)));
        assert!(named(2, "irmgard irmgard-a relay") && named(50, "irmgard irmgard-b relay"));
        assert!(!named(50, "irmgard irmgard-a relay") && !named(25, "irmgard irmgard-b relay"));
    }

    #[test]
    fn related_lines_fulfil_the_other_criteria() {
        let mut related = related(SelectOptions {
            level: Some("warn"),
            ..SelectOptions::default()
        });
        related.add_trace_line(&trace_line(1, "a", "irmgard", None));
        assert!(!related.contains(&broker(1, 1, None, Some("irmgard relay"))));
    }

    #[test]
    fn nothing_is_related_without_a_trace() {
        let related = related(SelectOptions::default());
        let line = broker(1, 1, None, Some("irmgard relay"));
        assert!(
            !related.contains(&line)
                && !related.name_lines().matches(&line)
                && !related.candidates().matches(&line)
        );
    }

    #[test]
    fn many_names_become_one_query() {
        let mut related = related(SelectOptions::default());
        for pod in 0..=MAX_NAMES {
            related.add_trace_line(&trace_line(1, "a", "irmgard", Some(&format!("irmgard-{pod}"))));
        }
        assert!(
            related
                .name_lines()
                .to_string()
                .contains("messaging.client.id exists")
        );
        assert!(
            related
                .name_lines()
                .matches(&broker(1, 1, None, Some("irmgard irmgard-7 relay")))
        );
    }

    #[test]
    fn long_pod_names_are_cut_like_host_names() {
        let long = format!("{}-{}", "a".repeat(62), "b".repeat(20));
        assert_eq!(host_name(&long), "a".repeat(62));
        assert_eq!(host_name("irmgard-a"), "irmgard-a");
    }

    #[test]
    fn marker_keeps_other_tags() {
        let line = tag_related(document(json!({ "tags": ["cut"] })));
        assert_eq!(line.tags().collect::<Vec<_>>(), ["cut", "related"]);
        assert!(tag_related(Document::default()).has_tag(TAG));
    }
}
