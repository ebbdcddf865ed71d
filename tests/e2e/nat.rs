//! Nodes behind routers that translate addresses, in a lab of network namespaces: how they are reached.

use std::time::Duration;

use futures::future::join;
use rustle_admin::Client;
use rustle_admin::views::{CatQuery, ChainRef, Profile};
use rustle_tests::content::{pattern, same_as};
use rustle_tests::lab::{Host, Lab, Nat};
use rustle_tests::waiting::{addresses_are, append, data_blocks, log_says, peers_are};
use rustle_tests::{Daemon, Setup};
use rustle_types::{Multiaddr, address};

use crate::{ONCE, SOON, named};

/// That a node cannot be dialled is known after a dial that nobody answers, and a hole is punched in three attempts of ten
/// seconds at worst.
const TRIED: Duration = Duration::from_secs(60);

const TCP: &str = "tcp/4747";
const QUIC: &str = "udp/4747/quic-v1";

/// A node that stands behind a router.
struct Hidden {
    daemon: Daemon,
    client: Client,
    /// Where it is reached through the relay.
    place: Multiaddr,
}

// === impl Hidden ===

impl Hidden {
    /// Starts a node that knows only the relay, and waits until the relay keeps a place for it.
    async fn start(name: &str, setup: Setup) -> Self {
        let daemon = Daemon::start(name, setup).await.unwrap();
        let client = daemon.client().await.unwrap();
        let place = |addresses: &[Multiaddr]| addresses.iter().find(|it| address::is_relayed(it)).cloned();
        let place = addresses_are(&client, "a place at the relay", TRIED, place)
            .await
            .unwrap();
        Self {
            daemon,
            client,
            place,
        }
    }

    /// Waits until it is connected with `other`, directly or through the relay.
    async fn is_connected(&self, other: &Self, directly: bool) {
        let what = if directly {
            "a direct connection"
        } else {
            "a relayed connection"
        };
        let way = |peers: &[rustle_admin::views::PeerView]| {
            let mut peers = peers.iter().filter(|view| view.peer == other.daemon.peer());
            peers.any(|view| address::is_relayed(&view.address) != directly)
        };
        peers_are(&self.client, what, TRIED, way).await.unwrap();
    }
}

fn setup(host: &Host, transport: &str) -> Setup {
    let listen = format!("/ip4/0.0.0.0/{transport}");
    Setup::default().inside(host).listen(&listen)
}

/// A public node, and its address.
async fn public(name: &str, host: &Host, transport: &str, setup: Setup) -> (Daemon, Multiaddr) {
    let daemon = Daemon::start(name, setup).await.unwrap();
    let place = format!("/ip4/{}/{transport}/p2p/{}", host.address(), daemon.peer());
    (daemon, place.parse().unwrap())
}

/// A chain of `a` that `b` joins, and a block of each.
async fn share_a_chain(a: &Client, b: &Client) -> ChainRef {
    let chain = named("chat");
    a.create_chain("chat").await.unwrap();
    let invitation = a.invite(&chain, ONCE).await.unwrap();
    b.join(&invitation, Some(TRIED)).await.unwrap();
    append(a, &chain, "from a").await.unwrap();
    append(b, &chain, "from b").await.unwrap();
    for node in [a, b] {
        data_blocks(node, &chain, 2, SOON).await.unwrap();
    }
    chain
}

/// Two nodes behind routers meet at a relay, and go on without it.
async fn hidden_nodes_connect_directly(transport: &str, nat: Nat) {
    let lab = Lab::new().unwrap();
    let at_relay = lab.public().unwrap();
    let relaying = setup(&at_relay, transport).flag("--relay-server");
    let (_relay, relay) = public("R", &at_relay, transport, relaying).await;
    let witness = lab.public().unwrap();
    let (_witness, seen_by) = public("W", &witness, transport, setup(&witness, transport)).await;
    let [at_a, at_b] = [(); 2].map(|()| lab.behind(nat).unwrap());
    let knowing = |host| setup(host, transport).bootstrap(&relay).bootstrap(&seen_by);
    let (a, b) = join(
        Hidden::start("A", knowing(&at_a)),
        Hidden::start("B", knowing(&at_b)),
    )
    .await;

    a.client.connect_peer(&b.place, Some(TRIED)).await.unwrap();
    a.is_connected(&b, true).await;
    b.is_connected(&a, true).await;

    lab.cut(&at_relay).unwrap();
    lab.cut(&witness).unwrap();
    share_a_chain(&a.client, &b.client).await;
    let file = pattern(1_000_000);
    let added = a.client.add_bytes(Profile::V1, file.clone()).await.unwrap();
    let query = CatQuery {
        cid: added.cid,
        offset: 0,
        length: None,
        timeout: TRIED,
    };
    let read = same_as(&b.client, query, file.as_ref()).await.unwrap();
    assert_eq!(read, added.bytes);
}

#[tokio::test]
async fn hidden_nodes_connect_directly_over_tcp() {
    hidden_nodes_connect_directly(TCP, Nat::KeepsPorts).await;
}

#[tokio::test]
async fn hidden_nodes_connect_directly_over_quic() {
    hidden_nodes_connect_directly(QUIC, Nat::KeepsPorts).await;
}

/// The outer port is none that the node knows of itself: it takes two peers that see the same.
#[tokio::test]
async fn hidden_nodes_connect_directly_where_the_router_gives_other_ports() {
    hidden_nodes_connect_directly(TCP, Nat::OtherPorts).await;
}

#[tokio::test]
async fn what_no_hole_can_be_punched_for_stays_relayed_and_works_for_little() {
    let lab = Lab::new().unwrap();
    let at_relay = lab.public().unwrap();
    let relaying = setup(&at_relay, TCP).flag("--relay-server");
    let (_relay, relay) = public("R", &at_relay, TCP, relaying).await;
    let [at_a, at_b] = [(); 2].map(|()| lab.behind(Nat::Symmetric).unwrap());
    let (a, b) = join(
        Hidden::start("A", setup(&at_a, TCP).bootstrap(&relay)),
        Hidden::start("B", setup(&at_b, TCP).bootstrap(&relay)),
    )
    .await;

    a.client.connect_peer(&b.place, Some(TRIED)).await.unwrap();
    share_a_chain(&a.client, &b.client).await;

    a.is_connected(&b, false).await;
    b.is_connected(&a, false).await;
}

#[tokio::test]
async fn a_public_node_finds_out_that_it_is_one_and_a_hidden_one_that_it_is_not() {
    let lab = Lab::new().unwrap();
    let at_relay = lab.public().unwrap();
    let relaying = setup(&at_relay, TCP).flag("--relay-server");
    let (_relay, relay) = public("R", &at_relay, TCP, relaying).await;
    let (open, shut) = (lab.public().unwrap(), lab.behind(Nat::KeepsPorts).unwrap());
    let start = |name, host| Daemon::start(name, setup(host, TCP).bootstrap(&relay));
    let (open, shut) = join(start("O", &open), start("S", &shut)).await;

    log_says(&open.unwrap(), "others can dial this node", TRIED)
        .await
        .unwrap();
    log_says(&shut.unwrap(), "others cannot dial this node", TRIED)
        .await
        .unwrap();
}
