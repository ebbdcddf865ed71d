//! JSON of files, folders and blocks.

use rustle_admin::views::{self, AddedRoots, CarImported, ContentStat, DagCount, EntryKind, ListEntry};
use rustle_types::Cid;
use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct AddedTree {
    cid: Option<String>,
    bytes: u64,
    blocks: u64,
    roots: Vec<AddedEntry>,
    pinned: bool,
}

#[derive(Serialize)]
struct AddedEntry {
    path: String,
    cid: String,
    bytes: u64,
    kind: &'static str,
}

#[derive(Serialize)]
pub(crate) struct SavedFile {
    pub(crate) cid: String,
    pub(crate) bytes: u64,
    pub(crate) file: String,
}

#[derive(Serialize)]
pub(crate) struct SavedTree {
    pub(crate) cid: String,
    pub(crate) file: String,
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
}

#[derive(Serialize)]
pub(crate) struct Listed {
    name: String,
    cid: String,
    kind: &'static str,
    bytes: Option<u64>,
    cumulative_bytes: u64,
}

#[derive(Serialize)]
pub(crate) struct Stat {
    cid: String,
    kind: &'static str,
    bytes: u64,
    cumulative_bytes: u64,
    block_bytes: u64,
    blocks: u64,
    sharded: bool,
    mode: Option<u32>,
    mtime: Option<Mtime>,
    target: Option<String>,
    codec: String,
}

#[derive(Serialize)]
struct Mtime {
    seconds: i64,
    nanos: u32,
}

#[derive(Serialize)]
pub(crate) struct ExportedCar {
    pub(crate) cid: String,
    pub(crate) blocks: u64,
    pub(crate) bytes: u64,
    pub(crate) file: String,
}

#[derive(Serialize)]
pub(crate) struct ImportedCar {
    roots: Vec<String>,
    blocks: u64,
    bytes: u64,
    pinned: bool,
}

#[derive(Serialize)]
pub(crate) struct Counted {
    cid: String,
    blocks: u64,
    bytes: u64,
}

#[derive(Serialize)]
pub(crate) struct StoredBlock {
    cid: String,
    bytes: u64,
}

#[derive(Serialize)]
pub(crate) struct Removed {
    pub(crate) removed: Vec<String>,
}

/// The name of a kind.
pub(crate) fn kind(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Unknown => "unknown",
        EntryKind::File => "file",
        EntryKind::Folder => "folder",
        EntryKind::Symlink => "symlink",
        EntryKind::Other => "other",
    }
}

/// A name or path as text: what is no UTF-8 or could upset a terminal is replaced.
pub(crate) fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

// === impl AddedTree ===

impl AddedTree {
    pub(crate) fn new(view: &AddedRoots, pinned: bool) -> Self {
        let entry = |entry: &views::AddedEntry| AddedEntry {
            path: lossy(&entry.path),
            cid: entry.cid.to_string(),
            bytes: entry.bytes,
            kind: kind(entry.kind),
        };
        Self {
            cid: view.roots.last().map(|root| root.cid.to_string()),
            bytes: view.bytes,
            blocks: view.blocks,
            roots: view.roots.iter().map(entry).collect(),
            pinned,
        }
    }
}

impl From<&ListEntry> for Listed {
    fn from(entry: &ListEntry) -> Self {
        Self {
            name: lossy(&entry.name),
            cid: entry.cid.to_string(),
            kind: kind(entry.kind),
            bytes: entry.bytes,
            cumulative_bytes: entry.tsize,
        }
    }
}

impl From<&ContentStat> for Stat {
    fn from(stat: &ContentStat) -> Self {
        let mtime = stat.metadata.mtime.map(|time| Mtime {
            seconds: time.seconds,
            nanos: time.nanos.unwrap_or(0),
        });
        Self {
            cid: stat.cid.to_string(),
            kind: kind(stat.kind),
            bytes: stat.bytes,
            cumulative_bytes: stat.tsize,
            block_bytes: stat.block_bytes,
            blocks: stat.links,
            sharded: stat.is_sharded,
            mode: stat.metadata.mode,
            mtime,
            target: (stat.kind == EntryKind::Symlink).then(|| lossy(&stat.target)),
            codec: stat.codec.clone(),
        }
    }
}

impl From<&CarImported> for ImportedCar {
    fn from(done: &CarImported) -> Self {
        Self {
            roots: done.roots.iter().map(Cid::to_string).collect(),
            blocks: done.blocks,
            bytes: done.bytes,
            pinned: done.is_pinned,
        }
    }
}

impl From<&DagCount> for Counted {
    fn from(count: &DagCount) -> Self {
        Self {
            cid: count.cid.to_string(),
            blocks: count.blocks,
            bytes: count.bytes,
        }
    }
}

impl From<&views::StoredBlock> for StoredBlock {
    fn from(block: &views::StoredBlock) -> Self {
        Self {
            cid: block.cid.to_string(),
            bytes: block.bytes,
        }
    }
}
