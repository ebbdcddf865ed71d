//! What an acknowledgement is worth.

use std::time::Duration;

use rustle_engine::{AskError, Reply};

use crate::world::World;

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn an_append_is_acknowledged_and_told_only_after_its_commit() {
    let (mut world, chain) = World::with_members(1, 2);
    world.nodes[0].disk.delay = Duration::from_millis(500);

    let request = world.append(0, chain, "slow".into());
    world.run(Duration::from_millis(490));
    assert!(world.take_reply(0, request).is_none());
    assert_eq!(world.nodes[1].blocks(&chain), 1);
    assert_eq!(world.nodes[0].delivered.get(&chain), None);

    world.run(Duration::from_millis(100));
    let Some(Ok(Reply::Appended { id, height })) = world.take_reply(0, request) else {
        panic!("no answer")
    };
    assert_eq!(height, 1);
    assert!(world.nodes.iter().all(|node| node.has(&chain, &id)));
    assert_eq!(world.nodes[0].delivered[&chain], 2);
}

#[test]
fn a_crash_before_the_commit_loses_only_what_was_not_acknowledged() {
    let (mut world, chain) = World::with_members(2, 2);
    for n in 0..10 {
        world.append(1, chain, format!("before {n}"));
    }
    world.run(Duration::from_secs(1));
    assert_eq!(world.nodes[1].acknowledged.len(), 10);
    world.nodes[1].disk.delay = Duration::from_millis(40);
    for n in 0..10 {
        world.append(1, chain, format!("lost {n}"));
    }
    world.run(Duration::from_millis(210));
    world.crash(1);
    let acknowledged = world.nodes[1].acknowledged.clone();
    assert_eq!(acknowledged.len(), 15);

    for n in 0..10 {
        world.append(0, chain, format!("meanwhile {n}"));
    }
    world.run(Duration::from_secs(5));
    world.nodes[1].disk.delay = Duration::from_millis(2);
    world.start(1);

    assert!(world.converge(&[0, 1], chain, MINUTE));
    assert_eq!(world.nodes[0].blocks(&chain), 26);
    assert!(
        acknowledged
            .iter()
            .all(|id| world.nodes.iter().all(|node| node.has(&chain, id)))
    );
}

#[test]
fn after_a_failed_write_nothing_is_acknowledged_until_a_restart() {
    let (mut world, chain) = World::with_members(3, 2);
    world.nodes[1].disk.is_broken = true;

    let lost = world.append(1, chain, "lost".into());
    world.run(Duration::from_secs(1));
    let refused = world.append(1, chain, "refused".into());
    world.append(0, chain, "meanwhile".into());
    world.run(MINUTE);
    for request in [lost, refused] {
        assert!(matches!(
            world.take_reply(1, request),
            Some(Err(AskError::Stopped(_)))
        ));
    }
    assert_eq!(world.nodes[1].blocks(&chain), 1);
    assert_eq!(world.nodes[0].blocks(&chain), 2);

    world.crash(1);
    world.nodes[1].disk.is_broken = false;
    world.start(1);
    assert!(world.converge(&[0, 1], chain, MINUTE));
    assert_eq!(world.nodes[1].blocks(&chain), 2);
}
