//! Can many take what belongs to all?

use std::time::Duration;

use futures::future::join_all;
use rustle_admin::views::{Direction, PeerClass, PeerView};
use rustle_adversary::{Adversary, ControlStream, Heard, Peer, hello};
use rustle_tests::waiting::{peers_are, within};
use rustle_tests::{Cluster, Daemon, Setup};
use rustle_wire::{Control, DisconnectReason};
use tokio::time::sleep;

use super::{HONEST, NETWORK, honest, source};
use crate::SOON;

/// Tries to shake hands; `None` where the node refuses.
async fn attempt(node: &Daemon, adversary: Adversary) -> Option<(Peer, ControlStream)> {
    let greet = adversary.greet(node.address(), hello(NETWORK));
    let (peer, control, _) = within("an answer of any kind", SOON, greet).await.unwrap().ok()?;
    Some((peer, control))
}

#[tokio::test]
async fn one_address_gets_so_many_places_and_no_more() {
    let setup = Setup::default().peers("per-ip", 3).peers("accept-rate", 1000);
    let node = Daemon::start("target", setup).await.unwrap();
    let crowd = || Adversary::new().source(source(1, 1));

    let mut inside = Vec::new();
    for _ in 0..6 {
        inside.extend(attempt(&node, crowd()).await);
    }
    assert_eq!(inside.len(), 3, "connections from one address");
    honest(&node, source(1, 2)).await;

    inside.pop();
    let client = node.client().await.unwrap();
    peers_are(&client, "one to go", SOON, |peers| peers.len() <= 3)
        .await
        .unwrap();
    assert!(attempt(&node, crowd()).await.is_some(), "the place is free again");
    assert!(
        inside.iter().all(|(peer, _)| !peer.is_closed()),
        "those inside stay"
    );
}

#[tokio::test]
async fn one_group_of_addresses_gets_so_many_places_and_no_more() {
    let setup = Setup::default().peers("per-group", 4).peers("accept-rate", 1000);
    let node = Daemon::start("target", setup).await.unwrap();

    let mut inside = Vec::new();
    for host in 1..=8 {
        inside.extend(attempt(&node, Adversary::new().source(source(2, host))).await);
    }

    assert_eq!(inside.len(), 4, "connections from one group");
    let elsewhere = Adversary::new().source([127, 10, 0, 1].into());
    assert!(attempt(&node, elsewhere).await.is_some());
}

#[tokio::test]
async fn above_the_upper_bound_the_next_is_refused_with_a_reason() {
    let setup = Setup::default()
        .peers("lower", 1)
        .peers("outbound", 1)
        .peers("target", 3)
        .peers("upper", 4)
        .peers("accept-rate", 1000);
    let node = Daemon::start("target", setup).await.unwrap();
    let mut reasons = Vec::new();
    let mut inside = Vec::new();
    for host in 1..=12 {
        let adversary = Adversary::new().source([127, 20 + host, 0, 1].into());
        let Ok((peer, mut control)) = adversary.speak(node.address()).await else {
            continue;
        };
        let _ = control.send(&Control::Hello(hello(NETWORK))).await;
        match within("an answer", SOON, control.next()).await.unwrap() {
            Heard::Message(Control::HelloAck(_)) => inside.push((peer, control)),
            Heard::Message(Control::Disconnect(goodbye)) => reasons.push(goodbye.reason),
            Heard::Message(_) | Heard::Garbage(_) | Heard::End => {}
        }
    }

    let client = node.client().await.unwrap();
    let bounded = peers_are(&client, "the bound", SOON, |peers| peers.len() <= 4);
    bounded.await.unwrap();
    assert!(
        !reasons.is_empty() && reasons.iter().all(|reason| *reason == DisconnectReason::Full),
        "{reasons:?}"
    );
}

#[tokio::test]
async fn a_flood_from_outside_does_not_displace_who_was_dialled() {
    let friends = Cluster::start(["A", "B"], &Setup::default()).await.unwrap();
    let setup = Setup::default()
        .peers("lower", 2)
        .peers("outbound", 2)
        .peers("target", 6)
        .peers("upper", 8)
        .peers("accept-rate", 1000)
        .bootstrap(friends.node(0).address())
        .bootstrap(friends.node(1).address());
    let node = Daemon::start("target", setup).await.unwrap();
    let client = node.client().await.unwrap();
    let dialled = |peers: &[PeerView]| {
        let dialled = peers.iter().filter(|peer| peer.direction == Direction::Outbound);
        dialled.count() == 2
    };
    peers_are(&client, "both friends", SOON, dialled).await.unwrap();

    for wave in 0..4 {
        let flood = (1..=10).map(|host| {
            let source = [127, 30 + wave * 10 + host, 0, 1].into();
            attempt(&node, Adversary::new().source(source))
        });
        let _crowd = join_all(flood).await;
        let peers = client.peers().await.unwrap();
        assert!(dialled(&peers), "after wave {wave}: {peers:?}");
        // Those who are on their way in or out are shown, too.
        let up = peers
            .iter()
            .filter(|peer| peer.class == PeerClass::Rustle)
            .count();
        assert!(up <= 8, "{up} peers, 8 allowed");
    }
}

#[tokio::test]
async fn the_same_peer_twice_ends_with_one_connection() {
    let node = super::target().await;
    let adversary = Adversary::new();
    let client = node.client().await.unwrap();

    let first = attempt(&node, adversary.clone()).await.unwrap();
    let second = attempt(&node, adversary.clone()).await;
    let third = attempt(&node, adversary.clone()).await;

    let alone = peers_are(&client, "one connection", SOON, |peers| peers.len() == 1);
    alone.await.unwrap();
    let open = [Some(first), second, third];
    // The goodbye of the others is on its way.
    for _ in 0..100 {
        let count = open
            .iter()
            .flatten()
            .filter(|(peer, _)| !peer.is_closed())
            .count();
        if count == 1 {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("not one connection at this end");
}

#[tokio::test]
async fn two_nodes_that_dial_each_other_at_once_keep_one_connection() {
    for _ in 0..5 {
        let cluster = Cluster::start(["A", "B"], &Setup::default()).await.unwrap();
        let clients = cluster.clients().await.unwrap();
        let (left, right) = (cluster.node(0), cluster.node(1));

        let (one, other) = tokio::join!(
            clients[0].connect_peer(right.address(), None),
            clients[1].connect_peer(left.address(), None),
        );

        assert!(one.is_ok() || other.is_ok(), "{one:?}, {other:?}");
        for (client, remote) in clients.iter().zip([right.peer(), left.peer()]) {
            let single = peers_are(client, "one connection", SOON, |peers| {
                peers.len() == 1 && peers[0].peer == remote && peers[0].network.is_some()
            });
            single.await.unwrap();
        }
        // It stays: nobody closes the survivor later.
        sleep(HONEST).await;
        for client in &clients {
            assert_eq!(client.peers().await.unwrap().len(), 1);
        }
    }
}
