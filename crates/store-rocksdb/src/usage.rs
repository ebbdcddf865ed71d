//! How much of the disk does the store take, and what is left?

use rustle_store::StoreError;

use crate::{RocksStore, families};

/// Free bytes that everybody leaves: buffers that have to be flushed, and the files that describe the store. RocksDB does
/// not come back from a full disk until the store is opened again, so that it must never meet one.
const RESERVE_BYTES: u64 = 8 << 20;
/// Free bytes that records and chains leave, so that garbage can be collected.
const RECORDS_RESERVE_BYTES: u64 = 16 << 20;
/// Free bytes that new content leaves, so that chains go on.
const CONTENT_RESERVE_BYTES: u64 = 48 << 20;
/// With less room than this beside the reserve, the next batch of content may be refused.
const CONTENT_BATCH_BYTES: u64 = 16 << 20;
/// Bytes in memory from which on a flush may give room: less is what empty buffers take.
const FLUSH_BYTES_MIN: u64 = 2 << 20;

/// What a write is for, which says how much of the disk it leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Content.
    Content,
    /// Pins, chains and all other records.
    Records,
    /// Removals, and the marks that come before them: they make room.
    Room,
}

// === impl Purpose ===

impl Purpose {
    const fn reserve(self) -> u64 {
        match self {
            Self::Content => CONTENT_RESERVE_BYTES,
            Self::Records => RECORDS_RESERVE_BYTES,
            Self::Room => RESERVE_BYTES,
        }
    }
}

// === impl RocksStore ===

impl RocksStore {
    /// Bytes of all files of the store, with its log and what garbage collection has not yet taken.
    pub fn disk_bytes(&self) -> Result<u64, StoreError> {
        let io = |error: std::io::Error| StoreError::Io(format!("{}: {error}", self.path.display()));
        let mut sum = 0;
        for entry in std::fs::read_dir(&self.path).map_err(io)? {
            match entry.and_then(|entry| entry.metadata()) {
                Ok(metadata) if metadata.is_file() => sum += metadata.len(),
                Ok(_) => {}
                // A compaction removes files meanwhile.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(io(error)),
            }
        }
        Ok(sum)
    }

    /// Bytes that this user may still write to the disk of the store; `None` where the system does not tell.
    pub fn free_bytes(&self) -> Option<u64> {
        #[cfg(test)]
        if let Some(free) = *self.free.lock() {
            return Some(free);
        }
        let disk = rustix::fs::statvfs(&self.path).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Refuses a write of so many bytes for which the disk has no room. Nothing has been done then, and as soon as there is
    /// room the next write is taken.
    pub(crate) fn check_room(&self, bytes: usize, purpose: Purpose) -> Result<(), StoreError> {
        // In the log and, later, in its place.
        self.need(self.pending_bytes() + 2 * bytes as u64 + purpose.reserve())
    }

    /// Whether content is taken, or has to wait for room on the disk.
    pub(crate) fn check_content_room(&self) -> Result<(), StoreError> {
        self.need(CONTENT_RESERVE_BYTES + CONTENT_BATCH_BYTES)
    }

    /// Whether a flush gives room, and has the room that it needs itself.
    pub(crate) fn is_flush_worthwhile(&self) -> bool {
        let pending = self.pending_bytes();
        FLUSH_BYTES_MIN <= pending
            && self
                .free_bytes()
                .is_none_or(|free| pending + FLUSH_BYTES_MIN <= free)
    }

    fn need(&self, needed: u64) -> Result<(), StoreError> {
        match self.free_bytes() {
            Some(free) if free < needed => Err(StoreError::Full(format!(
                "{free} bytes are free, and {needed} are needed with those that are kept in reserve"
            ))),
            // Where the system does not tell, the disk itself does.
            _ => Ok(()),
        }
    }

    /// Whether the disk has room for so many more bytes beside the reserve.
    pub(crate) fn has_room_for(&self, bytes: u64) -> bool {
        self.free_bytes().is_none_or(|free| RESERVE_BYTES + bytes <= free)
    }

    /// Bytes of blocks and their index in memory, which a flush writes to the disk.
    pub fn pending_bytes(&self) -> u64 {
        let of = |name| {
            let family = families::handle(&self.db, name);
            let value = self
                .db
                .property_int_value_cf(family, "rocksdb.cur-size-all-mem-tables");
            // An open database knows the size of its buffers.
            value.ok().flatten().unwrap_or(0)
        };
        of(families::BLOCKS) + of(families::INDEX)
    }
}
