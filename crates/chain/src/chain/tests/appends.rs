//! What does a new block stand upon, however many leaves there are?

use super::*;

impl Node {
    /// Appends, and gives the new block.
    fn appended(&mut self, text: &str) -> Block {
        let outputs = self.append(text);
        let id = outputs.iter().find_map(|output| match output {
            Output::Appended { id, .. } => Some(*id),
            _ => None,
        });
        let id = id.expect("the disk is fast");
        let stored = reader::block(&*self.store, &self.id(), &id).unwrap();
        stored.expect("it is durable").block
    }

    /// A block of another author on each of `count` own branches, as high as `heights` says in turn.
    fn branches(&self, count: usize, heights: &[u64]) -> Vec<Block> {
        let mut blocks = Vec::new();
        for branch in 0..count {
            let (mut parent, high) = (self.genesis(), heights[branch % heights.len()]);
            for height in 1..=high {
                let block = self.block(&[parent], height, format!("{branch}/{height}").as_bytes());
                parent = block.id();
                blocks.push(block);
            }
        }
        blocks
    }
}

#[test]
fn an_append_merges_the_highest_leaf_and_the_fifteen_lowest() {
    let mut node = Node::new();
    let fork = node.branches(20, &[1]);
    let newer = node.block(&[fork[0].id()], 2, b"newer");
    node.pulled(1, fork.into_iter().chain([newer.clone()]).collect());
    let leaves: Vec<BlockId> = node.chain.leaves().map(|leaf| leaf.id).collect();
    assert_eq!((leaves.len(), leaves[19]), (20, newer.id()));

    let block = node.appended("merge");
    let mut expected: Vec<BlockId> = leaves[..15].iter().copied().chain([newer.id()]).collect();
    expected.sort_unstable();
    assert_eq!((block.parents(), block.height()), (&expected[..], 3));
    assert_eq!(node.chain.status().leaves, 5);
    node.append("merge the rest");
    assert_eq!(node.chain.status().leaves, 1);
}

#[test]
fn an_append_names_the_last_one_of_its_author_though_others_are_higher() {
    let mut node = Node::new();
    node.pulled(1, node.branches(40, &[1]));
    let first = node.appended("first");
    let taller = node.branches(41, &[9]).split_off(9 * 40);
    node.pulled(1, taller);

    let second = node.appended("second");
    assert!(second.parents().contains(&first.id()));
    assert_eq!((second.parents().len(), second.height()), (16, 10));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn appends_of_one_node_stand_in_the_order_in_which_they_were_made(
        count in 0..60_usize,
        heights in prop::collection::vec(1..8_u64, 1..6),
        // Before each append, so many of the others' blocks come in, and perhaps the node starts again.
        turns in prop::collection::vec((0..40_usize, any::<bool>()), 2..12),
    ) {
        let mut node = Node::new();
        let mut others = VecDeque::from(node.branches(count, &heights));
        let mut own = Vec::new();
        for (n, (come, starts_again)) in turns.into_iter().enumerate() {
            let come = come.min(others.len());
            node.pulled(1, others.drain(..come).collect());
            if starts_again {
                node.chain = Chain::open(node.id(), node.store.clone(), signer(1), Config::default(), 1).unwrap();
            }
            let seen = node.order();
            let block = node.appended(&n.to_string());
            prop_assert_eq!(node.order().last().map(|last| last.id), Some(block.id()), "above all that was seen");
            prop_assert_eq!(node.order().len(), seen.len() + 1);
            own.push(block.id());
        }
        node.pulled(1, others.into());
        let order = node.order().into_iter().map(|position| position.id);
        let order: Vec<BlockId> = order.filter(|id| own.contains(id)).collect();
        prop_assert_eq!(order, own);
    }
}
