//! Publisher and consumer with a real broker.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::{collections::HashSet, time::Duration};

use contract::{headers, queues::Queues};
use futures::future::join_all;
use lapin::{
    options::{QueueDeclareOptions, QueueDeleteOptions},
    types::FieldTable,
};
use service_runtime::broker::{Consumer, Message, PublishError, Publisher};
use support::wait_for;
use tokio::net::TcpListener;

#[tokio::test]
async fn a_message_keeps_its_headers_and_is_deleted_after_the_ack() {
    let scratch = local::scratch()
        .await
        .expect("a scratch environment in the stack");
    let settings = support::broker(&scratch.environment());
    let queue = settings.queues.jobs.clone();
    let publisher = Publisher::start(settings.clone());
    wait_for("connected", publisher.connected()).await;
    let message = Message::new("{}")
        .with_id(17)
        .with_header(headers::TRACEPARENT, "00-1-2-01")
        .with_header(headers::X_EARLIER_DELIVERIES, 3)
        .with_header(headers::X_UNREADABLE_RETURNS, 2)
        .with_header(headers::X_KILLED_RETURNS, 1);
    publisher.publish(&queue, &message).await.expect("published");
    assert_eq!(publisher.messages_ready(&queue).await, Ok(1));

    let consumer = Consumer::subscribe(settings, &queue, 10);
    let delivery = wait_for("a delivery", consumer.next()).await.expect("a delivery");
    assert_eq!(delivery.body, b"{}");
    assert_eq!(delivery.delivery_count(), 0);
    assert_eq!(delivery.deliveries_before(), 3);
    assert_eq!(delivery.header_count(headers::X_UNREADABLE_RETURNS), 2);
    assert_eq!(delivery.as_message(), message);

    delivery.requeue().await.expect("given back");
    let again = wait_for("it comes again", consumer.next())
        .await
        .expect("a delivery");
    assert_eq!((again.delivery_count(), again.deliveries_before()), (1, 4));
    assert_eq!(again.as_message(), message, "the broker's count stays behind");
    again.ack().await.expect("acked");
    again.ack().await.expect_err("settled once only");
    consumer.close().await;
    assert_eq!(publisher.messages_ready(&queue).await, Ok(0));
}

/// On one shared channel lapin would report some results wrongly: the broker confirms many publishes at once,
/// and returns carry no delivery tag.
#[tokio::test]
async fn exactly_the_returned_publishes_fail() {
    let scratch = local::scratch()
        .await
        .expect("a scratch environment in the stack");
    let settings = support::broker(&scratch.environment());
    let queue = settings.queues.jobs.clone();
    let publisher = Publisher::start(settings);
    wait_for("connected", publisher.connected()).await;
    let publishes = (0..400).map(|number| {
        let (publisher, queue) = (publisher.clone(), queue.clone());
        async move {
            let message = Message::new(number.to_string());
            let queue = if number % 3 == 0 { "no-such-queue" } else { &queue };
            publisher.publish(queue, &message).await
        }
    });
    for (number, result) in join_all(publishes).await.into_iter().enumerate() {
        if number % 3 == 0 {
            assert!(
                matches!(result, Err(PublishError::QueueUnavailable { .. })),
                "{number}: {result:?}"
            );
        } else {
            assert_eq!(result, Ok(()), "{number}");
        }
    }
    assert_eq!(publisher.messages_ready(&queue).await, Ok(266));
}

#[tokio::test]
async fn a_queue_that_was_deleted_is_declared_again() {
    let scratch = local::scratch()
        .await
        .expect("a scratch environment in the stack");
    let settings = support::broker(&scratch.environment());
    let queues = settings.queues.clone();
    let publisher = Publisher::start(settings.clone());
    let consumer = Consumer::subscribe(settings, &queues.results, 10);
    wait_for("connected", publisher.connected()).await;
    wait_for("connected", consumer.connected()).await;

    let connection = support::connect_directly(&scratch.rabbitmq).await;
    let channel = connection.create_channel().await.expect("channel");
    for queue in [&queues.jobs, &queues.results] {
        channel
            .queue_delete(queue.as_str().into(), QueueDeleteOptions::default())
            .await
            .expect("deleted");
    }
    let message = Message::new("1");
    wait_for("published again", async {
        while publisher.publish(&queues.jobs, &message).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        while publisher.publish(&queues.results, &message).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let delivery = wait_for("delivered", consumer.next()).await.expect("a delivery");
    delivery.ack().await.expect("acked");
}

#[tokio::test]
async fn a_paused_consumer_takes_nothing_and_continues_after_resume() {
    let scratch = local::scratch()
        .await
        .expect("a scratch environment in the stack");
    let settings = support::broker(&scratch.environment());
    let queue = settings.queues.jobs.clone();
    let publisher = Publisher::start(settings.clone());
    wait_for("connected", publisher.connected()).await;
    let consumer = Consumer::subscribe(settings, &queue, 2);
    publisher
        .publish(&queue, &Message::new("before"))
        .await
        .expect("published");
    let unsettled = wait_for("a delivery", consumer.next()).await.expect("a delivery");

    consumer.pause();
    consumer.pause();
    assert!(consumer.is_paused());
    let mut state = consumer.watch();
    wait_for("paused", state.wait_for(|state| !state.consuming))
        .await
        .expect("a state");
    publisher
        .publish(&queue, &Message::new("while"))
        .await
        .expect("published");
    assert_eq!(publisher.messages_ready(&queue).await, Ok(1));
    unsettled
        .ack()
        .await
        .expect("what was taken can be settled during a pause");

    consumer.resume();
    let next = wait_for("a delivery", consumer.next()).await.expect("a delivery");
    assert_eq!(next.body, b"while");

    consumer.cancel();
    assert!(wait_for("the end", consumer.next()).await.is_none());
    next.ack()
        .await
        .expect("what was taken can be settled after the cancel");
    wait_for("closed", consumer.close()).await;
    assert_eq!(publisher.messages_ready(&queue).await, Ok(0));
}

#[tokio::test]
async fn deliveries_of_a_dropped_consumer_go_to_the_next() {
    let scratch = local::scratch()
        .await
        .expect("a scratch environment in the stack");
    let settings = support::broker(&scratch.environment());
    let queue = settings.queues.jobs.clone();
    let publisher = Publisher::start(settings.clone());
    wait_for("connected", publisher.connected()).await;
    for number in 0..5 {
        publisher
            .publish(&queue, &Message::new(number.to_string()))
            .await
            .expect("published");
    }
    let first = Consumer::subscribe(settings.clone(), &queue, 5);
    let unsettled = wait_for("a delivery", first.next()).await.expect("a delivery");
    drop(first);

    let second = Consumer::subscribe(settings, &queue, 5);
    let mut bodies = HashSet::new();
    while bodies.len() < 5 {
        let delivery = wait_for("a delivery", second.next()).await.expect("a delivery");
        delivery.ack().await.expect("acked");
        bodies.insert(delivery.body);
    }
    unsettled.ack().await.expect_err("the broker has taken it back");
}

/// The acknowledgement is the last frame before the close.
#[tokio::test]
async fn acked_deliveries_do_not_come_again_after_the_close() {
    let scratch = local::scratch().await.unwrap();
    let settings = support::broker(&scratch.environment());
    let publisher = Publisher::start(settings.clone());
    let queue = &settings.queues.jobs;
    wait_for("connected", publisher.connected()).await;
    for round in 0..20 {
        let body = format!("message {round}");
        publisher
            .publish(queue, &Message::new(body.clone()))
            .await
            .unwrap();
        let consumer = Consumer::subscribe(settings.clone(), queue, 2);
        let delivery = wait_for("a delivery", consumer.next()).await.unwrap();
        assert_eq!(delivery.body, body.as_bytes(), "one that was acked came again");
        delivery.ack().await.unwrap();
        wait_for("closed", consumer.close()).await;
    }
    wait_for("closed", publisher.close()).await;
    let late = publisher.publish(queue, &Message::new("late")).await;
    assert_eq!(late, Err(PublishError::Disconnected));
}

#[tokio::test]
async fn a_consumer_closes_while_the_broker_is_silent() {
    let scratch = local::scratch().await.unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = support::broker(&scratch.environment());
    settings.port = silent.local_addr().unwrap().port();
    settings.connect_timeout = support::TIMEOUT * 10;
    let queue = settings.queues.jobs.clone();
    let consumer = Consumer::subscribe(settings, &queue, 1);
    let _greeted = wait_for("it connects", silent.accept()).await.unwrap();
    wait_for("closed", consumer.close()).await;
}

#[tokio::test]
async fn a_classic_job_queue_is_refused_unless_it_is_allowed() {
    let scratch = local::scratch()
        .await
        .expect("a scratch environment in the stack");
    let mut settings = support::broker(&scratch.environment());
    settings.queues = Queues::for_jobs("classic");
    let connection = support::connect_directly(&scratch.rabbitmq).await;
    let channel = connection.create_channel().await.expect("channel");
    channel
        .queue_declare(
            "classic".into(),
            QueueDeclareOptions::durable(),
            FieldTable::default(),
        )
        .await
        .expect("declared");

    let refused = Publisher::start(settings.clone());
    wait_for("a refusal", async {
        loop {
            let error = refused.state().last_error.unwrap_or_default();
            if error.contains("queue classic exists") && error.contains("ALLOW_CLASSIC_QUEUE=1") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let lost = refused.publish("classic", &Message::new("1")).await;
    assert_eq!(lost, Err(PublishError::Disconnected));

    settings.allow_classic_queue = true;
    let allowed = Publisher::start(settings.clone());
    wait_for("connected", allowed.connected()).await;
    allowed
        .publish("classic", &Message::new("2"))
        .await
        .expect("published");
    let consumer = Consumer::subscribe(settings, "classic", 1);
    let delivery = wait_for("a delivery", consumer.next()).await.expect("a delivery");
    delivery.requeue().await.expect("given back");
    let again = wait_for("a delivery", consumer.next()).await.expect("a delivery");
    assert_eq!(
        again.delivery_count(),
        1,
        "a classic queue only says that there was one"
    );
}
