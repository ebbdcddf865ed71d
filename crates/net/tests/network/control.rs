//! The control stream between two nodes.

use rustle_net::{CONTROL_PROTOCOL, Command, ControlError, EVENTS_QUEUED_MAX, Event, OpenError};
use rustle_types::{Multiaddr, PeerId, Timestamp};
use rustle_wire::{Control, Disconnect, DisconnectReason, Hello, Services, Versions};

use crate::peer::{Peer, QUIC, TCP, config, within};

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
