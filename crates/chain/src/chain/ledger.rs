//! Which blocks are attached, which of them are leaves, and what still waits for the disk?
//!
//! A block counts from the moment it is accepted: it lives in an overlay over the store until its batch is durable. Places
//! in the order of arrival are given out here, so they are dense, and parents come before children.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use rustle_store::{Batch, Store};
use rustle_types::limits::{ANNOUNCED_LEAVES_MAX, PARENTS_MAX};
use rustle_types::{BlockId, ChainId};

use super::OpenError;
use crate::reader::{self, Position, ReadError};
use crate::{Block, records};

/// Leaves of one chain. A block that would add one more is ignored, neither kept nor faulted, until blocks have merged
/// some; it comes again with a later pull. An append merges 16 at a time, so honest writers stay far below.
pub const LEAVES_MAX: usize = 100_000;

/// The attached blocks of a chain.
pub(crate) struct Ledger {
    chain: ChainId,
    store: Arc<dyn Store>,
    leaves: BTreeSet<Position>,
    leaf_heights: HashMap<BlockId, u64>,
    /// The last block that was made here since the chain was opened.
    last_own: Option<Position>,
    /// Heights of accepted blocks that are not durable. Bounded by the bytes that may wait for the disk.
    overlay: HashMap<BlockId, u64>,
    current: Pending,
    written: VecDeque<Pending>,
    next_ticket: u64,
    next_sequence: u64,
    durable: u64,
    pending_bytes: usize,
}

/// Blocks that become durable together.
#[derive(Debug, Default)]
struct Pending {
    ticket: u64,
    batch: Batch,
    blocks: Vec<BlockId>,
    own: Vec<Own>,
    bytes: usize,
    next_sequence: u64,
}

/// A block made here, whose author waits.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) request: u64,
    pub(crate) id: BlockId,
    pub(crate) height: u64,
    pub(crate) bytes: Bytes,
}

/// Where a block belongs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// It is attached already.
    Known,
    /// These parents are not attached.
    Missing(Vec<BlockId>),
    /// Its height contradicts its parents.
    WrongHeight { expected: u64 },
    /// One leaf too many.
    Full,
    /// It can be attached.
    Fits,
}

// === impl Ledger ===

impl Ledger {
    /// Reads the record, the leaves and the last sequence number, and nothing that grows with the chain.
    pub(crate) fn open(chain: ChainId, store: Arc<dyn Store>) -> Result<Self, OpenError> {
        if reader::record(&*store, &chain)?.is_none() {
            return Err(OpenError::UnknownChain(chain));
        }
        let leaves: BTreeSet<Position> = reader::leaves(&*store, &chain)?.into_iter().collect();
        let count = reader::count(&*store, &chain)?;
        Ok(Self {
            chain,
            store,
            leaf_heights: leaves.iter().map(|leaf| (leaf.id, leaf.height)).collect(),
            leaves,
            last_own: None,
            overlay: HashMap::new(),
            current: Pending::default(),
            written: VecDeque::new(),
            next_ticket: 1,
            next_sequence: count,
            durable: count,
            pending_bytes: 0,
        })
    }

    pub(crate) const fn chain(&self) -> ChainId {
        self.chain
    }

    pub(crate) const fn blocks(&self) -> u64 {
        self.next_sequence
    }

    pub(crate) const fn durable(&self) -> u64 {
        self.durable
    }

    pub(crate) const fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    pub(crate) const fn leaves(&self) -> &BTreeSet<Position> {
        &self.leaves
    }

    /// The leaves that are worth announcing: the highest, at most 64.
    pub(crate) fn top_leaves(&self) -> impl Iterator<Item = BlockId> {
        self.leaves
            .iter()
            .rev()
            .take(ANNOUNCED_LEAVES_MAX)
            .map(|leaf| leaf.id)
    }

    pub(crate) fn is_known(&self, id: &BlockId) -> Result<bool, ReadError> {
        Ok(self.height_of(id)?.is_some())
    }

    fn height_of(&self, id: &BlockId) -> Result<Option<u64>, ReadError> {
        if let Some(height) = self.leaf_heights.get(id).or_else(|| self.overlay.get(id)) {
            return Ok(Some(*height));
        }
        Ok(reader::block_record(&*self.store, &self.chain, id)?.map(|record| record.height))
    }

    /// Parents and height of the next own block: all leaves, up to 16.
    ///
    /// Of more, the highest and the last own block are among them, so that the block stands above all that its author has
    /// seen and descends from what the author said before, however many leaves others make. The others are the lowest, so
    /// that the rest is merged by the next blocks.
    pub(crate) fn next_parents(&self) -> (Vec<BlockId>, u64) {
        let highest = self.leaves.last().copied();
        let own = self.last_own.filter(|own| self.leaves.contains(own));
        let mut parents: BTreeSet<Position> = highest.into_iter().chain(own).collect();
        for leaf in &self.leaves {
            if parents.len() == PARENTS_MAX {
                break;
            }
            parents.insert(*leaf);
        }
        let height = highest.map_or(0, |leaf| leaf.height + 1);
        (parents.iter().map(|leaf| leaf.id).collect(), height)
    }

    /// Where a later block of this chain belongs.
    pub(crate) fn place(&self, block: &Block) -> Result<Placement, ReadError> {
        if self.is_known(&block.id())? {
            return Ok(Placement::Known);
        }
        let mut missing = Vec::new();
        let mut highest = 0;
        for parent in block.parents() {
            match self.height_of(parent)? {
                Some(height) => highest = highest.max(height),
                None => missing.push(*parent),
            }
        }
        if !missing.is_empty() {
            return Ok(Placement::Missing(missing));
        }
        let expected = highest + 1;
        let merged = block
            .parents()
            .iter()
            .filter(|parent| self.leaf_heights.contains_key(parent));
        if block.height() != expected {
            Ok(Placement::WrongHeight { expected })
        } else if LEAVES_MAX < self.leaves.len() + 1 - merged.count() {
            Ok(Placement::Full)
        } else {
            Ok(Placement::Fits)
        }
    }

    /// Attaches a block that fits. `request` is that of an own block.
    pub(crate) fn attach(&mut self, block: &Block, request: Option<u64>) {
        let (id, height) = (block.id(), block.height());
        let mut merged = Vec::new();
        for parent in block.parents() {
            if let Some(height) = self.leaf_heights.remove(parent) {
                self.leaves.remove(&Position { height, id: *parent });
                merged.push((height, *parent));
            }
        }
        self.leaves.insert(Position { height, id });
        self.leaf_heights.insert(id, height);
        self.overlay.insert(id, height);

        records::put_attached(&mut self.current.batch, block, self.next_sequence, &merged);
        self.next_sequence += 1;
        self.current.blocks.push(id);
        self.current.bytes += block.bytes().len();
        self.pending_bytes += block.bytes().len();
        if let Some(request) = request {
            self.last_own = Some(Position { height, id });
            let bytes = block.bytes().clone();
            self.current.own.push(Own {
                request,
                id,
                height,
                bytes,
            });
        }
    }

    /// Takes what was attached since the last time, to be written.
    pub(crate) fn take_batch(&mut self) -> Option<(u64, Batch)> {
        if self.current.blocks.is_empty() {
            return None;
        }
        let mut pending = std::mem::take(&mut self.current);
        let (ticket, batch) = (self.next_ticket, std::mem::take(&mut pending.batch));
        self.next_ticket += 1;
        pending.ticket = ticket;
        pending.next_sequence = self.next_sequence;
        self.written.push_back(pending);
        Some((ticket, batch))
    }

    /// This batch and all before it are durable: gives the own blocks among them.
    pub(crate) fn on_committed(&mut self, ticket: u64) -> Vec<Own> {
        let mut own = Vec::new();
        while self
            .written
            .front()
            .is_some_and(|pending| pending.ticket <= ticket)
        {
            let Some(pending) = self.written.pop_front() else {
                break;
            };
            for id in &pending.blocks {
                self.overlay.remove(id);
            }
            self.pending_bytes -= pending.bytes;
            self.durable = pending.next_sequence;
            own.extend(pending.own);
        }
        own
    }

    /// This batch failed, so none behind it will be written: gives the own blocks that are lost.
    pub(crate) fn on_failed(&mut self, ticket: u64) -> Vec<Own> {
        let first = self.written.partition_point(|pending| pending.ticket < ticket);
        self.written
            .split_off(first)
            .into_iter()
            .flat_map(|pending| pending.own)
            .collect()
    }
}
