//! What does somebody get who has not shaken hands?

use std::time::Duration;

use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use rustle_adversary::{
    Adversary, Heard, IDENTIFY, MESHSUB, Manners, Peer, answer, find_node, hello, identify, subscribe,
};
use rustle_tests::waiting::{peers_are, within};
use rustle_tests::{Daemon, Setup};
use rustle_wire::Control;
use tokio::time::timeout;

use super::{HANDSHAKE, NETWORK, SLACK, target};
use crate::SOON;

const KAD: &str = "/rustle/tests/kad/1.0.0";
const BITSWAP: &str = "/ipfs/bitswap/1.2.0";
/// What only peers are served, with something to say first.
const OURS: [&str; 3] = [
    "/rustle/tests/join/1",
    "/rustle/tests/sync/1",
    "/rustle/tests/peers/1",
];

/// How many bytes come back on a stream for this protocol after this was said, within the time of a handshake.
async fn served(peer: &Peer, protocol: &str, request: &[u8]) -> usize {
    let ask = async {
        let mut stream = peer.open(protocol).await.ok()?;
        stream.write_all(request).await.ok()?;
        stream.flush().await.ok()?;
        let mut piece = [0; 1024];
        stream.read(&mut piece).await.ok()
    };
    timeout(HANDSHAKE + SLACK, ask).await.ok().flatten().unwrap_or(0)
}

/// What the node tells of itself through identify.
async fn introduction(peer: &Peer) -> String {
    let mut stream = peer.open(IDENTIFY).await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn nothing_is_served_before_the_handshake() {
    let node = target().await;
    let own = node.peer().to_bytes();
    let requests = [
        (KAD, find_node(&own)),
        (MESHSUB, subscribe("/rustle/tests/chain/1/x")),
        (OURS[0], vec![1, 0]),
        (OURS[1], vec![1, 0]),
        (OURS[2], vec![0]),
        (BITSWAP, vec![0]),
    ];

    for (protocol, request) in requests {
        let (peer, _control) = Adversary::new().speak(node.address()).await.unwrap();
        assert_eq!(served(&peer, protocol, &request).await, 0, "{protocol}");
    }
}

#[tokio::test]
async fn the_node_itself_opens_only_identify_before_the_handshake() {
    let node = target().await;
    let mut peer = Adversary::new().connect(node.address()).await.unwrap();

    let mut opened = Vec::new();
    while let Ok(Some(mut stream)) = timeout(HANDSHAKE + SLACK, peer.inbound()).await {
        let refuse = answer(&mut stream, |protocol| {
            // Taken, so that the node does not try it again under another name.
            opened.push(protocol.to_owned());
            true
        });
        let _ = timeout(Duration::from_secs(1), refuse).await;
    }

    opened.retain(|protocol| !protocol.starts_with("/ipfs/id/"));
    assert_eq!(opened, [""; 0], "offered before the handshake");
}

#[tokio::test]
async fn a_peer_is_served_after_the_handshake() {
    let node = target().await;
    let (peer, _control, _) = Adversary::new()
        .greet(node.address(), hello(NETWORK))
        .await
        .unwrap();

    assert_ne!(
        served(&peer, KAD, &find_node(&node.peer().to_bytes())).await,
        0,
        "{KAD}"
    );
    for protocol in [MESHSUB, OURS[0], OURS[1], OURS[2], BITSWAP] {
        let opened = within(protocol, SOON, peer.open(protocol)).await.unwrap();
        assert!(opened.is_ok(), "{protocol}: {opened:?}");
    }
}

/// Somebody who introduces itself as a peer of another kind.
async fn foreigner(node: &Daemon) -> (Adversary, Peer) {
    let adversary = Adversary::new();
    let introduction = identify(&adversary.public_key(), &[IDENTIFY, BITSWAP, MESHSUB]);
    let adversary = adversary.manners(Manners::Polite(introduction));
    let peer = adversary.connect(node.address()).await.unwrap();
    (adversary, peer)
}

#[tokio::test]
async fn foreign_peers_get_what_the_configuration_allows() {
    let cases = [
        ("allow", true, true),
        ("content", true, false),
        ("deny", false, false),
    ];
    for (foreign, content, dht) in cases {
        let setup = Setup::default().flag("--foreign").flag(foreign);
        let node = Daemon::start("target", setup).await.unwrap();
        let (_adversary, peer) = foreigner(&node).await;
        let client = node.client().await.unwrap();
        if content {
            peers_are(&client, "the foreigner", SOON, |peers| peers.len() == 1)
                .await
                .unwrap();
        } else {
            within("the close", HANDSHAKE + SLACK, peer.closed())
                .await
                .unwrap();
        }

        let own = find_node(&node.peer().to_bytes());
        assert_eq!(peer.open(BITSWAP).await.is_ok(), content, "{foreign}: {BITSWAP}");
        assert_eq!(served(&peer, KAD, &own).await != 0, dht, "{foreign}: {KAD}");
        for protocol in OURS {
            assert!(
                served(&peer, protocol, &[1, 0]).await == 0,
                "{foreign}: {protocol}"
            );
        }
    }
}

#[tokio::test]
async fn who_is_refused_learns_nothing_of_other_peers() {
    let node = target().await;
    let (_friend, _friends_control, _) = Adversary::new()
        .greet(node.address(), hello(NETWORK))
        .await
        .unwrap();
    let (peer, mut control) = Adversary::new().speak(node.address()).await.unwrap();
    control.send(&Control::Hello(hello("elsewhere"))).await.unwrap();

    let heard = within("the goodbye", SOON, control.next()).await.unwrap();

    assert!(
        matches!(heard, Heard::Message(Control::Disconnect(_))),
        "{heard:?}"
    );
    assert_eq!(served(&peer, KAD, &find_node(&node.peer().to_bytes())).await, 0);
}

#[tokio::test]
async fn identify_tells_no_addresses_of_others() {
    let node = target().await;
    let (peer, _control, _) = Adversary::new()
        .greet(node.address(), hello(NETWORK))
        .await
        .unwrap();

    let introduction = introduction(&peer).await;

    assert!(introduction.contains("/rustle/hello/1"), "{introduction}");
}
