//! The control stream between two nodes.

use rustle_net::{CONTROL_PROTOCOL, Command, Event};
use rustle_wire::{Control, Disconnect, DisconnectReason};

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

#[tokio::test]
async fn a_peer_that_floods_is_not_read_while_nobody_listens_and_commands_are_still_taken() {
    const MESSAGES: u64 = 20_000;
    let mut dialer = Peer::start(config(TCP)).await;
    let mut acceptor = Peer::start(config(TCP)).await;
    let (ours, theirs) = dialer.connect(&mut acceptor).await;
    dialer.control_opened(ours).await;
    acceptor.control_opened(theirs).await;

    // The flooder gives up once its own queue is full, as the other side does not read: that is the pressure.
    let mut sent = 0;
    let mut stalled = false;
    for nonce in 0..MESSAGES {
        dialer
            .send(Command::SendControl {
                connection: ours,
                message: Control::PingRequest { nonce },
            })
            .await;
        sent += 1;
        if let Ok(Event::ControlBroken { .. }) = dialer.events.try_recv() {
            stalled = true;
            break;
        }
    }

    // Nobody has read an event of the acceptor: it is full, and takes commands all the same.
    acceptor
        .send(Command::Keep {
            connection: theirs,
            keep: true,
        })
        .await;
    let opened = within(
        "the answer",
        acceptor.net.open(dialer.id(), &["/none/1".to_owned()]),
    )
    .await;
    assert!(opened.is_err());
    assert!(stalled || sent == MESSAGES);
    assert_eq!(acceptor.control(theirs).await, Control::PingRequest { nonce: 0 });
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
