//! Are two nodes equal after they have pulled from each other?

use std::collections::BTreeSet;

use proptest::prelude::*;
use rustle_store::{Batch as Writes, Durability, MemoryStore};
use rustle_types::Timestamp;
use rustle_wire::SYNC_HAVE_MAX;

use super::*;
use crate::sync::locator;
use crate::testing::{block_of, signer};
use crate::{Block, create, records};

/// A store with one chain, filled without a machine.
struct Side {
    store: MemoryStore,
    chain: ChainId,
    blocks: Vec<Block>,
    leaves: BTreeSet<Position>,
}

impl Side {
    fn new() -> Self {
        let store = MemoryStore::new();
        let (chain, batch) = create(&signer(1), "sync", Timestamp::default(), [0; 16]).unwrap();
        store.commit(batch, Durability::Synced).unwrap();
        let genesis = Position {
            height: 0,
            id: chain.genesis(),
        };
        Self {
            store,
            chain,
            blocks: Vec::new(),
            leaves: BTreeSet::from([genesis]),
        }
    }

    fn has(&self, id: &BlockId) -> bool {
        reader::block_record(&self.store, &self.chain, id)
            .unwrap()
            .is_some()
    }

    fn take(&mut self, block: Block) {
        if self.has(&block.id()) {
            return;
        }
        assert!(
            block.parents().iter().all(|parent| self.has(parent)),
            "parents come before children"
        );
        let merged: Vec<(u64, BlockId)> = self
            .leaves
            .iter()
            .filter(|leaf| block.parents().contains(&leaf.id))
            .map(|leaf| (leaf.height, leaf.id))
            .collect();
        merged.iter().for_each(|(height, id)| {
            self.leaves.remove(&Position {
                height: *height,
                id: *id,
            });
        });
        self.leaves.insert(Position {
            height: block.height(),
            id: block.id(),
        });
        let mut batch = Writes::new();
        records::put_attached(&mut batch, &block, self.blocks.len() as u64 + 1, &merged);
        self.store.commit(batch, Durability::Synced).unwrap();
        self.blocks.push(block);
    }

    /// Appends a block on some of what is here; `picks` choose the parents, few of the newest or any.
    fn grow(&mut self, author: u8, picks: &[usize]) {
        let mut parents = BTreeSet::new();
        let mut height = 0;
        for pick in picks {
            let back = pick % (self.blocks.len() + 1);
            let (id, parent) = match self.blocks.len().checked_sub(back + 1) {
                Some(at) => (self.blocks[at].id(), self.blocks[at].height()),
                None => (self.chain.genesis(), 0),
            };
            parents.insert(id);
            height = height.max(parent);
        }
        let parents: Vec<BlockId> = parents.into_iter().collect();
        let body = (self.blocks.len() as u64).to_be_bytes();
        self.take(block_of(self.chain, &signer(author), &parents, height + 1, &body));
    }

    fn lacks_of(&self, other: &Self) -> usize {
        other.blocks.iter().filter(|block| !self.has(&block.id())).count()
    }

    fn pull(&mut self, other: &Self) -> u64 {
        let have = locator(&self.store, &self.chain).unwrap();
        assert!(have.len() <= SYNC_HAVE_MAX);
        let (blocks, sent) = run(other, &have, 7);
        for bytes in blocks {
            self.take(Block::decode(bytes).unwrap());
        }
        sent
    }
}

fn run(side: &Side, have: &[BlockId], blocks_max: usize) -> (Vec<Bytes>, u64) {
    let mut plan = Plan::new(&side.store, side.chain, have).unwrap();
    let mut all = Vec::new();
    loop {
        match plan.step(&side.store, blocks_max, 4096).unwrap() {
            Step::Searching => {}
            Step::Batch(blocks) => {
                assert!((1..=blocks_max).contains(&blocks.len()));
                all.extend(blocks);
            }
            Step::Done { blocks } => {
                assert_eq!(blocks, all.len() as u64);
                return (all, blocks);
            }
        }
    }
}

fn picks() -> impl Strategy<Value = Vec<usize>> {
    let near = 0_usize..4;
    prop_oneof![
        6 => prop::collection::vec(near, 1..4),
        1 => prop::collection::vec(any::<usize>(), 1..4),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn two_divergent_chains_are_equal_after_both_have_pulled(
        shared in prop::collection::vec(picks(), 0..60),
        left in prop::collection::vec(picks(), 0..60),
        right in prop::collection::vec(picks(), 0..60),
    ) {
        let (mut a, mut b) = (Side::new(), Side::new());
        for picks in &shared {
            a.grow(1, picks);
            b.grow(1, picks);
        }
        left.iter().for_each(|picks| a.grow(2, picks));
        right.iter().for_each(|picks| b.grow(3, picks));

        a.pull(&b);
        let lacking = b.lacks_of(&a);
        let sent = b.pull(&a);

        prop_assert_eq!(a.lacks_of(&b) + b.lacks_of(&a), 0);
        prop_assert_eq!(a.leaves, b.leaves.clone());
        prop_assert_eq!(
            reader::digest(&a.store, &a.chain).unwrap(),
            reader::digest(&b.store, &b.chain).unwrap()
        );
        prop_assert_eq!(sent, lacking as u64, "who has all of the other's leaves gets exactly what it lacks");
        prop_assert_eq!(b.leaves.len(), reader::leaves(&b.store, &b.chain).unwrap().len());
    }
}

#[test]
fn a_new_member_gets_everything_in_the_order_of_arrival() {
    let (mut a, mut b) = (Side::new(), Side::new());
    (0..3000).for_each(|n| a.grow(1, &[0, n % 3]));

    assert_eq!(b.pull(&a), 3000);

    let ids = |side: &Side| side.blocks.iter().map(Block::id).collect::<Vec<_>>();
    assert_eq!(ids(&a), ids(&b));
    assert_eq!(b.pull(&a), 0);
    assert_eq!(run(&a, &[], 100).1, 3000, "who names nothing gets as much");
    assert_eq!(run(&a, &[BlockId::of(b"unknown")], 100).1, 3000);
}

#[test]
fn little_is_sent_in_vain_where_both_have_gone_on() {
    let (mut a, mut b) = (Side::new(), Side::new());
    for n in 0..2000 {
        a.grow(1, &[0, n % 2]);
        b.grow(1, &[0, n % 2]);
    }
    (0..200).for_each(|_| a.grow(2, &[0]));
    (0..100).for_each(|_| b.grow(3, &[0]));

    let sent = a.pull(&b);

    assert!((100..130).contains(&sent), "{sent} sent where 100 are lacking");
}

#[test]
fn a_step_is_bounded_and_a_large_block_still_goes_through() {
    let mut a = Side::new();
    (0..5000).for_each(|_| a.grow(1, &[0]));
    let newest = a.blocks.last().unwrap().id();
    let first = a.blocks[0].id();

    let mut plan = Plan::new(&a.store, a.chain, &[first]).unwrap();
    let mut searching = 0;
    while plan.step(&a.store, 10, 1).unwrap() == Step::Searching {
        searching += 1;
    }
    assert!(4 <= searching, "5,000 blocks are not walked in one step");
    let Step::Batch(blocks) = plan.step(&a.store, 10, 1).unwrap() else {
        panic!("blocks are left")
    };
    assert_eq!(blocks.len(), 1, "at least one");

    assert_eq!(run(&a, &[newest], 10).1, 0);
}

#[test]
fn blocks_that_arrive_meanwhile_are_left_to_the_next_pull() {
    let mut a = Side::new();
    (0..10).for_each(|_| a.grow(1, &[0]));
    let mut plan = Plan::new(&a.store, a.chain, &[]).unwrap();
    a.grow(1, &[0]);

    let mut given = 0;
    while let Step::Batch(blocks) = plan.step(&a.store, 3, 1 << 20).unwrap() {
        given += blocks.len();
    }

    assert_eq!(given, 10);
}
