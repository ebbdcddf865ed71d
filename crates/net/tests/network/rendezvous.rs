//! Rendezvous points: ours and rust-libp2p's, with clients of both kinds.

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::core::PeerRecord;
use libp2p::identity::Keypair;
use libp2p::rendezvous as upstream;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Swarm, SwarmBuilder, identify, noise, tcp, yamux};
use rustle_net::{Command, Config, Event, Identity, Source};
use rustle_types::{Multiaddr, PeerId};
use rustle_wire::frame;
use rustle_wire::rendezvous::{
    Namespace, PROTOCOL, Page, RESPONSE_BYTES_MAX, Refusal, Registration, Request, Response,
};
use tokio::sync::mpsc;

use crate::peer::{Peer, TCP, config, within};

async fn point() -> (Peer, Multiaddr) {
    let mut point = Peer::start(Config {
        rendezvous_server: true,
        ..config(TCP)
    })
    .await;
    point.welcome_all();
    let address = named(&point.address, point.id());
    (point, address)
}

fn named(address: &Multiaddr, peer: PeerId) -> Multiaddr {
    address.clone().with_p2p(peer).unwrap()
}

async fn client_of(point: &Multiaddr) -> Peer {
    let mut client = Peer::start(Config {
        rendezvous_points: vec![point.clone()],
        ..config(TCP)
    })
    .await;
    client.welcome_all();
    client
}

/// Asks under a name until `is_right` says so of the answer.
async fn found(at: &mut Peer, under: &str, mut is_right: impl FnMut(&[PeerId]) -> bool) {
    let asking = async {
        loop {
            let name = under.to_owned();
            at.send(Command::Discover { name }).await;
            let peers = at
                .wait("an answer", |event| match event {
                    Event::Found { name, peers, .. } if name == under => Some(peers.clone()),
                    _ => None,
                })
                .await;
            if is_right(&peers) {
                return;
            }
        }
    };
    within("the right answer", asking).await;
}

async fn discovered(at: &mut Peer, who: PeerId) -> Vec<Multiaddr> {
    at.wait("the discovery", |event| match event {
        Event::Discovered {
            peer,
            addresses,
            source: Source::Rendezvous,
        } if *peer == who => Some(addresses.clone()),
        _ => None,
    })
    .await
}

async fn advertise(at: &Peer, name: &str) {
    let name = name.to_owned();
    at.send(Command::Advertise { name }).await;
}

#[tokio::test]
async fn nodes_that_share_a_point_find_each_other_under_their_network_and_under_names() {
    let (_point, address) = point().await;
    let mut a = client_of(&address).await;
    let mut b = client_of(&address).await;
    let (a_id, a_address) = (a.id(), a.address.clone());
    advertise(&a, "market/7").await;

    found(&mut b, "market/7", |peers| peers == [a_id]).await;
    assert_eq!(discovered(&mut b, a_id).await, std::slice::from_ref(&a_address));
    found(&mut b, "market/8", |peers| peers.is_empty()).await;
    // Whoever comes later is told at once.
    let mut c = client_of(&address).await;
    assert_eq!(discovered(&mut c, a_id).await, [a_address]);
    found(&mut a, "market/7", |peers| peers == [a_id]).await;

    let name = "market/7".to_owned();
    a.send(Command::Unadvertise { name }).await;
    found(&mut b, "market/7", |peers| peers.is_empty()).await;
}

/// One request on a stream of its own.
async fn ask(client: &Peer, point: &Peer, request: &Request) -> Option<Response> {
    let (mut stream, _) = client.net.open(point.id(), &[PROTOCOL.to_owned()]).await.unwrap();
    let mut bytes = bytes::BytesMut::new();
    frame::encode(&request.encode(), &mut bytes);
    stream.write_all(&bytes).await.unwrap();
    stream.close().await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    let mut decoder = frame::Decoder::new(RESPONSE_BYTES_MAX);
    decoder.push(&answer);
    let answer = decoder.next().unwrap()?;
    Some(Response::decode(answer).unwrap())
}

fn record(identity: &Identity) -> bytes::Bytes {
    let key = Keypair::from_protobuf_encoding(&identity.to_protobuf()).unwrap();
    let address = "/ip4/10.0.0.1/tcp/1".parse().unwrap();
    let record = PeerRecord::new_interop(&key, vec![address]).unwrap();
    record.into_signed_envelope().into_protobuf_encoding().into()
}

fn registration(record: bytes::Bytes, ttl: u64) -> Request {
    Request::Register(Registration {
        namespace: Namespace::new("n").unwrap(),
        record,
        ttl: Some(ttl),
    })
}

fn all() -> Request {
    let (namespace, limit, cookie) = (None, None, bytes::Bytes::new());
    Request::Discover {
        namespace,
        limit,
        cookie,
    }
}

fn page(response: Option<Response>) -> Page {
    match response {
        Some(Response::Discovered(Ok(page))) => page,
        other => panic!("{other:?}"),
    }
}

/// A peer with this identity, connected with a point.
async fn visitor(point: &Peer, identity: Identity) -> Peer {
    let mut visitor = Peer::start(Config {
        identity,
        ..config(TCP)
    })
    .await;
    visitor.welcome_all();
    let addresses = vec![point.address.clone()];
    let peer = Some(point.id());
    visitor
        .send(Command::Dial {
            request: 1,
            peer,
            addresses,
        })
        .await;
    visitor
        .wait("connected", |event| match event {
            Event::Connected { request: Some(1), .. } => Some(()),
            _ => None,
        })
        .await;
    visitor
}

#[tokio::test]
async fn nobody_registers_another_peer_or_without_a_signature() {
    let (point, _) = point().await;
    let identity = Identity::generate();
    let visitor = visitor(&point, identity.clone()).await;
    let refused = |refusal| Some(Response::Registered(Err(refusal)));

    let other = registration(record(&Identity::generate()), 600);
    assert_eq!(
        ask(&visitor, &point, &other).await,
        refused(Refusal::NotAuthorized)
    );
    let mut damaged = record(&identity).to_vec();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    for bytes in [damaged, b"nothing".to_vec()] {
        let unsigned = registration(bytes.into(), 600);
        assert_eq!(ask(&visitor, &point, &unsigned).await, refused(Refusal::Record));
    }
    for ttl in [0, 1, u64::MAX] {
        let hasty = registration(record(&identity), ttl);
        assert_eq!(ask(&visitor, &point, &hasty).await, refused(Refusal::Ttl));
    }
    assert!(page(ask(&visitor, &point, &all()).await).registrations.is_empty());

    let right = registration(record(&identity), 600);
    assert_eq!(
        ask(&visitor, &point, &right).await,
        Some(Response::Registered(Ok(600)))
    );
    assert_eq!(page(ask(&visitor, &point, &all()).await).registrations.len(), 1);
}

#[tokio::test]
async fn a_flood_of_registrations_leaves_one_and_is_cut() {
    let (point, _) = point().await;
    let identity = Identity::generate();
    let flooder = visitor(&point, identity.clone()).await;
    let honest_identity = Identity::generate();
    let honest = visitor(&point, honest_identity.clone()).await;
    let (mut held, mut cut) = (0, 0);
    let again = registration(record(&identity), 600);
    while cut < 100 {
        match ask(&flooder, &point, &again).await {
            Some(Response::Registered(Ok(600))) => held += 1,
            Some(Response::Registered(Err(Refusal::Unavailable))) => cut += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!((60..100).contains(&held), "{held} of {} were taken", held + cut);
    let known = page(ask(&honest, &point, &all()).await);
    assert_eq!(known.registrations.len(), 1);
    let own = registration(record(&honest_identity), 600);
    assert_eq!(
        ask(&honest, &point, &own).await,
        Some(Response::Registered(Ok(600)))
    );
}

#[derive(NetworkBehaviour)]
struct Upstream<B: NetworkBehaviour> {
    identify: identify::Behaviour,
    rendezvous: B,
}

fn upstream<B: NetworkBehaviour>(make: impl FnOnce(Keypair) -> B) -> Swarm<Upstream<B>> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|key| Upstream {
            identify: identify::Behaviour::new(identify::Config::new("/plain/1".to_owned(), key.public())),
            rendezvous: make(key.clone()),
        })
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(crate::peer::DEADLINE))
        .build()
}

async fn listening<B: NetworkBehaviour>(swarm: &mut Swarm<Upstream<B>>) -> Multiaddr {
    swarm.listen_on(TCP.parse().unwrap()).unwrap();
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            return address;
        }
    }
}

#[tokio::test]
async fn a_client_of_rust_libp2p_is_served_and_found() {
    let (point, address) = point().await;
    let mut a = client_of(&address).await;
    let a_id = a.id();
    advertise(&a, "x").await;
    found(&mut a, "x", |peers| peers == [a_id]).await;

    let mut swarm = upstream(upstream::client::Behaviour::new);
    let address = listening(&mut swarm).await;
    swarm.add_external_address(address.clone());
    let (plain, at) = (*swarm.local_peer_id(), point.id());
    swarm.dial(named(&point.address, at)).unwrap();
    let (told, mut news) = mpsc::channel(16);
    tokio::spawn(async move {
        let namespace = || upstream::Namespace::from_static("/rustle/test/x");
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::ConnectionEstablished { .. } => {
                    let client = &mut swarm.behaviour_mut().rendezvous;
                    client.register(namespace(), at, None).unwrap();
                }
                SwarmEvent::Behaviour(UpstreamEvent::Rendezvous(event)) => {
                    if let upstream::client::Event::Registered { .. } = &event {
                        let client = &mut swarm.behaviour_mut().rendezvous;
                        client.discover(Some(namespace()), None, None, at);
                    }
                    told.send(event).await.unwrap();
                }
                _ => {}
            }
        }
    });

    let registered = within("registered", news.recv()).await.unwrap();
    let upstream::client::Event::Registered { ttl: 7200, .. } = registered else {
        panic!("{registered:?}");
    };
    // It gets the records that it can read.
    let discovered_there = within("discovered", news.recv()).await.unwrap();
    let upstream::client::Event::Discovered { registrations, .. } = discovered_there else {
        panic!("{discovered_there:?}");
    };
    let peers: Vec<_> = registrations.iter().map(|one| one.record.peer_id()).collect();
    assert_eq!(peers, [plain]);

    found(&mut a, "x", |peers| {
        peers.contains(&plain) && peers.contains(&a_id)
    })
    .await;
    assert_eq!(discovered(&mut a, plain).await, [address]);
}

#[tokio::test]
async fn a_server_of_rust_libp2p_serves_our_nodes() {
    let mut swarm = upstream(|_| upstream::server::Behaviour::new(upstream::server::Config::default()));
    let address = named(&listening(&mut swarm).await, *swarm.local_peer_id());
    tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
    let a = client_of(&address).await;
    let mut b = client_of(&address).await;
    let a_id = a.id();
    advertise(&a, "x").await;
    found(&mut b, "x", |peers| peers == [a_id]).await;
    assert_eq!(discovered(&mut b, a_id).await, std::slice::from_ref(&a.address));
}
