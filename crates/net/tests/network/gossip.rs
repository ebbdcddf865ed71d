//! Topics: what one node publishes reaches others only through nodes that found it good.

use bytes::Bytes;
use rustle_net::{Command, Event, MessageRef};
use rustle_types::limits::GOSSIP_MESSAGE_BYTES_MAX;
use rustle_types::{PeerId, TopicName, Verdict};

use crate::peer::{Peer, TCP, config};

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
