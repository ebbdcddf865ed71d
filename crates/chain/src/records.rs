//! How are chains kept in the tables of the store?
//!
//! Keys begin with the chain's digest (32 bytes), numbers are big-endian, so that a scan gives the order that is wanted.
//! Values begin with a version byte. The block itself is content under its CID, where bitswap finds it too. Nothing is
//! rewritten when a chain grows: counts come from the last key of a table, so an append costs the same at any length.

use rustle_store::{Batch, StoreError, Table};
use rustle_types::limits::{ADDRESS_BYTES_MAX, INVITATION_ADDRESSES_MAX, INVITATION_PEERS_MAX};
use rustle_types::{Author, BlockId, ChainId, Multiaddr, PeerId, Timestamp};
use rustle_wire::Member;
use serde::{Deserialize, Serialize};

use crate::Block;
use crate::encoding::{self, Raw};

/// Version of the values that this crate reads and writes.
const VERSION: u8 = 1;

/// One record of [`Table::Chains`]: what this node keeps of a chain beside its blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainRecord {
    /// The chain.
    pub chain: ChainId,
    /// The local name, at first the one in the genesis block.
    pub name: String,
    /// Time of the genesis block.
    pub created: Timestamp,
    /// When this node made or joined the chain.
    pub joined: Timestamp,
    /// Author of the genesis block.
    pub founder: Author,
    /// At most 8 members to dial first, each with at most 4 addresses.
    pub members: Vec<Member>,
}

/// One record of [`Table::ChainBlocks`]: what is known of a block without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockRecord {
    /// Its height.
    pub height: u64,
    /// Its place in the order of arrival here, from 0.
    pub sequence: u64,
    /// When its author says it was made.
    pub time: Timestamp,
    /// Bytes of its encoding.
    pub size: u32,
    /// Who signed it.
    pub author: Author,
    /// Its parents, ascending.
    pub parents: Vec<BlockId>,
}

/// Why a chain cannot be read from the store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record or block is missing, or is not what it must be.
    #[error(
        "the table {table:?} is damaged: {what}; restore the chain from a backup, or leave and join it again"
    )]
    Damaged {
        /// Which table.
        table: Table,
        /// What is wrong.
        what: &'static str,
    },
}

#[derive(Debug, Serialize, Deserialize)]
struct EncodedChain<'a> {
    name: &'a str,
    joined: u64,
    created: u64,
    #[serde(borrow)]
    founder: Raw<'a>,
    #[serde(borrow)]
    members: Vec<(Raw<'a>, Vec<Raw<'a>>)>,
}

// === impl ChainRecord ===

impl ChainRecord {
    /// Adds the record to `batch`.
    pub fn put(&self, batch: &mut Batch) {
        batch.put(Table::Chains, self.chain.digest().to_vec(), self.encode());
    }

    fn encode(&self) -> Vec<u8> {
        let members: Vec<_> = bounded(&self.members).iter().map(member_bytes).collect();
        let encoded = EncodedChain {
            name: &self.name,
            founder: Raw(self.founder.as_bytes()),
            joined: self.joined.as_millis(),
            created: self.created.as_millis(),
            members: members
                .iter()
                .map(|(peer, addresses)| (Raw(peer), addresses.iter().map(|address| Raw(address)).collect()))
                .collect(),
        };
        encoding::write(&encoded, vec![VERSION])
    }

    pub(crate) fn decode(chain: ChainId, value: &[u8]) -> Result<Self, ReadError> {
        let damaged = |what| ReadError::Damaged {
            table: Table::Chains,
            what,
        };
        let Some((&VERSION, rest)) = value.split_first() else {
            return Err(damaged("a record of another version"));
        };
        let encoded = encoding::read::<EncodedChain<'_>>(rest).map_err(|_| damaged("a malformed record"))?;
        let members = encoded.members.iter().map(|(peer, addresses)| {
            let addresses: Vec<&[u8]> = addresses.iter().map(|address| address.0).collect();
            member_from_bytes(peer.0, &addresses)
        });
        Ok(Self {
            chain,
            name: encoded.name.to_owned(),
            created: Timestamp::from_millis(encoded.created),
            joined: Timestamp::from_millis(encoded.joined),
            founder: Author::from_bytes(
                encoded
                    .founder
                    .0
                    .try_into()
                    .map_err(|_| damaged("a founder of another length"))?,
            ),
            members: members
                .collect::<Option<_>>()
                .ok_or_else(|| damaged("a malformed member"))?,
        })
    }
}

/// At most 8 members.
pub(crate) fn bounded(members: &[Member]) -> &[Member] {
    &members[..members.len().min(INVITATION_PEERS_MAX)]
}

/// A peer id and at most 4 addresses as bytes.
pub(crate) fn member_bytes(member: &Member) -> (Vec<u8>, Vec<Vec<u8>>) {
    let addresses = member.addresses.iter().map(Multiaddr::to_vec);
    let short = addresses.filter(|address| address.len() <= ADDRESS_BYTES_MAX);
    (
        member.peer.to_bytes(),
        short.take(INVITATION_ADDRESSES_MAX).collect(),
    )
}

/// The member; `None` where a part is malformed or a bound broken.
pub(crate) fn member_from_bytes(peer: &[u8], addresses: &[&[u8]]) -> Option<Member> {
    let fits = addresses.len() <= INVITATION_ADDRESSES_MAX
        && addresses.iter().all(|address| address.len() <= ADDRESS_BYTES_MAX);
    if !fits {
        return None;
    }
    let addresses = addresses
        .iter()
        .map(|address| Multiaddr::try_from(address.to_vec()).ok());
    Some(Member {
        peer: PeerId::from_bytes(peer).ok()?,
        addresses: addresses.collect::<Option<_>>()?,
    })
}

// === impl BlockRecord ===

impl BlockRecord {
    /// Length of a value with no parents: version, height, sequence, time, size, author.
    const FIXED: usize = 1 + 8 + 8 + 8 + 4 + 32;

    pub(crate) fn of(block: &Block, sequence: u64) -> Self {
        Self {
            height: block.height(),
            sequence,
            time: block.time(),
            size: u32::try_from(block.bytes().len()).expect("a block has at most 260 KiB"),
            author: block.author(),
            parents: block.parents().to_vec(),
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(Self::FIXED + 32 * self.parents.len());
        value.push(VERSION);
        value.extend_from_slice(&self.height.to_be_bytes());
        value.extend_from_slice(&self.sequence.to_be_bytes());
        value.extend_from_slice(&self.time.as_millis().to_be_bytes());
        value.extend_from_slice(&self.size.to_be_bytes());
        value.extend_from_slice(self.author.as_bytes());
        self.parents
            .iter()
            .for_each(|parent| value.extend_from_slice(parent.digest()));
        value
    }

    pub(crate) fn decode(value: &[u8]) -> Result<Self, ReadError> {
        Self::parse(value).ok_or(ReadError::Damaged {
            table: Table::ChainBlocks,
            what: "a malformed record",
        })
    }

    fn parse(value: &[u8]) -> Option<Self> {
        let (&version, rest) = value.split_first()?;
        let (height, rest) = rest.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let (time, rest) = rest.split_first_chunk()?;
        let (size, rest) = rest.split_first_chunk()?;
        let (author, rest) = rest.split_first_chunk()?;
        let (parents, rest) = rest.as_chunks::<32>();
        (version == VERSION && rest.is_empty()).then(|| Self {
            height: u64::from_be_bytes(*height),
            sequence: u64::from_be_bytes(*sequence),
            time: Timestamp::from_millis(u64::from_be_bytes(*time)),
            size: u32::from_be_bytes(*size),
            author: Author::from_bytes(*author),
            parents: parents.iter().copied().map(BlockId::from_digest).collect(),
        })
    }
}

/// Key of [`Table::ChainOrder`] and [`Table::ChainLeaves`].
pub(crate) fn order_key(chain: &ChainId, height: u64, id: &BlockId) -> Vec<u8> {
    [&chain.digest()[..], &height.to_be_bytes(), id.digest()].concat()
}

/// Reads the end of an order key.
pub(crate) fn parse_order_key(table: Table, key: &[u8]) -> Result<(u64, BlockId), ReadError> {
    let parse = || {
        let (_, rest) = key.split_first_chunk::<32>()?;
        let (height, digest) = rest.split_first_chunk()?;
        Some((
            u64::from_be_bytes(*height),
            BlockId::from_digest(digest.try_into().ok()?),
        ))
    };
    parse().ok_or(ReadError::Damaged {
        table,
        what: "a key of another length",
    })
}

/// Key of [`Table::ChainSequence`].
pub(crate) fn sequence_key(chain: &ChainId, sequence: u64) -> Vec<u8> {
    [&chain.digest()[..], &sequence.to_be_bytes()].concat()
}

/// Reads a record of [`Table::ChainSequence`].
pub(crate) fn parse_sequence(key: &[u8], value: &[u8]) -> Result<(u64, BlockId), ReadError> {
    let parse = || {
        let (_, sequence) = key.split_first_chunk::<32>()?;
        let sequence = u64::from_be_bytes(sequence.try_into().ok()?);
        Some((sequence, BlockId::from_digest(value.try_into().ok()?)))
    };
    parse().ok_or(ReadError::Damaged {
        table: Table::ChainSequence,
        what: "a record of another length",
    })
}

/// Key of [`Table::ChainBlocks`].
pub(crate) fn block_key(chain: &ChainId, id: &BlockId) -> Vec<u8> {
    [&chain.digest()[..], id.digest()].concat()
}

/// Writes an attached block everywhere: content, order, sequence, what is known of it, and the leaves.
///
/// `merged` are those of its parents that were leaves until now.
pub(crate) fn put_attached(batch: &mut Batch, block: &Block, sequence: u64, merged: &[(u64, BlockId)]) {
    let (chain, id, height) = (block.chain(), block.id(), block.height());
    let order = order_key(&chain, height, &id);
    batch.put_block(id.cid(), block.bytes().clone());
    batch.put(Table::ChainOrder, order.clone(), Vec::new());
    batch.put(
        Table::ChainSequence,
        sequence_key(&chain, sequence),
        id.digest().to_vec(),
    );
    batch.put(
        Table::ChainBlocks,
        block_key(&chain, &id),
        BlockRecord::of(block, sequence).encode(),
    );
    for (height, parent) in merged {
        batch.delete(Table::ChainLeaves, order_key(&chain, *height, parent));
    }
    batch.put(Table::ChainLeaves, order, Vec::new());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Signer;

    #[test]
    fn records_survive_their_bytes() {
        let founder = Signer::from_secret([3; 32]).author();
        let member = Member {
            peer: founder.peer_id().unwrap(),
            addresses: vec!["/ip4/127.0.0.1/tcp/4001".parse().unwrap()],
        };
        let chain = ChainRecord {
            chain: ChainId::of_genesis(BlockId::of(b"genesis")),
            name: "diary".to_owned(),
            created: Timestamp::from_millis(1),
            joined: Timestamp::from_millis(2),
            founder,
            members: vec![member],
        };
        let block = BlockRecord {
            height: 3,
            sequence: 4,
            time: Timestamp::from_millis(5),
            size: 6,
            author: founder,
            parents: vec![BlockId::of(b"a"), BlockId::of(b"b")],
        };

        assert_eq!(
            ChainRecord::decode(chain.chain, &chain.encode()),
            Ok(chain.clone())
        );
        assert_eq!(BlockRecord::decode(&block.encode()), Ok(block.clone()));
        for short in [&chain.encode()[..9], &[], &[9]] {
            assert!(ChainRecord::decode(chain.chain, short).is_err());
            assert!(BlockRecord::decode(short).is_err());
        }
    }

    #[test]
    fn a_record_keeps_only_so_many_members() {
        let founder = Signer::from_secret([3; 32]).author();
        let address: Multiaddr = "/ip4/127.0.0.1/tcp/4001".parse().unwrap();
        let member = Member {
            peer: founder.peer_id().unwrap(),
            addresses: vec![address; INVITATION_ADDRESSES_MAX + 1],
        };
        let record = ChainRecord {
            chain: ChainId::of_genesis(BlockId::of(b"genesis")),
            name: "diary".to_owned(),
            created: Timestamp::default(),
            joined: Timestamp::default(),
            founder,
            members: vec![member; INVITATION_PEERS_MAX + 1],
        };

        let kept = ChainRecord::decode(record.chain, &record.encode())
            .unwrap()
            .members;

        assert_eq!(kept.len(), INVITATION_PEERS_MAX);
        assert!(
            kept.iter()
                .all(|member| member.addresses.len() == INVITATION_ADDRESSES_MAX)
        );
    }
}
