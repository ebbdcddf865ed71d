//! Networks do not mix, and a peer that is gone is noticed.

use std::time::Duration;

use rustle_engine::{Ask, AskError, Reply};
use rustle_peers::ConnectError;
use rustle_types::NetworkName;

use crate::world::{JoinFailure, Setup, World};

const MINUTE: Duration = Duration::from_secs(60);

fn other_network() -> NetworkName {
    "other".parse().unwrap()
}

#[test]
fn a_node_of_another_network_learns_why_and_hears_nothing() {
    let mut world = World::with_nodes(1, 1);
    let stranger = world.add(Setup {
        network: other_network(),
        ..Setup::default()
    });
    let chain = world.create(0, "notes");
    let text = world.invite(0, chain, None, None);

    let error = AskError::Connect(ConnectError::OtherNetwork {
        theirs: NetworkName::default(),
        ours: other_network(),
    });
    assert_eq!(world.connect(stranger, 0), Err(error.clone()));
    assert_eq!(world.join(stranger, &text), Err(JoinFailure::Unreachable(error)));
    let reverse = ConnectError::OtherNetwork {
        theirs: other_network(),
        ours: NetworkName::default(),
    };
    assert_eq!(world.connect(0, stranger), Err(AskError::Connect(reverse)));

    world.append(0, chain, "ours".into());
    world.run(MINUTE);
    assert!(world.nodes.iter().all(|node| node.up.is_empty()));
    assert_eq!(world.nodes[stranger].router.heard(), 0);
    assert!(!world.is_served(stranger, 0) && !world.is_served(0, stranger));
    for node in 0..2 {
        let Ok(Reply::Peers(views)) = world.answer(node, Ask::Peers) else {
            panic!("no views")
        };
        assert!(views.is_empty(), "{views:?}");
    }
}

#[test]
fn a_node_of_another_network_is_not_dialled_again_soon() {
    let mut world = World::with_nodes(2, 2);
    let chain = world.create(0, "notes");
    let text = world.invite(0, chain, None, None);
    world.join(1, &text).unwrap();
    world.run(Duration::from_secs(1));

    // The same node comes back in another network, and its companion still needs it.
    world.crash(0);
    world.nodes[0].setup.network = other_network();
    world.start(0);
    world.run(MINUTE);
    let before = world.dials();
    world.run(5 * MINUTE);

    assert!(
        world.dials() - before <= 2,
        "{} dials in five minutes",
        world.dials() - before
    );
}

#[test]
fn a_peer_that_vanishes_without_a_word_is_noticed_by_its_silence_and_met_again() {
    let mut world = World::with_nodes(3, 2);
    world.connect(0, 1).unwrap();

    world.silence(0, 1);
    world.run(Duration::from_secs(59));
    assert!(world.nodes.iter().all(|node| node.up.len() == 1));
    world.run(Duration::from_secs(40));
    assert!(world.nodes.iter().all(|node| node.up.is_empty()));

    world.heal();
    world.run(2 * MINUTE);
    assert!(world.nodes.iter().all(|node| node.up.len() == 1));
}

#[test]
fn what_was_said_into_a_silence_is_made_good() {
    let mut world = World::with_nodes(7, 2);
    let chain = world.create(0, "notes");
    let text = world.invite(0, chain, None, None);
    world.join(1, &text).unwrap();
    world.run(Duration::from_secs(1));

    world.silence(0, 1);
    world.append(0, chain, "unheard".into());
    world.run(2 * MINUTE);
    assert_eq!(world.nodes[1].blocks(&chain), 1);

    world.heal();
    assert!(world.converge(&[0, 1], chain, 2 * MINUTE));
    assert_eq!(world.nodes[1].blocks(&chain), 2);
}

#[test]
fn an_idle_connection_is_kept_by_pings() {
    let mut world = World::with_nodes(4, 2);
    world.connect(0, 1).unwrap();

    world.run(60 * MINUTE);

    assert!(world.nodes.iter().all(|node| node.up.len() == 1));
    assert_eq!(world.dials(), 1);
    assert!((30..=60).contains(&world.pings()), "{} pings", world.pings());
}

#[test]
fn a_connection_that_carries_blocks_is_not_pinged() {
    let mut world = World::with_nodes(6, 2);
    let chain = world.create(0, "notes");
    let text = world.invite(0, chain, None, None);
    world.join(1, &text).unwrap();

    for n in 0..60 {
        world.append(0, chain, n.to_string());
        world.run(Duration::from_secs(30));
    }

    assert_eq!(world.pings(), 0);
}

#[test]
fn nodes_that_dial_each_other_at_once_keep_one_connection() {
    let mut world = World::with_nodes(5, 2);
    let addresses = [0, 1].map(|node| world.nodes[node].address.clone());
    let [first, second] = addresses;

    let one = world.ask(0, Ask::Connect(second));
    let other = world.ask(1, Ask::Connect(first));
    world.run(Duration::from_secs(5));

    assert!(world.take_reply(0, one).unwrap().is_ok());
    assert!(world.take_reply(1, other).unwrap().is_ok());
    for node in 0..2 {
        let Ok(Reply::Peers(views)) = world.answer(node, Ask::Peers) else {
            panic!("no views")
        };
        assert_eq!(views.len(), 1);
        assert_eq!(world.nodes[node].up.len(), 1);
    }
}
