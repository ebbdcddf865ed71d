//! How does a stream of bytes become the blocks of a file in bounded memory?

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use rustle_types::Cid;

use crate::profile::ImportProfile;
use crate::tree::{Block, Linked, Tree, make_leaf};
use crate::unixfs::Metadata;

/// Cuts a file into blocks. Feed it, and drain `poll_block` after each portion.
///
/// Between two portions it holds less than one chunk, and the links of the open nodes.
#[derive(Debug)]
pub struct Importer {
    profile: ImportProfile,
    chunk: BytesMut,
    tree: Tree,
    blocks: VecDeque<Block>,
    /// Whether the root of a file with one chunk is another block than its leaf: then it has metadata.
    replaces_only_leaf: bool,
    /// The first leaf, while it may be replaced so.
    held: Option<Block>,
    given: u64,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// The file's CID.
    pub root: Cid,
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes of all blocks, for a folder's link; equal chunks count each time.
    pub tsize: u64,
    /// Blocks made; equal chunks count each time.
    pub blocks: u64,
}

// === impl Imported ===

impl Imported {
    /// What a folder must know of the file.
    pub const fn linked(&self) -> Linked {
        Linked {
            cid: self.root,
            tsize: self.tsize,
        }
    }
}

// === impl Importer ===

impl Importer {
    /// An importer for one file after the other.
    pub fn new(profile: ImportProfile) -> Self {
        Self::with_metadata(profile, Metadata::NONE)
    }

    /// An importer for files that all have this mode and time.
    pub fn with_metadata(profile: ImportProfile, metadata: Metadata) -> Self {
        let profile = profile.for_metadata(&metadata);
        let (chunk, tree) = (BytesMut::new(), Tree::with_metadata(profile, metadata));
        Self {
            profile,
            chunk,
            tree,
            blocks: VecDeque::new(),
            replaces_only_leaf: !metadata.is_empty(),
            held: None,
            given: 0,
        }
    }

    /// Takes the next bytes of the file, of any length. Each full chunk becomes a block at once.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = self.profile.chunk_bytes - self.chunk.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            if self.chunk.capacity() < self.chunk.len() + now.len() {
                self.chunk.reserve(room);
            }
            self.chunk.extend_from_slice(now);
            bytes = later;
            if self.chunk.len() == self.profile.chunk_bytes {
                let chunk = self.chunk.split().freeze();
                self.add_chunk(chunk);
            }
        }
    }

    /// Ends the file. The last blocks then wait in `poll_block`, and the importer is ready for another file.
    pub fn finish(&mut self) -> Imported {
        if !self.chunk.is_empty() {
            let chunk = self.chunk.split().freeze();
            self.add_chunk(chunk);
        }
        let (root, bytes) = match self.tree.finish_linked() {
            Some(finished) => finished,
            None => {
                self.add_chunk(Bytes::new());
                self.tree.finish_linked().expect("the empty file has one leaf")
            }
        };
        self.drain_tree();
        if self.held.take().is_some() {
            self.given -= 1;
        }
        Imported {
            root: root.cid,
            bytes,
            tsize: root.tsize,
            blocks: std::mem::take(&mut self.given),
        }
    }

    /// The next finished block; children always come before the nodes that link to them.
    pub fn poll_block(&mut self) -> Option<Block> {
        self.blocks.pop_front()
    }

    fn add_chunk(&mut self, chunk: Bytes) {
        let (leaf, block) = make_leaf(&self.profile, chunk);
        if self.replaces_only_leaf && self.given == 0 {
            self.held = Some(block);
        } else {
            self.blocks.extend(self.held.take());
            self.blocks.push_back(block);
        }
        self.given += 1;
        self.tree.push(leaf);
        self.drain_tree();
    }

    fn drain_tree(&mut self) {
        while let Some(block) = self.tree.poll_block() {
            self.given += 1;
            self.blocks.push_back(block);
        }
    }
}
