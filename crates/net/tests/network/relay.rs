//! Places at relays, connections through them, and how these become direct.

use futures::{AsyncReadExt, AsyncWriteExt};
use rustle_net::{Admission, Command, Config, DialError, Event, Inbound, OpenError, Scope};
use rustle_types::{ConnectionId, Direction, Multiaddr, PeerId};
use rustle_wire::Control;
use tokio::sync::mpsc;

use crate::peer::{Peer, QUIC, TCP, acceptor, config, within};

const OWN: &str = "/rustle/test/small/1";
const CONTENT: &str = "/test/bulk/1";

async fn relay(listen: &str) -> Peer {
    let mut relay = config(listen);
    relay.relay_server = true;
    Peer::start(relay).await
}

/// One that nobody can dial, not even by punching holes: it has no socket that listens.
fn hidden_config() -> Config {
    let mut hidden = config(TCP);
    hidden.listen.clear();
    hidden
}

/// Connects `client` with `relay`, with both handshakes complete.
async fn introduce(client: &mut Peer, relay: &mut Peer) -> (ConnectionId, ConnectionId) {
    let (ours, theirs) = client.connect(relay).await;
    // Where the relay sees us is what we tell others when we punch holes.
    let who = relay.id();
    client
        .wait("identified", |event| match event {
            Event::Identified { peer, .. } if *peer == who => Some(()),
            _ => None,
        })
        .await;
    (ours, theirs)
}

async fn reserve(client: &mut Peer, relay: &Peer) -> Option<Multiaddr> {
    let (relay, address) = (relay.id(), relay.address.clone());
    client.send(Command::Reserve { relay, address }).await;
    answer(client, relay).await
}

/// Whether the relay keeps a place.
async fn answer(client: &mut Peer, at: PeerId) -> Option<Multiaddr> {
    client
        .wait("an answer of the relay", |event| match event {
            Event::Reserved { relay, address } if *relay == at => Some(Some(address.clone())),
            Event::ReservationLost { relay } if *relay == at => Some(None),
            _ => None,
        })
        .await
}

fn is_relayed(address: &Multiaddr) -> bool {
    address.to_string().contains("/p2p-circuit")
}

/// The next connection with `who`, direct or relayed, and who speaks first on it.
async fn connected(peer: &mut Peer, who: PeerId, relayed: bool) -> (ConnectionId, Direction) {
    peer.wait(
        if relayed {
            "a relayed connection"
        } else {
            "a direct connection"
        },
        |event| match event {
            Event::Connected {
                connection,
                peer,
                address,
                direction,
                ..
            } if *peer == who && is_relayed(address) == relayed => Some((*connection, *direction)),
            Event::DialFailed { error, .. } => panic!("{error}"),
            _ => None,
        },
    )
    .await
}

async fn dial(from: &mut Peer, to: &Peer, through: &Multiaddr) {
    from.send(Command::Dial {
        request: 1,
        peer: Some(to.id()),
        addresses: vec![through.clone()],
    })
    .await;
}

/// The handshake's frames go over a relayed connection, and over the direct one that follows.
async fn a_relayed_connection_becomes_a_direct_one(listen: &str) {
    let mut relay = relay(listen).await;
    let mut a = Peer::start(config(listen)).await;
    let mut b = Peer::start(config(listen)).await;
    introduce(&mut a, &mut relay).await;
    introduce(&mut b, &mut relay).await;
    let place = reserve(&mut b, &relay).await.expect("a place");
    assert_eq!(
        place.to_string(),
        format!("{}/p2p/{}/p2p-circuit", relay.address, relay.id())
    );

    dial(&mut a, &b, &place).await;
    for relayed in [true, false] {
        let (ours, direction) = connected(&mut a, b.id(), relayed).await;
        let (theirs, their_direction) = connected(&mut b, a.id(), relayed).await;
        if relayed || listen == TCP {
            assert_eq!(
                (direction, their_direction),
                (Direction::Outbound, Direction::Inbound)
            );
        }
        if direction == Direction::Outbound && their_direction == Direction::Inbound {
            let message = Control::PingRequest { nonce: 7 };
            a.send(Command::SendControl {
                connection: ours,
                message: message.clone(),
            })
            .await;
            assert_eq!(b.control(theirs).await, message);
        }
    }

    // Both ends may call it a success.
    let punched = a.net.counters().nat.punched + b.net.counters().nat.punched;
    assert!(0 < punched, "{:?} {:?}", a.net.counters(), b.net.counters());
    let counters = relay.net.counters().nat;
    assert_eq!((counters.reservations, counters.circuits), (1, 1));
}

#[tokio::test]
async fn a_relayed_connection_becomes_a_direct_one_over_tcp() {
    a_relayed_connection_becomes_a_direct_one(TCP).await;
}

#[tokio::test]
async fn a_relayed_connection_becomes_a_direct_one_over_quic() {
    a_relayed_connection_becomes_a_direct_one(QUIC).await;
}

#[tokio::test]
async fn a_relay_keeps_places_only_where_it_is_set_and_for_our_own_nodes() {
    let mut client = Peer::start(config(TCP)).await;
    let mut none = Peer::start(config(TCP)).await;
    introduce(&mut client, &mut none).await;
    assert_eq!(reserve(&mut client, &none).await, None);

    let mut relay = relay(TCP).await;
    client.dial(&mut relay).await;
    assert_eq!(reserve(&mut client, &relay).await, None, "no handshake");
    assert_eq!(relay.net.counters().unadmitted, 1);
}

#[tokio::test]
async fn a_place_is_lost_with_its_connection_or_given_up() {
    let mut relay = relay(TCP).await;
    let mut a = Peer::start(config(TCP)).await;
    let mut b = Peer::start(config(TCP)).await;
    introduce(&mut a, &mut relay).await;
    let (_, theirs) = introduce(&mut b, &mut relay).await;

    let place = reserve(&mut b, &relay).await.unwrap();
    b.send(Command::Unreserve { relay: relay.id() }).await;
    assert_eq!(answer(&mut b, relay.id()).await, None);
    dial(&mut a, &b, &place).await;
    let error = a
        .wait("the failure", |event| match event {
            Event::DialFailed { error, .. } => Some(error.clone()),
            Event::Connected { address, .. } if is_relayed(address) => panic!("connected"),
            _ => None,
        })
        .await;
    assert!(matches!(error, DialError::Unreachable(_)), "{error:?}");

    reserve(&mut b, &relay).await.unwrap();
    relay.send(Command::Close { connection: theirs }).await;
    assert_eq!(answer(&mut b, relay.id()).await, None);
    assert_eq!(reserve(&mut b, &Peer::start(config(TCP)).await).await, None);
}

/// Serves two protocols, and echoes what comes for the small one.
fn serving(config: &mut Config) -> mpsc::Receiver<Inbound> {
    let (small, mut streams) = acceptor(OWN, Scope::Own, 1);
    let (bulk, bulk_streams) = acceptor(CONTENT, Scope::Content, 1);
    config.acceptors = vec![small, bulk];
    tokio::spawn(async move {
        while let Some(inbound) = streams.recv().await {
            let (reader, mut writer) = inbound.stream.split();
            // The relay may cut it.
            let _ = futures::io::copy(reader, &mut writer).await;
        }
    });
    bulk_streams
}

#[tokio::test]
async fn what_stays_relayed_carries_little_and_no_content() {
    let mut relay = relay(TCP).await;
    let mut a = hidden_config();
    let _a_bulk = serving(&mut a);
    let mut a = Peer::start(a).await;
    let mut b = hidden_config();
    let mut bulk = serving(&mut b);
    let mut b = Peer::start(b).await;
    introduce(&mut a, &mut relay).await;
    introduce(&mut b, &mut relay).await;
    let place = reserve(&mut b, &relay).await.unwrap();
    dial(&mut a, &b, &place).await;
    let (ours, _) = connected(&mut a, b.id(), true).await;
    let (theirs, _) = connected(&mut b, a.id(), true).await;
    for (peer, connection) in [(&a, ours), (&b, theirs)] {
        let admission = Admission::Rustle;
        peer.send(Command::Admit {
            connection,
            admission,
        })
        .await;
    }

    // Both wait for a direct connection first; what is allowed goes over the relay then.
    let (small, content) = (vec![OWN.to_owned()], vec![CONTENT.to_owned()]);
    let refused = a.net.open(b.id(), &content).await.map(|_| ());
    assert_eq!(refused, Err(OpenError::Relayed));
    let (mut stream, _) = within("a stream", a.net.open(b.id(), &small)).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    let mut echo = [0; 5];
    within("the echo", stream.read_exact(&mut echo)).await.unwrap();
    assert_eq!(&echo, b"hello");
    // Nor does the other end take content, whoever sends it.
    assert!(bulk.try_recv().is_err());

    // More than the relay passes on.
    let flood = vec![0; 256 * 1024];
    let flooded = async {
        let _ = stream.write_all(&flood).await;
        let _ = stream.flush().await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = flooded => {}
        _ = a.disconnected(ours) => {}
    }
}
