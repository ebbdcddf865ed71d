//! Can lists of peers be scraped, or used to plant lies?

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use rustle_adversary::{Adversary, ControlStream, Heard, Listener, Peer, Stream, answer, hello};
use rustle_tests::waiting::{peers_are, within};
use rustle_tests::{Cluster, Daemon, Setup};
use rustle_types::{Multiaddr, PeerId};
use rustle_wire::{Control, Hello, PeerEntry, PeersList, PeersRequest, Services, frame};
use tokio::time::timeout;

use super::{NETWORK, SLACK, source, target};
use crate::SOON;

const PEERS: &str = "/rustle/tests/peers/1";

/// Asks for a list; `None` where the stream is refused or reset.
pub(super) async fn list_of(peer: &Peer) -> Option<PeersList> {
    let ask = async {
        let mut stream = peer.open(PEERS).await.ok()?;
        stream
            .write_all(&framed(&PeersRequest::default().encode()))
            .await
            .ok()?;
        stream.flush().await.ok()?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.ok()?;
        let mut decoder = frame::Decoder::new(1 << 16);
        decoder.push(&bytes);
        PeersList::decode(decoder.next().ok()??).ok()
    };
    within("a list or none", SOON, ask).await.unwrap()
}

pub(super) fn framed(message: &Bytes) -> BytesMut {
    let mut bytes = BytesMut::new();
    frame::encode(message, &mut bytes);
    bytes
}

#[tokio::test]
async fn a_list_is_told_once_and_not_again_for_a_while() {
    let node = target().await;
    let listed = Adversary::new().source(source(8, 2));
    let reachable = Hello {
        services: Services::INBOUND,
        listen_addresses: vec!["/ip4/127.9.8.2/tcp/4001".parse().unwrap()],
        ..hello(NETWORK)
    };
    let _listed = listed.greet(node.address(), reachable).await.unwrap();
    let asker = Adversary::new().source(source(8, 1));
    let (peer, _control, _) = asker.greet(node.address(), hello(NETWORK)).await.unwrap();

    let first = list_of(&peer).await.expect("the first question is answered");
    assert!(
        first.entries.iter().all(|entry| entry.peer != asker.peer_id()),
        "{first:?}"
    );
    let again = list_of(&peer).await;
    assert_eq!(again, None, "answered twice within a minute");

    // Whoever goes on is thrown out, and has learned no more.
    for _ in 0..50 {
        assert_eq!(list_of(&peer).await, None);
    }
    within("the close", SLACK, peer.closed()).await.unwrap();
}

#[tokio::test]
async fn whoever_asks_a_malformed_question_is_not_answered() {
    let node = target().await;
    let (peer, _control, _) = Adversary::new()
        .greet(node.address(), hello(NETWORK))
        .await
        .unwrap();
    let huge = [0xff, 0xff, 0xff, 0xff, 0x7f];
    let garbage = [3, 0xff, 0xff, 0xff];
    for bytes in [&huge[..], &garbage] {
        let Ok(mut stream) = peer.open(PEERS).await else {
            continue;
        };
        let _ = stream.write_all(bytes).await;
        let _ = stream.flush().await;
        let mut answer = Vec::new();
        let _ = timeout(SOON, stream.read_to_end(&mut answer)).await.unwrap();
        assert_eq!(answer, [0; 0], "an answer to garbage");
    }
}

/// Somebody whom the node dials, and whose list it then asks for.
pub(super) async fn asked(node: &Daemon) -> (Adversary, Peer, ControlStream, Stream) {
    let listener = Listener::bind(source(8, 3)).await.unwrap();
    let adversary = Adversary::new();
    let address = listener.address_of(adversary.peer_id());
    let client = node.client().await.unwrap();
    let serve = async {
        let (mut peer, mut control) = listener.accept_control(&adversary).await.unwrap();
        let Heard::Message(Control::Hello(_)) = control.next().await else {
            panic!("the dialer does not speak first");
        };
        control.send(&Control::HelloAck(hello(NETWORK))).await.unwrap();
        let stream = loop {
            let mut stream = peer.inbound().await.expect("the node asks whom it has dialled");
            if answer(&mut stream, |protocol| protocol == PEERS).await.is_ok() {
                break stream;
            }
        };
        (peer, control, stream)
    };
    let (connected, served) = tokio::join!(
        client.connect_peer(&address, None),
        within("a question for peers", SOON, serve)
    );
    connected.unwrap();
    let (peer, control, stream) = served.unwrap();
    (adversary, peer, control, stream)
}

fn entry(peer: PeerId, addresses: &[&str]) -> PeerEntry {
    PeerEntry {
        peer,
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        services: Services::INBOUND,
        days_ago: 0,
    }
}

/// Waits until somebody dials in, but not for long.
async fn is_dialled(listener: &Listener) -> bool {
    timeout(SOON, listener.accept()).await.is_ok()
}

#[tokio::test]
async fn what_a_list_names_is_dialled_and_nonsense_in_it_is_not() {
    let node = target().await;
    let (_adversary, peer, _control, mut stream) = asked(&node).await;
    let (good, bad) = (
        Listener::bind(source(8, 4)).await.unwrap(),
        Listener::bind(source(8, 5)).await.unwrap(),
    );
    let port_of = |listener: &Listener| listener.address().to_string();
    let relay = Adversary::new().peer_id();
    let relayed = format!("{}/p2p/{relay}/p2p-circuit", port_of(&bad));
    let named = port_of(&bad).replace("/ip4/127.9.8.5", "/dns4/localhost");
    let another = format!("{}/p2p/{relay}", port_of(&bad));
    let list = PeersList {
        entries: vec![
            entry(Adversary::new().peer_id(), &[&port_of(&good)]),
            entry(Adversary::new().peer_id(), &[&relayed]),
            entry(Adversary::new().peer_id(), &[&named]),
            entry(Adversary::new().peer_id(), &[&another]),
            entry(
                Adversary::new().peer_id(),
                &["/ip4/0.0.0.0/tcp/1", "/ip4/224.0.0.1/tcp/1"],
            ),
            entry(node.peer(), &[&port_of(&bad)]),
        ],
    };

    stream.write_all(&framed(&list.encode())).await.unwrap();
    stream.close().await.unwrap();

    assert!(is_dialled(&good).await, "the good address is not dialled");
    let is_bad_dialled = timeout(SLACK, bad.accept()).await.is_ok();
    assert!(
        !is_bad_dialled,
        "an address that nobody should believe is dialled"
    );
    assert!(
        !peer.is_closed(),
        "nonsense of others in a list is no fault of the teller"
    );
}

#[tokio::test]
async fn lists_beyond_their_bounds_are_not_read() {
    let node = target().await;
    let addresses: Vec<Multiaddr> = vec!["/ip4/127.9.8.6/tcp/1".parse().unwrap()];
    let too_long: Vec<u8> = (0..129)
        .flat_map(|_| {
            let one = PeersList {
                entries: vec![PeerEntry {
                    peer: Adversary::new().peer_id(),
                    addresses: addresses.clone(),
                    services: Services::INBOUND,
                    days_ago: 0,
                }],
            };
            // Messages of protobuf one after the other are one message.
            one.encode().to_vec()
        })
        .collect();
    let answers = [
        framed(&too_long.into()).to_vec(),
        vec![0xff, 0xff, 0xff, 0xff, 0x7f],
        vec![3, 0xff, 0xff, 0xff],
    ];
    for bytes in answers {
        let (adversary, peer, _control, mut stream) = asked(&node).await;

        stream.write_all(&bytes).await.unwrap();
        stream.flush().await.unwrap();
        let mut rest = Vec::new();
        let _ = timeout(SOON, stream.read_to_end(&mut rest)).await.unwrap();

        let client = node.client().await.unwrap();
        let peers = client.peers().await.unwrap();
        let known = peers.iter().filter(|peer| peer.peer != adversary.peer_id());
        assert_eq!(known.count(), 0, "a peer of a list that was too long");
        drop(peer);
        peers_are(&client, "the teller to go", SOON, <[_]>::is_empty)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn whoever_never_answers_the_question_is_no_worse_for_it() {
    let node = target().await;
    let (_adversary, mut peer, _control, stream) = asked(&node).await;
    // Whatever else the node wants is answered: it has nothing of the kind.
    let refuse_others = async {
        while let Some(mut other) = peer.inbound().await {
            let _ = answer(&mut other, |_| false).await;
        }
    };

    // Longer than a frame may take.
    let ended = timeout(Duration::from_secs(12), refuse_others).await;

    assert!(ended.is_err(), "closed because of a list that did not come");
    drop(stream);
}

#[tokio::test]
async fn a_boot_node_shows_the_way_to_others() {
    let cluster = Cluster::start(["boot", "B", "C"], &Setup::default())
        .await
        .unwrap();
    cluster.connect_to_first().await.unwrap();
    let setup = Setup::default().bootstrap(cluster.node(0).address());
    let newcomer = Daemon::start("newcomer", setup).await.unwrap();

    let client = newcomer.client().await.unwrap();
    let found = peers_are(&client, "all that the boot node knows", SOON, |peers| {
        let is_there = |node: &Daemon| peers.iter().any(|peer| peer.peer == node.peer());
        cluster.nodes().iter().all(is_there)
    });
    found.await.unwrap();
}
