//! Boot nodes: they know others, they die, they lie.

use rustle_types::PeerId;
use rustle_wire::{PeerEntry, PeersList, Services};

use crate::node::{peer, place};
use crate::world::World;

const MINUTE: u64 = 60_000;

#[test]
fn a_boot_node_tells_of_others_until_there_are_enough() {
    let mut world = World::new(1, 20..80);
    for index in 0..30 {
        world.add(|config| {
            if index != 0 {
                config.bootstrap = vec![place(0)];
            }
        });
    }
    for index in 0..30 {
        world.run_until(index as u64 * 3_000);
        world.start(index);
    }
    world.run_until(15 * MINUTE);
    for index in 1..30 {
        let counts = world.manager(index).counts();
        // The first to come are dialled by all who come later, and whoever is connected is not dialled again.
        assert!(8 <= counts.up(), "node {index}: {counts:?}");
        assert!(index < 20 || 8 <= counts.outbound, "node {index}: {counts:?}");
    }
}

#[test]
fn with_all_boot_nodes_dead_the_book_brings_a_node_back() {
    let mut world = World::new(2, 20..80);
    for index in 0..20 {
        world.add(|config| {
            if index != 0 {
                config.bootstrap = vec![place(0)];
            }
        });
    }
    for index in 0..20 {
        world.start(index);
    }
    world.run_until(20 * MINUTE);
    world.kill(0, false);
    world.kill(7, true);
    world.run_until(21 * MINUTE);
    world.start(7);
    world.run_until(22 * MINUTE);
    assert!(
        4 <= world.up(7),
        "{} peers a minute after the restart",
        world.up(7)
    );
}

#[test]
fn a_lying_boot_node_costs_time_and_no_more() {
    let mut world = World::new(3, 20..80);
    for index in 0..20 {
        // Node 19 knows the liar and one honest node.
        world.add(|config| {
            config.bootstrap = match index {
                0 | 1 => Vec::new(),
                19 => vec![place(0), place(1)],
                _ => vec![place(1)],
            };
        });
    }
    world.nodes[0].liar = Some(Box::new(|_, _: PeerId| {
        let entries = (0..100).map(|number| PeerEntry {
            peer: peer(10_000 + number),
            addresses: vec![place(10_000 + number)],
            services: Services::INBOUND,
            days_ago: 0,
        });
        Some(PeersList {
            entries: entries.collect(),
        })
    }));
    for index in 0..19 {
        world.start(index);
    }
    world.run_until(5 * MINUTE);
    world.start(19);
    world.run_until(15 * MINUTE);
    assert!(8 <= world.up(19), "{} peers", world.up(19));
}
