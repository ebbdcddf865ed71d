//! The DHT between three nodes of which two do not know each other.

use std::sync::Arc;

use rustle_net::{Command, Config, Dht, DhtMode, Event, Identity, IpfsDht, Source};
use rustle_store::{MemoryStore, Scan, Store, Table};
use rustle_types::{BlockId, Multiaddr, PeerId};

use crate::peer::{Peer, TCP, config, within};

/// Both sides know from identify where the other can be dialled.
async fn acquainted(a: &mut Peer, b: &mut Peer) {
    a.connect(b).await;
    let (a_id, b_id) = (a.id(), b.id());
    for (here, there) in [(a, b_id), (b, a_id)] {
        here.wait("identified", |event| match event {
            Event::Identified {
                peer,
                agent,
                protocols,
                listen_addresses,
                ..
            } if *peer == there => {
                assert_eq!(agent, "rustle-test/1");
                assert!(
                    protocols.iter().any(|name| name == "/rustle/test/kad/1.0.0"),
                    "{protocols:?}"
                );
                assert!(!listen_addresses.is_empty());
                Some(())
            }
            _ => None,
        })
        .await;
    }
}

async fn providers(at: &mut Peer, number: u64) -> Vec<(PeerId, Vec<Multiaddr>)> {
    let mut all = Vec::new();
    loop {
        let (some, done) = at
            .wait("providers", |event| match event {
                Event::Providers {
                    request,
                    providers,
                    done,
                } if *request == number => Some((providers.clone(), done.is_some())),
                _ => None,
            })
            .await;
        all.extend(some);
        if done {
            return all;
        }
    }
}

#[tokio::test]
async fn content_and_peers_are_found_through_a_third_node() {
    let mut provider = Peer::start(config(TCP)).await;
    let mut middle = Peer::start(config(TCP)).await;
    let mut seeker = Peer::start(config(TCP)).await;
    acquainted(&mut provider, &mut middle).await;
    acquainted(&mut seeker, &mut middle).await;
    // The search connects nodes that have not met.
    for peer in [&mut provider, &mut middle, &mut seeker] {
        peer.welcome_all();
    }
    let cid = BlockId::of(b"some content").cid();

    // The record is on its way while the first searches run: ask until it has arrived.
    provider.send(Command::Provide { request: 1, cid }).await;
    let mut found = Vec::new();
    for request in 0.. {
        seeker.send(Command::FindProviders { request, cid }).await;
        found = providers(&mut seeker, request).await;
        if !found.is_empty() || request == 1000 {
            break;
        }
        tokio::task::yield_now().await;
    }
    let (_, addresses) = found
        .iter()
        .find(|(peer, _)| *peer == provider.id())
        .expect("the provider is found");
    assert!(
        addresses
            .iter()
            .any(|address| address.to_string().starts_with(&provider.address.to_string()))
    );

    seeker
        .send(Command::FindPeer {
            request: 9,
            peer: provider.id(),
        })
        .await;
    let addresses = seeker
        .wait("the peer", |event| match event {
            Event::PeerFound {
                request: 9,
                peer,
                addresses,
            } if *peer == provider.id() => Some(addresses.clone()),
            _ => None,
        })
        .await;
    assert!(
        addresses
            .iter()
            .any(|address| address.to_string().starts_with(&provider.address.to_string()))
    );
}

#[tokio::test]
async fn nodes_of_different_networks_find_content_through_the_dht_of_ipfs() {
    let foreign = |network: &str| Config {
        network: network.parse().unwrap(),
        ipfs_dht: IpfsDht::Auto,
        ..config(TCP)
    };
    let mut provider = Peer::start(foreign("one")).await;
    let mut middle = Peer::start(foreign("two")).await;
    let mut seeker = Peer::start(foreign("three")).await;
    provider.connect(&mut middle).await;
    seeker.connect(&mut middle).await;
    for peer in [&mut provider, &mut middle, &mut seeker] {
        peer.welcome_all();
    }
    for peer in [&mut provider, &mut seeker] {
        let joined = |event: &Event| match event {
            Event::DhtJoined { dht } => Some(*dht),
            _ => None,
        };
        assert_eq!(peer.wait("a DHT", joined).await, Dht::IpfsLan);
    }
    let cid = BlockId::of(b"some content").cid();
    provider.send(Command::Provide { request: 1, cid }).await;
    let told = provider
        .wait("the end", |event| match event {
            Event::Provided { request: 1, told } => Some(told.clone()),
            _ => None,
        })
        .await;
    let reached = told.iter().filter(|asked| asked.nodes != 0);
    assert_eq!(
        reached.map(|asked| asked.dht).collect::<Vec<_>>(),
        [Dht::IpfsLan],
        "{told:?}"
    );
    assert_eq!(told.len(), Dht::ALL.len());

    let mut found = Vec::new();
    for request in 0..1000 {
        seeker.send(Command::FindProviders { request, cid }).await;
        found = providers(&mut seeker, request).await;
        if !found.is_empty() {
            break;
        }
    }
    let (_, addresses) = found.iter().find(|(peer, _)| *peer == provider.id()).unwrap();
    assert!(
        addresses
            .iter()
            .any(|address| address.to_string().starts_with(&provider.address.to_string()))
    );
}

#[tokio::test]
async fn looking_around_tells_of_nodes_that_answered() {
    let mut near = Peer::start(config(TCP)).await;
    let mut middle = Peer::start(config(TCP)).await;
    let mut seeker = Peer::start(config(TCP)).await;
    acquainted(&mut near, &mut middle).await;
    acquainted(&mut seeker, &mut middle).await;
    for peer in [&mut near, &mut middle, &mut seeker] {
        peer.welcome_all();
    }
    let wanted = near.id();

    seeker.send(Command::Crawl).await;
    let addresses = seeker
        .wait("the discovery", |event| match event {
            Event::Discovered {
                peer,
                addresses,
                source: Source::Dht,
            } if *peer == wanted => Some(addresses.clone()),
            _ => None,
        })
        .await;
    assert_eq!(addresses, [near.address.clone()]);
}

#[tokio::test]
async fn whoever_can_be_dialled_answers_in_the_dht() {
    let listening = config(TCP).listen;
    for (dht, listen, answers) in [
        (DhtMode::Auto, listening.clone(), true),
        (DhtMode::Auto, Vec::new(), false),
        (DhtMode::Client, listening, false),
        (DhtMode::Server, Vec::new(), true),
    ] {
        let mut asked = Peer::start(config(TCP)).await;
        let config = Config {
            dht,
            listen,
            ..config(TCP)
        };
        let text = format!("{dht:?} with {:?}", config.listen);
        let mut node = Peer::start(config).await;
        let id = node.id();
        node.connect(&mut asked).await;
        asked
            .wait("identified", |event| match event {
                Event::Identified { peer, protocols, .. } if *peer == id => {
                    let has = protocols.iter().any(|name| name == "/rustle/test/kad/1.0.0");
                    assert_eq!(has, answers, "{text}");
                    Some(())
                }
                _ => None,
            })
            .await;
    }
}

#[tokio::test]
async fn a_search_without_peers_ends_with_nothing() {
    let mut alone = Peer::start(config(TCP)).await;
    let cid = BlockId::of(b"nowhere").cid();

    alone.send(Command::FindProviders { request: 1, cid }).await;
    assert_eq!(providers(&mut alone, 1).await, vec![]);

    let nobody = PeerId::random();
    alone
        .send(Command::FindPeer {
            request: 2,
            peer: nobody,
        })
        .await;
    let addresses = alone
        .wait("the answer", |event| match event {
            Event::PeerFound {
                request: 2,
                addresses,
                ..
            } => Some(addresses.clone()),
            _ => None,
        })
        .await;
    assert_eq!(addresses, Vec::<Multiaddr>::new());
}

#[tokio::test]
async fn what_others_provide_is_known_after_a_restart() {
    let disk = Arc::new(MemoryStore::new());
    let identity = Identity::generate();
    let kept = |identity: &Identity| Config {
        identity: identity.clone(),
        dht_records: Some(Arc::clone(&disk) as Arc<dyn Store>),
        ..config(TCP)
    };
    let mut provider = Peer::start(config(TCP)).await;
    let mut keeper = Peer::start(kept(&identity)).await;
    acquainted(&mut provider, &mut keeper).await;
    provider.welcome_all();
    keeper.welcome_all();
    let cid = BlockId::of(b"some content").cid();
    provider.send(Command::Provide { request: 1, cid }).await;
    let all = Scan::prefix(b"", usize::MAX);
    for request in 0.. {
        keeper.send(Command::FindProviders { request, cid }).await;
        providers(&mut keeper, request).await;
        if !disk.scan(Table::Dht, &all).unwrap().is_empty() {
            break;
        }
    }
    keeper.net.shutdown().await;
    within("the end", keeper.task).await.unwrap();
    provider.net.shutdown().await;

    let mut again = Peer::start(kept(&identity)).await;
    again.send(Command::FindProviders { request: 1, cid }).await;
    let known: Vec<PeerId> = providers(&mut again, 1)
        .await
        .into_iter()
        .map(|(peer, _)| peer)
        .collect();
    assert_eq!(known, [provider.id()]);
}
