//! How does a folder of any size stay in blocks of bounded size? (specs.ipfs.tech/unixfs, `HAMTShard`)
//!
//! The hash of a name says where its entry lies: each level of shards takes the next bits of it as an index. A shard
//! has a bitmap of the indexes in use and one link for each of them, named by the index in hexadecimal digits; behind
//! these stands the entry's name, or nothing where the link leads to a shard of the next level.

mod build;
#[cfg(test)]
pub(crate) mod forge;
mod hash;
mod shard;

pub use build::ShardBuilder;
pub use hash::name_hash;
pub(crate) use shard::{Place, Slot, read_shard};

/// Width of the shards that are written, as Kubo has it.
pub(crate) const FANOUT: usize = 256;
/// Code of murmur3-x64-64 in the multicodec table: the only hash that is used for names.
pub(crate) const HASH_MURMUR3_X64_64: u64 = 0x22;
/// Bits of a hash.
pub(crate) const HASH_BITS: u32 = 64;
