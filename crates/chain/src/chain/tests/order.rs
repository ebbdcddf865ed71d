//! Any order of arrival gives the same chain.

use super::*;

/// A random DAG: each block names up to three of those before it.
fn dag(picks: &[Vec<prop::sample::Index>]) -> Vec<Block> {
    let node = Node::new();
    let mut blocks: Vec<Block> = Vec::new();
    for (n, picks) in picks.iter().enumerate() {
        let mut parents: Vec<(BlockId, u64)> = Vec::new();
        for pick in picks {
            let parent = match pick.index(blocks.len() + 1).checked_sub(1) {
                Some(at) => (blocks[at].id(), blocks[at].height()),
                None => (node.genesis(), 0),
            };
            parents.push(parent);
        }
        parents.sort_unstable();
        parents.dedup();
        let height = 1 + parents.iter().map(|(_, height)| *height).max().unwrap_or(0);
        let parents: Vec<BlockId> = parents.into_iter().map(|(id, _)| id).collect();
        blocks.push(block_of(
            node.id(),
            &signer(n as u8 % 5),
            &parents,
            height,
            &n.to_be_bytes(),
        ));
    }
    blocks
}

fn dags() -> impl Strategy<Value = Vec<Block>> {
    let picks = prop::collection::vec(any::<prop::sample::Index>(), 1..4);
    prop::collection::vec(picks, 1..40).prop_map(|picks| dag(&picks))
}

/// How the blocks come: a shuffled order, some twice, by gossip or pull, and when the disk gets a turn.
fn schedules() -> impl Strategy<Value = (Vec<Block>, Vec<Block>, Vec<(bool, bool)>)> {
    dags().prop_flat_map(|blocks| {
        let twice: Vec<Block> = blocks.iter().chain(blocks.iter().take(10)).cloned().collect();
        let length = twice.len();
        let ways = prop::collection::vec((any::<bool>(), any::<bool>()), length);
        (Just(blocks), Just(twice).prop_shuffle(), ways)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_order_of_arrival_gives_the_same_chain((blocks, shuffled, ways) in schedules()) {
        let mut straight = Node::new();
        straight.pulled(2, blocks.clone());

        let mut node = Node::with(Config::default(), 2);
        node.is_slow = true;
        let mut outputs = Vec::new();
        for (block, (by_gossip, disk_turns)) in shuffled.into_iter().zip(ways) {
            outputs.extend(if by_gossip { node.hear_block(2, &block) } else { node.pulled(3, vec![block]) });
            if disk_turns {
                node.commit();
            }
        }
        while !node.disk.is_empty() {
            node.commit();
        }
        outputs.extend(std::mem::take(&mut node.seen));

        prop_assert_eq!(faults(&outputs).len(), 0);
        prop_assert_eq!(node.order(), straight.order());
        prop_assert_eq!(node.chain.leaves().collect::<Vec<_>>(), straight.chain.leaves().collect::<Vec<_>>());
        let digest = |node: &Node| reader::digest(&*node.store, &node.id()).unwrap();
        prop_assert_eq!(digest(&node), digest(&straight));
        prop_assert_eq!(digest(&node).1, blocks.len() as u64 + 1);

        // Delivered once each, parents first.
        let arrival = node.arrival();
        prop_assert_eq!(arrival.len(), blocks.len() + 1);
        let place = |id: &BlockId| arrival.iter().position(|other| other == id);
        for block in &blocks {
            prop_assert!(block.parents().iter().all(|parent| place(parent) < place(&block.id())));
        }

        // Opened again, it is the same.
        let again = Chain::open(node.id(), node.store.clone(), signer(1), Config::default(), 9).unwrap();
        prop_assert_eq!(again.leaves().collect::<Vec<_>>(), node.chain.leaves().collect::<Vec<_>>());
        prop_assert_eq!(again.status().blocks, node.chain.status().blocks);
        let stored = reader::leaves(&*node.store, &node.id()).unwrap();
        prop_assert_eq!(stored, again.leaves().collect::<Vec<_>>());
    }
}
