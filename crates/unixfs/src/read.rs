//! Which block does a reader need next, and which bytes come next?
//!
//! The file is a list of pieces in file order, at first only the root. When a node arrives, its piece becomes the
//! pieces of its children; when a leaf at the front arrives, its bytes come out. Sizes that a node declares for its
//! children are held against what the children turn out to be, so the size of the root bounds the whole work: a
//! piece of no bytes is never fetched, and no depth beyond [`DEPTH_MAX`] is followed.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;

use bytes::Bytes;
use rustle_types::Cid;
use rustle_types::content::HASH_IDENTITY;
use rustle_types::limits::CONTENT_BLOCK_BYTES_MAX;

use crate::protobuf::DecodeError;
use node::{Content, read_block};

mod node;
#[cfg(test)]
mod tests;

/// Deepest tree that is followed; Kubo's own stay below 6.
pub const DEPTH_MAX: usize = 64;
/// Links that are held at once, about 30 MiB.
pub const PENDING_LINKS_MAX: usize = 262_144;
/// Blocks that are wanted or held ahead at once, whatever their size.
pub const WINDOW_BLOCKS_MAX: usize = 1024;
/// Bytes of blocks that are held ahead at once. Sizes that nodes declare may be too small, so this counts what came.
pub const HELD_BYTES_MAX: usize = 32 * 1024 * 1024;
/// The window is filled again when so small a part of it was given.
const LOOKS_PER_WINDOW: usize = 8;

/// Why a file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The root is a folder.
    #[error("{0} is a directory; name a file in it")]
    IsDirectory(Cid),
    /// The root is a symbolic link.
    #[error("{cid} is a symbolic link to `{target}`; read its target")]
    IsSymlink {
        /// The link.
        cid: Cid,
        /// Where it leads, at most 256 characters of it.
        target: String,
    },
    /// A block that no file has.
    #[error("{cid} is no part of a file ({what})")]
    NotAFile {
        /// The block.
        cid: Cid,
        /// What it is.
        what: &'static str,
    },
    /// A block that cannot be decoded.
    #[error("{cid} is damaged: {error}")]
    Malformed {
        /// The block.
        cid: Cid,
        /// Where decoding ended.
        error: Box<DecodeError>,
    },
    /// A node contradicts its parent or itself.
    #[error("{cid} says it holds {declared} bytes of the file, but holds {found}")]
    WrongSize {
        /// The block.
        cid: Cid,
        /// What its parent or its own header says.
        declared: u64,
        /// What it holds.
        found: u64,
    },
    /// A node has not one size for each link.
    #[error("{cid} has {links} links and {sizes} block sizes")]
    Unpaired {
        /// The block.
        cid: Cid,
        /// Its links.
        links: usize,
        /// Its block sizes.
        sizes: usize,
    },
    /// The tree is deeper than [`DEPTH_MAX`].
    #[error("the tree is deeper than {DEPTH_MAX} levels at {0}")]
    TooDeep(Cid),
    /// More links than [`PENDING_LINKS_MAX`] would be held.
    #[error("the tree has more than {PENDING_LINKS_MAX} open links at {0}")]
    TooWide(Cid),
    /// A block was supplied that the reader did not ask for.
    #[error("{0} was not asked for")]
    NotAsked(Cid),
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The next bytes of the file, never empty.
    Bytes(Bytes),
    /// Nothing goes on without this block.
    Need(Cid),
    /// All bytes were given.
    Done,
}

/// Reads one file, or a range of it.
///
/// Drive it so: give what `wants` names to the exchange, hand each block to `supply`, take bytes from `poll`. After an
/// error the reader gives nothing more.
#[derive(Debug)]
pub struct Reader {
    range: Range<u64>,
    size: Option<u64>,
    pieces: VecDeque<Piece>,
    slots: HashMap<Cid, Slot>,
    /// Bytes of all blocks in `slots`.
    held: usize,
    look: Look,
    failed: Option<ReadError>,
}

/// What has happened since `wants` looked at all pieces of its window.
#[derive(Debug, Default)]
struct Look {
    /// With how many bytes ahead it did; `None` before the first time, and where there is something new to see.
    window_bytes: Option<u64>,
    /// Pieces that were given since, and their bytes.
    given: usize,
    given_bytes: u64,
}

/// A part of the file that was not given yet.
#[derive(Debug)]
struct Piece {
    body: Body,
    /// Where in the file it begins.
    offset: u64,
    /// Bytes of the file in it; unknown only for the root.
    size: Option<u64>,
    depth: usize,
}

#[derive(Debug)]
enum Body {
    /// A block, and whether `wants` has named it.
    Block(Cid, bool),
    /// Bytes that stood inside a node.
    Inline(Bytes),
}

/// A block that was asked for.
#[derive(Debug)]
struct Slot {
    /// Pieces that wait for it: equal chunks share a block.
    uses: usize,
    content: Option<Content>,
    /// Bytes of the block.
    bytes: usize,
}

// === impl Reader ===

impl Reader {
    /// Reads the whole file.
    pub fn new(root: Cid) -> Self {
        Self::with_range(root, 0, None)
    }

    /// Reads `length` bytes from `offset` on, or all to the end. A range behind the end is empty.
    pub fn with_range(root: Cid, offset: u64, length: Option<u64>) -> Self {
        let end = length.map_or(u64::MAX, |length| offset.saturating_add(length));
        let piece = Piece {
            body: Body::Block(root, false),
            offset: 0,
            size: None,
            depth: 0,
        };
        let pieces = VecDeque::from([piece]);
        Self {
            range: offset..end,
            size: None,
            pieces,
            slots: HashMap::new(),
            held: 0,
            look: Look::default(),
            failed: None,
        }
    }

    /// Bytes of the whole file, known once the root has come.
    pub const fn size(&self) -> Option<u64> {
        self.size
    }

    /// Blocks to fetch now, in the order in which they will be needed, each named once.
    ///
    /// Looks ahead as far as `window_bytes` of blocks, but at least to the next one; a node counts as one block of at
    /// most 2 MiB. That is also what the reader holds at most.
    pub fn wants(&mut self, window_bytes: u64) -> Vec<Cid> {
        if !self.is_look_due(window_bytes) {
            return Vec::new();
        }
        self.look = Look {
            window_bytes: Some(window_bytes),
            ..Look::default()
        };
        let (mut wants, mut left, mut index) = (Vec::new(), window_bytes, 0);
        while self.failed.is_none() && index < self.pieces.len().min(WINDOW_BLOCKS_MAX) {
            if self.open(index) {
                continue;
            }
            let piece = &mut self.pieces[index];
            let cost = piece.size.unwrap_or(0).min(CONTENT_BLOCK_BYTES_MAX as u64);
            if index > 0 && left < cost {
                break;
            }
            left = left.saturating_sub(cost);
            index += 1;
            if let Body::Block(cid, named @ false) = &mut piece.body {
                *named = true;
                let slot = self.slots.entry(*cid).or_insert(Slot {
                    uses: 0,
                    content: None,
                    bytes: 0,
                });
                slot.uses += 1;
                if slot.uses == 1 {
                    wants.push(*cid);
                }
            }
        }
        wants
    }

    /// Whether enough has happened that a look at the whole window is worth while: of a file in small blocks it would cost
    /// more than all else if it were taken for each of them.
    fn is_look_due(&self, window_bytes: u64) -> bool {
        let look = &self.look;
        let is_next_unnamed = matches!(
            self.pieces.front(),
            Some(Piece {
                body: Body::Block(_, false),
                ..
            })
        );
        is_next_unnamed
            || look.window_bytes.is_none_or(|known| known < window_bytes)
            || WINDOW_BLOCKS_MAX / LOOKS_PER_WINDOW <= look.given
            || window_bytes / LOOKS_PER_WINDOW as u64 <= look.given_bytes
    }

    /// Takes a block whose bytes were checked against its CID.
    ///
    /// Beyond [`HELD_BYTES_MAX`] only the next one is kept; `poll` names the others again when their turn comes.
    pub fn supply(&mut self, cid: &Cid, bytes: Bytes) -> Result<(), ReadError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let is_next =
            matches!(self.pieces.front(), Some(Piece { body: Body::Block(next, _), .. }) if next == cid);
        let Some(slot) = self.slots.get_mut(cid) else {
            return Err(ReadError::NotAsked(*cid));
        };
        let length = bytes.len();
        if slot.content.is_some() || (!is_next && HELD_BYTES_MAX < self.held + length) {
            return Ok(());
        }
        match read_block(cid, bytes) {
            Ok(content) => {
                if !content.children.is_empty() {
                    self.look.window_bytes = None;
                }
                slot.content = Some(content);
                slot.bytes = length;
                self.held += length;
                Ok(())
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    /// The next bytes, or what is missing for them.
    pub fn poll(&mut self) -> Result<Progress, ReadError> {
        loop {
            if let Some(error) = &self.failed {
                return Err(error.clone());
            }
            if self.open(0) {
                continue;
            }
            let Some(piece) = self.pieces.front() else {
                return Ok(Progress::Done);
            };
            match &piece.body {
                Body::Block(cid, _) => return Ok(Progress::Need(*cid)),
                Body::Inline(bytes) => {
                    let bytes = within(bytes, piece.offset, &self.range);
                    self.pieces.pop_front();
                    self.look.given += 1;
                    self.look.given_bytes += bytes.len() as u64;
                    if !bytes.is_empty() {
                        return Ok(Progress::Bytes(bytes));
                    }
                }
            }
        }
    }

    /// Replaces the piece at `index` by what its block holds, where the block is there.
    fn open(&mut self, index: usize) -> bool {
        let Some(Piece {
            body: Body::Block(cid, named),
            ..
        }) = self.pieces.get(index)
        else {
            return false;
        };
        let (cid, named) = (*cid, *named);
        let content = if cid.hash().code() == HASH_IDENTITY {
            // The CID is the block, so it is never asked for.
            read_block(&cid, Bytes::copy_from_slice(cid.hash().digest()))
        } else {
            let Some(slot) = self
                .slots
                .get_mut(&cid)
                .filter(|slot| named && slot.content.is_some())
            else {
                return false;
            };
            slot.uses -= 1;
            let content = if slot.uses == 0 {
                self.held -= slot.bytes;
                self.slots.remove(&cid).and_then(|slot| slot.content)
            } else {
                slot.content.clone()
            };
            content.ok_or(ReadError::NotAsked(cid))
        };
        if let Err(error) = content.and_then(|content| self.expand(index, cid, content)) {
            self.fail(error);
        }
        true
    }

    /// Puts the parts of `content` in the place of the piece at `index`.
    fn expand(&mut self, index: usize, cid: Cid, content: Content) -> Result<(), ReadError> {
        let found = content.size();
        let Some(piece) = self.pieces.get(index) else {
            return Ok(());
        };
        let (depth, mut offset) = (piece.depth + 1, piece.offset);
        match piece.size {
            Some(declared) if declared != found => {
                return Err(ReadError::WrongSize { cid, declared, found });
            }
            Some(_) => {}
            None => self.size = Some(found),
        }
        if !content.children.is_empty() && DEPTH_MAX < depth {
            return Err(ReadError::TooDeep(cid));
        }
        let inline = Some((content.data.len() as u64, Body::Inline(content.data)));
        let below = content
            .children
            .into_iter()
            .map(|(cid, size)| (size, Body::Block(cid, false)));
        let range = self.range.clone();
        let parts: Vec<Piece> = inline
            .into_iter()
            .chain(below)
            .filter_map(|(size, body)| {
                let from = offset;
                offset += size;
                let wanted = size > 0 && from < range.end && range.start < offset;
                wanted.then_some(Piece {
                    body,
                    offset: from,
                    size: Some(size),
                    depth,
                })
            })
            .collect();
        if PENDING_LINKS_MAX < self.pieces.len() + parts.len() {
            return Err(ReadError::TooWide(cid));
        }
        let later = self.pieces.split_off(index + 1);
        self.pieces.pop_back();
        self.pieces.extend(parts);
        self.pieces.extend(later);
        Ok(())
    }

    fn fail(&mut self, error: ReadError) -> ReadError {
        self.pieces.clear();
        self.slots.clear();
        self.failed.insert(error).clone()
    }
}

/// The part of `bytes`, which begin at `offset` of the file, that lies in `range`.
fn within(bytes: &Bytes, offset: u64, range: &Range<u64>) -> Bytes {
    let length = bytes.len() as u64;
    let from = range.start.saturating_sub(offset).min(length);
    let to = range.end.saturating_sub(offset).min(length).max(from);
    // Both are at most the length of a slice in memory.
    bytes.slice(from as usize..to as usize)
}
