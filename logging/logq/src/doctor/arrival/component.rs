//! Judges one component.

use schema::component;

use super::{
    super::{
        finding::Finding,
        format::{format_count, format_seconds},
    },
    ArrivalStats, ComponentKey, LATE_SECONDS, PendingPhotos, QUIET_COMPONENTS, SILENT_SECONDS,
    STOPPED_SECONDS, TOO_LATE_SECONDS, WORST_SECONDS, WrittenStats,
};

/// Everything known about one component.
pub(super) struct Component<'a> {
    pub title: String,
    pub key: &'a ComponentKey,
    pub arrived: Option<&'a ArrivalStats>,
    pub written: Option<&'a WrittenStats>,
    /// Number of running pods; None if the cluster does not have the namespace.
    pub running: Option<usize>,
    /// Photos that wait for a worker in this namespace.
    pub pending: Option<&'a PendingPhotos>,
    /// No component's lines arrive.
    pub no_lines_arrive: bool,
    pub now: f64,
}

impl Component<'_> {
    pub fn judge(&self) -> Finding {
        let late = |stats| lateness(&self.title, stats);
        self.judge_missing()
            .or_else(|| self.arrived.and_then(late))
            .or_else(|| self.judge_stopped_worker())
            .or_else(|| self.judge_unreadable())
            .or_else(|| self.judge_without_pods())
            .unwrap_or_else(|| match self.arrived {
                Some(stats) => self.judge_silence(stats),
                None => self.judge_absent(),
            })
    }

    fn ago(&self, time: f64) -> String {
        format!("{} ago", format_seconds((self.now - time).max(0.0)))
    }

    fn newest(&self) -> String {
        self.arrived.map_or_else(
            || "no line in 24 h".to_owned(),
            |stats| format!("the newest {}", self.ago(stats.stored)),
        )
    }

    /// Some written lines have not arrived.
    fn judge_missing(&self) -> Option<Finding> {
        let written = self.written?;
        let missing = written.missing.as_ref()?;
        let pods = missing.pods_text();
        let lines = format_count(written.compared, "line");
        let what = if missing.count == written.compared {
            format!("none of {lines} has come")
        } else {
            format!("{} of {lines} have not come", missing.count)
        };
        let unreadable = written.unreadable.as_ref();
        let unreadable =
            unreadable.map_or_else(String::new, |why| format!("; others could not be read: {why}"));
        let when = match (self.ago(missing.first), self.ago(missing.last)) {
            (first, last) if first == last => format!("{pods} wrote {first}"),
            (first, last) => format!("{pods} wrote the first {first}, the last {last}"),
        };
        Some(Finding::fail(
            &self.title,
            format!("{what}: {when}{unreadable}"),
            "check Fluentd on that pod's node: kubectl logs -l app.kubernetes.io/name=fluentd; for the local \
             stack: local status",
        ))
    }

    /// A worker is silent while photos wait for it.
    fn judge_stopped_worker(&self) -> Option<Finding> {
        let waiting = self.pending_photos()?;
        let is_long = |since: f64| self.now - since > STOPPED_SECONDS;
        if self.arrived.is_some_and(|stats| !is_long(stats.stored)) || !waiting.since.is_some_and(is_long) {
            return None;
        }
        let runs = if self.running == Some(0) {
            "it has no running pod; "
        } else {
            ""
        };
        Some(Finding::warn(
            &self.title,
            format!("{runs}{}, while {}", self.newest(), waiting.description(self.now)),
            "check that it runs and reaches RabbitMQ: kubectl get pods -l app.kubernetes.io/name=anonymizer, \
             or local status; logq -c anonymizer --tail 5 shows its last lines",
        ))
    }

    /// The photos that wait for this component.
    fn pending_photos(&self) -> Option<&PendingPhotos> {
        self.pending
            .filter(|_| self.key.component == component::ANONYMIZER)
    }

    /// Lines of its pods are unreadable, so the comparison is incomplete.
    fn judge_unreadable(&self) -> Option<Finding> {
        let written = self.written?;
        let why = written.unreadable.as_ref()?;
        let newest = self.newest();
        let detail = match written.compared {
            0 => format!("{newest}; the lines of its pods were not compared: {why}"),
            compared => {
                let lines = format_count(compared, "line");
                format!("{newest}; all of {lines} have come, and others could not be read: {why}")
            }
        };
        let remedy = format!(
            "logq --source kubectl -c {} shows what can be read",
            self.key.component
        );
        Some(Finding::warn(&self.title, detail, remedy))
    }

    /// The component has no running pod, and its lines stopped arriving today.
    fn judge_without_pods(&self) -> Option<Finding> {
        let is_silent = |stats: &&ArrivalStats| self.now - stats.stored > SILENT_SECONDS;
        let stats = self
            .arrived
            .filter(is_silent)
            .filter(|_| self.running == Some(0))?;
        Some(Finding::warn(
            &self.title,
            format!(
                "it has no running pod; its newest line arrived {}",
                self.ago(stats.stored)
            ),
            format!(
                "check whether it is scaled to 0, fails to start, or runs in another cluster: kubectl get \
                 pods -A -l app.kubernetes.io/name={}",
                self.key.component
            ),
        ))
    }

    /// No line has arrived.
    fn judge_absent(&self) -> Finding {
        let name = &self.key.component;
        match self.written.filter(|written| written.is_fully_compared()) {
            Some(WrittenStats { newest: None, .. }) => {
                Finding::ok(&self.title, "its pods wrote no lines in 24 h")
            }
            Some(WrittenStats {
                newest: Some(newest),
                compared: 0,
                ..
            }) => Finding::ok(
                &self.title,
                format!(
                    "its pods wrote the first line {}: too new to judge",
                    self.ago(*newest)
                ),
            ),
            _ if QUIET_COMPONENTS.contains(&name.as_str())
                && self.written.is_none_or(|written| written.texts == 0) =>
            {
                Finding::ok(&self.title, "no line: it logs only problems")
            }
            _ => Finding::warn(
                &self.title,
                self.newest(),
                format!(
                    "check that it runs, and Fluentd on its node; logq --source kubectl -c {name} shows its \
                     lines"
                ),
            ),
        }
    }

    /// Lines arrive, or arrived until some time ago.
    fn judge_silence(&self, stats: &ArrivalStats) -> Finding {
        let name = &self.key.component;
        let newest = self.newest();
        let details = self.details(stats);
        let age = self.now - stats.stored;
        let all_came = self.written.is_some_and(WrittenStats::is_fully_compared);
        if age <= SILENT_SECONDS || all_came {
            return Finding::ok(&self.title, format!("{newest}{details}"));
        }
        if self.no_lines_arrive {
            return Finding::warn(
                &self.title,
                format!("{newest}, and no other component sent one since"),
                format!("compare with the lines of its pods: logq --source kubectl -c {name} --tail 1"),
            );
        }
        Finding::ok(
            &self.title,
            format!("{newest}; other components are active{details}"),
        )
    }

    /// Additional details of an `ok` finding.
    fn details(&self, stats: &ArrivalStats) -> String {
        let delays = (!stats.late.is_empty()).then(|| delays(stats));
        let arrived = self
            .written
            .filter(|written| written.compared > 0)
            .map(|written| format!("all of {} have come", format_count(written.compared, "line")));
        let pending = self.pending_photos().map(|waiting| waiting.description(self.now));
        let texts = self
            .written
            .filter(|written| written.compared == 0 && written.texts > 0)
            .map(|written| {
                let lines = format_count(written.texts, "line");
                format!("{lines} of plain text in its pods, which are not compared")
            });
        let parts = [delays, arrived, texts, pending];
        parts
            .into_iter()
            .flatten()
            .map(|part| format!("; {part}"))
            .collect()
    }
}

fn delays(stats: &ArrivalStats) -> String {
    format!(
        "delay {} median, {} maximum, of {}",
        format_seconds(stats.median().max(0.0)),
        format_seconds(stats.worst()),
        format_count(stats.late.len() as u64, "line")
    )
}

/// Judges the delay of its lines.
pub(super) fn lateness(title: &str, stats: &ArrivalStats) -> Option<Finding> {
    let remedy = "check whether OpenSearch is slow, Fluentd's buffer is full, or a Fluentd was down (a `logq \
        import` of old lines or a slow clock also cause this)";
    let median = stats.median();
    if median > TOO_LATE_SECONDS {
        Some(Finding::fail(title, delays(stats), remedy))
    } else if median > LATE_SECONDS || stats.worst() > WORST_SECONDS {
        Some(Finding::warn(title, delays(stats), remedy))
    } else {
        None
    }
}
