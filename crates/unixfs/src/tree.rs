//! How do leaves become one root, the way go-unixfs's balanced builder does it?
//!
//! All leaves lie at the same depth. A node takes children until it has `links_max` of them, and is closed when the
//! next child comes, so that a file of exactly one full node gets no second level.

use std::collections::VecDeque;

use bytes::Bytes;
use rustle_types::Cid;
use rustle_types::content::{CODEC_DAG_PB, CODEC_RAW};

use crate::dagpb::{Link, Node};
use crate::profile::ImportProfile;
use crate::unixfs::{Data, Kind, Metadata};

/// A finished block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Its name.
    pub cid: Cid,
    /// Its bytes.
    pub bytes: Bytes,
}

/// What a folder must know of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Linked {
    /// The root of the file, folder or link.
    pub cid: Cid,
    /// Bytes of all its blocks; a block that occurs twice counts twice.
    pub tsize: u64,
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
    /// The chunk itself, for a file with metadata that has no other.
    chunk: Bytes,
}

/// Turns leaves, given in file order, into the nodes above them. Holds at most `links_max` links per level.
#[derive(Debug)]
pub struct Tree {
    profile: ImportProfile,
    metadata: Metadata,
    levels: Vec<Vec<Child>>,
    /// The first chunk, while there is no second and the root may need it.
    first: Option<Bytes>,
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
    let (codec, bytes) = if profile.raw_leaves {
        (CODEC_RAW, chunk.clone())
    } else {
        (CODEC_DAG_PB, wrapped_chunk(&chunk, &Metadata::NONE))
    };
    let cid = profile.cid_of(codec, &bytes);
    (
        Leaf {
            cid,
            file_bytes: chunk.len() as u64,
            block_bytes: bytes.len() as u64,
            chunk,
        },
        Block { cid, bytes },
    )
}

/// A node that holds a whole chunk.
fn wrapped_chunk(chunk: &Bytes, metadata: &Metadata) -> Bytes {
    let message = Data {
        filesize: Some(chunk.len() as u64),
        ..Data::new(Kind::File).with_metadata(metadata)
    };
    if chunk.is_empty() {
        return Node {
            links: Vec::new(),
            data: Some(message.encode()),
        }
        .encode();
    }
    message.encode_around(chunk)
}

/// The CID of bytes by sha2-256. Version 0 only where the codec is dag-pb.
#[cfg(test)]
pub(crate) fn cid_of(version: u8, codec: u64, bytes: &[u8]) -> Cid {
    let profile = ImportProfile::default().with_cid_version(version);
    profile.expect("0 or 1").cid_of(codec, bytes)
}

// === impl Tree ===

impl Tree {
    /// An empty tree.
    pub const fn new(profile: ImportProfile) -> Self {
        Self::with_metadata(profile, Metadata::NONE)
    }

    /// An empty tree whose root carries a mode and a time. Leaves should be made with
    /// [`ImportProfile::for_metadata`], as Kubo does it.
    pub const fn with_metadata(profile: ImportProfile, metadata: Metadata) -> Self {
        Self {
            profile,
            metadata,
            levels: Vec::new(),
            first: None,
            blocks: VecDeque::new(),
        }
    }

    /// Adds the next leaf of the file.
    pub fn push(&mut self, leaf: Leaf) {
        let is_first = self.levels.is_empty() && !self.metadata.is_empty();
        self.first = is_first.then_some(leaf.chunk);
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
        self.finish_linked().map(|(root, bytes)| (root.cid, bytes))
    }

    /// As [`Tree::finish`], with what a folder must know of the file.
    pub fn finish_linked(&mut self) -> Option<(Linked, u64)> {
        let mut level = 0;
        while level + 1 < self.levels.len() || self.levels.get(level)?.len() != 1 {
            let is_root = level + 1 == self.levels.len();
            let metadata = if is_root { self.metadata } else { Metadata::NONE };
            let node = self.close(level, &metadata);
            self.add(level + 1, node);
            level += 1;
        }
        let mut root = self.levels.drain(..).next_back()?.pop()?;
        if let Some(chunk) = self.first.take() {
            root = self.replace_only_leaf(&chunk);
        }
        let (cid, tsize) = (root.cid, root.tsize);
        Some((Linked { cid, tsize }, root.file_bytes))
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
            let node = self.close(level, &Metadata::NONE);
            self.add(level + 1, node);
        }
        self.levels[level].push(child);
    }

    /// The root of a file with metadata and one chunk: the leaf's block is then part of nothing.
    fn replace_only_leaf(&mut self, chunk: &Bytes) -> Child {
        let bytes = wrapped_chunk(chunk, &self.metadata);
        let (file_bytes, tsize) = (chunk.len() as u64, bytes.len() as u64);
        let cid = self.profile.cid_of(CODEC_DAG_PB, &bytes);
        self.blocks.push_back(Block { cid, bytes });
        Child {
            cid,
            file_bytes,
            tsize,
        }
    }

    /// Makes a node of the children waiting at `level`.
    fn close(&mut self, level: usize, metadata: &Metadata) -> Child {
        let children = std::mem::take(&mut self.levels[level]);
        let file_bytes = children.iter().map(|child| child.file_bytes).sum();
        let message = Data {
            filesize: Some(file_bytes),
            blocksizes: children.iter().map(|child| child.file_bytes).collect(),
            ..Data::new(Kind::File).with_metadata(metadata)
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
        let cid = self.profile.cid_of(CODEC_DAG_PB, &bytes);
        let tsize = below + bytes.len() as u64;
        self.blocks.push_back(Block { cid, bytes });
        Child {
            cid,
            file_bytes,
            tsize,
        }
    }
}
