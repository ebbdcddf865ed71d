//! What does a chain hold, as far as it is committed?
//!
//! Pure functions over the store, for callers on any thread. They see committed blocks only, and each block whole: its
//! records are written in one batch. Long answers are read in chunks, so memory does not grow with the chain.

use rustle_store::{Direction, Scan, Store, Table};
use rustle_types::{BlockId, ChainId, Cid};
use sha2::{Digest as _, Sha256};

use crate::Block;
use crate::records;
pub use crate::records::{BlockRecord, ChainRecord, ReadError};

/// Records read at once while walking a table.
const CHUNK: usize = 4096;
/// What the digest of a chain covers first.
const DIGEST_DOMAIN: &[u8] = b"rustle/digest/1";

/// A place in the canonical order: by height, then id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Height of the block.
    pub height: u64,
    /// Its id.
    pub id: BlockId,
}

/// A block from the store and its place in the order of arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBlock {
    /// The block; its signature was checked before it was stored.
    pub block: Block,
    /// Its place in the order of arrival, from 0.
    pub sequence: u64,
}

/// All chains of this node, by digest. At most `CHAINS_MAX` are made.
pub fn chains(store: &dyn Store) -> Result<Vec<ChainRecord>, ReadError> {
    let records = store.scan(Table::Chains, &Scan::prefix(b"", usize::MAX))?;
    let chains = records.iter().map(|(key, value)| {
        let digest = <[u8; 32]>::try_from(&key[..]).map_err(|_| ReadError::Damaged {
            table: Table::Chains,
            what: "a key of another length",
        })?;
        let chain = ChainId::of_genesis(BlockId::from_digest(digest));
        ChainRecord::decode(chain, value)
    });
    chains.collect()
}

/// What this node keeps of a chain beside its blocks; `None` for an unknown chain.
pub fn record(store: &dyn Store, chain: &ChainId) -> Result<Option<ChainRecord>, ReadError> {
    let value = store.record(Table::Chains, chain.digest())?;
    value.map(|value| ChainRecord::decode(*chain, &value)).transpose()
}

/// How many blocks there are, which is also the next sequence number. Reads one record.
pub fn count(store: &dyn Store, chain: &ChainId) -> Result<u64, ReadError> {
    let last = Scan::prefix(chain.digest(), 1).backward();
    match store.scan(Table::ChainSequence, &last)?.first() {
        Some((key, value)) => Ok(records::parse_sequence(key, value)?.0 + 1),
        None => Ok(0),
    }
}

/// The newest blocks: those without children, in canonical order.
pub fn leaves(store: &dyn Store, chain: &ChainId) -> Result<Vec<Position>, ReadError> {
    let keys = store.scan(Table::ChainLeaves, &Scan::prefix(chain.digest(), usize::MAX))?;
    keys.iter()
        .map(|(key, _)| position(Table::ChainLeaves, key))
        .collect()
}

/// At most `limit` blocks in canonical order, from one end or from beyond `after` (excluded).
pub fn log(
    store: &dyn Store,
    chain: &ChainId,
    after: Option<Position>,
    direction: Direction,
    limit: usize,
) -> Result<Vec<Position>, ReadError> {
    let all = Scan::prefix(chain.digest(), limit);
    let scan = match (after, direction) {
        (None, Direction::Forward) => all,
        (None, Direction::Backward) => all.backward(),
        (Some(after), Direction::Forward) => {
            let mut next = records::order_key(chain, after.height, &after.id);
            next.push(0);
            all.from_key(next)
        }
        (Some(after), Direction::Backward) => all
            .until_key(records::order_key(chain, after.height, &after.id))
            .backward(),
    };
    let keys = store.scan(Table::ChainOrder, &scan)?;
    keys.iter()
        .map(|(key, _)| position(Table::ChainOrder, key))
        .collect()
}

/// At most `limit` blocks in the order of arrival, from sequence number `from` (included) on.
pub fn sequence(
    store: &dyn Store,
    chain: &ChainId,
    from: u64,
    limit: usize,
) -> Result<Vec<(u64, BlockId)>, ReadError> {
    let scan = Scan::prefix(chain.digest(), limit).from_key(records::sequence_key(chain, from));
    let found = store.scan(Table::ChainSequence, &scan)?;
    found
        .iter()
        .map(|(key, value)| records::parse_sequence(key, value))
        .collect()
}

/// What is known of a block without reading it; `None` where the chain has no such block.
pub fn block_record(
    store: &dyn Store,
    chain: &ChainId,
    id: &BlockId,
) -> Result<Option<BlockRecord>, ReadError> {
    let value = store.record(Table::ChainBlocks, &records::block_key(chain, id))?;
    value.map(|value| BlockRecord::decode(&value)).transpose()
}

/// A block of the chain; `None` where the chain has no such block. The hash is checked, the signature is not again.
pub fn block(store: &dyn Store, chain: &ChainId, id: &BlockId) -> Result<Option<StoredBlock>, ReadError> {
    let Some(record) = block_record(store, chain, id)? else {
        return Ok(None);
    };
    let damaged = |what| ReadError::Damaged {
        table: Table::ChainBlocks,
        what,
    };
    let bytes = store
        .get_verified(&id.cid())?
        .ok_or_else(|| damaged("a block of the chain is missing"))?;
    let block = Block::decode_trusted(bytes).map_err(|_| damaged("a block of the chain is malformed"))?;
    Ok(Some(StoredBlock {
        block,
        sequence: record.sequence,
    }))
}

/// A chain to which this block belongs, by its multihash; `None` where there is none.
pub fn holder(store: &dyn Store, cid: &Cid) -> Result<Option<ChainId>, ReadError> {
    let digest = <[u8; 32]>::try_from(cid.hash().digest());
    let id = digest.ok().map(BlockId::from_digest);
    let Some(id) = id.filter(|id| id.cid().hash() == cid.hash()) else {
        return Ok(None);
    };
    for chain in chains(store)? {
        if block_record(store, &chain.chain, &id)?.is_some() {
            return Ok(Some(chain.chain));
        }
    }
    Ok(None)
}

/// Blocks of all chains, in the order of their records, behind the record `after`; at most `limit`. Gives the record to go
/// on behind as well, unless these are the last ones.
pub fn held(
    store: &dyn Store,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<(Vec<BlockId>, Option<Vec<u8>>), ReadError> {
    let mut scan = Scan::prefix(b"", limit);
    if let Some(after) = after {
        scan = scan.from_key([after, &[0]].concat());
    }
    let records = store.scan(Table::ChainBlocks, &scan)?;
    let ids = records.iter().map(|(key, _)| {
        let digest = key.get(32..).and_then(|id| <[u8; 32]>::try_from(id).ok());
        digest.map(BlockId::from_digest).ok_or(ReadError::Damaged {
            table: Table::ChainBlocks,
            what: "a key of another length",
        })
    });
    let ids = ids.collect::<Result<Vec<_>, _>>()?;
    let last = records.last().filter(|_| ids.len() == limit);
    Ok((ids, last.map(|(key, _)| key.to_vec())))
}

/// One hash over all ids in canonical order, and their number: equal where two nodes have the same blocks.
///
/// SHA-256 over `rustle/digest/1` and the 32-byte digests of the ids.
pub fn digest(store: &dyn Store, chain: &ChainId) -> Result<([u8; 32], u64), ReadError> {
    let mut hash = Sha256::new();
    hash.update(DIGEST_DOMAIN);
    let mut blocks = 0;
    let mut last = None;
    loop {
        let chunk = log(store, chain, last, Direction::Forward, CHUNK)?;
        chunk
            .iter()
            .for_each(|position| hash.update(position.id.digest()));
        blocks += chunk.len() as u64;
        match chunk.last() {
            Some(position) if chunk.len() == CHUNK => last = Some(*position),
            _ => return Ok((hash.finalize().into(), blocks)),
        }
    }
}

fn position(table: Table, key: &[u8]) -> Result<Position, ReadError> {
    let (height, id) = records::parse_order_key(table, key)?;
    Ok(Position { height, id })
}
