//! Searches with more lines than a page.

use logq::{
    entry::Order,
    filter::Filter,
    opensearch::{Client, Method, OpenSearchSettings},
    source::opensearch::OpenSearchSource,
};

use crate::{
    log_store::LogStore,
    search::{logq, text},
};

/// More lines than a page, all with the same time.
#[tokio::test]
async fn lines_of_one_time_are_returned_once_across_pages() {
    let Some(store) = LogStore::empty("pages of OpenSearch").await else {
        return;
    };
    store.bootstrap().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("many.log");
    let lines = (0..12_000).map(|n| format!("2026-11-22T10:00:00.000000000Z stdout F line {n:05}\n"));
    std::fs::write(&file, lines.collect::<String>()).unwrap();
    let imported = logq(&store, &["import", file.to_str().unwrap()]);
    assert_eq!(
        text(&imported.stderr),
        "logq: 12000 lines stored, 0 already in OpenSearch\n"
    );
    store.ask(Method::Post, "/logs-*/_refresh", None).await;

    let output = logq(&store, &["-o", "raw"]);
    let shown = text(&output.stdout);
    let mut shown: Vec<&str> = shown.lines().collect();
    shown.sort_unstable();
    let wanted: Vec<String> = (0..12_000).map(|n| format!("line {n:05}")).collect();
    assert!(shown == wanted, "{} lines", shown.len());
}

/// A slow reader may continue after the point in time has expired.
#[tokio::test]
async fn expired_point_in_time_neither_loses_nor_duplicates_lines() {
    let Some(store) = LogStore::empty("an expired point in time").await else {
        return;
    };
    store.bootstrap().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("many.log");
    // Three lines per second, so that a page ends within one second.
    let lines = (0..12_999).map(|n| {
        let (minutes, seconds) = (n / 3 / 60, n / 3 % 60);
        let time = format!(
            "2026-11-22T{:02}:{:02}:{seconds:02}",
            10 + minutes / 60,
            minutes % 60
        );
        format!("{time}.000000000Z stdout F line {n:05}\n")
    });
    std::fs::write(&file, lines.collect::<String>()).unwrap();
    assert!(logq(&store, &["import", file.to_str().unwrap()]).status.success());
    store.ask(Method::Post, "/logs-*/_refresh", None).await;
    for order in [Order::Forward, Order::Backward] {
        let client = store.client.clone();
        let mut shown: Vec<String> = tokio::task::spawn_blocking(move || {
            // A connection belongs to the runtime that created it.
            let settings = OpenSearchSettings::read(&|name| std::env::var(name).ok()).unwrap();
            let own = Client::new(&settings).unwrap();
            let lines = OpenSearchSource::new(own).unwrap();
            let other = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let forget = || {
                let path = "/_search/point_in_time/_all";
                let request = client.ask("close all points in time", Method::Delete, path, &[], None);
                other.block_on(request).unwrap();
            };
            let mut shown = Vec::new();
            for (number, line) in lines.lines(&Filter::EVERYTHING, order).enumerate() {
                shown.push(line.unwrap().document.message().to_owned());
                if [100, 1_100, 6_500].contains(&number) {
                    forget();
                }
            }
            shown
        })
        .await
        .unwrap();
        // Lines of the same time may have any order.
        shown.chunks_mut(3).for_each(<[String]>::sort_unstable);
        if order == Order::Backward {
            shown = shown.chunks(3).rev().flatten().cloned().collect();
        }
        let wanted: Vec<String> = (0..12_999).map(|n| format!("line {n:05}")).collect();
        assert!(shown == wanted, "{order:?}: {} lines", shown.len());
    }
}
