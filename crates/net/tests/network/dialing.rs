//! Dialling and listening, and how each fails.

use std::net::{TcpListener, UdpSocket};

use rustle_net::{Command, DialError, Event, Identity, StartError, spawn};
use rustle_peers::GateLimits;
use rustle_types::{Multiaddr, PeerId};

use crate::peer::{Peer, QUIC, TCP, config};

async fn dial_error(dialer: &mut Peer, peer: Option<PeerId>, addresses: Vec<Multiaddr>) -> DialError {
    dialer
        .send(Command::Dial {
            request: 5,
            peer,
            addresses,
        })
        .await;
    dialer
        .wait("the failure", |event| match event {
            Event::DialFailed {
                request: 5, error, ..
            } => Some(error.clone()),
            Event::Connected { .. } => panic!("connected"),
            _ => None,
        })
        .await
}

#[tokio::test]
async fn another_peer_than_the_expected_one_is_told() {
    for listen in [TCP, QUIC] {
        let mut dialer = Peer::start(config(listen)).await;
        let other = Peer::start(config(listen)).await;
        let expected = Identity::generate().peer_id();

        let by_id = dial_error(&mut dialer, Some(expected), vec![other.address.clone()]).await;
        let suffix = format!("{}/p2p/{expected}", other.address).parse().unwrap();
        let by_address = dial_error(&mut dialer, None, vec![suffix]).await;

        for error in [by_id, by_address] {
            assert!(
                matches!(error, DialError::WrongPeer { found, .. } if found == other.id()),
                "{error:?}"
            );
        }
    }
}

#[tokio::test]
async fn each_way_to_fail_has_its_error() {
    let mut dialer = Peer::start(config(TCP)).await;
    let somebody = Identity::generate().peer_id();

    let error = dial_error(&mut dialer, Some(somebody), vec![]).await;
    assert_eq!(error, DialError::NoAddress);
    let error = dial_error(&mut dialer, None, vec![]).await;
    assert_eq!(error, DialError::NoAddress);

    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let nobody = format!("/ip4/127.0.0.1/tcp/{free}").parse().unwrap();
    let error = dial_error(&mut dialer, None, vec![nobody]).await;
    assert!(matches!(error, DialError::Refused(_)), "{error:?}");

    let error = dial_error(&mut dialer, Some(somebody), vec!["/memory/1".parse().unwrap()]).await;
    assert!(matches!(error, DialError::Unsupported(_)), "{error:?}");

    let itself = dialer.address.clone();
    let error = dial_error(&mut dialer, None, vec![itself]).await;
    assert!(matches!(error, DialError::Myself(_)), "{error:?}");
}

/// As in the start of a node: it knows whom to dial before the system has told where it listens.
#[tokio::test]
async fn the_first_dial_already_goes_out_from_the_port_at_which_the_node_listens() {
    let port = |address: &Multiaddr| address.iter().nth(1).map(|port| port.to_string());
    for [here, everywhere] in [[TCP, "/ip4/0.0.0.0/tcp/0"], [QUIC, "/ip4/0.0.0.0/udp/0/quic-v1"]] {
        let mut dialled = Peer::start(config(here)).await;
        let (net, mut events, _task) = spawn(config(everywhere)).unwrap();
        let dial = Command::Dial {
            request: 1,
            peer: None,
            addresses: vec![dialled.address.clone()],
        };
        net.send(dial).await.unwrap();

        let connected = |event: &Event| match event {
            Event::Connected { address, .. } => Some(address.clone()),
            _ => None,
        };
        let from = dialled.wait("the dialer", connected).await;
        let Some(Event::Listening { address }) = events.recv().await else {
            panic!("it listens before all else")
        };
        assert_eq!(port(&from), port(&address));
    }
}

#[tokio::test]
async fn a_taken_port_is_an_error_at_the_start() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let tcp_taken = format!("/ip4/127.0.0.1/tcp/{}", tcp.local_addr().unwrap().port());
    let udp_taken = format!("/ip4/127.0.0.1/udp/{}/quic-v1", udp.local_addr().unwrap().port());

    for taken in [tcp_taken, udp_taken] {
        let mut both = config(TCP);
        both.listen.push(taken.parse().unwrap());
        let error = spawn(both).map(|_| ()).unwrap_err();
        assert_eq!(error, StartError::AddressInUse(taken.parse().unwrap()));
        assert!(
            error.to_string().contains(&taken) && error.to_string().contains("--listen"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn two_nodes_never_share_a_port() {
    for listen in [TCP, QUIC] {
        let first = Peer::start(config(listen)).await;

        let error = spawn(config(&first.address.to_string())).map(|_| ()).unwrap_err();

        assert_eq!(error, StartError::AddressInUse(first.address.clone()));
    }
}

#[tokio::test]
async fn an_address_without_a_transport_is_an_error_at_the_start() {
    let error = spawn(config("/memory/1")).map(|_| ()).unwrap_err();
    assert_eq!(error, StartError::Unsupported("/memory/1".parse().unwrap()));
}

#[tokio::test]
async fn a_port_is_free_again_after_a_node_has_left() {
    let mut first = Peer::start(config(TCP)).await;
    let mut other = Peer::start(config(TCP)).await;
    other.connect(&mut first).await;
    first.net.shutdown().await;
    first.task.await.unwrap();

    let mut second = Peer::start(config(&first.address.to_string())).await;

    assert_eq!(second.address, first.address);
    other.connect(&mut second).await;
}

#[tokio::test]
async fn inbound_connections_leave_room_for_own_dials() {
    let mut crowded = config(TCP);
    crowded.gate = GateLimits {
        established: 2,
        established_inbound: 1,
        ..GateLimits::default()
    };
    let mut crowded = Peer::start(crowded).await;
    let mut first = Peer::start(config(TCP)).await;
    let mut second = Peer::start(config(TCP)).await;
    first.connect(&mut crowded).await;

    let addresses = vec![crowded.address.clone()];
    let peer = Some(crowded.id());
    second
        .send(Command::Dial {
            request: 1,
            peer,
            addresses,
        })
        .await;
    // The dialer may see its connection stand for a moment before it learns that it was refused.
    second
        .wait("the refusal", |event| match event {
            Event::DialFailed { .. } | Event::Disconnected { .. } => Some(()),
            _ => None,
        })
        .await;

    crowded.connect(&mut second).await;
}
