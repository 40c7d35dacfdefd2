//! The feed of pods.
//!
//! Reads existing lines first. Then one kubectl follows each container from there, by the clock of its node. The feed
//! lists pods regularly, and follows new pods and restarted containers from their beginning.

mod container;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use line::Place;

use self::container::ContainerFollower;
use super::{
    AvailableLogs, Container, Error, KubectlSource, LIST_TIMEOUT, ReadPositions, list_containers, lock,
    stream::ProcessSlot,
};
use crate::{
    cli::Search,
    filter::Filter,
    follow::{Backlog, Feed, FeedEnd, FeedSink},
    query::{Query, ResolvedContext},
    search::{ContextLines, SearchError, SourceProbe, missing_so_far, unknown_dependencies_note},
    source::SourceError,
};

/// Interval between pod lists: the maximum delay of a new pod's lines.
const LIST_INTERVAL: Duration = Duration::from_secs(2);

/// Maximum number of followed containers: each needs its own kubectl.
const MAX_CONTAINERS: usize = 50;

/// Minimum delay before a broken kubectl is restarted.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// How often to check for cancellation while pods are listed.
const CANCEL_CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Maximum number of lines per batch.
const BATCH: usize = 1_000;

/// Delivers the lines of pods.
pub struct PodsFeed {
    pods: KubectlSource,
    query: Query,
    backlog: Backlog,
    context_lines: ContextLines,
    context: ResolvedContext,
    positions: ReadPositions,
    followed: HashMap<Place, FollowedContainer>,
    notices: NoticeThrottle,
    /// The last list failed.
    list_failed: bool,
}

/// A container that is or was followed.
struct FollowedContainer {
    process: ProcessSlot,
    ended: Arc<AtomicBool>,
    /// Its last known start.
    start_id: String,
    started: Instant,
}

impl FollowedContainer {
    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

impl Drop for FollowedContainer {
    fn drop(&mut self) {
        self.process.cancel();
    }
}

impl PodsFeed {
    #[must_use]
    pub fn new(pods: KubectlSource, query: Query, search: &Search) -> Self {
        Self {
            pods,
            query,
            backlog: Backlog::from_options(search),
            context_lines: ContextLines::from_options(&search.show),
            context: ResolvedContext::default(),
            positions: ReadPositions::default(),
            followed: HashMap::new(),
            notices: NoticeThrottle::default(),
            list_failed: false,
        }
    }

    /// The lines to deliver, by the current context.
    fn filter(&self) -> Filter {
        let filter = if self.context_lines.is_wanted() {
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
            if let Some(note) = unknown_dependencies_note(&self.query, &self.context) {
                sink.send_note(note)?;
            }
        }
        self.check_container_count()?;
        let lines = self.pods.lines_from(&self.filter(), &self.positions);
        let mut batch = Vec::new();
        for line in lines {
            match line {
                // Read them anyway, to learn the positions.
                Ok(_) if self.backlog == Backlog::Last(0) => {}
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
        let missing_so_far = missing_so_far(&self.query, SourceProbe::Pods(&self.pods));
        for note in notes.into_iter().chain(errors).chain(missing_so_far) {
            self.notices.send(note, sink)?;
        }
        Ok(())
    }

    /// Refuses to start too many processes.
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
            return Err(FeedEnd::Failed(SearchError::Source(SourceError::Kubectl(error))));
        }
        Ok(())
    }

    /// Follows new containers.
    fn follow_new_containers(&mut self, sink: &FeedSink) -> Result<(), FeedEnd> {
        let filter = self.filter();
        let listed: HashSet<&Place> = self.pods.containers.iter().map(|one| &one.place).collect();
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
            let followed = FollowedContainer {
                process: ProcessSlot::default(),
                ended: Arc::default(),
                start_id: container.start_id.clone(),
                started: Instant::now(),
            };
            let follower = ContainerFollower {
                program: self.pods.program.clone(),
                container: container.clone(),
                filter: filter.clone(),
                positions: self.positions.clone(),
                process: followed.process.clone(),
                ended: Arc::clone(&followed.ended),
                notices: self.notices.clone(),
                sink: sink.clone(),
            };
            thread::spawn(move || follower.run());
            self.followed.insert(container.place.clone(), followed);
        }
        Ok(())
    }

    /// Whether a container that is not followed now can have unread lines.
    fn has_unread_lines(&self, container: &Container) -> bool {
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
        let (done, result) = mpsc::channel();
        let (program, scope) = (self.pods.program.clone(), self.pods.scope.clone());
        thread::spawn(move || {
            // The receiver may be gone.
            let _ = done.send(list_containers(&program, &scope, LIST_TIMEOUT));
        });
        let listing = loop {
            match result.recv_timeout(CANCEL_CHECK_INTERVAL) {
                Ok(listing) => break listing,
                Err(_) if sink.is_cancelled() => return Err(FeedEnd::Cancelled),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        };
        match listing {
            Ok((containers, _)) => self.pods.containers = containers,
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
