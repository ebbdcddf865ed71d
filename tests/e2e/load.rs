//! Do nodes still agree when much happens at once?

use futures::future::{join_all, try_join_all};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use rustle_admin::Client;
use rustle_admin::views::ChainRef;
use rustle_tests::demo::CONVERGENCE_DEADLINE;
use rustle_tests::waiting::{append, converged, data_blocks, ordered};
use rustle_tests::{Cluster, Setup, tcp_of};
use rustle_types::BlockId;

use crate::{ONCE, SOON};

/// Appends with this many under way at any time.
async fn write(client: &Client, chain: &ChainRef, writers: usize, count: usize) -> Vec<BlockId> {
    stream::iter(0..count)
        .map(|number| append(client, chain, format!("{number}")))
        .buffer_unordered(writers)
        .try_collect()
        .await
        .unwrap()
}

#[tokio::test]
async fn many_writers_on_every_node_end_in_the_same_order() {
    let cluster = Cluster::start(["A", "B", "C"], &Setup::default()).await.unwrap();
    cluster.connect_to_first().await.unwrap();
    let chain = cluster.share_chain("chat").await.unwrap();
    let clients = cluster.clients().await.unwrap();

    join_all(clients.iter().map(|client| write(client, &chain, 32, 500))).await;

    try_join_all(
        clients
            .iter()
            .map(|client| data_blocks(client, &chain, 1500, CONVERGENCE_DEADLINE)),
    )
    .await
    .unwrap();
    let digest = converged(&clients, &chain, SOON).await.unwrap();
    assert_eq!(digest.blocks, 1501);
}

#[tokio::test]
async fn bodies_too_large_for_an_announcement_arrive() {
    let cluster = Cluster::start(["A", "B"], &Setup::default()).await.unwrap();
    cluster.connect_to_first().await.unwrap();
    let chain = cluster.share_chain("chat").await.unwrap();
    let clients = cluster.clients().await.unwrap();
    let body = "x".repeat(256 * 1024);

    for _ in 0..10 {
        append(&clients[0], &chain, body.clone()).await.unwrap();
    }

    let blocks = data_blocks(&clients[1], &chain, 10, SOON).await.unwrap();
    assert!(blocks.iter().all(|block| block.body == body));
}

#[tokio::test]
async fn when_all_are_killed_at_once_nothing_is_lost() {
    let mut cluster = Cluster::start(["A", "B", "C"], &Setup::default()).await.unwrap();
    cluster.connect_to_first().await.unwrap();
    let chain = cluster.share_chain("chat").await.unwrap();
    for index in 0..3 {
        // As servers do: at the same port after a restart.
        let setup = Setup::default().listen(&tcp_of(cluster.node(index).address()));
        cluster.node_mut(index).set_up(setup);
    }

    let mut acknowledged = Vec::new();
    for _ in 0..3 {
        let clients = cluster.clients().await.unwrap();
        let writers = clients.into_iter().map(|client| {
            let chain = chain.clone();
            tokio::spawn(async move {
                let mut written = Vec::new();
                while let Ok(id) = append(&client, &chain, "until the end").await {
                    written.push(id);
                }
                written
            })
        });
        let writers: Vec<_> = writers.collect();
        // All write once the slowest has delivered this many.
        let count = acknowledged.len() + 60;
        let first = cluster.client(0).await.unwrap();
        data_blocks(&first, &chain, count, SOON).await.unwrap();
        for index in 0..3 {
            cluster.node_mut(index).kill().await.unwrap();
        }
        for written in join_all(writers).await {
            acknowledged.extend(written.unwrap());
        }
        for index in 0..3 {
            cluster.node_mut(index).restart().await.unwrap();
        }
    }

    let clients = cluster.clients().await.unwrap();
    converged(&clients, &chain, CONVERGENCE_DEADLINE).await.unwrap();
    let kept = ordered(&clients[2], &chain).await.unwrap();
    let lost = acknowledged
        .iter()
        .filter(|id| !kept.iter().any(|block| block.block == **id))
        .count();
    assert_eq!(lost, 0, "of {}", acknowledged.len());
}

#[tokio::test]
async fn a_member_who_joined_can_invite() {
    let cluster = Cluster::start(["A", "B", "C"], &Setup::default()).await.unwrap();
    let clients = cluster.clients().await.unwrap();
    let chain = ChainRef::Id(clients[0].create_chain("chat").await.unwrap());
    let first = clients[0].invite(&chain, ONCE).await.unwrap();
    clients[1].join(&first, None).await.unwrap();
    let second = clients[1].invite(&chain, ONCE).await.unwrap();

    clients[2].join(&second, None).await.unwrap();

    append(&clients[2], &chain, "from C").await.unwrap();
    append(&clients[0], &chain, "from A").await.unwrap();
    for client in &clients {
        data_blocks(client, &chain, 2, SOON).await.unwrap();
    }
}
