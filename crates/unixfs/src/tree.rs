//! How do leaves become one root, the way go-unixfs's balanced builder does it?
//!
//! All leaves lie at the same depth. A node takes children until it has `links_max` of them, and is closed when the
//! next child comes, so that a file of exactly one full node gets no second level.

use std::collections::VecDeque;

use bytes::Bytes;
use multihash_codetable::{Code, MultihashDigest};
use rustle_types::Cid;
use rustle_types::content::{CODEC_DAG_PB, CODEC_RAW};

use crate::dagpb::{Link, Node};
use crate::profile::ImportProfile;
use crate::unixfs::{Data, Kind};

/// A finished block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Its name.
    pub cid: Cid,
    /// Its bytes.
    pub bytes: Bytes,
}

/// What a parent must know of a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The chunk's block.
    pub cid: Cid,
    /// Bytes of the file in it.
    pub file_bytes: u64,
    /// Bytes of the block.
    pub block_bytes: u64,
}

/// Turns leaves, given in file order, into the nodes above them. Holds at most `links_max` links per level.
#[derive(Debug)]
pub struct Tree {
    profile: ImportProfile,
    levels: Vec<Vec<Child>>,
    blocks: VecDeque<Block>,
}

#[derive(Debug, Clone)]
struct Child {
    cid: Cid,
    file_bytes: u64,
    /// Bytes of all blocks from here down.
    tsize: u64,
}

/// Makes the block of one chunk of a file. Independent of all other chunks, so it may run on any thread.
pub fn make_leaf(profile: &ImportProfile, chunk: Bytes) -> (Leaf, Block) {
    let file_bytes = chunk.len() as u64;
    let (codec, bytes) = if profile.raw_leaves {
        (CODEC_RAW, chunk)
    } else {
        let data = Some(chunk).filter(|chunk| !chunk.is_empty());
        let message = Data {
            data,
            filesize: Some(file_bytes),
            ..Data::new(Kind::File)
        };
        (
            CODEC_DAG_PB,
            Node {
                links: Vec::new(),
                data: Some(message.encode()),
            }
            .encode(),
        )
    };
    let cid = cid_of(profile.cid_version, codec, &bytes);
    (
        Leaf {
            cid,
            file_bytes,
            block_bytes: bytes.len() as u64,
        },
        Block { cid, bytes },
    )
}

/// The CID of bytes by sha2-256. Version 0 only where the codec is dag-pb.
pub(crate) fn cid_of(version: u8, codec: u64, bytes: &[u8]) -> Cid {
    let hash = Code::Sha2_256.digest(bytes);
    if version == 0 && codec == CODEC_DAG_PB {
        Cid::new_v0(hash).expect("sha2-256 is the hash of CIDv0")
    } else {
        Cid::new_v1(codec, hash)
    }
}

// === impl Tree ===

impl Tree {
    /// An empty tree.
    pub const fn new(profile: ImportProfile) -> Self {
        Self {
            profile,
            levels: Vec::new(),
            blocks: VecDeque::new(),
        }
    }

    /// Adds the next leaf of the file.
    pub fn push(&mut self, leaf: Leaf) {
        self.add(
            0,
            Child {
                cid: leaf.cid,
                file_bytes: leaf.file_bytes,
                tsize: leaf.block_bytes,
            },
        );
    }

    /// Closes all nodes and gives the root and the size of the file; `None` where there was no leaf.
    ///
    /// The last blocks then wait in `poll_block`, and the tree is empty for another file.
    pub fn finish(&mut self) -> Option<(Cid, u64)> {
        let mut level = 0;
        while level + 1 < self.levels.len() || self.levels.get(level)?.len() != 1 {
            let node = self.close(level);
            self.add(level + 1, node);
            level += 1;
        }
        let root = self.levels.drain(..).next_back()?.pop()?;
        Some((root.cid, root.file_bytes))
    }

    /// The next finished node; call it until it gives `None` after each `push`.
    pub fn poll_block(&mut self) -> Option<Block> {
        self.blocks.pop_front()
    }

    fn add(&mut self, level: usize, child: Child) {
        if self.levels.len() == level {
            self.levels.push(Vec::new());
        }
        if self.levels[level].len() == self.profile.links_max {
            let node = self.close(level);
            self.add(level + 1, node);
        }
        self.levels[level].push(child);
    }

    /// Makes a node of the children waiting at `level`.
    fn close(&mut self, level: usize) -> Child {
        let children = std::mem::take(&mut self.levels[level]);
        let file_bytes = children.iter().map(|child| child.file_bytes).sum();
        let message = Data {
            filesize: Some(file_bytes),
            blocksizes: children.iter().map(|child| child.file_bytes).collect(),
            ..Data::new(Kind::File)
        };
        let below: u64 = children.iter().map(|child| child.tsize).sum();
        let links = children
            .into_iter()
            .map(|child| Link {
                cid: child.cid,
                name: Bytes::new(),
                tsize: child.tsize,
            })
            .collect();
        let bytes = Node {
            links,
            data: Some(message.encode()),
        }
        .encode();
        let cid = cid_of(self.profile.cid_version, CODEC_DAG_PB, &bytes);
        let tsize = below + bytes.len() as u64;
        self.blocks.push_back(Block { cid, bytes });
        Child {
            cid,
            file_bytes,
            tsize,
        }
    }
}
