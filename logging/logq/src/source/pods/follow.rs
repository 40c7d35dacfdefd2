//! The feed of pods.
//!
//! Reads existing lines first. Then one request follows each container from there, by the clock of its node. The feed
//! lists pods regularly, and follows new pods and restarted containers from their beginning.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use log_normalizer::ContainerRef;
use tokio::time;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    AvailableLogs, Error, LIST_TIMEOUT, LogContainer, PodProblem, PodsSource, ReadPositions, list_containers,
    lock,
    reader::{ContainerReader, Incomplete},
    within,
};
use crate::{
    entry::Entry,
    filter::Filter,
    kubernetes::{self, Cluster, LogRequest},
    query::{Query, ResolvedContext},
    source::{
        feed::{Backlog, Feed, FeedEnd, FeedOptions, FeedSink},
        missing::missing_so_far,
    },
};

/// Interval between pod lists: the maximum delay of a new pod's lines.
const LIST_INTERVAL: Duration = Duration::from_secs(2);

/// Maximum number of followed containers: each needs its own connection.
const MAX_CONTAINERS: usize = 50;

/// Minimum delay before a broken stream is opened again.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// After this silence the feed opens a new stream: the connection may be dead.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// How often to check for cancellation while pods are listed.
const CANCEL_CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Maximum number of lines per batch.
const BATCH: usize = 1_000;

/// Delivers the lines of pods.
pub struct PodsFeed {
    pods: PodsSource,
    query: Query,
    options: FeedOptions,
    context: ResolvedContext,
    positions: ReadPositions,
    followed: HashMap<ContainerRef, FollowedContainer>,
    notices: NoticeThrottle,
    /// The last list failed.
    list_failed: bool,
}

/// A container that is or was followed.
struct FollowedContainer {
    thread: JoinHandle<()>,
    _cancellation: DropGuard,
    /// Its last known start.
    start_id: String,
    started: Instant,
}

impl FollowedContainer {
    fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }
}

/// Follows one container, in its own thread.
struct ContainerFollower {
    reader: ContainerReader,
    notices: NoticeThrottle,
    sink: FeedSink,
}

impl ContainerFollower {
    fn run(mut self) {
        // Lines from before the restart.
        let logs = &self.reader.container.logs;
        if *logs == AvailableLogs::CurrentAndPrevious && self.reader.position().is_some() {
            let _ = self.follow(true);
        }
        let _ = self.follow(false);
    }

    fn follow(&mut self, previous: bool) -> Result<(), FeedEnd> {
        let read_before = self.reader.position().unwrap_or_default();
        let request = LogRequest {
            container: self.reader.container.place.clone(),
            previous,
            since: read_before.time,
            tail: None,
            follow: !previous,
        };
        let sink = &self.sink;
        let mut emit = |mut entries: Vec<Entry>| {
            while !entries.is_empty() {
                let rest = entries.split_off(entries.len().min(BATCH));
                let sent = sink.send_new(std::mem::replace(&mut entries, rest));
                sent.map_err(|_| Incomplete::Stopped)?;
            }
            Ok(())
        };
        match self
            .reader
            .read(&request, read_before, &|| IDLE_TIMEOUT, &mut emit)
        {
            // The lines of a deleted pod were delivered.
            Ok(()) | Err(Incomplete::Silent | Incomplete::Problem(PodProblem::Gone)) => Ok(()),
            Err(Incomplete::Problem(problem)) if !sink.is_cancelled() => {
                let text = Error::logs(&self.reader.container, problem).to_string();
                self.notices.send(text, sink)
            }
            Err(_) => Err(FeedEnd::Cancelled),
        }
    }
}

impl PodsFeed {
    #[must_use]
    pub fn new(pods: PodsSource, query: Query, options: FeedOptions) -> Self {
        Self {
            pods,
            query,
            options,
            context: ResolvedContext::default(),
            positions: ReadPositions::default(),
            followed: HashMap::new(),
            notices: NoticeThrottle::default(),
            list_failed: false,
        }
    }

    /// The lines to deliver, by the current context.
    fn filter(&self) -> Filter {
        let filter = if self.options.context_lines.is_wanted() {
            self.query.scope(&self.context)
        } else {
            self.query.filter(&self.context)
        };
        if self.query.photos.is_empty() {
            return filter;
        }
        // The photo's lines reveal its traces, whose other lines are older.
        let journey = Filter::All(vec![self.query.time_range.filter(), self.query.photo_journey()]);
        Filter::Any(vec![self.query.scope(&self.context), journey])
    }

    /// Sends existing lines.
    fn send_existing(&mut self, sink: &FeedSink) -> Result<(), FeedEnd> {
        if self.query.needs_context() {
            self.context = self.pods.resolve(&self.query);
            sink.send_context(self.context.clone())?;
        }
        self.check_container_count()?;
        let lines = self.pods.lines_from(&self.filter(), &self.positions);
        let mut batch = Vec::new();
        for line in lines {
            match line {
                // Read them anyway, to learn the positions.
                Ok(_) if self.options.backlog == Backlog::Last(0) => {}
                Ok(entry) => batch.push(entry),
                Err(error) => self.notices.send(error.to_string(), sink)?,
            }
            if batch.len() >= BATCH {
                sink.send_past(std::mem::take(&mut batch))?;
            }
        }
        sink.send_past(batch)?;
        sink.end_past()?;
        let (notes, errors) = self.pods.take_diagnostics();
        let missing_so_far = missing_so_far(&self.query, &self.pods);
        for note in notes.into_iter().chain(errors).chain(missing_so_far) {
            self.notices.send(note, sink)?;
        }
        Ok(())
    }

    /// Refuses to open too many streams.
    fn check_container_count(&self) -> Result<(), FeedEnd> {
        let filter = self.filter();
        let containers = self.pods.containers.iter();
        let count = containers
            .filter(|container| container.may_match(&filter))
            .count();
        if count > MAX_CONTAINERS {
            let error = Error::TooMany {
                count,
                limit: MAX_CONTAINERS,
            };
            return Err(error.into());
        }
        Ok(())
    }

    /// Follows new containers.
    fn follow_new_containers(&mut self, sink: &FeedSink) -> Result<(), FeedEnd> {
        let filter = self.filter();
        let listed: HashSet<&ContainerRef> = self.pods.containers.iter().map(|one| &one.place).collect();
        // A container that is still read has more lines.
        self.followed
            .retain(|container_ref, followed| listed.contains(container_ref) || !followed.has_ended());
        for container in &self.pods.containers {
            if !container.may_match(&filter) || !self.has_unread_lines(container) {
                continue;
            }
            let live = self.followed.values().filter(|followed| !followed.has_ended());
            if live.count() >= MAX_CONTAINERS {
                let name = container.name();
                let text = format!(
                    "{name} is not followed: logq already follows {MAX_CONTAINERS} \
                    containers"
                );
                self.notices.send(text, sink)?;
                continue;
            }
            let cancellation = CancellationToken::new();
            let follower = ContainerFollower {
                reader: self
                    .pods
                    .reader(container, &filter, &self.positions, &cancellation),
                notices: self.notices.clone(),
                sink: sink.clone(),
            };
            let followed = FollowedContainer {
                thread: thread::spawn(move || follower.run()),
                _cancellation: cancellation.drop_guard(),
                start_id: container.start_id.clone(),
                started: Instant::now(),
            };
            self.followed.insert(container.place.clone(), followed);
        }
        Ok(())
    }

    /// Whether a container that is not followed now can have unread lines.
    fn has_unread_lines(&self, container: &LogContainer) -> bool {
        if matches!(container.logs, AvailableLogs::Pending(_)) {
            return false;
        }
        match self.followed.get(&container.place) {
            Some(before) if !before.has_ended() => false,
            Some(before) if before.start_id == container.start_id => {
                container.is_running && before.started.elapsed() >= RETRY_DELAY
            }
            Some(_) => true,
            None => container.is_running || !lock(&self.positions).contains_key(&container.place),
        }
    }

    /// Lists the pods again.
    fn refresh_containers(&mut self, sink: &FeedSink) -> Result<(), FeedEnd> {
        let list = async {
            if self.list_failed {
                // The kubeconfig may have changed.
                self.pods.cluster = Cluster::connect(&self.pods.options).await?;
            }
            list_containers(&self.pods.cluster, &self.pods.scope).await
        };
        let cancelled = async {
            while !sink.is_cancelled() {
                time::sleep(CANCEL_CHECK_INTERVAL).await;
            }
        };
        let listing = kubernetes::block_on(async {
            tokio::select! {
                listing = within(LIST_TIMEOUT, list) => listing,
                () = cancelled => Err(kubernetes::Error::Cancelled.into()),
            }
        });
        match listing {
            Ok((containers, _)) => self.pods.containers = containers,
            Err(Error::Cluster(kubernetes::Error::Cancelled)) => return Err(FeedEnd::Cancelled),
            Err(error) => {
                self.list_failed = true;
                return self.notices.send(
                    format!("cannot list pods, so new pods are missing: {error}"),
                    sink,
                );
            }
        }
        if std::mem::take(&mut self.list_failed) {
            sink.send_note("listing pods works again")?;
        }
        if !self.query.needs_context() {
            return Ok(());
        }
        let mut more = ResolvedContext::default();
        for container in &self.pods.containers {
            more.learn_from(&self.query, &container.pod_fields);
        }
        if self.context.merge(more.clone()) {
            sink.send_context(more)?;
        }
        Ok(())
    }
}

impl Feed for PodsFeed {
    fn follow(mut self: Box<Self>, sink: &FeedSink) -> Result<(), FeedEnd> {
        self.send_existing(sink)?;
        loop {
            self.follow_new_containers(sink)?;
            sink.wait(LIST_INTERVAL)?;
            self.refresh_containers(sink)?;
        }
    }
}

/// Repeat a persistent problem after this time.
const REPEAT_INTERVAL: Duration = Duration::from_secs(60);

/// Suppresses repeated messages.
#[derive(Clone, Debug, Default)]
pub struct NoticeThrottle(Arc<Mutex<HashMap<String, Instant>>>);

impl NoticeThrottle {
    /// Sends a message, unless it was sent recently.
    pub fn send(&self, text: String, sink: &FeedSink) -> Result<(), FeedEnd> {
        let now = Instant::now();
        let before = lock(&self.0).insert(text.clone(), now);
        if before.is_some_and(|before| now.duration_since(before) < REPEAT_INTERVAL) {
            return Ok(());
        }
        sink.send_note(text)
    }
}
