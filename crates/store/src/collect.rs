//! How does a store let go of what nobody needs, while others put and read?
//!
//! Each index entry carries the epoch in which its block was put or last touched. A collection begins an epoch of its
//! own, marks what is reachable from its roots with it, and then sweeps what is older. What others put meanwhile carries
//! that epoch or a later one by itself, so that no lock is held over the whole of it.
//!
//! Whoever puts blocks before he can name them in a root (an import, a fetch) takes an epoch before the first of them, and
//! a collection that begins meanwhile sweeps nothing of that epoch or later. Whoever makes a root of blocks that are here
//! already touches each of them first, and learns so whether it still is.
//!
//! The marks are in the index and not in memory, because a set of all reachable blocks has no bound, and a filter of them
//! errs: a block that seems to have been walked is one whose children are lost. They cost one small write a block.
//! They need not be durable: after a crash a collection begins anew, with an epoch that was never used.

mod collector;
#[cfg(test)]
mod tests;

use rustle_types::Cid;
use rustle_types::content::Multihash;

pub use collector::{CollectError, Collector, Links, Phase, Progress, Root, RootKind};

use crate::{Entry, Epoch, Marked, Store, StoreError};

/// Entries that are read or changed at once, while commits wait.
pub const PAGE_ENTRIES: usize = 512;

/// What a sweep has removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Blocks.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What is wrong with a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Its bytes do not match its hash, or cannot be read.
    Damaged,
    /// The index knows it, and its bytes are not there.
    NoBytes,
    /// Its bytes are there, and the index does not know it.
    NoEntry,
}

/// A part of a check of all blocks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checked {
    /// Blocks that were looked at.
    pub blocks: u64,
    /// Bytes that were hashed.
    pub bytes: u64,
    /// What was found, each under CIDv1 with codec raw.
    pub faults: Vec<(Cid, Fault)>,
    /// Where to go on: the least key that was not looked at. `None` at the end.
    pub next: Option<Vec<u8>>,
}

/// What garbage collection and upkeep ask of a store.
pub trait Collect: Store {
    /// Begins an epoch, later than all before, also than those before a crash that began a collection: what is put from
    /// now on carries it or a later one.
    fn begin_epoch(&self, is_collection: bool) -> Result<Epoch, StoreError>;

    /// Gives blocks the epoch of now, and tells of each whether it is here. Identity CIDs always are.
    fn touch(&self, cids: &[Cid]) -> Result<Vec<bool>, StoreError>;

    /// Marks blocks for the collection that began with the epoch `walk`.
    fn mark(&self, walk: Epoch, cids: &[Cid]) -> Result<Vec<Marked>, StoreError>;

    /// What the index says, in key order from `from` (included) on, at most `limit` entries.
    fn entries(&self, from: &[u8], limit: usize) -> Result<Vec<(Multihash, Entry)>, StoreError>;

    /// Removes those of these blocks whose epoch is before `before` at the moment of the removal.
    fn sweep(&self, before: Epoch, hashes: &[Multihash]) -> Result<Swept, StoreError>;

    /// Gives the space of removed blocks back to the system. May take as long as to write all that is left.
    fn reclaim(&self) -> Result<(), StoreError>;

    /// Hashes the blocks from the key `from` (included) on, about `bytes_max` bytes of them.
    fn check(&self, from: &[u8], bytes_max: u64) -> Result<Checked, StoreError>;

    /// Brings index and bytes of a block in step: what is damaged or not whole is dropped, so that it can be fetched again;
    /// whole bytes that the index does not know are entered. Gives whether something was wrong.
    fn mend(&self, cid: &Cid) -> Result<bool, StoreError>;
}
