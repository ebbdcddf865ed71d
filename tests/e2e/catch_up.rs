//! Does a node that was away get what it missed, and give what only it has?

use rustle_tests::waiting::{append, converged, data_blocks, peers_are};
use rustle_tests::{Cluster, Setup};

use crate::SOON;

#[tokio::test]
async fn a_node_that_was_away_catches_up_in_both_directions() {
    let mut cluster = Cluster::start(["A", "B"], &Setup::default()).await.unwrap();
    cluster.connect_to_first().await.unwrap();
    let chain = cluster.share_chain("chat").await.unwrap();
    let a = cluster.client(0).await.unwrap();
    append(&a, &chain, "both here").await.unwrap();
    data_blocks(&cluster.client(1).await.unwrap(), &chain, 1, SOON)
        .await
        .unwrap();

    // B away: A appends. A away: B appends, before it can have met A again.
    assert!(cluster.node_mut(1).terminate().await.unwrap().success());
    for number in 0..30 {
        append(&a, &chain, format!("without B {number}")).await.unwrap();
    }
    assert!(cluster.node_mut(0).terminate().await.unwrap().success());
    cluster.node_mut(1).restart().await.unwrap();
    let b = cluster.client(1).await.unwrap();
    for number in 0..30 {
        append(&b, &chain, format!("without A {number}")).await.unwrap();
    }
    cluster.node_mut(0).restart().await.unwrap();
    // Both have new ports, so someone must say where.
    let a = cluster.client(0).await.unwrap();
    a.connect_peer(cluster.node(1).address(), None).await.unwrap();

    let digest = converged(&[a, b], &chain, SOON).await.unwrap();

    assert_eq!(digest.blocks, 1 + 1 + 30 + 30);
}

#[tokio::test]
async fn a_restarted_node_finds_its_peer_again_by_itself() {
    let mut cluster = Cluster::start(["A", "B"], &Setup::default()).await.unwrap();
    cluster.connect_to_first().await.unwrap();

    // Not killed: an address of a moment ago may be lost with the process, as it is no promise to anyone.
    assert!(cluster.node_mut(1).terminate().await.unwrap().success());
    cluster.node_mut(1).restart().await.unwrap();

    meets_first_again(&cluster).await;
}

#[tokio::test]
async fn a_killed_member_finds_who_let_it_in() {
    let mut cluster = Cluster::start(["A", "B"], &Setup::default()).await.unwrap();
    cluster.share_chain("chat").await.unwrap();

    cluster.node_mut(1).kill().await.unwrap();
    cluster.node_mut(1).restart().await.unwrap();

    meets_first_again(&cluster).await;
}

/// Waits until the second node has the first among its peers.
async fn meets_first_again(cluster: &Cluster) {
    let first = cluster.node(0).peer();
    let second = cluster.client(1).await.unwrap();
    peers_are(&second, "A among the peers of B", SOON, |peers| {
        peers.iter().any(|peer| peer.peer == first)
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_bootstrap_peer_is_dialled_until_it_is_there() {
    let mut a = rustle_tests::Daemon::start("A", Setup::default()).await.unwrap();
    let address = a.address().clone();
    a.terminate().await.unwrap();
    let b = rustle_tests::Daemon::start("B", Setup::default().bootstrap(&address))
        .await
        .unwrap();

    a.set_up(Setup::default().listen(&rustle_tests::tcp_of(&address)));
    a.restart().await.unwrap();

    let client = b.client().await.unwrap();
    peers_are(&client, "A among the peers of B", SOON, |peers| {
        peers.iter().any(|peer| peer.peer == a.peer())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_late_member_gets_the_whole_chain() {
    let cluster = Cluster::start(["A", "B"], &Setup::default()).await.unwrap();
    let a = cluster.client(0).await.unwrap();
    let b = cluster.client(1).await.unwrap();
    let chain = rustle_admin::views::ChainRef::Id(a.create_chain("chat").await.unwrap());
    for number in 0..500 {
        append(&a, &chain, format!("early {number}")).await.unwrap();
    }
    let invitation = a.invite(&chain, crate::ONCE).await.unwrap();

    b.join(&invitation, None).await.unwrap();

    data_blocks(&b, &chain, 500, SOON).await.unwrap();
    let digest = converged(&[a, b], &chain, SOON).await.unwrap();
    assert_eq!(digest.blocks, 501);
}
