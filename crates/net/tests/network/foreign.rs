//! Peers that are no nodes of ours: plain libp2p, and one that speaks the control protocol badly.

use futures::StreamExt;
use libp2p::identify;
use libp2p::swarm::SwarmEvent;
use rustle_net::{Command, ControlError, Event};
use rustle_types::{Multiaddr, PeerId};
use rustle_wire::frame::FrameError;
use tokio::sync::oneshot;

use crate::peer::{Peer, TCP, config, within};
use crate::rude::{self, swarm};

/// A swarm that speaks identify and nothing else, running in the background.
async fn plain(dial: Option<Multiaddr>) -> (PeerId, Multiaddr) {
    let mut swarm =
        swarm(|key| identify::Behaviour::new(identify::Config::new("/plain/1".to_owned(), key.public())));
    swarm.listen_on(TCP.parse().unwrap()).unwrap();
    let (listening, address) = oneshot::channel();
    let id = *swarm.local_peer_id();
    tokio::spawn(async move {
        let mut listening = Some(listening);
        if let Some(address) = dial {
            swarm.dial(address).unwrap();
        }
        loop {
            if let (SwarmEvent::NewListenAddr { address, .. }, Some(listening)) =
                (swarm.select_next_some().await, listening.take())
            {
                let _ = listening.send(address);
            }
        }
    });
    (id, within("the plain swarm", address).await.unwrap())
}

#[tokio::test]
async fn a_plain_swarm_that_we_dial_is_foreign() {
    let mut node = Peer::start(config(TCP)).await;
    let (foreign, address) = plain(None).await;

    node.send(Command::Dial {
        request: 1,
        peer: Some(foreign),
        addresses: vec![address],
    })
    .await;

    node.wait("unsupported", |event| match event {
        Event::ControlUnsupported { .. } => Some(()),
        _ => None,
    })
    .await;
}

#[tokio::test]
async fn a_plain_swarm_that_dials_us_is_foreign() {
    let mut node = Peer::start(config(TCP)).await;
    let (foreign, _) = plain(Some(node.address.clone())).await;

    let connected = node
        .wait("connected", |event| match event {
            Event::Connected { connection, peer, .. } if *peer == foreign => Some(*connection),
            _ => None,
        })
        .await;
    let unsupported = node
        .wait("unsupported", |event| match event {
            Event::ControlUnsupported { connection } => Some(*connection),
            _ => None,
        })
        .await;
    assert_eq!(unsupported, connected);
}

/// What becomes of the control stream on which a peer writes `bytes`.
async fn error_after(bytes: &[u8], close: bool) -> ControlError {
    let mut node = Peer::start(config(TCP)).await;
    let running = rude::dial(&node.address, bytes, close);

    let error = node
        .wait("broken", |event| match event {
            Event::ControlBroken { error, .. } => Some(error.clone()),
            Event::Control { message, .. } => panic!("took {message:?}"),
            _ => None,
        })
        .await;
    running.abort();
    error
}

#[tokio::test]
async fn an_oversize_frame_breaks_the_control_stream_before_its_body() {
    let error = error_after(&[0x81, 0x08], false).await;
    assert_eq!(
        error,
        ControlError::Frame(FrameError::Oversize {
            length: 1025,
            max: 1024
        })
    );
}

#[tokio::test]
async fn malformed_messages_and_early_ends_break_the_control_stream() {
    assert!(matches!(
        error_after(&[3, 0xff, 0xff, 0xff], false).await,
        ControlError::Message(_)
    ));
    assert!(matches!(error_after(&[0], false).await, ControlError::Message(_)));
    // Four gibibytes.
    assert_eq!(
        error_after(&[0x80, 0x80, 0x80, 0x80, 0x10], false).await,
        ControlError::Frame(FrameError::Oversize {
            length: 1 << 32,
            max: 1024
        })
    );
    assert_eq!(
        error_after(&[0xff; 11], false).await,
        ControlError::Frame(FrameError::BadLength)
    );
    assert_eq!(error_after(&[9, 1], true).await, ControlError::Closed);
    // The largest frame is read whole before the handshake.
    let largest = [&[0x80, 0x08][..], &[0xff; 1024]].concat();
    assert!(matches!(
        error_after(&largest, false).await,
        ControlError::Message(_)
    ));
}
