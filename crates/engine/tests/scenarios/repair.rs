//! How nodes that have missed something come to have it.

use std::time::Duration;

use rustle_types::ChainId;

use crate::world::{Index, Setup, World};

const MINUTE: Duration = Duration::from_secs(60);

fn members(seed: u64, count: usize) -> (World, ChainId) {
    let mut world = World::with_nodes(seed, count);
    let chain = world.create(0, "notes");
    let text = world.invite(0, chain, None, None);
    for joiner in 1..count {
        world.join(joiner, &text).unwrap();
    }
    world.run(Duration::from_secs(1));
    (world, chain)
}

fn cut_between(world: &mut World, left: &[Index], right: &[Index]) {
    for one in left {
        for other in right {
            world.cut(*one, *other);
        }
    }
}

#[test]
fn both_sides_of_a_partition_have_everything_after_it() {
    let (mut world, chain) = members(1, 4);
    let (left, right) = ([0, 1], [2, 3]);
    cut_between(&mut world, &left, &right);
    world.run(Duration::from_secs(1));

    for n in 0..50 {
        for node in 0..4 {
            world.append(node, chain, format!("{node}: {n}"));
        }
        world.run(Duration::from_millis(50));
    }
    world.run(10 * MINUTE);
    assert!(world.agree(&left, chain));
    assert_eq!(world.nodes[0].blocks(&chain), 101);
    assert!(world.nodes[2].blocks(&chain) < 201);

    world.heal();
    assert!(world.converge(&[0, 1, 2, 3], chain, 3 * MINUTE));
    assert_eq!(world.nodes[0].blocks(&chain), 201);
    assert!(world.nodes.iter().all(|node| node.faults.is_empty()));
}

#[test]
fn a_lost_announcement_is_made_good_by_the_leaves() {
    let (mut world, chain) = members(2, 3);
    world.weather.swallows_blocks = true;

    for n in 0..5 {
        for node in 0..3 {
            world.append(node, chain, format!("{node}: {n}"));
        }
    }
    world.run(Duration::from_secs(1));
    assert!(!world.agree(&[0, 1, 2], chain));

    assert!(world.converge(&[0, 1, 2], chain, Duration::from_secs(30)));
    assert_eq!(world.nodes[0].blocks(&chain), 16);
}

#[test]
fn what_a_crashed_node_missed_comes_when_it_is_back() {
    let (mut world, chain) = members(3, 3);
    world.crash(2);
    for n in 0..40 {
        world.append(n % 2, chain, n.to_string());
        world.run(Duration::from_millis(20));
    }

    world.start(2);

    assert!(world.converge(&[0, 1, 2], chain, MINUTE));
    assert_eq!(world.nodes[2].blocks(&chain), 41);
}

#[test]
fn a_node_that_nobody_can_dial_finds_its_members_after_a_restart() {
    let mut world = World::with_nodes(4, 1);
    let hidden = world.add(Setup {
        listens: false,
        ..Setup::default()
    });
    let chain = world.create(0, "notes");
    let text = world.invite(0, chain, None, None);
    world.join(hidden, &text).unwrap();
    world.run(Duration::from_secs(1));

    world.crash(hidden);
    world.append(0, chain, "meanwhile".into());
    world.run(MINUTE);
    world.start(hidden);

    assert!(world.converge(&[0, hidden], chain, Duration::from_secs(5)));
    assert_eq!(world.nodes[hidden].blocks(&chain), 2);
}

#[test]
fn a_newcomer_hears_of_members_it_was_connected_to_before() {
    let (mut world, chain) = members(5, 2);
    let newcomer = world.add(Setup::default());
    world.connect(newcomer, 0).unwrap();
    world.connect(newcomer, 1).unwrap();
    // The inviter does not reach the other member, so it cannot name it, and only the other has the newest block.
    world.cut(0, 1);
    world.run(Duration::from_secs(1));
    world.append(1, chain, "only here".into());
    world.run(Duration::from_secs(1));

    let text = world.invite(0, chain, None, None);
    world.join(newcomer, &text).unwrap();

    assert!(world.converge(&[0, 1, newcomer], chain, MINUTE));
    assert_eq!(world.nodes[newcomer].blocks(&chain), 2);
}

#[test]
fn a_member_that_left_is_not_asked() {
    let (mut world, chain) = members(6, 2);
    world.crash(0);
    world.run(Duration::from_secs(5));
    let before = world.pulls_started();

    world.append(1, chain, "alone".into());
    world.run(10 * MINUTE);

    assert_eq!(world.pulls_started(), before);
}
