//! How nodes that have missed something come to have it.

use std::time::Duration;

use crate::world::{Index, Setup, World};

const MINUTE: Duration = Duration::from_secs(60);

fn cut_between(world: &mut World, left: &[Index], right: &[Index]) {
    for one in left {
        for other in right {
            world.cut(*one, *other);
        }
    }
}

#[test]
fn both_sides_of_a_partition_have_everything_after_it() {
    let (mut world, chain) = World::with_members(1, 4);
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
    let (mut world, chain) = World::with_members(2, 3);
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
    let (mut world, chain) = World::with_members(3, 3);
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
    let (mut world, chain) = World::with_members(5, 2);
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
fn a_member_that_left_is_not_asked_for_what_it_announced() {
    let (mut world, chain) = World::with_members(6, 2);
    // Too large to travel inside its announcement.
    let large = "x".repeat(rustle_types::limits::ANNOUNCED_BLOCK_BYTES_MAX + 1);
    world.append(0, chain, large);
    world.run(Duration::from_millis(20));
    assert_eq!(world.nodes[1].router.heard(), 1);
    assert_eq!(world.nodes[1].blocks(&chain), 1);

    world.crash(0);
    world.run(Duration::from_secs(5));
    let before = world.pulls_started();
    world.run(10 * MINUTE);

    assert_eq!(world.pulls_started(), before);
}

#[test]
fn a_large_block_follows_its_announcement() {
    let (mut world, chain) = World::with_members(7, 3);
    let large = "x".repeat(rustle_types::limits::BLOCK_BODY_BYTES_MAX);

    world.append(0, chain, large);

    assert!(world.run_until(Duration::from_secs(2), |world| {
        world.nodes.iter().all(|node| node.blocks(&chain) == 2)
    }));
}

#[test]
fn a_block_reaches_nodes_that_its_author_cannot_reach() {
    let (mut world, chain) = World::with_members(8, 3);
    world.cut(0, 2);
    world.run(Duration::from_secs(1));

    world.append(0, chain, "by way of 1".into());
    world.run(Duration::from_millis(100));

    assert_eq!(world.nodes[2].blocks(&chain), 2);
}

#[test]
fn garbage_on_a_topic_is_not_passed_on() {
    let (mut world, chain) = World::with_members(9, 3);
    world.cut(0, 2);
    world.run(Duration::from_secs(1));
    let heard = world.nodes[2].router.heard();
    let topic = world.nodes[0].setup.network.chain_topic(&chain);

    world.publish(0, topic, "garbage".into());
    world.run(Duration::from_secs(1));

    assert_eq!(world.nodes[1].faults.len(), 1);
    assert_eq!(world.nodes[2].router.heard(), heard);
}

#[test]
fn a_newcomer_that_crashes_at_once_still_knows_whom_to_ask() {
    let (mut world, chain) = World::with_members(10, 2);
    let newcomer = world.add(Setup::default());
    let text = world.invite(0, chain, None, None);
    world.connect(newcomer, 0).unwrap();
    // The chain is on the disk when it gets in, and its book of peers is not.
    world.nodes[newcomer].disk.delay = Duration::from_secs(1);
    world.cut(newcomer, 1);
    world.join(newcomer, &text).unwrap();
    world.crash(newcomer);
    world.crash(0);
    world.nodes[newcomer].disk.delay = Duration::ZERO;
    world.heal();

    world.append(1, chain, "meanwhile".into());
    world.start(newcomer);

    let has_all = |world: &World| world.nodes[newcomer].blocks(&chain) == 2;
    assert!(world.run_until(Duration::from_secs(5), has_all));
}
