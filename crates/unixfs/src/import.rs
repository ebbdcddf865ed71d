//! How does a stream of bytes become the blocks of a file in bounded memory?

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use rustle_types::Cid;

use crate::profile::ImportProfile;
use crate::tree::{Block, Tree, make_leaf};

/// Cuts a file into blocks. Feed it, and drain `poll_block` after each portion.
///
/// Between two portions it holds less than one chunk, and the links of the open nodes.
#[derive(Debug)]
pub struct Importer {
    profile: ImportProfile,
    chunk: BytesMut,
    tree: Tree,
    blocks: VecDeque<Block>,
    given: u64,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// The file's CID.
    pub root: Cid,
    /// Bytes of the file.
    pub bytes: u64,
    /// Blocks made; equal chunks count each time.
    pub blocks: u64,
}

// === impl Importer ===

impl Importer {
    /// An importer for one file after the other.
    pub fn new(profile: ImportProfile) -> Self {
        let (chunk, tree) = (BytesMut::new(), Tree::new(profile));
        Self {
            profile,
            chunk,
            tree,
            blocks: VecDeque::new(),
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
        let (root, bytes) = match self.tree.finish() {
            Some(finished) => finished,
            None => {
                self.add_chunk(Bytes::new());
                self.tree.finish().expect("the empty file has one leaf")
            }
        };
        self.drain_tree();
        Imported {
            root,
            bytes,
            blocks: std::mem::take(&mut self.given),
        }
    }

    /// The next finished block; children always come before the nodes that link to them.
    pub fn poll_block(&mut self) -> Option<Block> {
        self.blocks.pop_front()
    }

    fn add_chunk(&mut self, chunk: Bytes) {
        let (leaf, block) = make_leaf(&self.profile, chunk);
        self.given += 1;
        self.blocks.push_back(block);
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
