//! How much of the disk does the store take, and what is left?

use rustle_store::{Durability, StoreError};

use crate::{RocksStore, families};

/// Free bytes that records, chains and deletions leave: buffers that have to be flushed, and the files that describe the
/// store. RocksDB does not come back from a full disk until the store is opened again, so that it must never meet one.
const RESERVE_BYTES: u64 = 16 << 20;
/// Free bytes that new content leaves on top of that, so that chains go on, and garbage can be collected.
const CONTENT_RESERVE_BYTES: u64 = 32 << 20;

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
        let disk = rustix::fs::statvfs(&self.path).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Refuses a write of so many bytes for which the disk has no room. Nothing has been done then, and as soon as there is
    /// room the next write is taken.
    pub(crate) fn check_room(&self, bytes: usize, durability: Durability) -> Result<(), StoreError> {
        let reserve = match durability {
            Durability::Bulk => RESERVE_BYTES + CONTENT_RESERVE_BYTES,
            Durability::Buffered | Durability::Synced => RESERVE_BYTES,
        };
        // In the log and, later, in its place.
        let needed = self.pending_bytes() + 2 * bytes as u64 + reserve;
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
