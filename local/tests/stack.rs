//! Tests of stacks whose servers are killed, paused and restarted.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use lapin::options::{
    BasicGetOptions, BasicNackOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use local::Stack;
use sqlx::{Connection as _, Executor, PgConnection, Row};
use support::{S3Store, listening_addresses, processes_with, with_descendants};
use tokio::time::{Duration, Instant, sleep, timeout};

async fn open_channel(url: &str) -> Channel {
    let connection = Connection::connect(url, ConnectionProperties::default())
        .await
        .unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await
        .unwrap();
    channel
}

async fn declare(channel: &Channel, queue: &str) {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let options = QueueDeclareOptions {
        durable: true,
        ..Default::default()
    };
    channel
        .queue_declare(queue.into(), options, arguments)
        .await
        .unwrap();
}

async fn publish(channel: &Channel, queue: &str, body: &[u8]) {
    let properties = BasicProperties::default().with_delivery_mode(2);
    let confirmation = channel
        .basic_publish(
            "".into(),
            queue.into(),
            BasicPublishOptions::default(),
            body,
            properties,
        )
        .await
        .unwrap()
        .await
        .unwrap();
    assert!(confirmation.is_ack());
}

/// Waits for a message. After a restart, a quorum queue elects a leader first. Until then RabbitMQ answers `basic.get` with an
/// error that closes the connection.
async fn receive(channel: &mut Channel, url: &str, queue: &str) -> lapin::message::Delivery {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        match channel.basic_get(queue.into(), BasicGetOptions::default()).await {
            Ok(Some(message)) => return message.delivery,
            Ok(None) => sleep(Duration::from_millis(20)).await,
            Err(_) => *channel = open_channel(url).await,
        }
        assert!(Instant::now() < deadline, "no message in {queue}");
    }
}

#[tokio::test]
async fn killed_servers_restart_with_their_data_and_leave_nothing_behind() {
    let stack = Stack::builder().only_ours().start().await.unwrap();
    let directory = stack.directory().to_owned();
    assert!(
        processes_with(&directory).len() >= 3,
        "processes_with must find the servers"
    );
    let identities = stack.identities().await;

    let url = stack.postgres().access().url();
    let mut database = PgConnection::connect(&url).await.unwrap();
    database
        .execute("CREATE TABLE survivor AS SELECT 17 AS number")
        .await
        .unwrap();
    let queue_url = stack.rabbitmq().access().url();
    let broker = open_channel(&queue_url).await;
    declare(&broker, "images").await;
    publish(&broker, "images", b"survivor").await;
    let store = S3Store::new(stack.object_store().access());
    store.put("input", "survivor", b"survivor").await;

    stack.queues_on_disk().await.unwrap();
    stack.postgres().kill().await.unwrap();
    stack.rabbitmq().kill().await.unwrap();
    stack.object_store().kill().await.unwrap();
    assert!(identities.iter().all(|process| !process.alive()));
    assert!(PgConnection::connect(&url).await.is_err());

    tokio::try_join!(
        stack.postgres().restart(),
        stack.rabbitmq().restart(),
        stack.object_store().restart()
    )
    .unwrap();
    let mut database = PgConnection::connect(&url).await.unwrap();
    assert_eq!(
        database
            .fetch_one("SELECT number FROM survivor")
            .await
            .unwrap()
            .get::<i32, _>(0),
        17
    );
    let mut broker = open_channel(&queue_url).await;
    assert_eq!(receive(&mut broker, &queue_url, "images").await.data, b"survivor");
    assert_eq!(store.get("input", "survivor").await, b"survivor");

    let identities = stack.identities().await;
    drop(stack);
    assert!(identities.iter().all(|process| !process.alive()));
    assert_eq!(processes_with(&directory), Vec::<String>::new());
    assert!(!directory.exists());
}

#[tokio::test]
async fn servers_listen_only_on_loopback_addresses() {
    let stack = Stack::builder().only_ours().start().await.unwrap();
    let identities = stack.identities().await;
    let mut sockets = 0;
    for pid in with_descendants(identities.iter().map(|process| process.pid)) {
        for address in listening_addresses(pid) {
            let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            assert!(address.ip().is_loopback(), "{address} of {command}");
            sockets += 1;
        }
    }
    // PostgreSQL, S3, epmd; RabbitMQ with AMQP, management and Erlang's distribution port.
    assert!(sockets >= 6, "only {sockets} sockets");
    stack.stop().await.unwrap();
}

#[tokio::test]
async fn a_paused_server_answers_after_resume() {
    let stack = Stack::builder().only_ours().start().await.unwrap();
    let mut database = PgConnection::connect(&stack.postgres().access().url())
        .await
        .unwrap();
    stack.postgres().pause().await.unwrap();
    let limit = Duration::from_millis(500);
    assert!(timeout(limit, database.execute("SELECT 1")).await.is_err());
    stack.postgres().resume().await.unwrap();
    let mut database = PgConnection::connect(&stack.postgres().access().url())
        .await
        .unwrap();
    database.execute("SELECT 1").await.unwrap();
    let identities = stack.identities().await;
    stack.stop().await.unwrap();
    assert!(identities.iter().all(|process| !process.alive()));
}

#[tokio::test]
async fn a_job_returned_too_often_goes_to_the_dead_letter_queue() {
    let scratch = local::scratch().await.unwrap();
    let queues = contract::queues::Queues::for_jobs(&scratch.queue);
    let url = scratch.rabbitmq.url();
    let mut broker = open_channel(&url).await;
    for queue in queues.all() {
        declare(&broker, queue).await;
    }
    publish(&broker, &queues.jobs, b"deadly").await;
    // The delivery limit is 20 redeliveries.
    for _ in 0..=20 {
        let message = receive(&mut broker, &url, &queues.jobs).await;
        message
            .nack(BasicNackOptions {
                requeue: true,
                ..Default::default()
            })
            .await
            .unwrap();
    }
    let dead = receive(&mut broker, &url, &queues.dead).await;
    assert_eq!(dead.data, b"deadly");
    assert!(
        broker
            .basic_get(queues.jobs.as_str().into(), BasicGetOptions::default())
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_result_can_be_returned_any_number_of_times() {
    let scratch = local::scratch().await.unwrap();
    let queues = contract::queues::Queues::for_jobs(&scratch.queue);
    let url = scratch.rabbitmq.url();
    let mut broker = open_channel(&url).await;
    for queue in queues.all() {
        declare(&broker, queue).await;
    }
    publish(&broker, &queues.results, b"a verdict").await;
    for _ in 0..60 {
        let message = receive(&mut broker, &url, &queues.results).await;
        message
            .nack(BasicNackOptions {
                requeue: true,
                ..Default::default()
            })
            .await
            .unwrap();
    }
    assert_eq!(
        receive(&mut broker, &url, &queues.results).await.data,
        b"a verdict"
    );
}
