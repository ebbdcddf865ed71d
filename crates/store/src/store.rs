//! The traits that a store implements.

use bytes::Bytes;
use rustle_types::Cid;

use crate::{Batch, Durability, StoreError};

/// The tables of ordered records. Each is a column family in RocksDB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// One record per chain: key = chain digest.
    Chains,
    /// Canonical order: key = chain digest, height (u64 BE), block digest; no value.
    ChainOrder,
    /// Delivery order: key = chain digest, sequence number (u64 BE); value = block digest.
    ChainSequence,
    /// What is known of a block: key = chain digest, block digest.
    ChainBlocks,
    /// Blocks without children: key = chain digest, height (u64 BE), block digest; no value.
    ChainLeaves,
    /// Issued and redeemed invitations: key = chain digest, capability key, and the joiner for a redemption.
    Invitations,
    /// Peers known from before: key = peer id.
    Peers,
    /// Pins: key = name or multihash.
    Pins,
    /// Peers and places that are banned or always welcome: key = kind (1 byte) and peer id, or network prefix.
    Rules,
    /// What the DHT gave us to keep for others: key = kind (1 byte) and record key; provider records with the peer.
    Dht,
    /// Store format and settings of the node: key = name.
    Meta,
}

/// A key and its value.
pub type Record = (Bytes, Bytes);

/// Which way a scan goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// From the lowest key up.
    #[default]
    Forward,
    /// From the highest key down.
    Backward,
}

/// A scan over the keys `start <= key < end` of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// Lowest key, included.
    pub start: Vec<u8>,
    /// Highest key, excluded; `None` for the end of the table.
    pub end: Option<Vec<u8>>,
    /// Which end comes first.
    pub direction: Direction,
    /// At most so many records.
    pub limit: usize,
}

/// Content by CID. Lookups are by multihash: CIDs that differ in version or codec find the same bytes.
///
/// Blocks with an identity hash are their own CID: every store has them, none keeps them.
pub trait ContentStore: Send + Sync {
    /// Whether the block is here. Does not touch the bytes.
    fn has(&self, cid: &Cid) -> Result<bool, StoreError>;

    /// The block's size in bytes, where it is here. Does not touch the bytes.
    fn size(&self, cid: &Cid) -> Result<Option<u64>, StoreError>;

    /// The block's bytes as they are on disk, unverified.
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError>;

    /// The block's bytes, hashed again: what is read for a peer never carries a flipped bit.
    fn get_verified(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        let Some(bytes) = self.get(cid)? else {
            return Ok(None);
        };
        match rustle_types::content::verify(cid, &bytes) {
            Ok(()) => Ok(Some(bytes)),
            Err(_) => Err(StoreError::Corrupt(*cid)),
        }
    }
}

/// Content and records with atomic, durable batches.
///
/// Imports and fetches of many blocks are committed as [`Durability::Bulk`], then flushed, and what names them, a pin or a
/// record, is synced at the end.
pub trait Store: ContentStore + 'static {
    /// The value of a record.
    fn record(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// Records in key order.
    fn scan(&self, table: Table, scan: &Scan) -> Result<Vec<Record>, StoreError>;

    /// Applies the batch whole or not at all; later operations of a batch win over earlier ones.
    ///
    /// After an error of a synced commit the store refuses all further writes ([`StoreError::Halted`]): what the disk
    /// holds is then unknown, and a repeated sync could lie.
    ///
    /// A block of a bulk commit that is put again by a buffered or synced one is written again there: whoever is told that
    /// a block is kept need not know who else has put it.
    fn commit(&self, batch: Batch, durability: Durability) -> Result<(), StoreError>;

    /// Makes the blocks of all bulk commits that have returned durable. What names them is to be committed after this.
    ///
    /// After an error the store refuses all further writes, as after one of [`Store::commit`].
    fn flush(&self) -> Result<(), StoreError>;

    /// Whether the next content would be taken: [`StoreError::Halted`] after a failed write, [`StoreError::Full`] without
    /// room on the disk.
    fn health(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

// === impl Table ===

impl Table {
    /// Every table once, for stores that prepare a place for each.
    pub const ALL: [Self; 11] = [
        Self::Chains,
        Self::ChainOrder,
        Self::ChainSequence,
        Self::ChainBlocks,
        Self::ChainLeaves,
        Self::Invitations,
        Self::Peers,
        Self::Pins,
        Self::Rules,
        Self::Dht,
        Self::Meta,
    ];
}

// === impl Scan ===

impl Scan {
    /// All keys that begin with `prefix`, at most `limit` of them.
    pub fn prefix(prefix: &[u8], limit: usize) -> Self {
        Self {
            start: prefix.to_vec(),
            end: after_prefix(prefix),
            direction: Direction::Forward,
            limit,
        }
    }

    /// The same scan from its other end.
    #[must_use]
    pub fn backward(self) -> Self {
        Self {
            direction: Direction::Backward,
            ..self
        }
    }

    /// The same scan from `start` on (included).
    #[must_use]
    pub fn from_key(self, start: Vec<u8>) -> Self {
        Self { start, ..self }
    }

    /// The same scan up to `end` (excluded).
    #[must_use]
    pub fn until_key(self, end: Vec<u8>) -> Self {
        Self {
            end: Some(end),
            ..self
        }
    }
}

/// The lowest key above all that begin with `prefix`.
fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.last_mut() {
        if *last < u8::MAX {
            *last += 1;
            return Some(end);
        }
        end.pop();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_tables_are_listed_in_order() {
        for (index, table) in Table::ALL.into_iter().enumerate() {
            assert_eq!(table as usize, index);
        }
        assert_eq!(
            Table::ALL.len(),
            Table::Meta as usize + 1,
            "Meta is the last table"
        );
    }

    #[test]
    fn the_end_of_a_prefix_is_its_successor() {
        assert_eq!(after_prefix(&[1, 2]), Some(vec![1, 3]));
        assert_eq!(after_prefix(&[1, 0xff]), Some(vec![2]));
        assert_eq!(after_prefix(&[0xff, 0xff]), None);
        assert_eq!(after_prefix(&[]), None);
    }
}
