//! The calls about the store, there and back.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::stream::StreamExt as _;
use rustle_admin::views::*;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::Running;
use crate::fake::{garbage, pins, root, stat};
use crate::refusals::raw;

#[tokio::test]
async fn what_the_store_holds_arrives_as_the_node_told_it() {
    let running = Running::start().await;
    let client = running.client().await;

    assert_eq!(client.store_stat().await.unwrap(), stat());
    let mut words = client.collect_garbage().await.unwrap();
    assert_eq!(words.next().await.unwrap().unwrap(), garbage());
    assert!(words.next().await.is_none());
    let words: Vec<_> = client.verify_store(true).await.unwrap().collect().await;
    let words: Vec<VerifyProgress> = words.into_iter().map(Result::unwrap).collect();
    assert_eq!(words[0].faults, [(root(), BlockFault::NoBytes, true)]);
    assert_eq!((words.len(), words[1].blocks, words[1].done), (2, 7, true));
}

#[tokio::test]
async fn pins_are_set_removed_and_listed_page_by_page() {
    let running = Running::start().await;
    let client = running.client().await;
    let pin = Pin {
        name: "n".repeat(PIN_NAME_BYTES_MAX),
        ..Pin::new(root(), PinKind::Direct)
    };

    let timeout = Some(Duration::from_secs(9));
    let pinned = client.pin(&pin, timeout).await.unwrap();
    assert_eq!(pinned, Pinned { pin, fetched: 3 });
    let removed = client.unpin(&root(), Some(PinKind::Direct)).await.unwrap();
    assert_eq!(removed, Pin::new(root(), PinKind::Direct));
    let page = client.pins(PinQuery::default()).await.unwrap();
    assert_eq!(page.pins, pins());
    let query = PinQuery {
        cid: Some(root()),
        kind: Some(PinKind::Recursive),
        after: page.next,
        limit: 5,
    };
    let page = client.pins(query.clone()).await.unwrap();
    assert_eq!(page.next, None);
    let asked = running.fake.asked();
    assert!(
        asked.contains("9s") && asked.contains(&format!("{query:?}")),
        "{asked}"
    );

    let too_long = Pin {
        name: "n".repeat(PIN_NAME_BYTES_MAX + 1),
        ..Pin::new(root(), PinKind::Direct)
    };
    assert!(client.pin(&too_long, None).await.unwrap_err().is_usage());
}

#[tokio::test]
async fn a_node_whose_disk_has_failed_does_not_serve() {
    let running = Running::start().await;
    let mut health = HealthClient::new(raw(&running).await);
    let request = HealthCheckRequest::default();
    let mut states = health.watch(request).await.unwrap().into_inner();
    let mut next = async || {
        let answer = tokio::time::timeout(crate::SOON, states.next()).await;
        answer.expect("the state in time").unwrap().unwrap().status()
    };
    assert_eq!(next().await, ServingStatus::Serving);

    running.fake.is_ill.store(true, Ordering::Relaxed);
    assert_eq!(next().await, ServingStatus::NotServing);
    running.fake.is_ill.store(false, Ordering::Relaxed);
    assert_eq!(next().await, ServingStatus::Serving);
}
