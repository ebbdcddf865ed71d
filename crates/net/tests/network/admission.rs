//! What is served before a connection is admitted, and to whom.

use std::time::Duration;

use bytes::Bytes;
use futures::{AsyncReadExt, AsyncWriteExt};
use rustle_net::{Admission, Command, Config, Event, ForeignAccess, OpenError, Scope, Stream};
use rustle_types::{ConnectionId, PeerId, TopicName};

use crate::peer::{Peer, QUIC, TCP, acceptor, admit, config, within};

const OWN: &str = "/rustle/test/sync/1";
const CONTENT: &str = "/ipfs/bitswap/1.2.0";

fn serving(listen: &str, foreign: ForeignAccess, acceptors: Vec<rustle_net::Acceptor>) -> Config {
    Config {
        foreign,
        acceptors,
        ..config(listen)
    }
}

async fn open(from: &Peer, to: &Peer, name: &str) -> Result<Stream, OpenError> {
    let opened = within("the stream", from.net.open(to.id(), &[name.to_owned()])).await;
    opened.map(|(stream, _)| stream)
}

/// The peer has hung up without a word.
async fn refused(mut stream: Stream) {
    let read = within("the refusal", stream.read(&mut [0; 1])).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

#[tokio::test]
async fn a_stream_that_needs_the_handshake_is_reset_before_it_and_served_after() {
    let (sync, mut streams) = acceptor(OWN, Scope::Own, 1);
    let mut client = Peer::start(config(TCP)).await;
    let mut server = Peer::start(serving(TCP, ForeignAccess::ALL, vec![sync])).await;
    let (_, theirs) = client.dial(&mut server).await;

    refused(open(&client, &server, OWN).await.unwrap()).await;
    assert_eq!(server.net.counters().unadmitted, 1);

    server.send(admit(theirs)).await;
    server.settle().await;
    let mut late = open(&client, &server, OWN).await.unwrap();
    late.write_all(b"hi").await.unwrap();
    late.flush().await.unwrap();
    let mut inbound = within("the stream", streams.recv()).await.unwrap();
    let mut got = [0; 2];
    within("its bytes", inbound.stream.read_exact(&mut got))
        .await
        .unwrap();
    assert_eq!((&got, inbound.connection), (b"hi", theirs));
}

#[tokio::test]
async fn the_dialer_serves_a_stream_that_overtakes_its_own_handshake() {
    let (sync, mut streams) = acceptor(OWN, Scope::Own, 1);
    let mut dialer = Peer::start(serving(TCP, ForeignAccess::NONE, vec![sync])).await;
    let mut server = Peer::start(config(TCP)).await;
    let (ours, _) = dialer.dial(&mut server).await;

    let opened = open(&server, &dialer, OWN).await.unwrap();
    assert!(streams.try_recv().is_err());
    dialer.send(admit(ours)).await;

    let inbound = within("the stream", streams.recv()).await.unwrap();
    assert_eq!(inbound.peer, server.id());
    drop(opened);
}

#[tokio::test]
async fn a_foreign_peer_gets_what_it_is_admitted_to_and_nothing_else() {
    for (access, gets_content) in [(ForeignAccess::CONTENT, true), (ForeignAccess::NONE, false)] {
        let (sync, _own) = acceptor(OWN, Scope::Own, 1);
        let (bitswap, mut content) = acceptor(CONTENT, Scope::Content, 1);
        let mut foreign = Peer::start(config(TCP)).await;
        let mut server = Peer::start(serving(TCP, access, vec![sync, bitswap])).await;
        let (_, theirs) = foreign.dial(&mut server).await;

        // It does not know that it has to be recognised first.
        let early = open(&foreign, &server, CONTENT).await.unwrap();
        let admission = Admission::Foreign(access);
        server
            .send(Command::Admit {
                connection: theirs,
                admission,
            })
            .await;

        if gets_content {
            within("the content", content.recv()).await.unwrap();
        } else {
            refused(early).await;
            refused(open(&foreign, &server, CONTENT).await.unwrap()).await;
        }
        refused(open(&foreign, &server, OWN).await.unwrap()).await;
    }
}

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

/// Sends a message to the topic of another, and waits until it has arrived.
async fn says(from: &mut Peer, to: &mut Peer, data: &'static [u8]) {
    from.send(Command::Publish {
        topic: topic(),
        data: Bytes::from_static(data),
    })
    .await;
    to.wait("the message", |event| match event {
        Event::Message { data: got, .. } if got == data => Some(()),
        _ => None,
    })
    .await;
}

/// Gossip needs each direction's stream from the first attempt on: a handler that has failed five times gives up for good,
/// and what is said on a stream that is refused is lost.
async fn gossip_survives_a_slow_handshake(listen: &str, slow_is_dialer: bool) {
    // The slowness is what is tested; whatever is done too early is done in this time.
    const SLOW: Duration = Duration::from_secs(2);
    // Nothing is given to foreign peers, so that early streams get no grace for their sake.
    let strict = || serving(listen, ForeignAccess::NONE, Vec::new());
    let mut dialer = Peer::start(strict()).await;
    let mut acceptor = Peer::start(strict()).await;
    for peer in [&dialer, &acceptor] {
        peer.send(Command::Subscribe { topic: topic() }).await;
    }
    let (ours, theirs) = dialer.dial(&mut acceptor).await;

    if !slow_is_dialer {
        tokio::time::sleep(SLOW).await;
    }
    acceptor.send(admit(theirs)).await;
    acceptor.settle().await;
    if slow_is_dialer {
        tokio::time::sleep(SLOW).await;
    }
    dialer.send(admit(ours)).await;

    let (dialer_id, acceptor_id) = (dialer.id(), acceptor.id());
    subscribed(&mut dialer, acceptor_id).await;
    subscribed(&mut acceptor, dialer_id).await;
    says(&mut dialer, &mut acceptor, b"from the dialer").await;
    says(&mut acceptor, &mut dialer, b"from the acceptor").await;
    for peer in [&dialer, &acceptor] {
        assert_eq!(peer.net.counters().unadmitted, 0);
    }
}

#[tokio::test]
async fn gossip_survives_a_slow_dialer_over_tcp() {
    gossip_survives_a_slow_handshake(TCP, true).await;
}

#[tokio::test]
async fn gossip_survives_a_slow_acceptor_over_tcp() {
    gossip_survives_a_slow_handshake(TCP, false).await;
}

#[tokio::test]
async fn gossip_survives_a_slow_dialer_over_quic() {
    gossip_survives_a_slow_handshake(QUIC, true).await;
}

#[tokio::test]
async fn gossip_survives_a_slow_acceptor_over_quic() {
    gossip_survives_a_slow_handshake(QUIC, false).await;
}

/// `eager` believes that all is well and asks for everything; `reserved` never completes the handshake.
async fn nothing_is_told_without_a_handshake(eager_dials: bool, foreign: ForeignAccess) {
    let mut reserved = Peer::start(serving(TCP, foreign, Vec::new())).await;
    let mut eager = Peer::start(config(TCP)).await;
    // Somebody whom the reserved one knows, and of whom the eager one could learn by asking.
    let mut third = Peer::start(config(TCP)).await;
    let third_id = third.id();
    reserved.connect(&mut third).await;
    identified(&mut reserved, third_id).await;
    for peer in [&reserved, &eager] {
        peer.send(Command::Subscribe { topic: topic() }).await;
    }

    let connection: ConnectionId = if eager_dials {
        eager.dial(&mut reserved).await.0
    } else {
        reserved.dial(&mut eager).await.1
    };
    eager.send(admit(connection)).await;
    let (eager_id, reserved_id) = (eager.id(), reserved.id());
    identified(&mut eager, reserved_id).await;
    identified(&mut reserved, eager_id).await;
    eager
        .send(Command::FindPeer {
            request: 1,
            peer: third_id,
        })
        .await;
    eager
        .send(Command::Publish {
            topic: topic(),
            data: Bytes::from_static(b"anybody?"),
        })
        .await;

    let found = eager
        .wait("the end of the search", |event| match event {
            Event::PeerFound { addresses, .. } => Some(addresses.clone()),
            Event::Subscribed { .. } | Event::Message { .. } => panic!("got {event:?}"),
            _ => None,
        })
        .await;
    assert!(found.is_empty(), "{found:?}");
    assert!(0 < reserved.net.counters().unadmitted);
    reserved.settle().await;
    while let Ok(event) = reserved.events.try_recv() {
        let told = matches!(event, Event::Subscribed { peer, .. } if peer == eager_id)
            || matches!(event, Event::Message { .. });
        assert!(!told, "believed {event:?}");
    }
    // And whoever asks the reserved one is not told of the eager one.
    third
        .send(Command::FindPeer {
            request: 2,
            peer: eager_id,
        })
        .await;
    let found = third
        .wait("the end of the search", |event| match event {
            Event::PeerFound { addresses, .. } => Some(addresses.clone()),
            _ => None,
        })
        .await;
    assert!(found.is_empty(), "{found:?}");
}

async fn identified(at: &mut Peer, who: PeerId) {
    at.wait("identified", |event| match event {
        Event::Identified { peer, .. } if *peer == who => Some(()),
        _ => None,
    })
    .await;
}

#[tokio::test]
async fn a_dialer_without_a_handshake_is_told_nothing() {
    nothing_is_told_without_a_handshake(true, ForeignAccess::NONE).await;
}

#[tokio::test]
async fn a_dialer_that_may_be_foreign_is_told_nothing_before_it_is_recognised() {
    nothing_is_told_without_a_handshake(true, ForeignAccess::ALL).await;
}

#[tokio::test]
async fn an_acceptor_without_a_handshake_is_told_nothing() {
    nothing_is_told_without_a_handshake(false, ForeignAccess::ALL).await;
}

#[tokio::test]
async fn what_a_foreign_peer_may_not_have_is_not_asked_of_it_either() {
    let mut node = Peer::start(config(TCP)).await;
    let mut foreign = Peer::start(config(TCP)).await;
    let (foreign_id, node_id) = (foreign.id(), node.id());
    for peer in [&node, &foreign] {
        peer.send(Command::Subscribe { topic: topic() }).await;
    }
    let (ours, theirs) = node.dial(&mut foreign).await;
    foreign.send(admit(theirs)).await;
    node.send(Command::Admit {
        connection: ours,
        admission: Admission::Foreign(ForeignAccess::CONTENT),
    })
    .await;
    identified(&mut node, foreign_id).await;
    identified(&mut foreign, node_id).await;

    // It would be asked, as the only peer there is.
    node.send(Command::FindPeer {
        request: 1,
        peer: PeerId::random(),
    })
    .await;
    node.wait("the end of the search", |event| match event {
        Event::PeerFound { .. } => Some(()),
        Event::Subscribed { .. } => panic!("got {event:?}"),
        _ => None,
    })
    .await;
    assert_eq!(foreign.net.counters().unadmitted, 0);
    foreign.settle().await;
    while let Ok(event) = foreign.events.try_recv() {
        assert!(!matches!(event, Event::Subscribed { .. }), "was told {event:?}");
    }
}

#[tokio::test]
async fn a_light_node_listens_nowhere_and_takes_streams_of_content_alone() {
    let (sync, _own) = acceptor(OWN, Scope::Own, 1);
    let (bitswap, mut blocks) = acceptor(CONTENT, Scope::Content, 1);
    let mut server = Peer::start(config(TCP)).await;
    let (net, mut events, _task) = rustle_net::spawn(Config {
        light: true,
        ..serving(TCP, ForeignAccess::ALL, vec![sync, bitswap])
    })
    .unwrap();
    net.send(Command::Dial {
        request: 1,
        peer: Some(server.id()),
        addresses: vec![server.address.clone()],
    })
    .await
    .unwrap();
    let light = net.peer_id();
    let ours = within("connected", async {
        loop {
            match events.recv().await.unwrap() {
                Event::Connected { connection, .. } => break connection,
                event => assert!(!matches!(event, Event::Listening { .. }), "{event:?}"),
            }
        }
    })
    .await;
    net.send(admit(ours)).await.unwrap();

    let (protocols, addresses) = server
        .wait("identified", |event| match event {
            Event::Identified {
                peer,
                protocols,
                listen_addresses,
                ..
            } if *peer == light => Some((protocols.clone(), listen_addresses.clone())),
            _ => None,
        })
        .await;
    assert!(
        !protocols.iter().any(|name| name.contains("kad") || name == OWN),
        "{protocols:?}"
    );
    assert!(addresses.is_empty(), "{addresses:?}");
    let own = within("the answer", server.net.open(light, &[OWN.to_owned()])).await;
    assert_eq!(own.map(|_| ()), Err(OpenError::Unsupported));
    // The blocks that it asked for come on it; that it gives none is for who takes the stream.
    let content = within("the stream", server.net.open(light, &[CONTENT.to_owned()])).await;
    assert!(content.is_ok());
    within("the blocks", blocks.recv()).await.unwrap();
}
