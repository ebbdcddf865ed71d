//! One collection of garbage, step by step.

use bytes::Bytes;
use rustle_types::Cid;
use rustle_types::content::{CODEC_RAW, Multihash};

use super::{Collect, PAGE_ENTRIES, Swept};
use crate::{ContentStore as _, Epoch, Marked, StoreError};

/// Links of one block that are open at once; the block is read again for the next ones.
const LINKS_OPEN_MAX: usize = 1024;
/// From so many open links on, each further block opens only [`LINKS_OPEN_MIN`].
const OPEN_MAX: usize = 1 << 16;
const LINKS_OPEN_MIN: usize = 16;

/// What keeps blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// The block.
    pub cid: Cid,
    /// What of it is kept.
    pub kind: RootKind,
}

/// How much a root keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootKind {
    /// The block alone.
    Direct,
    /// The block and all below it. A block that is missing there ends the collection: what is below it is not known, and
    /// must not be swept.
    Whole,
    /// As [`RootKind::Whole`], but parts of it may never have been here.
    Partial,
}

/// Why a collection ended before its time. Nothing that is kept was removed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CollectError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A pinned block cannot be read.
    #[error(
        "block {block}, which the pin of {root} needs, is missing or damaged, and so what it keeps is not known: nothing is removed; fetch it again with `rustle pin add {root}`, or remove the pin with `rustle pin rm {root}`"
    )]
    Incomplete {
        /// The pin.
        root: Box<Cid>,
        /// The block.
        block: Box<Cid>,
    },
    /// A pinned block is here, and its links cannot be read.
    #[error(
        "the links of block {block}, which the pin of {root} needs, cannot be read, and so what it keeps is not known: nothing is removed; remove the pin with `rustle pin rm {root}`"
    )]
    Unreadable {
        /// The pin.
        root: Box<Cid>,
        /// The block.
        block: Box<Cid>,
    },
    /// A block that a chain needs is damaged.
    #[error(
        "block {block}, which a chain needs, is damaged, and so what it keeps is not known: nothing is removed; fetch it again from another member with `rustle block get {block}`"
    )]
    Damaged {
        /// The block.
        block: Box<Cid>,
    },
}

/// Which part of a collection is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Looking for what is kept.
    Mark,
    /// Removing the rest.
    Sweep,
    /// Nothing is left to do.
    Done,
}

/// How far a collection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Blocks that were found to be kept.
    pub marked: u64,
    /// Blocks that the sweep has looked at.
    pub seen: u64,
    /// What was removed.
    pub swept: Swept,
}

/// Reads the links of a block; `None` where they cannot be read.
pub type Links<'a> = &'a dyn Fn(&Cid, Bytes) -> Option<Vec<Cid>>;

/// A collection under way. Dropping it ends it; what it has marked says nothing to the next one.
#[derive(Debug)]
pub struct Collector<S> {
    store: S,
    epoch: Epoch,
    /// What is put in this epoch or later stays.
    before: Epoch,
    phase: Phase,
    open: Vec<Open>,
    root: Option<Root>,
    next: Vec<u8>,
    progress: Progress,
}

/// Something that is still to be followed.
#[derive(Debug, Clone, Copy)]
enum Open {
    Block(Cid),
    /// The links of the block from this one on.
    Links(Cid, usize),
}

// === impl Collector ===

impl<S: std::ops::Deref<Target: Collect>> Collector<S> {
    /// Begins a collection. `guards` gives the earliest epoch that somebody has taken who is still at work; it is asked
    /// after the collection has begun.
    pub fn begin(store: S, guards: impl FnOnce() -> Option<Epoch>) -> Result<Self, StoreError> {
        let epoch = store.begin_epoch(true)?;
        let before = guards().map_or(epoch, |guard| guard.min(epoch));
        Ok(Self {
            store,
            epoch,
            before,
            phase: Phase::Mark,
            open: Vec::new(),
            root: None,
            next: Vec::new(),
            progress: Progress::default(),
        })
    }

    /// Marks what a root keeps: call [`Collector::mark_step`] until it has nothing more to do, then give the next root.
    /// Roots are to be read after the collection has begun, and the partial ones given last: what one of them does not
    /// miss, no other root asks for again.
    pub fn keep(&mut self, root: Root) {
        self.open.push(Open::Block(root.cid));
        self.root = Some(root);
    }

    /// Marks what many roots of one kind keep; as [`Collector::keep`] otherwise. `first` names them in an error.
    pub fn keep_all(&mut self, first: Root, others: impl IntoIterator<Item = Cid>) {
        self.keep(first);
        self.open.extend(others.into_iter().map(Open::Block));
    }

    /// Follows some links of the root. Gives whether there are more.
    pub fn mark_step(&mut self, links: Links<'_>) -> Result<bool, CollectError> {
        let Some(root) = self.root.clone() else {
            return Ok(false);
        };
        let mut blocks = Vec::new();
        while blocks.len() < PAGE_ENTRIES {
            match self.open.pop() {
                // The block alone is kept as a leaf is; its links are still to be followed if another root leads to it.
                Some(Open::Block(cid)) if root.kind == RootKind::Direct => {
                    blocks.push(Cid::new_v1(CODEC_RAW, *cid.hash()));
                }
                Some(Open::Block(cid)) => blocks.push(cid),
                Some(Open::Links(cid, from)) => self.open_links(&root, cid, from, links)?,
                None => break,
            }
        }
        let marks = self.store.mark(self.epoch, &blocks)?;
        for (cid, marked) in blocks.into_iter().zip(marks) {
            match marked {
                Marked::Missing if root.kind == RootKind::Partial => {}
                Marked::Missing => return Err(incomplete(&root, cid)),
                Marked::Again => self.progress.marked += 1,
                Marked::First => {
                    self.progress.marked += 1;
                    self.open.push(Open::Links(cid, 0));
                }
            }
        }
        if self.open.is_empty() {
            self.root = None;
        }
        Ok(self.root.is_some())
    }

    fn open_links(
        &mut self,
        root: &Root,
        cid: Cid,
        from: usize,
        links: Links<'_>,
    ) -> Result<(), CollectError> {
        let bytes = match self.store.get_verified(&cid) {
            Ok(Some(bytes)) => bytes,
            // It was removed since it was marked, as what was never here.
            Ok(None) if root.kind == RootKind::Partial => return Ok(()),
            // What it links to is kept as well, and nobody can say what that is until it was fetched again.
            Err(StoreError::Corrupt(_)) if root.kind == RootKind::Partial => {
                let block = Box::new(cid);
                return Err(CollectError::Damaged { block });
            }
            Ok(None) | Err(StoreError::Corrupt(_)) => return Err(incomplete(root, cid)),
            Err(error) => return Err(error.into()),
        };
        let few = self.open.len() >= OPEN_MAX;
        let count = if few { LINKS_OPEN_MIN } else { LINKS_OPEN_MAX };
        let all = match links(&cid, bytes) {
            Some(all) => all,
            // What a chain names need not be what its CID says; nobody has walked it, and nobody could.
            None if root.kind == RootKind::Partial => Vec::new(),
            None => {
                let (root, block) = (Box::new(root.cid), Box::new(cid));
                return Err(CollectError::Unreadable { root, block });
            }
        };
        let end = all.len().min(from + count);
        if end < all.len() {
            self.open.push(Open::Links(cid, end));
        }
        let part = all.get(from..end).unwrap_or_default();
        self.open.extend(part.iter().rev().copied().map(Open::Block));
        Ok(())
    }

    /// All roots were given: removes some blocks that are not kept. Gives whether there may be more.
    pub fn sweep_step(&mut self) -> Result<bool, CollectError> {
        self.phase = Phase::Sweep;
        let entries = self.store.entries(&self.next, PAGE_ENTRIES)?;
        self.progress.seen += entries.len() as u64;
        match entries.last() {
            Some((last, _)) if entries.len() == PAGE_ENTRIES => {
                self.next = last.to_bytes();
                self.next.push(0);
            }
            _ => self.phase = Phase::Done,
        }
        let old: Vec<Multihash> = entries
            .iter()
            .filter(|(_, entry)| entry.epoch < self.before)
            .map(|(hash, _)| *hash)
            .collect();
        if !old.is_empty() {
            let swept = self.store.sweep(self.before, &old)?;
            self.progress.swept.blocks += swept.blocks;
            self.progress.swept.bytes += swept.bytes;
        }
        Ok(self.phase != Phase::Done)
    }

    /// Which part is under way.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// How far it has come.
    pub fn progress(&self) -> Progress {
        self.progress
    }
}

fn incomplete(root: &Root, block: Cid) -> CollectError {
    CollectError::Incomplete {
        root: Box::new(root.cid),
        block: Box::new(block),
    }
}
