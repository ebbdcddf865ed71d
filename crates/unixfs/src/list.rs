//! What is in a folder, however large it is?
//!
//! Shards are opened in their order, and the entries of one come out before the next is opened. What waits is one
//! node's links for each level, so a folder of any size is listed in bounded memory.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use rustle_types::Cid;

use crate::hamt::{Place, Slot};
use level::read_level;

mod error;
mod level;
mod resolve;
mod stat;
#[cfg(test)]
mod tests;

pub use error::ListError;
pub use resolve::{ContentPath, PathError, Resolved, Resolver};
pub use stat::{Stat, StatKind};

/// Shards that are wanted or held ahead at once.
pub const LIST_WINDOW_BLOCKS_MAX: usize = 32;

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name: never empty, `.` or `..`, without slash and zero byte. Usually UTF-8, as file names are.
    pub name: Bytes,
    /// Its root.
    pub cid: Cid,
    /// Bytes of all its blocks, as the folder says; nothing checks it.
    pub tsize: u64,
}

/// What comes next in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    /// The next entry.
    Entry(Entry),
    /// Nothing goes on without this block.
    Need(Cid),
    /// All entries were given.
    Done,
}

/// Lists one folder. Entries of a plain folder come as they stand in it, which is by name; those of a HAMT by hash.
///
/// Drive it as a [`crate::Reader`]: `wants` names blocks to fetch, `supply` takes them in any order, `poll` gives.
#[derive(Debug)]
pub struct Lister {
    pieces: VecDeque<Piece>,
    /// Blocks that were asked for, and those that came.
    slots: HashMap<Cid, Option<Bytes>>,
    failed: Option<ListError>,
}

#[derive(Debug)]
enum Piece {
    Entry(Entry),
    /// A node that is not open yet; the root has no place.
    Node(Cid, Option<Place>),
}

// === impl Lister ===

impl Lister {
    /// Lists the folder `root`.
    pub fn new(root: Cid) -> Self {
        Self {
            pieces: VecDeque::from([Piece::Node(root, None)]),
            slots: HashMap::new(),
            failed: None,
        }
    }

    /// Blocks to fetch now, at most [`LIST_WINDOW_BLOCKS_MAX`] ahead, each named once.
    pub fn wants(&mut self) -> Vec<Cid> {
        let mut wants = Vec::new();
        let nodes = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Node(cid, _) => Some(cid),
            Piece::Entry(_) => None,
        });
        for (ahead, cid) in nodes.enumerate() {
            // The next node has a place in any case: those of its siblings may be all taken.
            if ahead > 0 && LIST_WINDOW_BLOCKS_MAX <= self.slots.len() {
                break;
            }
            if level::inline(cid).is_none() && !self.slots.contains_key(cid) {
                self.slots.insert(*cid, None);
                wants.push(*cid);
            }
        }
        wants
    }

    /// Takes a block whose bytes were checked against its CID.
    pub fn supply(&mut self, cid: &Cid, bytes: Bytes) -> Result<(), ListError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let slot = self.slots.get_mut(cid).ok_or(ListError::NotAsked(*cid))?;
        *slot = Some(bytes);
        Ok(())
    }

    /// The next entry, or what is missing for it. After an error nothing more comes.
    pub fn poll(&mut self) -> Result<Listed, ListError> {
        loop {
            if let Some(error) = &self.failed {
                return Err(error.clone());
            }
            match self.pieces.pop_front() {
                None => return Ok(Listed::Done),
                Some(Piece::Entry(entry)) => return Ok(Listed::Entry(entry)),
                Some(Piece::Node(cid, place)) => {
                    let arrived = self.slots.get_mut(&cid).and_then(Option::take);
                    let Some(bytes) = level::inline(&cid).or(arrived) else {
                        self.pieces.push_front(Piece::Node(cid, place));
                        return Ok(Listed::Need(cid));
                    };
                    self.slots.remove(&cid);
                    self.open(cid, place, bytes);
                }
            }
        }
    }

    /// Puts what is in a node to the front.
    fn open(&mut self, cid: Cid, place: Option<Place>, bytes: Bytes) {
        match read_level(cid, place, bytes) {
            Ok(slots) => {
                for slot in slots.into_iter().rev() {
                    self.pieces.push_front(slot.into());
                }
            }
            Err(error) => {
                self.pieces.clear();
                self.slots.clear();
                self.failed = Some(error);
            }
        }
    }
}

// === impl Piece ===

impl From<Slot> for Piece {
    fn from(slot: Slot) -> Self {
        match slot {
            Slot::Entry { name, link } => Self::Entry(Entry {
                name,
                cid: link.cid,
                tsize: link.tsize,
            }),
            Slot::Shard(cid, place) => Self::Node(cid, Some(place)),
        }
    }
}
