//! What is written together.

use bytes::Bytes;
use rustle_types::Cid;

use crate::Table;

/// One operation of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Keeps a block. The caller has verified the bytes against the CID.
    PutBlock(Cid, Bytes),
    /// Drops a block.
    DeleteBlock(Cid),
    /// Sets a record.
    Put(Table, Vec<u8>, Vec<u8>),
    /// Drops a record.
    Delete(Table, Vec<u8>),
}

/// Operations that are applied whole or not at all, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    ops: Vec<Op>,
}

/// What a commit promises when it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The batch survives the loss of power.
    Synced,
    /// The batch survives the end of the process, and becomes durable with the next synced commit.
    Buffered,
    /// Blocks that are visible at once and lost with the process, until [`crate::Store::flush`] makes them durable: each
    /// byte is written once, not to a log and again to its place. A batch with anything but blocks to put in it is written
    /// as [`Durability::Buffered`].
    Bulk,
}

// === impl Batch ===

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a verified block.
    pub fn put_block(&mut self, cid: Cid, bytes: Bytes) -> &mut Self {
        self.ops.push(Op::PutBlock(cid, bytes));
        self
    }

    /// Drops a block.
    pub fn delete_block(&mut self, cid: Cid) -> &mut Self {
        self.ops.push(Op::DeleteBlock(cid));
        self
    }

    /// Sets a record.
    pub fn put(&mut self, table: Table, key: Vec<u8>, value: Vec<u8>) -> &mut Self {
        self.ops.push(Op::Put(table, key, value));
        self
    }

    /// Drops a record.
    pub fn delete(&mut self, table: Table, key: Vec<u8>) -> &mut Self {
        self.ops.push(Op::Delete(table, key));
        self
    }

    /// Adds all operations of `other` behind these.
    pub fn append(&mut self, mut other: Self) {
        self.ops.append(&mut other.ops);
    }

    /// The operations in their order.
    pub fn into_ops(self) -> Vec<Op> {
        self.ops
    }

    /// The operations in their order.
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// Bytes of keys and values, roughly what the write costs.
    pub fn weight(&self) -> usize {
        self.ops
            .iter()
            .map(|op| match op {
                Op::PutBlock(_, bytes) => bytes.len() + 64,
                Op::DeleteBlock(_) => 64,
                Op::Put(_, key, value) => key.len() + value.len(),
                Op::Delete(_, key) => key.len(),
            })
            .sum()
    }

    /// Whether it puts blocks and does nothing else, so that [`Durability::Bulk`] may be had.
    pub fn is_bulk(&self) -> bool {
        self.ops.iter().all(|op| matches!(op, Op::PutBlock(..)))
    }

    /// Whether it removes and does nothing else.
    pub fn is_removal(&self) -> bool {
        let mut ops = self.ops.iter();
        ops.all(|op| matches!(op, Op::DeleteBlock(_) | Op::Delete(..)))
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }
}
