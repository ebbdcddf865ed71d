//! What can go wrong with a store.

use rustle_types::Cid;

/// Why the store could not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The bytes on disk no longer match their CID. Fetch the block again.
    #[error("block {0} is damaged on disk; fetch it again")]
    Corrupt(Cid),
    /// No room on the disk. A store that is open answers reads meanwhile, and takes writes again once there is room.
    #[error("the disk is full: {0}; make room on the disk of the data directory")]
    Full(String),
    /// The store holds as much content as it may, and none of it is garbage. Chains go on.
    #[error(
        "the store takes {used} bytes of the disk, its quota is {quota}, and nothing in it can be freed; unpin something (`rustle pin rm`), or raise `quota_bytes` in [store]"
    )]
    Quota {
        /// Bytes on disk.
        used: u64,
        /// The bound.
        quota: u64,
    },
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
