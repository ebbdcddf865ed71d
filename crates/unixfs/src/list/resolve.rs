//! Which block does `CID/a/b` name?
//!
//! Folders are followed name by name; of a HAMT only the shards on the way are asked for. Symbolic links are not
//! followed, as Kubo does not.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use rustle_types::Cid;

use super::{Entry, ListError};
use crate::folder::NAME_BYTES_MAX;
use crate::hamt::{Place, Slot};
use crate::list::level::{inline, read_level};

/// Longest path.
const PATH_BYTES_MAX: usize = 16 * 1024;

/// A CID and the names below it, as in `/ipfs/CID/a/b`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentPath {
    /// Where it begins.
    pub root: Cid,
    /// The names of the entries, none of them empty, `.` or `..`.
    pub names: Vec<String>,
}

/// Why a text is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not begin with a CID.
    #[error("`{0}` is no CID; a path is `CID/name/name` or `/ipfs/CID/name`")]
    Cid(String),
    /// A name that leads upwards.
    #[error("`{0}` is not followed in a path; name the entry itself")]
    Upward(String),
    /// A name or the whole is too long.
    #[error("the path is too long: at most {PATH_BYTES_MAX} bytes, and {NAME_BYTES_MAX} in a name")]
    TooLong,
}

/// What comes next on a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolved {
    /// Nothing goes on without this block.
    Need(Cid),
    /// The path's end. Its block was not read; `entry` is its folder's entry, where it has one.
    Found {
        /// What the path names.
        cid: Cid,
        /// Name and size as the folder has them.
        entry: Option<Entry>,
    },
}

/// Follows a path. It needs one block after the other: `poll` names it, `supply` takes it.
#[derive(Debug)]
pub struct Resolver {
    /// The names still to go, the next one last.
    names: Vec<String>,
    folder: Cid,
    /// The block to read, which lies in `folder`, and its place where that is a HAMT.
    at: (Cid, Option<Place>),
    entry: Option<Entry>,
}

// === impl ContentPath ===

impl FromStr for ContentPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        if PATH_BYTES_MAX < text.len() {
            return Err(PathError::TooLong);
        }
        let below = ["/ipfs/", "ipfs://"]
            .iter()
            .find_map(|prefix| text.strip_prefix(prefix));
        let mut names = below.unwrap_or(text).split('/');
        let first = names.next().unwrap_or_default();
        let root = first
            .parse()
            .map_err(|_| PathError::Cid(first.chars().take(128).collect()))?;
        let names = names
            .filter(|name| !name.is_empty())
            .map(|name| match name {
                "." | ".." => Err(PathError::Upward(name.to_owned())),
                name if NAME_BYTES_MAX < name.len() => Err(PathError::TooLong),
                name => Ok(name.to_owned()),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { root, names })
    }
}

impl fmt::Display for ContentPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.root)?;
        self.names.iter().try_for_each(|name| write!(f, "/{name}"))
    }
}

// === impl Resolver ===

impl Resolver {
    /// Begins at the root of `path`.
    pub fn new(path: ContentPath) -> Self {
        let names = path.names.into_iter().rev().collect();
        Self {
            names,
            folder: path.root,
            at: (path.root, None),
            entry: None,
        }
    }

    /// Where the path ends, or the block that is missing to tell.
    pub fn poll(&mut self) -> Result<Resolved, ListError> {
        loop {
            let (cid, _) = self.at;
            if self.names.is_empty() {
                let entry = self.entry.clone();
                return Ok(Resolved::Found { cid, entry });
            }
            let Some(bytes) = inline(&cid) else {
                return Ok(Resolved::Need(cid));
            };
            self.step(bytes)?;
        }
    }

    /// Takes the block that `poll` needs; its bytes were checked against its CID.
    pub fn supply(&mut self, cid: &Cid, bytes: Bytes) -> Result<(), ListError> {
        if self.names.is_empty() || *cid != self.at.0 {
            return Err(ListError::NotAsked(*cid));
        }
        self.step(bytes)
    }

    fn step(&mut self, bytes: Bytes) -> Result<(), ListError> {
        let (cid, place) = self.at;
        let Some(name) = self.names.last() else {
            return Ok(());
        };
        let slots = read_level(cid, place, bytes)?;
        let found = slots.into_iter().find(|slot| match slot {
            Slot::Entry { name: other, .. } => other == name.as_bytes(),
            Slot::Shard(_, below) => below.leads_to(name.as_bytes()),
        });
        match found {
            Some(Slot::Shard(shard, below)) => self.at = (shard, Some(below)),
            Some(Slot::Entry { name, link }) => {
                self.names.pop();
                self.folder = link.cid;
                self.at = (link.cid, None);
                self.entry = Some(Entry {
                    name,
                    cid: link.cid,
                    tsize: link.tsize,
                });
            }
            None => {
                let (cid, name) = (self.folder, name.clone());
                return Err(ListError::NoEntry { cid, name });
            }
        }
        Ok(())
    }
}
