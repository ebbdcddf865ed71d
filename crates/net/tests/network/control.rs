//! The control stream between two nodes.

use std::time::Duration;

use bytes::BytesMut;
use rustle_net::{CONTROL_PROTOCOL, Command, Config, ControlError, EVENTS_QUEUED_MAX, Event, OpenError};
use rustle_types::{Multiaddr, PeerId, Timestamp};
use rustle_wire::{Control, Disconnect, DisconnectReason, Hello, Services, Versions, frame};

use crate::peer::{Peer, QUIC, TCP, admit, config, within};
use crate::rude;

async fn frames_go_both_ways(listen: &str) {
    let mut dialer = Peer::start(config(listen)).await;
    let mut acceptor = Peer::start(config(listen)).await;

    let (ours, theirs) = dialer.connect(&mut acceptor).await;
    dialer.control_opened(ours).await;
    acceptor.control_opened(theirs).await;
    for nonce in 0..100 {
        dialer
            .send(Command::SendControl {
                connection: ours,
                message: Control::PingRequest { nonce },
            })
            .await;
        assert_eq!(acceptor.control(theirs).await, Control::PingRequest { nonce });
        let message = Control::PingResponse { nonce };
        acceptor
            .send(Command::SendControl {
                connection: theirs,
                message,
            })
            .await;
        assert_eq!(dialer.control(ours).await, Control::PingResponse { nonce });
    }
}

#[tokio::test]
async fn frames_go_both_ways_over_tcp() {
    frames_go_both_ways(TCP).await;
}

#[tokio::test]
async fn frames_go_both_ways_over_quic() {
    frames_go_both_ways(QUIC).await;
}

/// The dialer learns why it is not wanted before the connection closes.
async fn the_last_word_arrives(listen: &str) {
    let mut dialer = Peer::start(config(listen)).await;
    let mut acceptor = Peer::start(config(listen)).await;
    let (ours, theirs) = dialer.connect(&mut acceptor).await;
    acceptor.control_opened(theirs).await;

    let message = Control::Disconnect(Disconnect::because(DisconnectReason::Full));
    acceptor
        .send(Command::CloseAfter {
            connection: theirs,
            message: message.clone(),
        })
        .await;

    assert_eq!(dialer.control(ours).await, message);
    dialer.disconnected(ours).await;
    assert_eq!(acceptor.disconnected(theirs).await, "closed by this node");
}

#[tokio::test]
async fn the_last_word_arrives_over_tcp() {
    the_last_word_arrives(TCP).await;
}

#[tokio::test]
async fn the_last_word_arrives_over_quic() {
    the_last_word_arrives(QUIC).await;
}

#[tokio::test]
async fn a_message_sent_before_the_stream_stands_is_not_lost() {
    let mut dialer = Peer::start(config(TCP)).await;
    let mut acceptor = Peer::start(config(TCP)).await;

    let (ours, theirs) = dialer.connect(&mut acceptor).await;
    let message = Control::PingRequest { nonce: 1 };
    dialer
        .send(Command::SendControl {
            connection: ours,
            message: message.clone(),
        })
        .await;

    assert_eq!(acceptor.control(theirs).await, message);
}

#[tokio::test]
async fn a_second_control_stream_is_refused_from_either_side() {
    let mut dialer = Peer::start(config(TCP)).await;
    let mut acceptor = Peer::start(config(TCP)).await;
    let (_, theirs) = dialer.connect(&mut acceptor).await;
    acceptor.control_opened(theirs).await;

    let names = [CONTROL_PROTOCOL.to_owned()];
    for (from, to) in [(&dialer, &acceptor), (&acceptor, &dialer)] {
        let (mut stream, _) = from.net.open(to.id(), &names).await.unwrap();
        let mut byte = [0; 1];
        let ended = futures::AsyncReadExt::read(&mut stream, &mut byte);
        assert!(matches!(within("the refusal", ended).await, Ok(0) | Err(_)));
    }

    assert_eq!(acceptor.net.counters().surplus_control, 1);
    assert_eq!(dialer.net.counters().surplus_control, 1);
}

/// A hello and then a ping in one go, from a peer that has not heard an answer.
#[tokio::test]
async fn nothing_behind_the_greeting_is_read_before_the_handshake_is_complete() {
    let mut node = Peer::start(config(TCP)).await;
    let mut bytes = BytesMut::new();
    for message in [large_message(1), Control::PingRequest { nonce: 2 }] {
        frame::encode(&message.encode(), &mut bytes);
    }
    let rude = rude::dial(&node.address, &bytes, false);

    let connection = node
        .wait("the greeting", |event| match event {
            Event::Control { connection, message } => {
                assert_eq!(*message, large_message(1));
                Some(*connection)
            }
            _ => None,
        })
        .await;
    // All that is going to be read has been read.
    let mut idle = Duration::ZERO;
    while idle < Duration::from_millis(200) {
        node.send(Command::Probe { connection }).await;
        idle = node
            .wait("an answer to the probe", |event| match event {
                Event::Activity { idle, .. } => Some(*idle),
                Event::Control { message, .. } => panic!("read {message:?}"),
                _ => None,
            })
            .await;
    }

    node.send(admit(connection)).await;
    assert_eq!(node.control(connection).await, Control::PingRequest { nonce: 2 });
    rude.abort();
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_given_up_in_time() {
    /// What a stream takes before its reader does anything.
    const WINDOW_BYTES: usize = 256 * 1024;
    let mut node = Peer::start(Config {
        write_stall: Duration::from_millis(200),
        ..config(TCP)
    })
    .await;
    let rude = rude::dial(&node.address, &[], false);
    let connection = node
        .wait("the stream", |event| match event {
            Event::ControlOpened { connection } => Some(*connection),
            _ => None,
        })
        .await;

    // Some more than it takes, and less than would be too much for the queue.
    let messages = WINDOW_BYTES / large_message(0).encode().len() + 8;
    for nonce in 0..messages {
        let message = large_message(nonce as u64);
        node.send(Command::SendControl { connection, message }).await;
        node.settle().await;
    }

    let error = node
        .wait("the end", |event| match event {
            Event::ControlBroken { error, .. } => Some(error.clone()),
            _ => None,
        })
        .await;
    assert_eq!(error, ControlError::Unread(Duration::from_millis(200)));
    rude.abort();
}

/// Some 400 bytes.
fn large_message(nonce: u64) -> Control {
    let address: Multiaddr =
        "/ip6/2001:db8::1/tcp/4001/p2p/12D3KooWPaFfr1Qsw983rbgD3CHf5aCopW5h4HytsUjYqZhAbGUc"
            .parse()
            .unwrap();
    Control::Hello(Hello {
        versions: Versions::ours(),
        network: "test".parse().unwrap(),
        services: Services::INBOUND,
        user_agent: String::new(),
        software_version: String::new(),
        time: Timestamp::default(),
        nonce,
        listen_addresses: vec![address; 6],
        observed_address: None,
    })
}

#[tokio::test]
async fn a_peer_that_floods_is_not_read_while_nobody_listens_and_commands_are_still_taken() {
    // Far more than the queues and the window of the stream (256 KiB) hold.
    const MESSAGES: u64 = 20_000;
    let mut dialer = Peer::start(config(TCP)).await;
    let mut acceptor = Peer::start(config(TCP)).await;
    let (ours, theirs) = dialer.connect(&mut acceptor).await;
    dialer.control_opened(ours).await;

    let mut sent = 0;
    for nonce in 0..MESSAGES {
        dialer
            .send(Command::SendControl {
                connection: ours,
                message: large_message(nonce),
            })
            .await;
        // The answer means that the command before it is carried out.
        assert!(
            dialer
                .net
                .open(PeerId::random(), &["/none/1".to_owned()])
                .await
                .is_err()
        );
        sent += 1;
        let mut events = std::iter::from_fn(|| dialer.events.try_recv().ok());
        if events.any(|event| {
            matches!(
                event,
                Event::ControlBroken {
                    error: ControlError::Stalled(_),
                    ..
                }
            )
        }) {
            break;
        }
    }

    assert!(sent < MESSAGES, "the flood was swallowed whole");
    assert_eq!(acceptor.events.len(), EVENTS_QUEUED_MAX);
    acceptor
        .send(Command::Keep {
            connection: theirs,
            keep: true,
        })
        .await;
    let opened = within(
        "the answer",
        acceptor.net.open(PeerId::random(), &["/none/1".to_owned()]),
    )
    .await;
    assert_eq!(opened.map(|_| ()), Err(OpenError::NotConnected));
    for nonce in 0..EVENTS_QUEUED_MAX as u64 / 2 {
        assert_eq!(acceptor.control(theirs).await, large_message(nonce));
    }
}

#[tokio::test]
async fn leaving_the_network_closes_connections_and_ends_the_task() {
    let mut dialer = Peer::start(config(TCP)).await;
    let mut acceptor = Peer::start(config(TCP)).await;
    let (ours, theirs) = dialer.connect(&mut acceptor).await;

    within("the end", acceptor.net.shutdown()).await;
    within("the task", acceptor.task).await.unwrap();
    dialer.disconnected(ours).await;
    assert!(
        acceptor
            .net
            .send(Command::Close { connection: theirs })
            .await
            .is_err()
    );

    let Peer {
        net, task, events, ..
    } = dialer;
    drop(net);
    within("the task without a handle", task).await.unwrap();
    drop(events);
}
