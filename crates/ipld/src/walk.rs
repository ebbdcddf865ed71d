//! Which blocks lie below a root, each once?
//!
//! A hundred blocks, each with a hundred links to the next, are a hundred blocks, though they have a hundred to the
//! hundredth paths. What was seen is remembered, so work and memory grow with the blocks that exist, up to
//! [`WALK_BLOCKS_MAX`]. The order is that of `ipfs dag export`: a block, then what its links lead to, one after the
//! other.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use rustle_types::Cid;
use rustle_types::content::{HASH_IDENTITY, Multihash};

use crate::{IpldError, links};

/// Most blocks of a walk: about 2 GB of names and open links.
pub const WALK_BLOCKS_MAX: usize = 10_000_000;
/// Blocks that are wanted or held ahead at once.
pub const WALK_WINDOW_BLOCKS_MAX: usize = 32;

/// What comes next on a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The next block.
    Block {
        /// Its name.
        cid: Cid,
        /// Its bytes, as they were supplied.
        bytes: Bytes,
    },
    /// Nothing goes on without this block.
    Need(Cid),
    /// All blocks were given.
    Done,
}

/// Why a walk ended early.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WalkError {
    /// A block whose links cannot be read.
    #[error(transparent)]
    Block(#[from] Box<IpldError>),
    /// More blocks than [`WALK_BLOCKS_MAX`], or links to as many.
    #[error("more than {WALK_BLOCKS_MAX} blocks are not walked at once; name a root further down")]
    TooMany,
    /// A block was supplied that the walk did not ask for.
    #[error("{0} was not asked for")]
    NotAsked(Cid),
}

/// Walks all blocks below some roots, the roots included.
///
/// Drive it as a reader: `wants` names blocks to fetch, `supply` takes them in any order, `poll` gives. Blocks inside
/// their CID are followed, but neither asked for nor given.
#[derive(Debug)]
pub struct Walker {
    /// What is still to visit, the next one last.
    open: Vec<Cid>,
    seen: HashSet<Key>,
    slots: HashMap<Cid, Option<Bytes>>,
    blocks_max: usize,
    failed: Option<WalkError>,
}

/// What tells blocks apart: the codec says which links the same bytes have, the version of the CID says nothing.
type Key = (u64, Multihash);

fn key(cid: &Cid) -> Key {
    (cid.codec(), *cid.hash())
}

// === impl Walker ===

impl Walker {
    /// Begins at these roots, in their order.
    pub fn new(roots: &[Cid]) -> Self {
        Self::with_blocks_max(roots, WALK_BLOCKS_MAX)
    }

    /// As [`Walker::new`], with a bound of its own on blocks.
    pub fn with_blocks_max(roots: &[Cid], blocks_max: usize) -> Self {
        Self {
            open: roots.iter().rev().copied().collect(),
            seen: HashSet::new(),
            slots: HashMap::new(),
            blocks_max,
            failed: None,
        }
    }

    /// Blocks to fetch now, at most [`WALK_WINDOW_BLOCKS_MAX`] ahead, each named once.
    pub fn wants(&mut self) -> Vec<Cid> {
        let mut wants = Vec::new();
        let window = self.open.iter().rev().take(WALK_WINDOW_BLOCKS_MAX);
        for (ahead, cid) in window.enumerate() {
            // The next block has a place in any case: those of its siblings may be all taken.
            let has_place = ahead == 0 || self.slots.len() < WALK_WINDOW_BLOCKS_MAX;
            let is_wanted = cid.hash().code() != HASH_IDENTITY && !self.seen.contains(&key(cid));
            if has_place && is_wanted && !self.slots.contains_key(cid) {
                self.slots.insert(*cid, None);
                wants.push(*cid);
            }
        }
        wants
    }

    /// Takes a block whose bytes were checked against its CID.
    pub fn supply(&mut self, cid: &Cid, bytes: Bytes) -> Result<(), WalkError> {
        let slot = self.slots.get_mut(cid).ok_or(WalkError::NotAsked(*cid))?;
        *slot = Some(bytes);
        Ok(())
    }

    /// The next block, or what is missing for it. After an error nothing more comes.
    pub fn poll(&mut self) -> Result<Step, WalkError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let polled = self.advance();
        if let Err(error) = &polled {
            self.failed = Some(error.clone());
        }
        polled
    }

    /// Distinct blocks so far.
    pub fn blocks(&self) -> usize {
        self.seen.len()
    }

    fn advance(&mut self) -> Result<Step, WalkError> {
        while let Some(cid) = self.open.pop() {
            if self.seen.contains(&key(&cid)) {
                self.slots.remove(&cid);
                continue;
            }
            let is_inline = cid.hash().code() == HASH_IDENTITY;
            let bytes = if is_inline {
                Bytes::copy_from_slice(cid.hash().digest())
            } else if let Some(bytes) = self.slots.get_mut(&cid).and_then(Option::take) {
                bytes
            } else {
                self.open.push(cid);
                return Ok(Step::Need(cid));
            };
            self.slots.remove(&cid);
            self.visit(cid, bytes.clone())?;
            if !is_inline {
                return Ok(Step::Block { cid, bytes });
            }
        }
        self.slots.clear();
        Ok(Step::Done)
    }

    fn visit(&mut self, cid: Cid, bytes: Bytes) -> Result<(), WalkError> {
        self.seen.insert(key(&cid));
        let mut listed = HashSet::new();
        let below: Vec<Cid> = links(&cid, bytes)
            .map_err(Box::new)?
            .into_iter()
            .filter(|link| !self.seen.contains(&key(link)) && listed.insert(key(link)))
            .collect();
        if self.blocks_max < self.seen.len() + self.open.len() + below.len() {
            return Err(WalkError::TooMany);
        }
        self.open.extend(below.into_iter().rev());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
