//! What does the asking node lack, and in which order does it get it?
//!
//! Blocks are visited from the highest position (height, then id) down, from our leaves and from the asking node's ids
//! at once, as git does between two repositories. A parent's height is below its child's, so when a block is visited all
//! its descendants have been, and whether the asking node has it is settled: this is exact where git's dates only guess.
//! The walk ends when nothing is left that the node may lack. It costs one record read per lacking block and per common
//! block above the lowest lacking one, and remembers the ids of the lacking ones only.
//!
//! A node that has the genesis alone lacks everything: it gets the order of arrival as it is on disk, without a walk and
//! without memory. Both ways give parents before children, and blocks that arrive meanwhile are left to the next pull.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use rustle_store::{Store, Table};
use rustle_types::{BlockId, ChainId};

use crate::reader::{self, BlockRecord, Position, ReadError};

/// Blocks visited in one step of a walk, and ids read at once from the order of arrival.
const STEP_BLOCKS: usize = 1024;

/// A resumable answer to one request. Holds 40 bytes for each lacking block.
#[derive(Debug)]
pub struct Plan {
    chain: ChainId,
    state: State,
    sent: u64,
}

/// What a step of a plan gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing yet: still finding out. Call again.
    Searching,
    /// Encoded blocks, parents before children. Call again.
    Batch(Vec<Bytes>),
    /// All was given.
    Done {
        /// How many blocks were given.
        blocks: u64,
    },
}

#[derive(Debug)]
enum State {
    /// Finding what is lacking.
    Walking(Walk),
    /// Giving `lacking` from its end, which is the lowest.
    Giving { lacking: Vec<Position> },
    /// Giving the order of arrival.
    Streaming { next: u64, end: u64 },
}

/// The frontier of a walk: blocks to visit, and whether the asking node has them.
#[derive(Debug, Default)]
struct Walk {
    frontier: BTreeMap<Position, Met>,
    /// Heights of the frontier's blocks, so that each record is read once.
    heights: HashMap<BlockId, u64>,
    /// How many of the frontier the asking node may lack.
    open: usize,
    lacking: Vec<Position>,
}

/// A block of the frontier.
#[derive(Debug)]
struct Met {
    has: bool,
    parents: Vec<BlockId>,
}

// === impl Plan ===

impl Plan {
    /// Begins an answer to a node that has `have` with all ancestors; ids that are unknown here say nothing.
    pub fn new(store: &dyn Store, chain: ChainId, have: &[BlockId]) -> Result<Self, ReadError> {
        let mut walk = Walk::default();
        let mut knows_more_than_genesis = false;
        for id in have {
            if let Some(record) = reader::block_record(store, &chain, id)? {
                knows_more_than_genesis |= 0 < record.height;
                walk.meet(*id, record, true);
            }
        }
        let state = if knows_more_than_genesis {
            for leaf in reader::leaves(store, &chain)? {
                walk.mark(store, &chain, leaf.id, false)?;
            }
            State::Walking(walk)
        } else {
            // Every chain begins with its genesis, and whoever asks has it.
            let end = reader::count(store, &chain)?;
            State::Streaming {
                next: 1.min(end),
                end,
            }
        };
        Ok(Self {
            chain,
            state,
            sent: 0,
        })
    }

    /// Does a bounded piece of the work: visits at most 1,024 blocks, or gives at least one and at most `blocks_max`
    /// blocks of together at most about `bytes_max` bytes.
    pub fn step(
        &mut self,
        store: &dyn Store,
        blocks_max: usize,
        bytes_max: usize,
    ) -> Result<Step, ReadError> {
        let blocks = match &mut self.state {
            State::Walking(walk) => {
                if walk.advance(store, &self.chain)? {
                    let lacking = std::mem::take(&mut walk.lacking);
                    self.state = State::Giving { lacking };
                }
                return Ok(Step::Searching);
            }
            State::Giving { lacking } => {
                let mut batch = Batch::new(blocks_max, bytes_max);
                while let Some(position) = lacking.last() {
                    if !batch.add(store, &position.id)? {
                        break;
                    }
                    lacking.pop();
                }
                batch.blocks
            }
            State::Streaming { next, end } => {
                let mut batch = Batch::new(blocks_max, bytes_max);
                let left = usize::try_from(*end - *next).unwrap_or(usize::MAX);
                let wanted = left.min(blocks_max).clamp(left.min(1), STEP_BLOCKS);
                for (sequence, id) in reader::sequence(store, &self.chain, *next, wanted)? {
                    if !batch.add(store, &id)? {
                        break;
                    }
                    *next = sequence + 1;
                }
                batch.blocks
            }
        };
        self.sent += blocks.len() as u64;
        if blocks.is_empty() {
            Ok(Step::Done { blocks: self.sent })
        } else {
            Ok(Step::Batch(blocks))
        }
    }
}

// === impl Walk ===

impl Walk {
    /// Puts a block on the frontier; once the asking node is known to have it, that stays.
    fn mark(&mut self, store: &dyn Store, chain: &ChainId, id: BlockId, has: bool) -> Result<(), ReadError> {
        let height = self.heights.get(&id).copied();
        let met = height.and_then(|height| self.frontier.get_mut(&Position { height, id }));
        match met {
            Some(met) if has && !met.has => {
                met.has = true;
                self.open -= 1;
            }
            Some(_) => {}
            None => self.meet(id, record(store, chain, &id)?, has),
        }
        Ok(())
    }

    /// Puts a block on the frontier that is not there yet; a repeated one changes nothing.
    fn meet(&mut self, id: BlockId, record: BlockRecord, has: bool) {
        if self.heights.insert(id, record.height).is_none() {
            self.open += usize::from(!has);
            let position = Position {
                height: record.height,
                id,
            };
            self.frontier.insert(
                position,
                Met {
                    has,
                    parents: record.parents,
                },
            );
        }
    }

    /// Visits some blocks; true once nothing is left to find.
    fn advance(&mut self, store: &dyn Store, chain: &ChainId) -> Result<bool, ReadError> {
        for _ in 0..STEP_BLOCKS {
            if self.open == 0 {
                return Ok(true);
            }
            let Some((position, Met { has, parents })) = self.frontier.pop_last() else {
                return Ok(true);
            };
            self.heights.remove(&position.id);
            if !has {
                self.open -= 1;
                self.lacking.push(position);
            }
            for parent in parents {
                self.mark(store, chain, parent, has)?;
            }
        }
        Ok(false)
    }
}

fn record(store: &dyn Store, chain: &ChainId, id: &BlockId) -> Result<BlockRecord, ReadError> {
    reader::block_record(store, chain, id)?.ok_or(ReadError::Damaged {
        table: Table::ChainBlocks,
        what: "a parent is missing",
    })
}

/// Blocks under two bounds, of which the first block may break the second.
struct Batch {
    blocks: Vec<Bytes>,
    blocks_max: usize,
    bytes_left: usize,
}

// === impl Batch ===

impl Batch {
    fn new(blocks_max: usize, bytes_max: usize) -> Self {
        Self {
            blocks: Vec::new(),
            blocks_max: blocks_max.max(1),
            bytes_left: bytes_max,
        }
    }

    /// False where the block does not fit any more.
    fn add(&mut self, store: &dyn Store, id: &BlockId) -> Result<bool, ReadError> {
        if self.blocks_max <= self.blocks.len() {
            return Ok(false);
        }
        let bytes = store.get_verified(&id.cid())?.ok_or(ReadError::Damaged {
            table: Table::ChainBlocks,
            what: "a block of the chain is missing",
        })?;
        if self.bytes_left < bytes.len() && !self.blocks.is_empty() {
            return Ok(false);
        }
        self.bytes_left = self.bytes_left.saturating_sub(bytes.len());
        self.blocks.push(bytes);
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
