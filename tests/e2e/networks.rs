//! Do two networks stay apart, even where their nodes know each other's addresses?

use rustle_admin::FaultKind;
use rustle_admin::fault::reason;
use rustle_admin::views::{FollowFrom, PeerClass};
use rustle_tests::waiting::{append, peers_are, within};
use rustle_tests::{Cluster, Daemon, Setup, rustle_at};

use crate::{ONCE, SOON, named, refused};

#[tokio::test]
async fn a_node_of_another_network_is_refused_with_both_names() {
    let north = Daemon::start("north", Setup::default().network("north"))
        .await
        .unwrap();
    let south = Daemon::start("south", Setup::default().network("south"))
        .await
        .unwrap();
    let client = north.client().await.unwrap();

    let refusal = refused(client.connect_peer(south.address(), None).await);

    assert_eq!(
        (refusal.kind, refusal.reason.as_str()),
        (FaultKind::FailedPrecondition, reason::INCOMPATIBLE_NETWORK),
        "{refusal}"
    );
    assert_eq!(refusal.metadata["ours"], "north");
    assert_eq!(refusal.metadata["theirs"], "south");

    let address = south.address().to_string();
    let shown = rustle_at(north.data_dir(), ["connect", &address]).await.unwrap();
    let line = shown.refusal(1);
    assert!(line.contains("north") && line.contains("south"), "{line}");

    for node in [&north, &south] {
        let client = node.client().await.unwrap();
        peers_are(&client, "the stranger to be gone", SOON, <[_]>::is_empty)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_bootstrap_peer_of_another_network_does_not_become_a_peer() {
    let north = Daemon::start("north", Setup::default().network("north"))
        .await
        .unwrap();
    let setup = Setup::default().network("south").bootstrap(north.address());
    let south = Daemon::start("south", setup).await.unwrap();
    // A third node that north does accept, so that we do not look before anything could have happened.
    let friend = Daemon::start("friend", Setup::default().network("north"))
        .await
        .unwrap();
    friend
        .client()
        .await
        .unwrap()
        .connect_peer(north.address(), None)
        .await
        .unwrap();

    for (node, wanted) in [(&north, Some(friend.peer())), (&south, None)] {
        let client = node.client().await.unwrap();
        let what = "only peers of the own network";
        peers_are(&client, what, SOON, |peers| {
            let greeted = peers.iter().filter(|peer| peer.class == PeerClass::Rustle);
            let greeted: Vec<_> = greeted.map(|peer| peer.peer).collect();
            greeted == Vec::from_iter(wanted)
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn a_chain_does_not_reach_another_network() {
    let inside = Cluster::start(["A", "B"], &Setup::default().network("north"))
        .await
        .unwrap();
    inside.connect_to_first().await.unwrap();
    let chain = inside.share_chain("chat").await.unwrap();
    let outside = Daemon::start("X", Setup::default().network("south"))
        .await
        .unwrap();
    let a = inside.client(0).await.unwrap();
    let x = outside.client().await.unwrap();
    let invitation = a.invite(&chain, ONCE).await.unwrap();

    refused(x.connect_peer(inside.node(0).address(), None).await);
    refused(a.connect_peer(outside.address(), None).await);
    let refusal = refused(x.join(&invitation, Some(std::time::Duration::from_secs(5))).await);
    assert_ne!(refusal.kind, FaultKind::Internal, "{refusal}");
    let mut deliveries = inside
        .client(1)
        .await
        .unwrap()
        .follow(&chain, FollowFrom::Now)
        .await
        .unwrap();
    append(&a, &chain, "only for the north").await.unwrap();
    // B has it: had X been a peer, it would have it too.
    within("the block on B", SOON, futures::StreamExt::next(&mut deliveries))
        .await
        .unwrap();

    assert!(x.chains().await.unwrap().is_empty());
    refused(x.digest(&named("chat")).await);
    assert!(
        x.peers()
            .await
            .unwrap()
            .iter()
            .all(|peer| peer.class != PeerClass::Rustle)
    );
}
