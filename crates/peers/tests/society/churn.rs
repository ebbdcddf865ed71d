//! A day of comings and goings: does anyone end up alone?

use rand::RngExt as _;

use crate::node::place;
use crate::world::World;

const NODES: usize = 50;
const HOUR: u64 = 3_600_000;
const MINUTE: u64 = 60_000;
/// A node that has just come may look for its first peer so long.
const SETTLING: u64 = 5 * MINUTE;

fn lifetime(world: &mut World, mean: u64) -> u64 {
    let uniform: f64 = world.rng.random_range(1e-6..1.0);
    (mean as f64 * -uniform.ln()) as u64 + MINUTE
}

#[test]
fn in_a_day_of_churn_nobody_that_runs_is_ever_left_alone() {
    let mut world = World::new(24, 20..80);
    for index in 0..NODES {
        world.add(|config| {
            if 2 <= index {
                config.bootstrap = vec![place(0), place(1)];
            }
        });
    }
    // When each node comes or goes next.
    let mut turns: Vec<u64> = (0..NODES)
        .map(|index| if index < 2 { 0 } else { index as u64 * 2_000 })
        .collect();
    let (mut samples, mut alone, mut few, mut peers, mut restarts) = (0u64, 0u64, 0u64, 0u64, 0u64);
    for minute in 0..24 * 60 {
        let now = minute * MINUTE;
        world.run_until(now);
        for (index, turn) in turns.iter_mut().enumerate() {
            if now < *turn {
                continue;
            }
            let is_boot = index < 2;
            if world.is_running(index) {
                let silently = world.rng.random();
                world.kill(index, silently);
                // The boot nodes die in the third hour and never come back.
                *turn = if is_boot {
                    u64::MAX
                } else {
                    now + lifetime(&mut world, HOUR / 2)
                };
            } else {
                world.start(index);
                restarts += 1;
                *turn = if is_boot {
                    2 * HOUR
                } else {
                    now + lifetime(&mut world, 3 * HOUR)
                };
            }
        }
        for index in (0..NODES)
            .filter(|index| world.is_running(*index))
            .collect::<Vec<_>>()
        {
            if now < world.nodes[index].started + SETTLING {
                continue;
            }
            let up = world.up(index);
            samples += 1;
            peers += up as u64;
            alone += u64::from(up == 0);
            few += u64::from(up < 4);
        }
    }
    let mean = peers as f64 / samples as f64;
    println!(
        "{samples} samples, {restarts} starts: {mean:.1} peers on average, {few} times fewer than 4, {alone} times none"
    );
    assert_eq!(alone, 0, "a running node was left alone");
    assert!(few * 100 < samples, "few peers in {few} of {samples} samples");
    assert!(8.0 <= mean, "{mean}");
}

#[test]
fn a_crowd_settles_between_the_bounds_and_stays_quiet() {
    let mut world = World::new(5, 20..80);
    for index in 0..80 {
        world.add(|config| {
            if index != 0 {
                config.bootstrap = vec![place(0)];
            }
        });
    }
    for index in 0..80 {
        world.run_until(index as u64 * 500);
        world.start(index);
    }
    world.run_until(2 * HOUR);
    for index in 0..80 {
        let counts = world.manager(index).counts();
        assert!(8 <= counts.up() && counts.up() <= 40, "node {index}: {counts:?}");
        assert!(8 <= counts.outbound, "node {index}: {counts:?}");
    }
}
