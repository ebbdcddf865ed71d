//! Nodes behind routers that translate addresses, in a lab of network namespaces: how they are reached.

use std::time::Duration;

use futures::future::join;
use rustle_admin::Client;
use rustle_admin::views::{CatQuery, ChainRef, PeerView, Profile};
use rustle_tests::content::{pattern, same_as};
use rustle_tests::lab::{Host, Lab, Nat};
use rustle_tests::waiting::{addresses_are, append, data_blocks, log_says, peers_are};
use rustle_tests::{Daemon, Setup};
use rustle_types::{Multiaddr, address};

use crate::{ONCE, SOON, named};

/// That a node cannot be dialled is known after a dial that nobody answers, and a hole is punched in three attempts of ten
/// seconds at worst.
const TRIED: Duration = Duration::from_secs(60);
/// Longer than a stream waits for a direct connection, and than one attempt to punch a hole lasts.
const LASTING: Duration = Duration::from_secs(12);

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
    /// Starts a node, and waits until it has found out that nobody can dial it, and a relay keeps a place for it.
    async fn start(name: &str, setup: Setup) -> Self {
        let daemon = Daemon::start(name, setup).await.unwrap();
        let client = daemon.client().await.unwrap();
        log_says(&daemon, "others cannot dial this node", TRIED)
            .await
            .unwrap();
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

    /// Waits until one of its connections with `other` is as wanted.
    async fn is_connected(&self, other: &Self, what: &str, wanted: impl Fn(&PeerView) -> bool) {
        let id = other.daemon.peer();
        let any = |peers: &[PeerView]| peers.iter().any(|view| view.peer == id && wanted(view));
        peers_are(&self.client, what, TRIED, any).await.unwrap();
    }

    async fn is_directly_connected(&self, other: &Self) {
        self.is_connected(other, "a direct connection", |view| !view.relayed)
            .await;
    }

    /// Waits until it has been connected through the relay for a good while, over one and the same connection.
    async fn stays_relayed(&self, other: &Self) {
        let lasts = |view: &PeerView| view.relayed && LASTING <= view.connected;
        self.is_connected(other, "a relayed connection that lasts", lasts)
            .await;
    }
}

fn setup(host: &Host, transport: &str) -> Setup {
    let listen = format!("/ip4/0.0.0.0/{transport}");
    Setup::default().inside(host).listen(&listen)
}

/// With pings soon, so that a dead connection is noticed within seconds; so often that other nodes just bear it.
fn lively(setup: Setup) -> Setup {
    setup
        .peers("ping-idle-seconds", 5)
        .peers("ping-timeout-seconds", 1)
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

/// Two nodes behind routers find out that nobody can dial them, and a public one that others can. The two meet at a relay,
/// and go on without it.
async fn hidden_nodes_connect_directly(transport: &str, nat: Nat) {
    let lab = Lab::new().unwrap();
    let at_relay = lab.public().unwrap();
    let relaying = setup(&at_relay, transport).flag("--relay-server");
    let (_relay, relay) = public("R", &at_relay, transport, relaying).await;
    let at_witness = lab.public().unwrap();
    let knowing = setup(&at_witness, transport).bootstrap(&relay);
    let (witness, seen_by) = public("W", &at_witness, transport, knowing).await;
    let [at_a, at_b] = [(); 2].map(|()| lab.behind(nat).unwrap());
    let knowing = |host| setup(host, transport).bootstrap(&relay).bootstrap(&seen_by);
    let (a, b) = join(
        Hidden::start("A", knowing(&at_a)),
        Hidden::start("B", knowing(&at_b)),
    )
    .await;
    log_says(&witness, "others can dial this node", TRIED)
        .await
        .unwrap();

    a.client.connect_peer(&b.place, Some(TRIED)).await.unwrap();
    a.is_directly_connected(&b).await;
    b.is_directly_connected(&a).await;

    lab.cut(&at_relay).unwrap();
    lab.cut(&at_witness).unwrap();
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
    let chain = share_a_chain(&a.client, &b.client).await;
    join(a.stays_relayed(&b), b.stays_relayed(&a)).await;
    append(&a.client, &chain, "still there").await.unwrap();

    data_blocks(&b.client, &chain, 3, SOON).await.unwrap();
    join(a.stays_relayed(&b), b.stays_relayed(&a)).await;
}

#[tokio::test]
async fn a_hidden_node_whose_cable_was_cut_has_its_place_again_when_it_is_mended() {
    let lab = Lab::new().unwrap();
    let at_relay = lab.public().unwrap();
    let relaying = lively(setup(&at_relay, TCP).flag("--relay-server"));
    let (_relay, relay) = public("R", &at_relay, TCP, relaying).await;
    let at_a = lab.behind(Nat::KeepsPorts).unwrap();
    let a = Hidden::start("A", lively(setup(&at_a, TCP).bootstrap(&relay))).await;

    lab.cut(&at_a).unwrap();
    peers_are(&a.client, "the loss of the relay", TRIED, <[_]>::is_empty)
        .await
        .unwrap();
    let lost = |addresses: &[Multiaddr]| (!addresses.contains(&a.place)).then_some(());
    addresses_are(&a.client, "the loss of the place", TRIED, lost)
        .await
        .unwrap();
    lab.mend(&at_a).unwrap();

    let back = |addresses: &[Multiaddr]| addresses.contains(&a.place).then_some(());
    addresses_are(&a.client, "its place at the relay", TRIED, back)
        .await
        .unwrap();
}
