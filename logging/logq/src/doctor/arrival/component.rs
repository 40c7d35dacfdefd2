//! What there is to say of one component.

use schema::component;

use super::{
    super::{
        finding::Finding,
        text::{counted, seconds},
    },
    LATE_SECONDS, Place, QUIET, SILENT_SECONDS, STOPPED_SECONDS, Seen, TOO_LATE_SECONDS, WORST_SECONDS,
    Waiting, Written,
};

/// What is known of one component.
pub(super) struct Component<'a> {
    pub title: String,
    pub place: &'a Place,
    pub seen: Option<&'a Seen>,
    pub written: Option<&'a Written>,
    /// How many of its pods run; none where kubectl does not know its namespace.
    pub running: Option<usize>,
    /// Photos that wait for a worker of this namespace.
    pub waiting: Option<&'a Waiting>,
    /// No component's lines arrive.
    pub nothing_comes: bool,
    pub now: f64,
}

impl Component<'_> {
    pub fn judge(&self) -> Finding {
        let late = |seen| lateness(&self.title, seen);
        self.missing()
            .or_else(|| self.seen.and_then(late))
            .or_else(|| self.stopped())
            .or_else(|| self.unread())
            .or_else(|| self.gone())
            .unwrap_or_else(|| match self.seen {
                Some(seen) => self.silence(seen),
                None => self.unseen(),
            })
    }

    fn ago(&self, time: f64) -> String {
        format!("{} ago", seconds((self.now - time).max(0.0)))
    }

    fn newest(&self) -> String {
        self.seen.map_or_else(
            || "none has come in 24 h".to_owned(),
            |seen| format!("the newest {}", self.ago(seen.stored)),
        )
    }

    /// Lines that were written and have not come.
    fn missing(&self) -> Option<Finding> {
        let written = self.written?;
        let missing = written.missing.as_ref()?;
        let pods = missing.by();
        let lines = counted(written.compared, "line");
        let what = if missing.count == written.compared {
            format!("none of {lines} has come")
        } else {
            format!("{} of {lines} have not come", missing.count)
        };
        let unread = written.unread.as_ref();
        let unread = unread.map_or_else(String::new, |why| format!("; others could not be read: {why}"));
        let when = match (self.ago(missing.first), self.ago(missing.last)) {
            (first, last) if first == last => format!("{pods} wrote {first}"),
            (first, last) => format!("{pods} wrote the first {first}, the last {last}"),
        };
        Some(Finding::fail(
            &self.title,
            format!("{what}: {when}{unread}"),
            "look at what brings the lines: Fluentd on that pod's node, kubectl logs -l app.kubernetes.io/name=fluentd; on \
             this machine, local status",
        ))
    }

    /// A worker that is silent while photos wait for it.
    fn stopped(&self) -> Option<Finding> {
        let waiting = self.work()?;
        let is_long = |since: f64| self.now - since > STOPPED_SECONDS;
        if self.seen.is_some_and(|seen| !is_long(seen.stored)) || !waiting.since.is_some_and(is_long) {
            return None;
        }
        let runs = if self.running == Some(0) {
            "kubectl lists no pod of it that runs; "
        } else {
            ""
        };
        Some(Finding::warn(
            &self.title,
            format!("{runs}{}, while {}", self.newest(), waiting.described(self.now)),
            "does it run, and does it reach RabbitMQ? kubectl get pods -l app.kubernetes.io/name=anonymizer, on this \
             machine local status; logq -c anonymizer --tail 5 shows its last lines",
        ))
    }

    /// The photos that wait for this component.
    fn work(&self) -> Option<&Waiting> {
        self.waiting
            .filter(|_| self.place.component == component::ANONYMIZER)
    }

    /// Lines of its pods could not be read: whether they have come is not known.
    fn unread(&self) -> Option<Finding> {
        let written = self.written?;
        let why = written.unread.as_ref()?;
        let newest = self.newest();
        let detail = match written.compared {
            0 => format!("{newest}; no line of its pods was compared: {why}"),
            compared => {
                let lines = counted(compared, "line");
                format!("{newest}; all of {lines} have come, and others could not be read: {why}")
            }
        };
        let remedy = format!(
            "logq --source kubectl -c {} shows what can be read",
            self.place.component
        );
        Some(Finding::warn(&self.title, detail, remedy))
    }

    /// A component without a pod that runs, whose lines came today and come no longer.
    fn gone(&self) -> Option<Finding> {
        let is_silent = |seen: &&Seen| self.now - seen.stored > SILENT_SECONDS;
        let seen = self.seen.filter(is_silent).filter(|_| self.running == Some(0))?;
        Some(Finding::warn(
            &self.title,
            format!(
                "kubectl lists no pod of it that runs; its newest line came {}",
                self.ago(seen.stored)
            ),
            format!(
                "was it scaled to 0, does it not start, or does kubectl ask another cluster? kubectl get pods -A -l \
                 app.kubernetes.io/name={}",
                self.place.component
            ),
        ))
    }

    /// A component of which no line has come.
    fn unseen(&self) -> Finding {
        let name = &self.place.component;
        match self.written.filter(|written| written.is_compared()) {
            Some(Written { newest: None, .. }) => {
                Finding::ok(&self.title, "its pods have written none in 24 h")
            }
            Some(Written {
                newest: Some(newest),
                compared: 0,
                ..
            }) => Finding::ok(
                &self.title,
                format!(
                    "its pods wrote the first {}: too new to be missed",
                    self.ago(*newest)
                ),
            ),
            _ if QUIET.contains(&name.as_str()) && self.written.is_none_or(|written| written.texts == 0) => {
                Finding::ok(&self.title, "none: it writes nothing while all goes well")
            }
            _ => Finding::warn(
                &self.title,
                self.newest(),
                format!(
                    "does it run, and does Fluentd on its node? logq --source kubectl -c {name} shows what it writes"
                ),
            ),
        }
    }

    /// A component whose lines come, or came until a while ago.
    fn silence(&self, seen: &Seen) -> Finding {
        let name = &self.place.component;
        let newest = self.newest();
        let known = self.known(seen);
        let age = self.now - seen.stored;
        let all_came = self.written.is_some_and(Written::is_compared);
        if age <= SILENT_SECONDS || all_came {
            return Finding::ok(&self.title, format!("{newest}{known}"));
        }
        let remedy = format!("compare with what it writes: logq --source kubectl -c {name} --tail 1");
        match seen.rhythm {
            _ if self.nothing_comes => Finding::warn(
                &self.title,
                format!("{newest}, and none of any other component since"),
                remedy,
            ),
            Some(rhythm) if rhythm.is_broken(self.now) => Finding::warn(
                &self.title,
                format!(
                    "{newest}, and never that long before: it came at least every {} for {}",
                    seconds(rhythm.longest.max(60.0)),
                    seconds(rhythm.span)
                ),
                remedy,
            ),
            Some(rhythm) if rhythm.is_known() => Finding::ok(
                &self.title,
                format!(
                    "{newest}; it has been silent for {} before, and lines of others come{known}",
                    seconds(rhythm.longest)
                ),
            ),
            _ => Finding::ok(
                &self.title,
                format!("{newest}; how often it writes is not known yet, and lines of others come{known}"),
            ),
        }
    }

    /// What else is known where all is well.
    fn known(&self, seen: &Seen) -> String {
        let delays = (!seen.late.is_empty()).then(|| delays(seen));
        let arrived = self
            .written
            .filter(|written| written.compared > 0)
            .map(|written| format!("all of {} have come", counted(written.compared, "line")));
        let work = self.work().map(|waiting| waiting.described(self.now));
        let texts = self
            .written
            .filter(|written| written.compared == 0 && written.texts > 0)
            .map(|written| {
                let lines = counted(written.texts, "line");
                format!("{lines} of plain text in its pods, which are not compared")
            });
        let parts = [delays, arrived, texts, work];
        parts
            .into_iter()
            .flatten()
            .map(|part| format!("; {part}"))
            .collect()
    }
}

fn delays(seen: &Seen) -> String {
    format!(
        "{} late in the middle, {} at worst, of {}",
        seconds(seen.median().max(0.0)),
        seconds(seen.worst()),
        counted(seen.late.len() as u64, "line")
    )
}

/// What is wrong with the time that lines take now.
pub(super) fn lateness(title: &str, seen: &Seen) -> Option<Finding> {
    let remedy = "is OpenSearch slow, Fluentd's buffer full, or was a Fluentd away? (A `logq import` of old lines counts too; so \
                  does a clock that is behind.)";
    let median = seen.median();
    if median > TOO_LATE_SECONDS {
        Some(Finding::fail(title, delays(seen), remedy))
    } else if median > LATE_SECONDS || seen.worst() > WORST_SECONDS {
        Some(Finding::warn(title, delays(seen), remedy))
    } else {
        None
    }
}
