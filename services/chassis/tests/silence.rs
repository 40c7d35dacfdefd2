//! Servers that vanish from the network: their connections stay open and are silent for ever, and new ones work.

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

use chassis::{
    broker::{BrokerSettings, Consumer, Message, Publisher},
    store::{Store, StoreError, StoreSettings},
};
use contract::ObjectLocation;
use local::proxy::{Behaviour, Proxy};
use support::{PATIENCE, soon};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::timeout,
};

/// Broker settings that lead through a proxy, with the time limits as delivered.
async fn through_proxy(scratch: &local::Scratch) -> (BrokerSettings, Proxy) {
    let mut settings = support::broker(&scratch.environment());
    let proxy = Proxy::start(format!("{}:{}", settings.host, settings.port))
        .await
        .expect("a proxy");
    settings.host = proxy.address().ip().to_string();
    settings.port = proxy.address().port();
    (settings, proxy)
}

/// A message goes through, and its acknowledgement.
async fn delivers(publisher: &Publisher, consumer: &Consumer, queue: &str, when: &str) {
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
    // Two heartbeats, 5 s each, and time to connect.
    timeout(Duration::from_secs(20), delivered)
        .await
        .unwrap_or_else(|_| panic!("not in time: {when}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_became_silent_is_left_for_its_successor() {
    let scratch = local::scratch().await.expect("a place in the stack");
    let (settings, proxy) = through_proxy(&scratch).await;
    let queue = settings.queues.jobs.clone();
    let publisher = Publisher::start(settings.clone());
    let consumer = Consumer::subscribe(settings, &queue, 4);
    delivers(&publisher, &consumer, &queue, "in the beginning").await;
    for round in 0..2 {
        proxy.strand().await;
        delivers(
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
        delivers(
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

/// Accepts connections and never says a word.
async fn silent_listener() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    address
}

/// Nobody listens there.
async fn refusing_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    listener.local_addr().expect("an address")
}

#[tokio::test(flavor = "multi_thread")]
async fn all_addresses_of_the_broker_are_tried() {
    let scratch = local::scratch().await.expect("a place in the stack");
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
        // A node that is only silent costs an attempt, of 4 s as delivered.
        settings.connect_timeout = Duration::from_secs(2);
        let queue = settings.queues.jobs.clone();
        let publishers: Vec<_> = (0..4).map(|_| Publisher::start(settings.clone())).collect();
        for publisher in &publishers {
            soon(&list, publisher.connected()).await;
            publisher
                .publish(&queue, &Message::new("{}"))
                .await
                .expect("published");
        }
    }
}

/// A store behind TLS that offers HTTP/2, and a proxy before both.
async fn store_behind_tls(plain: &StoreSettings) -> (StoreSettings, Proxy) {
    let server = plain.endpoint.trim_start_matches("http://").to_owned();
    let names = ["localhost", "127.0.0.1"];
    let (address, authority) = support::behind_tls(server, &names, &["h2", "http/1.1"]).await;
    let proxy = Proxy::start(address.to_string()).await.expect("a proxy");
    let mut settings = plain.clone();
    settings.endpoint = format!("https://{}", proxy.address());
    settings.ca = Some(authority);
    (settings, proxy)
}

/// The store behind a proxy.
async fn store_behind_proxy(plain: &StoreSettings) -> (StoreSettings, Proxy) {
    let server = plain.endpoint.trim_start_matches("http://").to_owned();
    let proxy = Proxy::start(server).await.expect("a proxy");
    let mut settings = plain.clone();
    settings.endpoint = format!("http://{}", proxy.address());
    (settings, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_became_silent_is_left_for_its_successor() {
    let scratch = local::scratch().await.expect("a place in the stack");
    let plain = support::store(&scratch.environment());
    for (mut settings, proxy) in [store_behind_proxy(&plain).await, store_behind_tls(&plain).await] {
        settings.answer_timeout = Duration::from_secs(2);
        let location = ObjectLocation::new(&settings.input_bucket, "1.jpg").expect("a location");
        let store = Store::new(settings).expect("a client");
        soon("it works in the beginning", async {
            while let Err(error) = store.put(&location, vec![7; 100], "image/jpeg").await {
                assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
            }
        })
        .await;
        for round in 0..2 {
            // Many connections that are idle, then many that are in use.
            let gets = (0..20).map(|_| store.get(&location, 100));
            for got in futures::future::join_all(gets).await {
                assert_eq!(got, Ok(vec![7; 100]));
            }
            proxy.strand().await;
            answers(&store, &location, &format!("idle ones, round {round}")).await;

            proxy.behave(Behaviour::Stall).await;
            let gets = (0..20).map(|_| store.get(&location, 100));
            for got in futures::future::join_all(gets).await {
                assert!(matches!(got, Err(StoreError::Unavailable(_))), "{got:?}");
            }
            proxy.strand().await;
            answers(&store, &location, &format!("ones in use, round {round}")).await;
        }
    }
}

/// After the first failure all requests are answered.
async fn answers(store: &Store, location: &ObjectLocation, silent: &str) {
    let _ = store.get(location, 100).await;
    let gets = (0..20).map(|_| store.get(location, 100));
    let gets = timeout(PATIENCE, futures::future::join_all(gets)).await;
    for got in gets.expect("answers in time") {
        assert_eq!(got, Ok(vec![7; 100]), "silent connections: {silent}");
    }
}

/// A client with some idle connections, an object, and the number of connections so far.
async fn with_idle_connections(settings: StoreSettings, proxy: &Proxy) -> (Store, ObjectLocation, u64) {
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
    let (got, ()) = soon("answers", async {
        tokio::join!(futures::future::join_all(gets), all_wait)
    })
    .await;
    for got in got {
        assert_eq!(got, Ok(vec![7; 100]));
    }
    (store, location, proxy.accepted())
}

/// A client went away while a slow store was asked for it: that says nothing about the store.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_its_caller_broke_off_costs_its_own_connection_alone() {
    let scratch = local::scratch().await.expect("a place in the stack");
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
async fn a_time_out_costs_the_connections_of_before_alone() {
    let scratch = local::scratch().await.expect("a place in the stack");
    let (settings, proxy) = store_behind_proxy(&support::store(&scratch.environment())).await;
    let (store, location, accepted) = with_idle_connections(settings, &proxy).await;
    // Two requests that were begun at the same time.
    let since = Instant::now();
    for _ in 0..2 {
        store.report_timeout(since);
        assert_eq!(store.get(&location, 100).await, Ok(vec![7; 100]));
        assert_eq!(proxy.accepted(), accepted + 1, "a new connection, once");
    }
}

/// Announces a listing, sends half of it, and nothing more.
async fn half_a_listing() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer =
                b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n<?xml version=\"1.0\"?><ListBucketResult>";
            let mut request = [0; 8192];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer).await;
            held.push(stream);
        }
    });
    address
}

#[tokio::test]
async fn a_listing_that_stops_half_way_ends() {
    let scratch = local::scratch().await.expect("a place in the stack");
    let mut settings = support::store(&scratch.environment());
    settings.answer_timeout = Duration::from_millis(300);
    settings.endpoint = format!("http://{}", half_a_listing().await);
    let store = Store::new(settings).expect("a client");
    let listing = store.client().list_objects_v2().bucket("input").send();
    let listed = timeout(PATIENCE, listing).await.expect("it ends");
    assert!(listed.is_err(), "{listed:?}");
}
