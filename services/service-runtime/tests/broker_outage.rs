//! Publisher and consumer while the broker dies, hangs, or is short of memory. The test has its own stack,
//! because it kills the broker.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::{path::Path, process::Command, time::Duration};

use local::Stack;
use service_runtime::broker::{BrokerSettings, Consumer, Message, PublishError, Publisher};
use support::wait_for;
use tokio::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn publisher_and_consumer_recover_from_every_outage() {
    let stack = Stack::builder().only_ours().start().await.expect("a stack");
    let mut settings = support::broker(&stack.environment());
    settings.heartbeat = Duration::from_secs(2);
    settings.publish_timeout = Duration::from_secs(3);
    let timed_out = Err(PublishError::TimedOut(settings.publish_timeout));
    let clients = Clients::start(&settings).await;
    clients.expect_delivery("in the beginning").await;

    stack.rabbitmq().kill().await.expect("killed");
    clients.expect_failure("killed", settings.publish_timeout).await;
    stack.rabbitmq().restart().await.expect("restarted");
    clients.expect_delivery("after a kill").await;

    // A short pause: the session survives it.
    stack.rabbitmq().pause().await.expect("halted");
    clients.expect_failure("halted", settings.publish_timeout).await;
    stack.rabbitmq().resume().await.expect("goes on");
    clients.expect_delivery("after a short halt").await;

    // A long pause: heartbeats are missed, and handshakes stall.
    stack.rabbitmq().pause().await.expect("halted");
    wait_for("the session ends", async {
        while clients
            .publisher
            .publish(&clients.queue, &Message::new("lost"))
            .await
            != Err(PublishError::Disconnected)
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let threads_before = thread_count();
    tokio::time::sleep(settings.connect_timeout * 3).await;
    assert!(
        io_loop_thread_count() <= 6,
        "attempts leave threads behind: {threads_before} before, {} now",
        thread_count()
    );
    stack.rabbitmq().resume().await.expect("goes on");
    clients.expect_delivery("after a long halt").await;

    let rabbitmqctl = RabbitmqCtl::for_stack(stack.directory());
    let sessions = clients.publisher.state().sessions;
    rabbitmqctl.run(&["set_vm_memory_high_watermark", "0.0001"]);
    wait_for("publishes in flight time out", async {
        // RabbitMQ accepts the first publish after the alarm, then blocks the connection.
        while !clients.publish_at_once(8).await.contains(&timed_out) {}
    })
    .await;
    // Longer than the probe of a broker that seems to be lost takes.
    let blocked = Instant::now();
    while blocked.elapsed() < Duration::from_secs(4) {
        let published = clients.publish_at_once(8).await;
        assert_eq!(published, vec![Err(PublishError::Blocked); 8]);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    rabbitmqctl.run(&["set_vm_memory_high_watermark", "0.6"]);
    clients.expect_delivery("after a memory alarm").await;
    assert_eq!(
        clients.publisher.state().sessions,
        sessions,
        "the blocked connection is kept"
    );
    stack.stop().await.expect("stopped");
}

struct Clients {
    publisher: Publisher,
    consumer: Consumer,
    queue: String,
}

impl Clients {
    async fn start(settings: &BrokerSettings) -> Self {
        let queue = settings.queues.jobs.clone();
        let clients = Self {
            publisher: Publisher::start(settings.clone()),
            consumer: Consumer::subscribe(settings.clone(), &queue, 4),
            queue,
        };
        wait_for("connected", clients.publisher.connected()).await;
        wait_for("connected", clients.consumer.connected()).await;
        clients
    }

    /// Expects that a message goes through; those of earlier attempts may arrive, too.
    async fn expect_delivery(&self, when: &str) {
        let started = Instant::now();
        wait_for(when, async {
            while self
                .publisher
                .publish(&self.queue, &Message::new(when))
                .await
                .is_err()
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            loop {
                let delivery = self.consumer.next().await.expect("a delivery");
                let acked = delivery.ack().await.is_ok();
                if acked && delivery.body == when.as_bytes() {
                    break;
                }
            }
        })
        .await;
        // Work continues within 10 s, with a margin for a busy machine.
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "{when}: {:?}",
            started.elapsed()
        );
    }

    async fn publish_at_once(&self, count: usize) -> Vec<Result<(), PublishError>> {
        let message = Message::new("at once");
        let publishes = (0..count).map(|_| self.publisher.publish(&self.queue, &message));
        futures::future::join_all(publishes).await
    }

    async fn expect_failure(&self, when: &str, limit: Duration) {
        let started = Instant::now();
        let result = self.publisher.publish(&self.queue, &Message::new("lost")).await;
        assert!(result.is_err(), "{when}: {result:?}");
        assert!(
            started.elapsed() < limit + Duration::from_secs(5),
            "{when}: {:?}",
            started.elapsed()
        );
    }
}

fn thread_count() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

fn io_loop_thread_count() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, |tasks| {
        tasks
            .flatten()
            .filter(|task| {
                std::fs::read_to_string(task.path().join("comm"))
                    .is_ok_and(|name| name.trim() == "lapin-io-loop")
            })
            .count()
    })
}

/// `rabbitmqctl` for the stack's broker, whose name only the broker's process knows.
struct RabbitmqCtl {
    environment: Vec<(String, String)>,
}

impl RabbitmqCtl {
    fn for_stack(directory: &Path) -> Self {
        let home = directory.join("rabbitmq").display().to_string();
        let environment = std::fs::read_dir("/proc")
            .expect("/proc")
            .flatten()
            .filter_map(|process| std::fs::read(process.path().join("environ")).ok())
            .map(|bytes| {
                String::from_utf8_lossy(&bytes)
                    .split('\0')
                    .filter_map(|clients| clients.split_once('='))
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect::<Vec<_>>()
            })
            .find(|pairs| {
                pairs.iter().any(|(name, value)| name == "HOME" && *value == home)
                    && pairs.iter().any(|(name, _)| name == "RABBITMQ_NODENAME")
            })
            .expect("the broker's process");
        Self { environment }
    }

    fn run(&self, arguments: &[&str]) {
        let output = Command::new("/usr/lib/rabbitmq/bin/rabbitmqctl")
            .args(arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .output()
            .expect("rabbitmqctl runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
