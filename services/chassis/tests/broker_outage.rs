//! Publisher and consumer while the broker dies, hangs, or is short of memory.
//! It has a stack of its own, whose broker it may kill.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::{path::Path, process::Command, time::Duration};

use chassis::broker::{BrokerSettings, Consumer, Message, PublishError, Publisher};
use local::Stack;
use support::soon;
use tokio::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn publisher_and_consumer_come_back_from_every_outage() {
    let stack = Stack::builder().only_ours().start().await.expect("a stack");
    let mut settings = support::broker(&stack.environment());
    settings.heartbeat = Duration::from_secs(2);
    settings.publish_timeout = Duration::from_secs(3);
    let timed_out = Err(PublishError::TimedOut(settings.publish_timeout));
    let pair = Pair::start(&settings).await;
    pair.works("in the beginning").await;

    stack.rabbitmq().kill().await.expect("killed");
    pair.fails("killed", settings.publish_timeout).await;
    stack.rabbitmq().restart().await.expect("restarted");
    pair.works("after a kill").await;

    // Short: the session outlives it.
    stack.rabbitmq().pause().await.expect("halted");
    pair.fails("halted", settings.publish_timeout).await;
    stack.rabbitmq().resume().await.expect("goes on");
    pair.works("after a short halt").await;

    // Long: heartbeats are missed, and handshakes stall.
    stack.rabbitmq().pause().await.expect("halted");
    soon("the session is given up", async {
        while pair.publisher.publish(&pair.queue, &Message::new("lost")).await
            != Err(PublishError::Disconnected)
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let threads = threads();
    tokio::time::sleep(settings.connect_timeout * 3).await;
    assert!(
        threads_named_io_loop() <= 6,
        "attempts leave threads behind: {threads} before, {} now",
        self::threads()
    );
    stack.rabbitmq().resume().await.expect("goes on");
    pair.works("after a long halt").await;

    let rabbitmqctl = Control::of(stack.directory());
    let sessions = pair.publisher.state().sessions;
    rabbitmqctl.run(&["set_vm_memory_high_watermark", "0.0001"]);
    soon("publishes on their way wait in vain", async {
        // RabbitMQ takes the first one after the alarm, and blocks the connection.
        while !pair.publish_at_once(8).await.contains(&timed_out) {}
    })
    .await;
    // Longer than a question to a broker that seems to be gone takes.
    let blocked = Instant::now();
    while blocked.elapsed() < Duration::from_secs(4) {
        let published = pair.publish_at_once(8).await;
        assert_eq!(published, vec![Err(PublishError::Blocked); 8]);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    rabbitmqctl.run(&["set_vm_memory_high_watermark", "0.6"]);
    pair.works("after a memory alarm").await;
    assert_eq!(
        pair.publisher.state().sessions,
        sessions,
        "the blocked connection is kept"
    );
    stack.stop().await.expect("stopped");
}

struct Pair {
    publisher: Publisher,
    consumer: Consumer,
    queue: String,
}

impl Pair {
    async fn start(settings: &BrokerSettings) -> Self {
        let queue = settings.queues.jobs.clone();
        let pair = Self {
            publisher: Publisher::start(settings.clone()),
            consumer: Consumer::subscribe(settings.clone(), &queue, 4),
            queue,
        };
        soon("connected", pair.publisher.connected()).await;
        soon("connected", pair.consumer.connected()).await;
        pair
    }

    /// A message goes through; those of earlier attempts may come too.
    async fn works(&self, when: &str) {
        let began = Instant::now();
        soon(when, async {
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
        // "Work goes on within 10 s", with room for a busy machine.
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{when}: {:?}",
            began.elapsed()
        );
    }

    async fn publish_at_once(&self, count: usize) -> Vec<Result<(), PublishError>> {
        let message = Message::new("at once");
        let publishes = (0..count).map(|_| self.publisher.publish(&self.queue, &message));
        futures::future::join_all(publishes).await
    }

    async fn fails(&self, when: &str, limit: Duration) {
        let began = Instant::now();
        let result = self.publisher.publish(&self.queue, &Message::new("lost")).await;
        assert!(result.is_err(), "{when}: {result:?}");
        assert!(
            began.elapsed() < limit + Duration::from_secs(5),
            "{when}: {:?}",
            began.elapsed()
        );
    }
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

fn threads_named_io_loop() -> usize {
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

/// `rabbitmqctl` for the stack's broker, which keeps its name to itself.
struct Control {
    environment: Vec<(String, String)>,
}

impl Control {
    fn of(directory: &Path) -> Self {
        let home = directory.join("rabbitmq").display().to_string();
        let environment = std::fs::read_dir("/proc")
            .expect("/proc")
            .flatten()
            .filter_map(|process| std::fs::read(process.path().join("environ")).ok())
            .map(|bytes| {
                String::from_utf8_lossy(&bytes)
                    .split('\0')
                    .filter_map(|pair| pair.split_once('='))
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
