//! How do entries become shards without all of them being held?
//!
//! Sorted by hash, entries come in the order in which the finished shards hold them. An entry lies one level below
//! what it shares with the nearer of its two neighbours, so it can be placed once the next one is seen, and a shard is
//! finished once an entry comes that lies outside.

use std::collections::VecDeque;

use bytes::Bytes;
use rustle_types::content::CODEC_DAG_PB;

use super::{FANOUT, HASH_BITS, HASH_MURMUR3_X64_64, name_hash};
use crate::dagpb::{Link, Node};
use crate::folder::FolderError;
use crate::profile::ImportProfile;
use crate::tree::{Block, Linked};
use crate::unixfs::{Data, Kind, Metadata};

/// Bits of a hash that one level takes.
const LEVEL_BITS: u32 = FANOUT.ilog2();
/// Levels that a hash is good for.
const LEVELS: u32 = HASH_BITS / LEVEL_BITS;

/// Makes a sharded folder of entries that come in the order of [`name_hash`].
///
/// Holds the open shards alone, one for each of at most 8 levels with 256 links each.
#[derive(Debug)]
pub struct ShardBuilder {
    profile: ImportProfile,
    metadata: Metadata,
    open: Vec<Open>,
    waiting: Option<Waiting>,
    blocks: VecDeque<Block>,
}

/// A shard that may get more links.
#[derive(Debug, Default)]
struct Open {
    links: Vec<Link>,
    bitmap: [u8; FANOUT / 8],
    /// Bytes of all blocks below.
    below: u64,
}

/// The last entry, whose place depends on the next.
#[derive(Debug)]
struct Waiting {
    hash: u64,
    name: Bytes,
    linked: Linked,
    /// Levels that it shares with the entry before.
    shared: u32,
}

// === impl ShardBuilder ===

impl ShardBuilder {
    /// An empty folder. Its root carries `metadata`.
    pub const fn new(profile: ImportProfile, metadata: Metadata) -> Self {
        Self {
            profile,
            metadata,
            open: Vec::new(),
            waiting: None,
            blocks: VecDeque::new(),
        }
    }

    /// Adds the entry with the next higher hash.
    pub fn push(&mut self, name: Bytes, linked: Linked) -> Result<(), FolderError> {
        let hash = name_hash(&name);
        let mut shared = 0;
        if let Some(last) = &self.waiting {
            if hash < last.hash {
                return Err(FolderError::Unsorted(name));
            }
            shared = (hash ^ last.hash).leading_zeros() / LEVEL_BITS;
            if shared == LEVELS {
                return Err(if last.name == name {
                    FolderError::Twice(name)
                } else {
                    FolderError::Collision(last.name.clone(), name)
                });
            }
        }
        let next = Waiting {
            hash,
            name,
            linked,
            shared,
        };
        if let Some(last) = self.waiting.replace(next) {
            self.place(last, shared);
        }
        Ok(())
    }

    /// Closes all shards and gives the root. The last blocks then wait in `poll_block`.
    pub fn finish(&mut self) -> Linked {
        match self.waiting.take() {
            Some(last) => self.place(last, 0),
            None => self.open.push(Open::default()),
        }
        let root = self.open.pop().unwrap_or_default();
        self.write(root, &self.metadata.clone())
    }

    /// The next finished shard; children come before the shards that link to them.
    pub fn poll_block(&mut self) -> Option<Block> {
        self.blocks.pop_front()
    }

    /// Puts an entry where it stays, and closes what lies below the `shared` levels that the next one is in, too.
    fn place(&mut self, entry: Waiting, shared: u32) {
        let Waiting {
            hash, name, linked, ..
        } = entry;
        let level = entry.shared.max(shared);
        while self.open.len() <= level as usize {
            self.open.push(Open::default());
        }
        self.link(level, hash, &name, linked);
        while shared as usize + 1 < self.open.len() {
            let closed = self.open.pop().unwrap_or_default();
            let linked = self.write(closed, &Metadata::NONE);
            self.link(self.open.len() as u32 - 1, hash, &[], linked);
        }
    }

    /// Adds a link to the open shard of `level`, at the index that `hash` has there.
    fn link(&mut self, level: u32, hash: u64, name: &[u8], linked: Linked) {
        let index = (hash >> (HASH_BITS - LEVEL_BITS * (level + 1))) as usize % FANOUT;
        let shard = &mut self.open[level as usize];
        // The bitmap is a number of 256 bits, highest byte first.
        shard.bitmap[FANOUT / 8 - 1 - index / 8] |= 1 << (index % 8);
        shard.below = shard.below.saturating_add(linked.tsize);
        let mut prefixed = format!("{index:02X}").into_bytes();
        prefixed.extend_from_slice(name);
        shard.links.push(Link {
            cid: linked.cid,
            name: prefixed.into(),
            tsize: linked.tsize,
        });
    }

    fn write(&mut self, shard: Open, metadata: &Metadata) -> Linked {
        let used = shard.bitmap.iter().position(|byte| *byte != 0);
        let message = Data {
            data: used.map(|from| Bytes::copy_from_slice(&shard.bitmap[from..])),
            hash_type: Some(HASH_MURMUR3_X64_64),
            fanout: Some(FANOUT as u64),
            ..Data::new(Kind::HamtShard).with_metadata(metadata)
        };
        let bytes = Node {
            links: shard.links,
            data: Some(message.encode()),
        }
        .encode();
        let cid = self.profile.cid_of(CODEC_DAG_PB, &bytes);
        let tsize = shard.below.saturating_add(bytes.len() as u64);
        self.blocks.push_back(Block { cid, bytes });
        Linked { cid, tsize }
    }
}
