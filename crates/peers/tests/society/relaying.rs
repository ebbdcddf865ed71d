//! A node that nobody can dial finds relays, and gives them up when it is reachable.

use rustle_peers::{Input, Output};
use rustle_types::Machine as _;
use rustle_wire::Services;

use crate::node::{peer, place};
use crate::world::World;

#[test]
fn a_node_behind_a_nat_holds_two_relays_and_replaces_a_lost_one() {
    let mut world = World::new(1, 20..80);
    for index in 0..4 {
        world.add(|config| {
            if index == 3 {
                config.bootstrap = (0..3).map(place).collect();
            } else {
                config.services = config.services.and(Services::RELAY);
            }
        });
    }
    (0..4).for_each(|index| world.start(index));
    world.run_until(2_000);

    let now = world.now();
    let reserved = |world: &mut World, input: Input, now| {
        let manager = world.nodes[3].manager.as_mut().unwrap();
        manager.handle(now, input);
        let outputs: Vec<Output> = std::iter::from_fn(|| manager.poll_output()).collect();
        let relays = outputs.into_iter().filter_map(|output| match output {
            Output::Reserve { relay, .. } => Some(relay),
            _ => None,
        });
        relays.collect::<Vec<_>>()
    };
    let first = reserved(
        &mut world,
        Input::Reachability {
            reachable: Some(false),
        },
        now,
    );
    assert_eq!(first.len(), 2);
    let lost = first[0];
    let manager = world.nodes[3].manager.as_mut().unwrap();
    manager.handle(now, Input::ReservationLost { relay: lost });
    let later = rustle_types::Now {
        uptime: now.uptime + std::time::Duration::from_secs(10),
        ..now
    };
    let manager = world.nodes[3].manager.as_mut().unwrap();
    manager.on_deadline(later);
    let asked = std::iter::from_fn(|| manager.poll_output()).find_map(|output| match output {
        Output::Reserve { relay, .. } => Some(relay),
        _ => None,
    });
    let third = (0..3).map(peer).find(|relay| !first.contains(relay));
    assert_eq!(asked, third, "not the one that has just refused");

    let manager = world.nodes[3].manager.as_mut().unwrap();
    manager.handle(
        later,
        Input::Reachability {
            reachable: Some(true),
        },
    );
    let given_up = std::iter::from_fn(|| manager.poll_output())
        .filter(|output| matches!(output, Output::Unreserve { .. }));
    assert_eq!(given_up.count(), 2);
}
