//! Servers that vanish from the network: their old connections are silent for ever, and new ones work.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use contract::ObjectLocation;
use service_runtime::{
    broker::{BrokerSettings, Consumer, Message, Publisher},
    store::{Store, StoreError, StoreSettings},
};
use support::{TIMEOUT, wait_for};
use test_support::{Behaviour, FaultProxy};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::timeout,
};

/// Broker settings that lead through a proxy, with the default time limits.
async fn through_proxy(scratch: &local::Scratch) -> (BrokerSettings, FaultProxy) {
    let mut settings = support::broker(&scratch.environment());
    let proxy = FaultProxy::start(&format!("{}:{}", settings.host, settings.port)).expect("a proxy");
    settings.host = proxy.address().ip().to_string();
    settings.port = proxy.address().port();
    (settings, proxy)
}

/// Expects that a message and its acknowledgement go through.
async fn expect_delivery(publisher: &Publisher, consumer: &Consumer, queue: &str, when: &str) {
    let delivered = async {
        while publisher.publish(queue, &Message::new(when)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        loop {
            let delivery = consumer.next().await.expect("a delivery");
            let acked = delivery.ack().await.is_ok();
            if acked && delivery.body == when.as_bytes() {
                break;
            }
        }
    };
    // Two heartbeats of 5 s, and time to connect.
    timeout(Duration::from_secs(20), delivered)
        .await
        .unwrap_or_else(|_| panic!("not in time: {when}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_broker_is_replaced_by_its_successor() {
    let scratch = local::scratch()
        .await
        .expect("a scratch environment in the stack");
    let (settings, proxy) = through_proxy(&scratch).await;
    let queue = settings.queues.jobs.clone();
    let publisher = Publisher::start(settings.clone());
    let consumer = Consumer::subscribe(settings, &queue, 4);
    expect_delivery(&publisher, &consumer, &queue, "in the beginning").await;
    for round in 0..2 {
        proxy.strand().await;
        expect_delivery(
            &publisher,
            &consumer,
            &queue,
            &format!("after idle silence {round}"),
        )
        .await;

        proxy.behave(Behaviour::Stall).await;
        let publishes = (0..8).map(|_| async {
            let _ = publisher.publish(&queue, &Message::new("on its way")).await;
        });
        futures::future::join_all(publishes).await;
        proxy.strand().await;
        expect_delivery(
            &publisher,
            &consumer,
            &queue,
            &format!("after silence in use {round}"),
        )
        .await;
    }
    timeout(Duration::from_secs(10), async {
        proxy.strand().await;
        publisher.close().await;
        consumer.close().await;
    })
    .await
    .expect("closed in time");
}

/// Accepts connections and never answers.
async fn silent_listener() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let mut connections = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.push(stream);
        }
    });
    address
}

/// An address without a listener.
async fn refusing_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    listener.local_addr().expect("an address")
}

#[tokio::test(flavor = "multi_thread")]
async fn all_addresses_of_the_broker_are_tried() {
    let scratch = local::scratch()
        .await
        .expect("a scratch environment in the stack");
    let settings = support::broker(&scratch.environment());
    let works = format!("{}:{}", settings.host, settings.port);
    let (silent, refuses) = (silent_listener().await, refusing_address().await);
    for list in [
        format!("{refuses},{works}"),
        format!("{works}, {refuses}"),
        format!("no-such-host.invalid,{works}"),
        format!("{silent},{refuses},{works}"),
    ] {
        let mut settings = settings.clone();
        settings.host = list.clone();
        // A silent node costs one attempt, which takes 4 s by default.
        settings.connect_timeout = Duration::from_secs(2);
        let queue = settings.queues.jobs.clone();
        let publishers: Vec<_> = (0..4).map(|_| Publisher::start(settings.clone())).collect();
        for publisher in &publishers {
            wait_for(&list, publisher.connected()).await;
            publisher
                .publish(&queue, &Message::new("{}"))
                .await
                .expect("published");
        }
    }
}

/// A store behind TLS that offers HTTP/2, behind a proxy.
async fn store_behind_tls(plain: &StoreSettings) -> (StoreSettings, FaultProxy) {
    let server = plain.endpoint.trim_start_matches("http://").to_owned();
    let names = ["localhost", "127.0.0.1"];
    let (address, authority) = support::behind_tls(server, &names, &["h2", "http/1.1"]).await;
    let proxy = FaultProxy::start(&address.to_string()).expect("a proxy");
    let mut settings = plain.clone();
    settings.endpoint = format!("https://{}", proxy.address());
    settings.ca = Some(authority);
    (settings, proxy)
}

/// The store behind a proxy.
async fn store_behind_proxy(plain: &StoreSettings) -> (StoreSettings, FaultProxy) {
    let proxy = FaultProxy::start(&plain.endpoint).expect("a proxy");
    let mut settings = plain.clone();
    settings.endpoint = proxy.url();
    (settings, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_store_is_replaced_by_its_successor() {
    let scratch = local::scratch()
        .await
        .expect("a scratch environment in the stack");
    let plain = support::store(&scratch.environment());
    for (mut settings, proxy) in [store_behind_proxy(&plain).await, store_behind_tls(&plain).await] {
        settings.answer_timeout = Duration::from_secs(2);
        let location = ObjectLocation::new(&settings.input_bucket, "1.jpg").expect("a location");
        let store = Store::new(settings).expect("a client");
        wait_for("it works in the beginning", async {
            while let Err(error) = store.put(&location, vec![7; 100], "image/jpeg").await {
                assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
            }
        })
        .await;
        for round in 0..2 {
            // First many idle connections, then many connections in use.
            let gets = (0..20).map(|_| store.get(&location, 100));
            for got in futures::future::join_all(gets).await {
                assert_eq!(got, Ok(vec![7; 100]));
            }
            proxy.strand().await;
            expect_answers(&store, &location, &format!("idle ones, round {round}")).await;

            proxy.behave(Behaviour::Stall).await;
            let gets = (0..20).map(|_| store.get(&location, 100));
            for got in futures::future::join_all(gets).await {
                assert!(matches!(got, Err(StoreError::Unavailable(_))), "{got:?}");
            }
            proxy.strand().await;
            expect_answers(&store, &location, &format!("ones in use, round {round}")).await;
        }
    }
}

/// Expects that all requests after the first failure are answered.
async fn expect_answers(store: &Store, location: &ObjectLocation, silent: &str) {
    let _ = store.get(location, 100).await;
    let gets = (0..20).map(|_| store.get(location, 100));
    let gets = timeout(TIMEOUT, futures::future::join_all(gets)).await;
    for got in gets.expect("answers in time") {
        assert_eq!(got, Ok(vec![7; 100]), "silent connections: {silent}");
    }
}

/// A client with some idle connections, an object, and the number of connections so far.
async fn with_idle_connections(settings: StoreSettings, proxy: &FaultProxy) -> (Store, ObjectLocation, u64) {
    let location = ObjectLocation::new(&settings.input_bucket, "1.jpg").expect("a location");
    let store = Store::new(settings).expect("a client");
    store
        .put(&location, vec![7; 100], "image/jpeg")
        .await
        .expect("stored");
    proxy.behave(Behaviour::Stall).await;
    let gets = (0..4).map(|_| store.get(&location, 100));
    let all_wait = async {
        while proxy.accepted() < 4 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        proxy.restore().await;
    };
    let (got, ()) = wait_for("answers", async {
        tokio::join!(futures::future::join_all(gets), all_wait)
    })
    .await;
    for got in got {
        assert_eq!(got, Ok(vec![7; 100]));
    }
    (store, location, proxy.accepted())
}

/// A client disconnected while a slow store was working for it. This says nothing about the store.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_request_closes_only_its_own_connection() {
    let scratch = local::scratch()
        .await
        .expect("a scratch environment in the stack");
    let (settings, proxy) = store_behind_proxy(&support::store(&scratch.environment())).await;
    let (store, location, accepted) = with_idle_connections(settings, &proxy).await;
    for client in [store.client(), store.upload_client()] {
        proxy.behave(Behaviour::Stall).await;
        let get = client.get_object().bucket(location.bucket()).key(location.key());
        timeout(Duration::from_millis(700), get.send())
            .await
            .expect_err("the store is slow");
        proxy.restore().await;
        assert_eq!(store.get(&location, 100).await, Ok(vec![7; 100]));
        assert_eq!(proxy.accepted(), accepted, "an idle connection is used");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_closes_only_older_connections() {
    let scratch = local::scratch()
        .await
        .expect("a scratch environment in the stack");
    let (settings, proxy) = store_behind_proxy(&support::store(&scratch.environment())).await;
    let (store, location, accepted) = with_idle_connections(settings, &proxy).await;
    // Two requests that started at the same time.
    let since = Instant::now();
    for _ in 0..2 {
        store.report_timeout(since);
        assert_eq!(store.get(&location, 100).await, Ok(vec![7; 100]));
        assert_eq!(proxy.accepted(), accepted + 1, "a new connection, once");
    }
}

/// Announces a listing, sends half of it, and then nothing.
async fn serve_half_a_listing() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let mut connections = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer =
                b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n<?xml version=\"1.0\"?><ListBucketResult>";
            let mut request = [0; 8192];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer).await;
            connections.push(stream);
        }
    });
    address
}

#[tokio::test]
async fn a_listing_that_stops_half_way_fails() {
    let scratch = local::scratch()
        .await
        .expect("a scratch environment in the stack");
    let mut settings = support::store(&scratch.environment());
    settings.answer_timeout = Duration::from_millis(300);
    settings.endpoint = format!("http://{}", serve_half_a_listing().await);
    let store = Store::new(settings).expect("a client");
    let listing = store.client().list_objects_v2().bucket("input").send();
    let listed = timeout(TIMEOUT, listing).await.expect("it ends");
    assert!(listed.is_err(), "{listed:?}");
}
