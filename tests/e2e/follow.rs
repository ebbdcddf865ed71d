//! Does a follower see each block once, parents first, and can it go on where it was?

use futures::StreamExt as _;
use rustle_admin::Client;
use rustle_admin::fault::reason;
use rustle_admin::views::{Delivery, FollowFrom};
use rustle_tests::waiting::{append, converged, data_blocks, within};
use rustle_tests::{Cluster, Daemon, Setup};

use crate::{SOON, named};

async fn take(client: &Client, from: FollowFrom, count: usize) -> Vec<Delivery> {
    let mut deliveries = client.follow(&named("chat"), from).await.unwrap();
    let mut taken = Vec::new();
    while taken.len() < count {
        let next = within("a delivery", SOON, deliveries.next()).await.unwrap();
        taken.push(next.expect("a follower's stream does not end").unwrap());
    }
    taken
}

#[tokio::test]
async fn a_follower_goes_on_by_sequence_after_a_restart() {
    let mut node = Daemon::start("A", Setup::default()).await.unwrap();
    let client = node.client().await.unwrap();
    client.create_chain("chat").await.unwrap();
    for number in 0..10 {
        append(&client, &named("chat"), format!("{number}"))
            .await
            .unwrap();
    }
    let before = take(&client, FollowFrom::Start, 6).await;

    node.kill().await.unwrap();
    node.restart().await.unwrap();
    let client = node.client().await.unwrap();
    append(&client, &named("chat"), "after").await.unwrap();
    let resume = before.last().expect("six were taken").sequence + 1;
    let after = take(&client, FollowFrom::Sequence(resume), 6).await;

    let all: Vec<&Delivery> = before.iter().chain(&after).collect();
    let sequences: Vec<u64> = all.iter().map(|delivery| delivery.sequence).collect();
    assert_eq!(sequences, Vec::from_iter(0..12));
    let bodies: Vec<_> = all[1..]
        .iter()
        .map(|delivery| delivery.block.body.clone())
        .collect();
    assert_eq!(
        bodies,
        ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "after"]
    );
    assert_eq!(
        take(&client, FollowFrom::Start, 12).await,
        all.into_iter().cloned().collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_follower_sees_what_others_append_once_and_parents_first() {
    let cluster = Cluster::start(["A", "B"], &Setup::default()).await.unwrap();
    cluster.connect_to_first().await.unwrap();
    let chain = cluster.share_chain("chat").await.unwrap();
    let clients = cluster.clients().await.unwrap();
    let writers = clients.iter().map(|client| async {
        for number in 0..50 {
            append(client, &chain, format!("{number}")).await.unwrap();
        }
    });

    // The check is in `data_blocks`: a block twice or before a parent panics.
    let (seen, ..) = tokio::join!(
        data_blocks(&clients[1], &chain, 100, SOON),
        futures::future::join_all(writers)
    );

    assert_eq!(seen.unwrap().len(), 100);
    converged(&clients, &chain, SOON).await.unwrap();
}

#[tokio::test]
async fn a_follower_from_now_sees_only_what_comes() {
    let node = Daemon::start("A", Setup::default()).await.unwrap();
    let client = node.client().await.unwrap();
    client.create_chain("chat").await.unwrap();
    append(&client, &named("chat"), "before").await.unwrap();
    let mut deliveries = client.follow(&named("chat"), FollowFrom::Now).await.unwrap();

    append(&client, &named("chat"), "now").await.unwrap();

    let first = within("a delivery", SOON, deliveries.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!((first.sequence, &first.block.body[..]), (2, &b"now"[..]));
}

#[tokio::test]
async fn a_stopping_daemon_tells_its_followers() {
    let mut node = Daemon::start("A", Setup::default()).await.unwrap();
    let client = node.client().await.unwrap();
    client.create_chain("chat").await.unwrap();
    let mut deliveries = client.follow(&named("chat"), FollowFrom::Start).await.unwrap();
    deliveries.next().await.unwrap().unwrap();

    assert!(node.terminate().await.unwrap().success());

    let last = within("the end of the stream", SOON, deliveries.next())
        .await
        .unwrap();
    let error = last.expect("a reason before the end").unwrap_err();
    assert_eq!(
        error.refusal().map(|refusal| refusal.reason.as_str()),
        Some(reason::STOPPING),
        "{error}"
    );
}
