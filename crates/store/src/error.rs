//! What can go wrong with a store.

use rustle_types::Cid;

/// Why the store could not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The bytes on disk no longer match their CID. Fetch the block again.
    #[error("block {0} is damaged on disk; fetch it again")]
    Corrupt(Cid),
    /// No room on the disk. A store that is open answers reads meanwhile.
    #[error("the disk is full: {0}; make room in the data directory, then start again")]
    Full(String),
    /// A synced write failed earlier, so nothing more is acknowledged until a restart.
    #[error("the store has halted after a failed write: {0}; check the disk and restart the node")]
    Halted(String),
    /// The data directory belongs to another process.
    #[error("the data directory is in use by another process: {0}")]
    Busy(String),
    /// The data directory was written by another version.
    #[error("the store has format {found}, this program reads {known}; use the matching version")]
    Format {
        /// The format on disk.
        found: u32,
        /// The format of this program.
        known: u32,
    },
    /// Anything else that the disk or the engine below reports.
    #[error("store: {0}")]
    Io(String),
}
