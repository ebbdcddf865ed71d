//! Topics: what one node publishes reaches others only through nodes that found it good.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures::StreamExt;
use libp2p::gossipsub::{self, IdentTopic, MessageAuthenticity};
use rustle_net::{Admission, Command, Event, ForeignAccess, GOSSIP_MESSAGES_QUEUED_MAX, MessageRef};
use rustle_types::limits::{CHAINS_MAX, GOSSIP_MESSAGE_BYTES_MAX, NETWORK_NAME_BYTES_MAX};
use rustle_types::{BlockId, ChainId, NetworkName, PeerId, TopicName, Verdict};

use crate::peer::{Peer, TCP, config};
use crate::rude::swarm;

fn topic() -> TopicName {
    "/rustle/test/chain/1/some".parse().unwrap()
}

async fn subscribed(at: &mut Peer, who: PeerId) {
    at.wait("subscribed", |event| match event {
        Event::Subscribed { peer, topic: there } if *peer == who && *there == topic() => Some(()),
        _ => None,
    })
    .await;
}

async fn message(at: &mut Peer) -> (MessageRef, PeerId, PeerId, Bytes) {
    at.wait("a message", |event| match event {
        Event::Message {
            message,
            from,
            author,
            topic: on,
            data,
        } if *on == topic() => Some((message.clone(), *from, *author, data.clone())),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn a_message_passes_a_node_that_accepts_it_and_no_other_does() {
    let mut a = Peer::start(config(TCP)).await;
    let mut b = Peer::start(config(TCP)).await;
    let mut c = Peer::start(config(TCP)).await;
    for peer in [&a, &b, &c] {
        peer.send(Command::Subscribe { topic: topic() }).await;
    }
    a.connect(&mut b).await;
    c.connect(&mut b).await;
    subscribed(&mut a, b.id()).await;
    subscribed(&mut b, a.id()).await;
    subscribed(&mut b, c.id()).await;

    let large = Bytes::from(vec![7; GOSSIP_MESSAGE_BYTES_MAX]);
    let texts = [
        Bytes::from_static(b"rejected"),
        Bytes::from_static(b"ignored"),
        Bytes::from_static(b"good"),
        large,
    ];
    let verdicts = [Verdict::Reject, Verdict::Ignore, Verdict::Accept, Verdict::Accept];
    for (data, verdict) in texts.iter().zip(verdicts) {
        a.send(Command::Publish {
            topic: topic(),
            data: data.clone(),
        })
        .await;
        let (reference, from, author, got) = message(&mut b).await;
        assert!((from, author) == (a.id(), a.id()) && got == data);
        b.send(Command::Report {
            message: reference,
            verdict,
        })
        .await;
    }

    for data in &texts[2..] {
        let (_, from, author, got) = message(&mut c).await;
        assert_eq!((from, author), (b.id(), a.id()));
        assert!(got == data, "{} bytes instead of {}", got.len(), data.len());
    }
}

#[tokio::test]
async fn whoever_subscribed_before_is_told_again_to_a_newcomer() {
    let mut a = Peer::start(config(TCP)).await;
    let mut b = Peer::start(config(TCP)).await;
    a.connect(&mut b).await;
    a.send(Command::Subscribe { topic: topic() }).await;
    subscribed(&mut b, a.id()).await;

    b.send(Command::Subscribe { topic: topic() }).await;

    subscribed(&mut b, a.id()).await;
    subscribed(&mut a, b.id()).await;
}

/// As many topics of chains as a node may have, with the longest names.
fn most_topics() -> BTreeSet<TopicName> {
    let network: NetworkName = "n".repeat(NETWORK_NAME_BYTES_MAX).parse().unwrap();
    (0..CHAINS_MAX)
        .map(|number| network.chain_topic(&ChainId::of_genesis(BlockId::of(&number.to_be_bytes()))))
        .collect()
}

/// Waits until all topics that `who` subscribed to were heard.
async fn all_subscribed(at: &mut Peer, who: PeerId, topics: &BTreeSet<TopicName>) {
    let mut missing = topics.clone();
    while !missing.is_empty() {
        let heard = at
            .wait("a subscription", |event| match event {
                Event::Subscribed { peer, topic } if *peer == who => Some(topic.clone()),
                _ => None,
            })
            .await;
        missing.remove(&heard);
    }
}

#[tokio::test]
async fn all_topics_of_a_node_with_the_most_chains_are_heard_by_a_newcomer() {
    let topics = most_topics();
    let mut full = Peer::start(config(TCP)).await;
    for topic in topics.clone() {
        full.send(Command::Subscribe { topic }).await;
    }
    let last = topics.last().unwrap().clone();

    for newcomer_dials in [true, false] {
        let mut newcomer = Peer::start(config(TCP)).await;
        if newcomer_dials {
            newcomer.connect(&mut full).await;
        } else {
            full.connect(&mut newcomer).await;
        }
        all_subscribed(&mut newcomer, full.id(), &topics).await;

        newcomer.send(Command::Subscribe { topic: last.clone() }).await;
        let only = BTreeSet::from([last.clone()]);
        all_subscribed(&mut full, newcomer.id(), &only).await;
    }
}

#[tokio::test]
async fn two_nodes_with_the_most_chains_hear_all_of_each_other() {
    let topics = most_topics();
    let mut a = Peer::start(config(TCP)).await;
    let mut b = Peer::start(config(TCP)).await;
    for topic in topics.clone() {
        a.send(Command::Subscribe { topic: topic.clone() }).await;
        b.send(Command::Subscribe { topic }).await;
    }
    a.connect(&mut b).await;
    let (a_id, b_id) = (a.id(), b.id());
    all_subscribed(&mut b, a_id, &topics).await;
    all_subscribed(&mut a, b_id, &topics).await;
}

#[tokio::test]
async fn leaving_a_topic_is_told() {
    let mut a = Peer::start(config(TCP)).await;
    let mut b = Peer::start(config(TCP)).await;
    a.connect(&mut b).await;

    a.send(Command::Subscribe { topic: topic() }).await;
    subscribed(&mut b, a.id()).await;
    a.send(Command::Unsubscribe { topic: topic() }).await;

    let left = a.id();
    b.wait("unsubscribed", |event| match event {
        Event::Unsubscribed { peer, topic: there } if *peer == left && *there == topic() => Some(()),
        _ => None,
    })
    .await;
}

/// Subscribes, and from then on takes nothing.
async fn sleeper(dial: rustle_types::Multiaddr) -> tokio::task::JoinHandle<()> {
    let mut swarm = swarm(|key| {
        let authenticity = MessageAuthenticity::Signed(key.clone());
        let mut gossip: gossipsub::Behaviour =
            gossipsub::Behaviour::new(authenticity, gossipsub::Config::default()).unwrap();
        gossip.subscribe(&IdentTopic::new(topic().as_str())).unwrap();
        gossip
    });
    swarm.dial(dial).unwrap();
    tokio::spawn(async move {
        loop {
            let event = swarm.select_next_some().await;
            let is_subscribed = matches!(
                event,
                libp2p::swarm::SwarmEvent::Behaviour(gossipsub::Event::Subscribed { .. })
            );
            if is_subscribed {
                return std::future::pending().await;
            }
        }
    })
}

#[tokio::test]
async fn so_many_messages_wait_for_a_peer_that_takes_none_and_it_is_told() {
    let mut node = Peer::start(config(TCP)).await;
    node.send(Command::Subscribe { topic: topic() }).await;
    let sleeper = sleeper(node.address.clone()).await;
    let (connection, peer) = node
        .wait("connected", |event| match event {
            Event::Connected { connection, peer, .. } => Some((*connection, *peer)),
            _ => None,
        })
        .await;
    let admission = Admission::Foreign(ForeignAccess {
        content: true,
        dht: true,
        topics: true,
    });
    node.send(Command::Admit {
        connection,
        admission,
    })
    .await;
    subscribed(&mut node, peer).await;

    // A window's worth is on the way, and the queue is full.
    let data = Bytes::from(vec![1; 8 * 1024]);
    for _ in 0..GOSSIP_MESSAGES_QUEUED_MAX + 256 {
        let data = data.clone();
        node.send(Command::Publish { topic: topic(), data }).await;
    }
    node.wait("slow", |event| match event {
        Event::Slow { peer: slow } if *slow == peer => Some(()),
        _ => None,
    })
    .await;
    sleeper.abort();
}
