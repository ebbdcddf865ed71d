//! Can a peer displace others, or wear a node out, with much of what is allowed?

use std::time::Duration;

use futures::AsyncWriteExt as _;
use rustle_admin::views::{AddressQuery, Target};
use rustle_adversary::{Adversary, MESHSUB, Manners, hello, publish};
use rustle_tests::waiting::{append, data_blocks, peers_are, within};
use rustle_tests::{Cluster, Daemon, Setup, tcp_of};
use rustle_types::Timestamp;
use rustle_wire::{Control, Hello, PeerEntry, PeersList, Services};
use tokio::time::Instant;

use super::exchange::{asked, framed, list_of};
use super::{HONEST, NETWORK, SLACK, honest, source, target};
use crate::{ONCE, SOON, named};

/// Time in which a node is back among those whom it knew.
const RETURN: Duration = Duration::from_secs(30);

/// Sends a list that the node has asked for, of places where nobody lives.
async fn forge(node: &Daemon, number: u8) {
    let (_adversary, peer, control, mut stream) = asked(node).await;
    let entries = (0..128_u16).map(|entry| PeerEntry {
        peer: Adversary::new().peer_id(),
        addresses: vec![
            format!("/ip4/127.{}.{}.1/tcp/{}", 100 + number, entry, 1 + entry % 7)
                .parse()
                .unwrap(),
        ],
        services: Services::INBOUND,
        days_ago: 0,
    });
    let list = PeersList {
        entries: entries.collect(),
    };
    stream.write_all(&framed(&list.encode())).await.unwrap();
    stream.close().await.unwrap();
    drop((control, peer));
}

#[tokio::test]
async fn a_killed_node_that_was_lied_to_is_back_among_its_friends() {
    let friends = Cluster::start(["A", "B"], &Setup::default()).await.unwrap();
    let setup = || Setup::default().flag("--metrics").flag("127.0.0.1:0");
    let mut node = Daemon::start("target", setup()).await.unwrap();
    let client = node.client().await.unwrap();
    // The oldest connections, and so the anchors.
    for friend in friends.nodes() {
        client.connect_peer(friend.address(), None).await.unwrap();
    }
    for number in 0..8 {
        forge(&node, number).await;
    }
    let known = client.addresses(AddressQuery::first()).await.unwrap();
    let is_anchor = |friend: &Daemon| {
        let mut views = known.peers.iter();
        views.any(|view| view.peer == friend.peer() && view.anchor)
    };
    assert!(friends.nodes().iter().all(is_anchor), "{known:?}");

    node.set_up(setup().listen(&tcp_of(node.address())));
    node.kill().await.unwrap();
    node.restart().await.unwrap();

    let client = node.client().await.unwrap();
    let back = peers_are(&client, "the friends", RETURN, |peers| {
        let is_there = |friend: &Daemon| peers.iter().any(|peer| peer.peer == friend.peer());
        friends.nodes().iter().all(is_there)
    });
    back.await.unwrap();
    for friend in friends.nodes() {
        let details = client.peer(&friend.peer()).await.unwrap();
        let why: Vec<&str> = details.connections.iter().map(|one| one.why.as_str()).collect();
        assert_eq!(why, ["anchor"], "{details:?}");
    }
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_no_fault() {
    let node = target().await;
    let client = node.client().await.unwrap();
    let mut peers = Vec::new();
    for (host, time) in (1..).zip([0, 1, u64::MAX / 2, u64::MAX]) {
        let adversary = Adversary::new().source(source(20, host));
        let words = Hello {
            time: Timestamp::from_millis(time),
            ..hello(NETWORK)
        };
        peers.push(adversary.greet(node.address(), words).await.unwrap());

        let details = client.peer(&adversary.peer_id()).await.unwrap();
        assert!(details.faults.is_empty() && details.score == 0.0, "{details:?}");
    }
    assert!(peers.iter().all(|(peer, ..)| !peer.is_closed()));
}

#[tokio::test]
async fn a_flood_of_gossip_and_pings_does_not_slow_others_down() {
    let cluster = Cluster::start(["A", "B"], &Setup::default()).await.unwrap();
    cluster.connect_to_first().await.unwrap();
    let clients = cluster.clients().await.unwrap();
    let chain = named("calm");
    clients[0].create_chain("calm").await.unwrap();
    let invitation = clients[0].invite(&chain, ONCE).await.unwrap();
    clients[1].join(&invitation, Some(SOON)).await.unwrap();
    let node = cluster.node(0);

    let flood = async {
        for host in 1.. {
            let adversary = Adversary::new().source(source(21, host)).manners(Manners::Refuse);
            let Ok((peer, mut control, _)) = adversary.greet(node.address(), hello(NETWORK)).await else {
                continue;
            };
            let Ok(mut gossip) = peer.open(MESHSUB).await else {
                continue;
            };
            let message = publish("/rustle/tests/nothing", adversary.peer_id(), &[7; 4_096]);
            for nonce in 0..2_000 {
                let ping = Control::PingRequest { nonce };
                if gossip.write_all(&message).await.is_err() || control.send(&ping).await.is_err() {
                    break;
                }
            }
            within("the close", SOON, peer.closed()).await.unwrap();
        }
    };
    let others = async {
        for count in 1..=20 {
            let began = Instant::now();
            append(&clients[0], &chain, format!("block {count}"))
                .await
                .unwrap();
            data_blocks(&clients[1], &chain, count, HONEST).await.unwrap();
            assert!(began.elapsed() < HONEST, "{:?}", began.elapsed());
            honest(node, source(22, u8::try_from(count).unwrap())).await;
        }
    };
    tokio::select! {
        () = flood => unreachable!("it goes on for ever"),
        () = others => {}
    }
}

#[tokio::test]
async fn whoever_breaks_the_rules_of_several_parts_is_banned() {
    let node = target().await;
    let client = node.client().await.unwrap();
    let adversary = Adversary::new().source(source(23, 1)).manners(Manners::Refuse);
    let is_banned = async || {
        let rules = client.rules().await.unwrap();
        let target = Target::Peer(adversary.peer_id());
        rules.into_iter().find(|rule| rule.target == target)
    };
    for round in 0..40 {
        let Ok((peer, mut control, _)) = adversary.greet(node.address(), hello(NETWORK)).await else {
            break;
        };
        if round % 2 == 0 {
            control.send(&Control::Hello(hello(NETWORK))).await.unwrap();
        } else {
            while !peer.is_closed() {
                list_of(&peer).await;
            }
        }
        within("the close", SLACK, peer.closed()).await.unwrap();
        if is_banned().await.is_some() {
            break;
        }
    }

    let rule = is_banned().await.expect("a ban");
    assert!(rule.until.is_some(), "for ever: {rule:?}");
    let again = adversary.clone().source(source(23, 2));
    assert!(again.greet(node.address(), hello(NETWORK)).await.is_err());
    honest(&node, source(23, 3)).await;
}
