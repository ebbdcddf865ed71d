//! Somebody wants to be all that a node sees: how far does he get?

use rustle_types::{Direction, Group, PeerId};
use rustle_wire::{PeerEntry, PeersList, Services};

use crate::node::{peer, place};

use crate::world::World;

const MINUTE: u64 = 60_000;

/// Attackers answer every question with a hundred more of their own; `groups` of them run, each in a group of its own.
fn attacked(attackers: usize) -> (World, usize) {
    let mut world = World::new(9, 20..80);
    let honest = 30;
    for index in 0..honest + 1 + attackers {
        world.add(|config| {
            config.bootstrap = match index {
                0 => Vec::new(),
                // The victim trusts an honest boot node and an attacker.
                30 => vec![place(0), place(31)],
                _ if index < honest => vec![place(0)],
                _ => vec![place(30)],
            };
        });
    }
    for attacker in honest + 1..honest + 1 + attackers {
        world.nodes[attacker].liar = Some(Box::new(move |_, _: PeerId| {
            let entries = (0..100).map(|number| PeerEntry {
                peer: peer(honest + 1 + (attacker + number) % 5_000),
                addresses: vec![place(honest + 1 + (attacker + number) % 5_000)],
                services: Services::INBOUND,
                days_ago: 0,
            });
            Some(PeersList {
                entries: entries.collect(),
            })
        }));
    }
    (0..honest).for_each(|index| world.start(index));
    world.run_until(10 * MINUTE);
    world.start(30);
    world.run_until(30 * MINUTE);
    for attacker in honest + 1..honest + 1 + attackers {
        world.start(attacker);
    }
    (world, honest)
}

#[test]
fn attackers_that_dial_in_and_lie_do_not_get_all_outbound_places() {
    let (mut world, honest) = attacked(64);
    world.run_until(6 * 60 * MINUTE);
    let is_attacker =
        |peer: &PeerId| (honest + 1..honest + 65).any(|index| crate::node::peer(index) == *peer);
    let views: Vec<_> = world
        .manager(30)
        .views()
        .filter(|view| view.hello.is_some())
        .collect();
    let outbound: Vec<_> = views
        .iter()
        .filter(|view| view.direction == Direction::Outbound)
        .collect();
    let lost = outbound.iter().filter(|view| is_attacker(&view.peer)).count();
    let groups: std::collections::BTreeSet<Group> =
        outbound.iter().map(|view| Group::of(&view.address)).collect();
    println!(
        "{} peers, {} of them dialled, of which {lost} attackers, in {} groups",
        views.len(),
        outbound.len(),
        groups.len()
    );
    assert!(8 <= outbound.len(), "inbound floods never take outbound places");
    assert!(lost * 2 < outbound.len(), "{lost} of {}", outbound.len());
    // At a restart the oldest connections come first, before the boot nodes.
    let anchors = world
        .manager(30)
        .address_views(None, None)
        .filter(|view| view.anchor);
    let anchors: std::collections::BTreeSet<PeerId> = anchors.map(|view| view.peer).collect();
    assert_eq!(anchors.len(), 2);
    world.kill(30, true);
    world.nodes[30].dialled.clear();
    world.run_until(world.millis + MINUTE);
    world.start(30);
    let first: Vec<_> = world.nodes[30].dialled.iter().take(4).cloned().collect();
    let is_anchor =
        |address: &rustle_types::Multiaddr| anchors.iter().any(|anchor| place_of(anchor) == *address);
    assert!(first[..2].iter().all(is_anchor), "{first:?}");
    world.run_until(world.millis + 5 * MINUTE);
    let lost = lost_places(&world, &is_attacker);
    let outbound = world.manager(30).counts().outbound;
    println!("first dials after the restart: {first:?}; then {outbound} dialled, of which {lost} attackers");
    // Two thirds of all nodes are attackers. Of what is drawn anew they get their share; the oldest connections they never had.
    assert!(
        8 <= outbound && lost + anchors.len() <= outbound,
        "{lost} of {outbound}"
    );
    assert!(anchors.iter().all(|anchor| world.manager(30).is_up(anchor)));
}

/// How many of the peers that the victim dialled are attackers.
fn lost_places(world: &World, is_attacker: &impl Fn(&PeerId) -> bool) -> usize {
    let views = world.manager(30).views().filter(|view| view.hello.is_some());
    let outbound = views.filter(|view| view.direction == Direction::Outbound);
    outbound.filter(|view| is_attacker(&view.peer)).count()
}

/// Where the peer with an id lives.
fn place_of(id: &PeerId) -> rustle_types::Multiaddr {
    (0..5_100).find(|index| peer(*index) == *id).map(place).unwrap()
}
