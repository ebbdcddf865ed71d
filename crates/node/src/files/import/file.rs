//! How does one file become blocks on all cores?

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use rustle_admin::Fault;
use rustle_unixfs::{Block, ImportProfile, Leaf, Linked, Metadata, Tree, make_leaf};
use tokio::task::JoinHandle;

use crate::faults;
use crate::files::intake::Intake;

/// Chunks that are hashed at the same time.
const HASHING_MAX: usize = 8;
/// A chunk of at most so many bytes is hashed at once: handing it to another thread costs more.
const HASHED_HERE_MAX: usize = 16 * 1024;

/// A chunk on its way to become a block.
enum Hashing {
    Done(Box<(Leaf, Block)>),
    There(JoinHandle<(Leaf, Block)>),
}

/// A file under way.
pub(super) struct FileImport {
    profile: ImportProfile,
    tree: Tree,
    /// Less than a chunk.
    rest: BytesMut,
    hashing: VecDeque<Hashing>,
    /// Whether the root of a file with one chunk is another block than its leaf: then it has metadata.
    replaces_only_leaf: bool,
    /// The first leaf, while it may be replaced so.
    held: Option<Block>,
    leaves: u64,
    bytes: u64,
}

// === impl FileImport ===

impl FileImport {
    pub(super) fn new(profile: ImportProfile, metadata: Metadata) -> Self {
        let profile = profile.for_metadata(&metadata);
        Self {
            profile,
            tree: Tree::with_metadata(profile, metadata),
            rest: BytesMut::new(),
            hashing: VecDeque::new(),
            replaces_only_leaf: !metadata.is_empty(),
            held: None,
            leaves: 0,
            bytes: 0,
        }
    }

    /// Takes the next bytes. Whole chunks in one piece are not copied.
    pub(super) async fn push(&mut self, mut piece: Bytes, intake: &mut Intake) -> Result<(), Fault> {
        self.bytes += piece.len() as u64;
        let chunk_bytes = self.profile.chunk_bytes();
        while !piece.is_empty() {
            if self.rest.is_empty() && chunk_bytes <= piece.len() {
                self.hash(piece.split_to(chunk_bytes), intake).await?;
                continue;
            }
            let room = chunk_bytes - self.rest.len();
            self.rest
                .extend_from_slice(&piece.split_to(room.min(piece.len())));
            if self.rest.len() == chunk_bytes {
                let chunk = self.rest.split().freeze();
                self.hash(chunk, intake).await?;
            }
        }
        Ok(())
    }

    /// Ends the file; gives its root and its bytes.
    pub(super) async fn finish(mut self, intake: &mut Intake) -> Result<(Linked, u64), Fault> {
        if !self.rest.is_empty() || self.bytes == 0 {
            let chunk = self.rest.split().freeze();
            self.hash(chunk, intake).await?;
        }
        while !self.hashing.is_empty() {
            self.hashed(intake).await?;
        }
        let finished = self.tree.finish_linked();
        let finished = finished.ok_or_else(|| faults::internal(&"a file without chunks"))?;
        keep_nodes(&mut self.tree, intake).await?;
        Ok(finished)
    }

    async fn hash(&mut self, chunk: Bytes, intake: &mut Intake) -> Result<(), Fault> {
        if HASHING_MAX <= self.hashing.len() {
            self.hashed(intake).await?;
        }
        let profile = self.profile;
        self.hashing.push_back(if chunk.len() <= HASHED_HERE_MAX {
            Hashing::Done(Box::new(make_leaf(&profile, chunk)))
        } else {
            Hashing::There(tokio::task::spawn_blocking(move || make_leaf(&profile, chunk)))
        });
        Ok(())
    }

    /// Takes the oldest chunk that is being hashed.
    async fn hashed(&mut self, intake: &mut Intake) -> Result<(), Fault> {
        let (leaf, block) = match self.hashing.pop_front() {
            None => return Ok(()),
            Some(Hashing::Done(made)) => *made,
            Some(Hashing::There(task)) => task.await.map_err(|error| faults::internal(&error))?,
        };
        self.tree.push(leaf);
        self.leaves += 1;
        if self.replaces_only_leaf && self.leaves == 1 {
            self.held = Some(block);
            return Ok(());
        }
        if let Some(first) = self.held.take() {
            intake.put(first.cid, first.bytes).await?;
        }
        intake.put(block.cid, block.bytes).await?;
        keep_nodes(&mut self.tree, intake).await
    }
}

async fn keep_nodes(tree: &mut Tree, intake: &mut Intake) -> Result<(), Fault> {
    while let Some(block) = tree.poll_block() {
        intake.put(block.cid, block.bytes).await?;
    }
    Ok(())
}
