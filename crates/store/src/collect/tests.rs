//! Does a collection keep what it must and remove the rest, whatever happens between its steps?

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use rustle_types::Cid;
use rustle_types::content::{CODEC_DAG_PB, CODEC_RAW, HashFunction};

use super::*;
use crate::{Batch, ContentStore, Durability, MemoryStore};

/// Blocks of these tests name their children by CIDs, one behind the other.
fn node(id: u16, children: &[Cid]) -> (Cid, Bytes) {
    let mut bytes = id.to_be_bytes().to_vec();
    children.iter().for_each(|child| bytes.extend(child.to_bytes()));
    let codec = if children.is_empty() {
        CODEC_RAW
    } else {
        CODEC_DAG_PB
    };
    (
        Cid::new_v1(codec, HashFunction::Blake3.digest(&bytes)),
        bytes.into(),
    )
}

fn links(cid: &Cid, bytes: Bytes) -> Option<Vec<Cid>> {
    let mut links = Vec::new();
    if cid.codec() == CODEC_DAG_PB {
        let mut rest = bytes.get(2..)?;
        while let Ok(cid) = Cid::read_bytes(&mut rest) {
            links.push(cid);
        }
    }
    Some(links)
}

fn put(store: &MemoryStore, (cid, bytes): &(Cid, Bytes)) {
    let mut batch = Batch::new();
    batch.put_block(*cid, bytes.clone());
    store.commit(batch, Durability::Bulk).unwrap();
}

fn root(cid: &Cid, kind: RootKind) -> Root {
    Root { cid: *cid, kind }
}

/// A whole collection without anything in between.
fn collect(store: &MemoryStore, roots: &[Root]) -> Result<Swept, CollectError> {
    let mut collector = Collector::begin(store, || None)?;
    for root in roots {
        collector.keep(root.clone());
        while collector.mark_step(&links)? {}
    }
    while collector.sweep_step()? {}
    Ok(collector.progress().swept)
}

#[test]
fn what_no_root_leads_to_is_removed_and_counted() {
    let store = MemoryStore::new();
    let leaves: Vec<_> = (0..2000).map(|id| node(id, &[])).collect();
    let names: Vec<_> = leaves.iter().map(|(cid, _)| *cid).collect();
    let wide = node(9000, &names[..1500]);
    let deep = (0..3000).fold(node(9001, &[]), |below, id| {
        put(&store, &below);
        node(id, &[below.0])
    });
    leaves
        .iter()
        .chain([&wide, &deep])
        .for_each(|block| put(&store, block));

    let roots = [root(&wide.0, RootKind::Whole), root(&deep.0, RootKind::Whole)];
    let swept = collect(&store, &roots).unwrap();
    assert_eq!((swept.blocks, swept.bytes), (500, 1000));
    assert_eq!(collect(&store, &roots), Ok(Swept::default()));

    let swept = collect(&store, &[root(&wide.0, RootKind::Direct)]).unwrap();
    assert_eq!(swept.blocks, 1500 + 3001, "a direct pin keeps its block alone");
    assert_eq!(store.has(&wide.0), Ok(true));
}

#[test]
fn a_direct_pin_does_not_hide_what_a_recursive_one_keeps() {
    let store = MemoryStore::new();
    let leaf = node(1, &[]);
    let middle = node(2, &[leaf.0]);
    let top = node(3, &[middle.0]);
    [&leaf, &middle, &top]
        .into_iter()
        .for_each(|block| put(&store, block));
    // The same bytes, read as a leaf by one root and as a node by the other.
    let as_raw = Cid::new_v1(CODEC_RAW, *middle.0.hash());

    for first in [root(&middle.0, RootKind::Direct), root(&as_raw, RootKind::Whole)] {
        let roots = [first, root(&top.0, RootKind::Whole)];
        assert_eq!(collect(&store, &roots), Ok(Swept::default()));
    }
}

#[test]
fn what_is_missing_below_a_pin_ends_the_collection_and_nothing_is_removed() {
    let store = MemoryStore::new();
    let (lost, garbage) = (node(1, &[]), node(2, &[]));
    let top = node(3, &[lost.0]);
    [&garbage, &top].into_iter().for_each(|block| put(&store, block));

    let error = collect(&store, &[root(&top.0, RootKind::Whole)]).unwrap_err();
    assert!(matches!(error, CollectError::Incomplete { block, .. } if *block == lost.0));
    assert_eq!(store.has(&garbage.0), Ok(true));

    let swept = collect(&store, &[root(&top.0, RootKind::Partial)]).unwrap();
    assert_eq!(swept.blocks, 1, "a partial root has what it has");
    assert_eq!(store.has(&top.0), Ok(true));
}

#[test]
fn links_that_cannot_be_read_end_the_collection_of_what_is_pinned_whole() {
    let store = MemoryStore::new();
    let garbage = node(2, &[]);
    let bytes = Bytes::from_static(b"x");
    let short = (
        Cid::new_v1(CODEC_DAG_PB, HashFunction::Blake3.digest(&bytes)),
        bytes,
    );
    let top = node(3, &[short.0]);
    [&garbage, &short, &top]
        .into_iter()
        .for_each(|block| put(&store, block));

    let error = collect(&store, &[root(&top.0, RootKind::Whole)]).unwrap_err();
    assert!(matches!(error, CollectError::Unreadable { block, .. } if *block == short.0));
    assert_eq!(store.has(&garbage.0), Ok(true));
    assert_eq!(
        collect(&store, &[root(&top.0, RootKind::Partial)])
            .unwrap()
            .blocks,
        1
    );
    assert_eq!(store.has(&short.0), Ok(true));
}

#[test]
fn old_work_that_is_not_finished_is_guarded() {
    let store = MemoryStore::new();
    let (before, guarded) = (node(1, &[]), node(2, &[]));
    put(&store, &before);
    let guard = store.begin_epoch(false).unwrap();
    put(&store, &guarded);
    store.begin_epoch(false).unwrap();

    let mut collector = Collector::begin(&store, || Some(guard)).unwrap();
    while collector.sweep_step().unwrap() {}

    assert_eq!(store.has(&before.0), Ok(false));
    assert_eq!(store.has(&guarded.0), Ok(true));
    assert_eq!(
        collect(&store, &[]).unwrap().blocks,
        1,
        "nobody guards it any more"
    );
}

/// What may happen between two steps of a collection.
#[derive(Debug, Clone)]
enum Event {
    /// A step of the collection; one is begun where none runs.
    Step,
    /// An import of a tree: guard, blocks from the leaves up, pin, end of the guard.
    Import(u16, u16),
    /// The next step of the oldest import.
    Advance,
    Unpin(usize),
    /// Pins a tree that may be here already.
    Pin(u16, u16),
}

/// A tree of a root over so many shared leaves; trees with close numbers share leaves.
fn tree(id: u16, width: u16) -> Tree {
    let leaves: Vec<_> = (id..id + width).map(|leaf| node(leaf, &[])).collect();
    let names: Vec<_> = leaves.iter().map(|(cid, _)| *cid).collect();
    let left = node(1000, &names[..names.len() / 2 + 1]);
    let top = node(2000 + id, &[&[left.0], &names[names.len() / 2..]].concat());
    leaves.into_iter().chain([left, top]).collect()
}

type Tree = Vec<(Cid, Bytes)>;

#[derive(Default)]
struct World {
    store: Arc<MemoryStore>,
    pins: BTreeMap<Cid, Tree>,
    /// Imports under way: the guard, what is put, how far.
    imports: Vec<(Epoch, Tree, usize)>,
}

impl World {
    fn oldest_guard(&self) -> Option<Epoch> {
        self.imports.iter().map(|(guard, ..)| *guard).min()
    }

    fn on(&mut self, event: Event) {
        match event {
            Event::Step => {}
            Event::Import(id, width) => {
                let guard = self.store.begin_epoch(false).unwrap();
                self.imports.push((guard, tree(id, width), 0));
            }
            Event::Advance => {
                let Some((_, blocks, at)) = self.imports.first_mut() else {
                    return;
                };
                for block in blocks.iter().skip(*at).take(2) {
                    put(&self.store, block);
                }
                *at += 2;
                if blocks.len() <= *at {
                    let (_, blocks, _) = self.imports.remove(0);
                    self.pins.insert(blocks[blocks.len() - 1].0, blocks);
                }
            }
            Event::Unpin(of) => {
                let key = self.pins.keys().nth(of % self.pins.len().max(1)).copied();
                key.and_then(|key| self.pins.remove(&key));
            }
            Event::Pin(id, width) => {
                let blocks = tree(id, width);
                let names: Vec<_> = blocks.iter().map(|(cid, _)| *cid).collect();
                let here = self.store.touch(&names).unwrap();
                for (block, _) in blocks.iter().zip(here).filter(|(_, here)| !here) {
                    put(&self.store, block);
                }
                self.pins.insert(names[names.len() - 1], blocks);
            }
        }
    }

    /// What must be there: all that is pinned, and what imports have put so far.
    fn check(&self) -> Result<(), TestCaseError> {
        let pinned = self.pins.values().flatten();
        let put = self
            .imports
            .iter()
            .flat_map(|(_, blocks, at)| blocks.iter().take(*at));
        for (cid, bytes) in pinned.chain(put) {
            let stored = self.store.get(cid).unwrap();
            prop_assert_eq!(stored.as_ref(), Some(bytes), "{} is lost", cid);
        }
        Ok(())
    }
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => Just(Event::Step),
        2 => (0..20_u16, 1..6_u16).prop_map(|(id, width)| Event::Import(id, width)),
        6 => Just(Event::Advance),
        2 => (0..9_usize).prop_map(Event::Unpin),
        1 => (0..20_u16, 1..6_u16).prop_map(|(id, width)| Event::Pin(id, width)),
    ]
}

/// A collection under way, and the pins that it has still to mark.
type Running = (Collector<Arc<MemoryStore>>, Option<Vec<Cid>>);

/// One step; gives what is still running.
fn step(world: &World, running: Option<Running>) -> Option<Running> {
    let Some((mut collector, mut roots)) = running else {
        let guard = world.oldest_guard();
        let collector = Collector::begin(Arc::clone(&world.store), || guard).unwrap();
        return Some((collector, None));
    };
    let is_marking = collector.phase() == Phase::Mark;
    if !is_marking || !collector.mark_step(&links).unwrap() {
        let left = roots.get_or_insert_with(|| world.pins.keys().copied().collect());
        match left.pop() {
            Some(cid) => collector.keep(root(&cid, RootKind::Whole)),
            None => {
                collector.sweep_step().unwrap();
            }
        }
    }
    (collector.phase() != Phase::Done).then_some((collector, roots))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn nothing_that_is_kept_is_ever_lost_and_all_else_goes(
        events in prop::collection::vec(event(), 1..200),
    ) {
        let mut world = World::default();
        let mut running = None;
        for event in events {
            if matches!(event, Event::Step) {
                running = step(&world, running.take());
            }
            world.on(event);
            world.check()?;
        }

        world.imports.clear();
        let roots: Vec<_> = world.pins.keys().map(|cid| root(cid, RootKind::Whole)).collect();
        collect(&world.store, &roots).unwrap();
        world.check()?;
        let hashes = |cid: &Cid| cid.hash().to_bytes();
        let kept: BTreeSet<_> = world.pins.values().flatten().map(|(cid, _)| hashes(cid)).collect();
        let left = world.store.entries(b"", usize::MAX).unwrap();
        let left: BTreeSet<_> = left.iter().map(|(hash, _)| hash.to_bytes()).collect();
        prop_assert_eq!(left, kept);
    }
}
