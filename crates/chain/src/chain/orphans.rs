//! Which blocks wait for ancestors that are not here yet?
//!
//! An orphan's signature is right, but whether its parents and height are cannot be told, so it costs its sender a place
//! among few: the oldest goes first, and a peer that fills its share only pushes out its own.

use std::collections::{BTreeMap, BTreeSet};

use rustle_types::limits::{ORPHAN_BYTES_PER_CHAIN_MAX, ORPHANS_PER_CHAIN_MAX, ORPHANS_PER_PEER_MAX};
use rustle_types::{BlockId, PeerId};

use crate::Block;

/// The orphans of a chain: at most 1,024 and 16 MiB, at most 256 from one peer.
#[derive(Debug, Default)]
pub(crate) struct Orphans {
    blocks: BTreeMap<BlockId, Orphan>,
    /// Oldest first.
    by_age: BTreeMap<u64, BlockId>,
    /// The same from each peer.
    by_peer: BTreeMap<PeerId, BTreeSet<u64>>,
    /// Who waits for this parent.
    waiting: BTreeMap<BlockId, BTreeSet<BlockId>>,
    bytes: usize,
    next_age: u64,
}

/// A block that waits.
#[derive(Debug)]
pub(crate) struct Orphan {
    pub(crate) block: Block,
    pub(crate) from: PeerId,
    missing: BTreeSet<BlockId>,
    age: u64,
}

// === impl Orphans ===

impl Orphans {
    pub(crate) fn len(&self) -> usize {
        self.blocks.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    pub(crate) fn contains(&self, id: &BlockId) -> bool {
        self.blocks.contains_key(id)
    }

    /// Keeps a block until the `missing` parents come; drops the oldest where a bound is reached.
    pub(crate) fn insert(&mut self, block: Block, from: PeerId, missing: Vec<BlockId>) {
        let id = block.id();
        if self.contains(&id) {
            return;
        }
        let size = block.bytes().len();
        if let Some(own) = self
            .by_peer
            .get(&from)
            .filter(|ages| ORPHANS_PER_PEER_MAX <= ages.len())
        {
            let oldest = own.first().and_then(|age| self.by_age.get(age)).copied();
            oldest.and_then(|oldest| self.remove(&oldest));
        }
        while ORPHANS_PER_CHAIN_MAX <= self.len() || ORPHAN_BYTES_PER_CHAIN_MAX < self.bytes + size {
            let Some((_, oldest)) = self.by_age.first_key_value() else {
                break;
            };
            let oldest = *oldest;
            self.remove(&oldest);
        }

        let age = self.next_age;
        self.next_age += 1;
        for parent in &missing {
            self.waiting.entry(*parent).or_default().insert(id);
        }
        self.bytes += size;
        self.by_age.insert(age, id);
        self.by_peer.entry(from).or_default().insert(age);
        let missing = missing.into_iter().collect();
        self.blocks.insert(
            id,
            Orphan {
                block,
                from,
                missing,
                age,
            },
        );
    }

    /// `parent` is attached: takes the orphans that wait for nothing else, by id.
    pub(crate) fn take_ready(&mut self, parent: &BlockId) -> Vec<Orphan> {
        let children = self.waiting.remove(parent).unwrap_or_default();
        let mut ready = Vec::new();
        for child in children {
            let Some(orphan) = self.blocks.get_mut(&child) else {
                continue;
            };
            orphan.missing.remove(parent);
            if orphan.missing.is_empty() {
                ready.extend(self.remove(&child));
            }
        }
        ready
    }

    /// `ancestor` can never be attached: drops all that descend from it, and gives their ids.
    pub(crate) fn drop_descendants(&mut self, ancestor: &BlockId) -> Vec<BlockId> {
        let mut dropped = Vec::new();
        let mut next = vec![*ancestor];
        while let Some(parent) = next.pop() {
            for child in self.waiting.get(&parent).cloned().unwrap_or_default() {
                self.remove(&child);
                dropped.push(child);
                next.push(child);
            }
        }
        dropped
    }

    /// Drops all.
    pub(crate) fn clear(&mut self) {
        *self = Self {
            next_age: self.next_age,
            ..Self::default()
        };
    }

    fn remove(&mut self, id: &BlockId) -> Option<Orphan> {
        let orphan = self.blocks.remove(id)?;
        self.bytes -= orphan.block.bytes().len();
        self.by_age.remove(&orphan.age);
        if let Some(ages) = self.by_peer.get_mut(&orphan.from) {
            ages.remove(&orphan.age);
            if ages.is_empty() {
                self.by_peer.remove(&orphan.from);
            }
        }
        for parent in &orphan.missing {
            if let Some(children) = self.waiting.get_mut(parent) {
                children.remove(id);
                if children.is_empty() {
                    self.waiting.remove(parent);
                }
            }
        }
        Some(orphan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{block_on, peer};

    fn missing(n: u64) -> BlockId {
        BlockId::of(&n.to_be_bytes())
    }

    fn fill(orphans: &mut Orphans, from: PeerId, range: std::ops::Range<u64>, body: usize) -> Vec<BlockId> {
        let mut ids = Vec::new();
        for n in range {
            let block = block_on(&[missing(n)], 9, &vec![0; body]);
            ids.push(block.id());
            orphans.insert(block, from, vec![missing(n)]);
        }
        ids
    }

    #[test]
    fn a_peer_that_fills_its_share_pushes_out_its_own() {
        let mut orphans = Orphans::default();
        let honest = fill(&mut orphans, peer(1), 0..1, 10);
        let flood = fill(&mut orphans, peer(2), 1..ORPHANS_PER_PEER_MAX as u64 + 11, 10);

        assert_eq!(orphans.len(), ORPHANS_PER_PEER_MAX + 1);
        assert!(orphans.contains(&honest[0]));
        assert!(!orphans.contains(&flood[9]) && orphans.contains(&flood[10]));
    }

    #[test]
    fn many_peers_together_stay_within_the_count() {
        let mut orphans = Orphans::default();
        for n in 0..6_u64 {
            fill(&mut orphans, peer(n as u8), n * 1000..n * 1000 + 200, 10);
        }

        assert_eq!(orphans.len(), ORPHANS_PER_CHAIN_MAX);
        assert_eq!(orphans.by_age.len(), orphans.len());
        assert_eq!(orphans.waiting.len(), orphans.len());
    }

    #[test]
    fn large_orphans_stay_within_the_bytes() {
        let mut orphans = Orphans::default();
        fill(&mut orphans, peer(1), 0..70, 256 * 1024);

        assert!(orphans.bytes <= ORPHAN_BYTES_PER_CHAIN_MAX);
        assert!(orphans.len() < 70);
    }

    #[test]
    fn an_orphan_is_ready_with_its_last_parent() {
        let mut orphans = Orphans::default();
        let block = block_on(&[missing(1), missing(2)], 9, b"");
        orphans.insert(block.clone(), peer(1), vec![missing(1), missing(2)]);

        assert!(orphans.take_ready(&missing(1)).is_empty());
        assert_eq!(orphans.take_ready(&missing(2))[0].block, block);
        assert!(orphans.is_empty() && orphans.bytes == 0 && orphans.by_peer.is_empty());
    }

    #[test]
    fn descendants_of_an_invalid_block_go_with_it() {
        let mut orphans = Orphans::default();
        let child = block_on(&[missing(1)], 9, b"");
        let grandchild = block_on(&[child.id()], 10, b"");
        orphans.insert(grandchild, peer(1), vec![child.id()]);
        orphans.insert(child, peer(2), vec![missing(1)]);

        assert_eq!(orphans.drop_descendants(&missing(1)).len(), 2);
        assert!(orphans.is_empty() && orphans.waiting.is_empty());
    }
}
