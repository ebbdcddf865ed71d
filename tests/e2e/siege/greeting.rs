//! What becomes of a peer that breaks the rules of the handshake?

use std::time::Duration;

use bytes::BytesMut;
use rustle_admin::fault::reason;
use rustle_adversary::{Adversary, ControlStream, Heard, Listener, Peer, hello};
use rustle_tests::Daemon;
use rustle_tests::waiting::{peers_are, within};
use rustle_wire::{Control, DisconnectReason, Hello, Versions, frame};

use super::{HANDSHAKE, NETWORK, SLACK, honest, source, target};
use crate::{SOON, refused};

const CONTROL_PROTOCOL: &str = "/rustle/hello/1";
/// A breach is closed at once, not when the deadline of the handshake comes.
const AT_ONCE: Duration = Duration::from_secs(3);

/// Says something in place of a hello; gives what the node said until it closed the connection.
async fn answer_to(node: &Daemon, host: u8, bytes: &[u8]) -> Vec<Control> {
    let adversary = Adversary::new().source(source(1, host));
    let (peer, mut control) = adversary.speak(node.address()).await.unwrap();
    control.bytes(bytes).await.unwrap();
    let heard = within("the end of the control stream", AT_ONCE, control.rest()).await;
    within("the close", AT_ONCE, peer.closed()).await.unwrap();
    heard.unwrap()
}

/// Whether the node takes us for a peer.
fn is_welcome(heard: &[Control]) -> bool {
    heard
        .iter()
        .any(|message| matches!(message, Control::HelloAck(_)))
}

fn framed(message: &Control) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    frame::encode(&message.encode(), &mut bytes);
    bytes.to_vec()
}

#[tokio::test]
async fn what_is_no_hello_is_not_answered() {
    let node = target().await;
    let too_long = [vec![0x81, 0x08], vec![0; 1025]].concat();
    let cases: [(&str, Vec<u8>); 11] = [
        ("a ping", framed(&Control::PingRequest { nonce: 1 })),
        (
            "an answer to no ping",
            framed(&Control::PingResponse { nonce: 1 }),
        ),
        ("the acceptor's hello", framed(&Control::HelloAck(hello(NETWORK)))),
        ("an empty frame", vec![0]),
        ("an unknown message", vec![2, 0x7a, 0]),
        ("garbage in a frame", vec![4, 0xff, 0xff, 0xff, 0xff]),
        ("1,025 bytes", too_long),
        ("the length of 1,025 bytes alone", vec![0x81, 0x08]),
        (
            "a huge length",
            vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
        ),
        ("a length without end", vec![0xff; 11]),
        ("a length in more bytes than needed", vec![0x80, 0x00]),
    ];

    for (host, (name, bytes)) in (1..).zip(cases) {
        let heard = answer_to(&node, host, &bytes).await;

        assert!(!is_welcome(&heard), "{name}: {heard:?}");
    }
    let client = node.client().await.unwrap();
    peers_are(&client, "all to be gone", SOON, <[_]>::is_empty)
        .await
        .unwrap();
    honest(&node, source(2, 1)).await;
}

#[tokio::test]
async fn what_follows_a_hello_too_early_is_a_breach() {
    let node = target().await;
    let twice = framed(&Control::Hello(hello(NETWORK))).repeat(2);
    let then_ack = [
        framed(&Control::Hello(hello(NETWORK))),
        framed(&Control::HelloAck(hello(NETWORK))),
    ];

    for (host, (name, bytes)) in (1..).zip([("twice", twice), ("then an ack", then_ack.concat())]) {
        let heard = answer_to(&node, host, &bytes).await;

        let acks = heard.iter().filter(|one| matches!(one, Control::HelloAck(_)));
        assert_eq!(acks.count(), 1, "{name}: {heard:?}");
        let Some(Control::Disconnect(goodbye)) = heard.last() else {
            panic!("{name}: no goodbye in {heard:?}");
        };
        assert_eq!(goodbye.reason, DisconnectReason::Protocol, "{name}");
    }
}

#[tokio::test]
async fn a_second_control_stream_is_no_second_chance() {
    let node = target().await;
    let adversary = Adversary::new();
    let (peer, mut control, _) = adversary.greet(node.address(), hello(NETWORK)).await.unwrap();

    for greeting in [
        Control::Hello(hello(NETWORK)),
        Control::HelloAck(hello(NETWORK)),
        Control::PingRequest { nonce: 8 },
    ] {
        // The stream may be reset before the answer to its protocol has come.
        let Ok(stream) = peer.open(CONTROL_PROTOCOL).await else {
            continue;
        };
        let mut second = ControlStream::new(stream);
        // Whether it is still taken is of no matter; an answer would be.
        let _ = second.send(&greeting).await;
        let heard = within("the end of the second stream", AT_ONCE, second.rest()).await;
        assert_eq!(heard.unwrap(), [], "after {greeting:?}");
    }

    // The surplus stream is refused and no breach: the first is as good as before, and has heard nothing of it.
    control.send(&Control::PingRequest { nonce: 9 }).await.unwrap();
    let heard = within("the answer", SOON, control.next()).await.unwrap();
    assert_eq!(heard, Heard::Message(Control::PingResponse { nonce: 9 }));
    assert!(!peer.is_closed());
    let client = node.client().await.unwrap();
    let info = client.peer(&adversary.peer_id()).await.unwrap();
    assert_eq!(info.connections.len(), 1);
    assert!(info.faults.is_empty(), "{:?}", info.faults);
}

#[tokio::test]
async fn another_network_or_version_is_told_why_and_loses_nothing() {
    let node = target().await;
    let adversary = Adversary::new().source(source(4, 1));
    let other_version = Hello {
        versions: Versions::new(2, 3).unwrap(),
        ..hello(NETWORK)
    };
    let cases = [
        (hello("elsewhere"), DisconnectReason::Network),
        (other_version, DisconnectReason::Version),
    ];

    for (hello, reason) in cases {
        let (peer, mut control) = adversary.speak(node.address()).await.unwrap();
        control.send(&Control::Hello(hello)).await.unwrap();
        let heard = within("the goodbye", AT_ONCE, control.rest()).await.unwrap();
        within("the close", AT_ONCE, peer.closed()).await.unwrap();

        let [Control::Disconnect(goodbye)] = &heard[..] else {
            panic!("not one goodbye: {heard:?}");
        };
        assert_eq!(goodbye.reason, reason);
        assert_eq!(goodbye.network.as_ref().unwrap().as_str(), NETWORK);
        assert_eq!(goodbye.versions, Some(Versions::ours()));
    }

    // The same peer from the same address, with what fits: an incompatible hello costs no score.
    let later = Hello {
        versions: Versions::new(1, 9).unwrap(),
        ..hello(NETWORK)
    };
    let greeted = adversary.greet(node.address(), later).await;
    let (_peer, _control, theirs) = greeted.unwrap();
    assert_eq!(theirs.network.as_str(), NETWORK);
}

#[tokio::test]
async fn a_hello_may_offer_what_nobody_knows_yet() {
    let node = target().await;
    let full = Hello {
        services: rustle_wire::Services(!rustle_wire::Services::LIGHT.0),
        user_agent: "x".repeat(64),
        listen_addresses: vec!["/ip4/203.0.113.1/tcp/1".parse().unwrap(); 8],
        ..hello(NETWORK)
    };

    let (_peer, _control, theirs) = Adversary::new().greet(node.address(), full).await.unwrap();

    assert!(theirs.observed_address.is_some());
}

/// How a peer that the node dials answers the hello.
async fn dialled(
    node: &Daemon,
    answer: impl AsyncFnOnce(Peer, ControlStream, Hello),
) -> rustle_admin::Refusal {
    let listener = Listener::bind(source(7, 1)).await.unwrap();
    let adversary = Adversary::new();
    let address = listener.address_of(adversary.peer_id());
    let client = node.client().await.unwrap();
    let serve = async {
        let (peer, mut control) = listener.accept_control(&adversary).await.unwrap();
        let Heard::Message(Control::Hello(theirs)) = control.next().await else {
            panic!("the dialer does not speak first");
        };
        answer(peer, control, theirs).await;
    };
    let (result, ()) = tokio::join!(client.connect_peer(&address, Some(SOON)), serve);
    let refusal = refused(result);
    assert_ne!(refusal.reason, reason::INTERNAL);
    peers_are(&client, "the impostor to be gone", SOON, <[_]>::is_empty)
        .await
        .unwrap();
    refusal
}

#[tokio::test]
async fn whoever_answers_a_hello_wrongly_does_not_become_a_peer() {
    let answers = [
        ("a hello", Control::Hello(hello(NETWORK))),
        ("a ping", Control::PingRequest { nonce: 1 }),
        ("a pong", Control::PingResponse { nonce: 1 }),
    ];
    let node = target().await;
    for (name, answer) in answers {
        dialled(&node, async |peer, mut control, _| {
            control.send(&answer).await.unwrap();
            within(name, AT_ONCE, peer.closed()).await.unwrap();
        })
        .await;
    }

    dialled(&node, async |peer, mut control, _| {
        control.bytes(&[0xff; 11]).await.unwrap();
        within("the close after garbage", AT_ONCE, peer.closed())
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn whoever_does_not_answer_a_hello_is_given_up() {
    let node = target().await;

    let refusal = dialled(&node, async |peer, control, _| {
        within("the close", HANDSHAKE + SLACK, peer.closed())
            .await
            .unwrap();
        drop(control);
    })
    .await;

    assert_eq!(refusal.reason, reason::TIMEOUT, "{refusal}");
}

#[tokio::test]
async fn a_dialled_peer_of_another_network_or_version_is_told_apart() {
    let node = target().await;
    let other_version = Hello {
        versions: Versions::new(7, 8).unwrap(),
        ..hello(NETWORK)
    };
    let cases = [
        (hello("elsewhere"), reason::INCOMPATIBLE_NETWORK),
        (other_version, reason::INCOMPATIBLE_VERSION),
    ];

    for (ack, reason) in cases {
        let refusal = dialled(&node, async |peer, mut control, _| {
            control.send(&Control::HelloAck(ack)).await.unwrap();
            within("the close", AT_ONCE, peer.closed()).await.unwrap();
        })
        .await;

        assert_eq!(refusal.reason, reason, "{refusal}");
    }
}
