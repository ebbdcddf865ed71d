//! Whatever happens, in whatever order: in the end all nodes have the same blocks, and none that was acknowledged is lost.

use std::time::Duration;

use proptest::prelude::*;

use rustle_types::ChainId;

use crate::world::{Index, World};

const NODES: usize = 4;
/// The one of them that joins while all this goes on.
const NEWCOMER: Index = NODES - 1;

/// What a day brings.
#[derive(Debug, Clone)]
enum Fate {
    Append { node: Index, blocks: usize },
    Wait { millis: u64 },
    Disconnect { one: Index, other: Index },
    Cut { one: Index, other: Index },
    Silence { one: Index, other: Index },
    Heal,
    Crash { node: Index },
    Start { node: Index },
    Join,
    Slow { node: Index, millis: u64 },
}

fn fate() -> impl Strategy<Value = Fate> {
    let node = 0..NODES;
    let two = || (0..NODES, 1..NODES).prop_map(|(one, step)| (one, (one + step) % NODES));
    prop_oneof![
        8 => (node.clone(), 1..12usize).prop_map(|(node, blocks)| Fate::Append { node, blocks }),
        6 => (1..400u64).prop_map(|millis| Fate::Wait { millis }),
        2 => (1_000..20_000u64).prop_map(|millis| Fate::Wait { millis }),
        2 => two().prop_map(|(one, other)| Fate::Disconnect { one, other }),
        2 => two().prop_map(|(one, other)| Fate::Cut { one, other }),
        1 => two().prop_map(|(one, other)| Fate::Silence { one, other }),
        1 => Just(Fate::Heal),
        2 => node.clone().prop_map(|node| Fate::Crash { node }),
        2 => node.clone().prop_map(|node| Fate::Start { node }),
        1 => Just(Fate::Join),
        1 => (node, 1..200u64).prop_map(|(node, millis)| Fate::Slow { node, millis }),
    ]
}

fn happen(world: &mut World, chain: ChainId, invitation: &str, number: usize, fate: &Fate) {
    match *fate {
        Fate::Append { node, blocks } => {
            for block in 0..blocks {
                world.append(node, chain, format!("{number}.{block} of {node}"));
            }
        }
        Fate::Wait { millis } => world.run(Duration::from_millis(millis)),
        Fate::Disconnect { one, other } => world.disconnect(one, other),
        Fate::Cut { one, other } => world.cut(one, other),
        Fate::Silence { one, other } => world.silence(one, other),
        Fate::Heal => world.heal(),
        Fate::Crash { node } if world.nodes[node].is_running() => world.crash(node),
        Fate::Start { node } if !world.nodes[node].is_running() => world.start(node),
        // Whether it gets in depends on who can be reached.
        Fate::Join if world.nodes[NEWCOMER].is_running() && !has_joined(world, chain) => {
            let _ = world.join(NEWCOMER, invitation);
        }
        Fate::Join | Fate::Crash { .. } | Fate::Start { .. } => {}
        Fate::Slow { node, millis } => world.nodes[node].disk.delay = Duration::from_millis(millis),
    }
}

fn has_joined(world: &World, chain: ChainId) -> bool {
    rustle_chain::reader::record(&*world.nodes[NEWCOMER].store, &chain)
        .unwrap()
        .is_some()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn nodes_agree_in_the_end_and_keep_what_they_acknowledged(
        seed in any::<u64>(),
        loss in 0.0..0.6f64,
        jitter_ms in 0..500u64,
        fates in prop::collection::vec(fate(), 1..60),
    ) {
        let mut world = World::with_nodes(seed, NODES);
        let chain = world.create(0, "notes");
        let text = world.invite(0, chain, None, None);
        for joiner in 1..NEWCOMER {
            world.join(joiner, &text).unwrap();
        }
        world.weather.loss = loss;
        world.weather.jitter = Duration::from_millis(jitter_ms);

        for (number, fate) in fates.iter().enumerate() {
            happen(&mut world, chain, &text, number, fate);
        }

        world.heal();
        world.weather.loss = 0.0;
        for node in 0..NODES {
            if !world.nodes[node].is_running() {
                world.start(node);
            }
            world.nodes[node].disk.delay = Duration::from_millis(1);
        }
        // Back-off after failed dials is a minute at most, and silence is noticed after a minute and a half.
        world.run(Duration::from_secs(120));
        if !has_joined(&world, chain) {
            prop_assert_eq!(world.join(NEWCOMER, &text), Ok(chain));
        }
        let all: Vec<Index> = (0..NODES).collect();
        prop_assert!(world.converge(&all, chain, Duration::from_secs(300)), "no agreement");
        world.run(Duration::from_secs(10));
        prop_assert!(world.agree(&all, chain));
        for node in &world.nodes {
            for id in &node.acknowledged {
                prop_assert!(world.nodes.iter().all(|other| other.has(&chain, id)), "{id} is lost");
            }
            prop_assert!(node.faults.is_empty(), "{:?}", node.faults);
            prop_assert_eq!(node.router.unjudged(), 0);
        }
    }
}
