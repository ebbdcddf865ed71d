//! What does an error of RocksDB mean for the caller?
//!
//! RocksDB hands its errors over as text. What is matched here is the part that its own sources write
//! (`env/fs_posix.cc`, `env/io_posix.cc`) and the C locale's text of the error number.

use std::path::Path;

use rocksdb::{Error, ErrorKind};
use rustle_store::StoreError;
use rustle_types::Cid;

/// Why a directory could not be opened.
pub(crate) fn on_open(path: &Path, error: &Error) -> StoreError {
    let text: &str = error.as_ref();
    // The first comes within one process, the second from another one.
    let held = text.contains("lock hold by current process")
        || (text.contains("While lock file") && text.contains("Resource temporarily unavailable"));
    if held {
        return StoreError::Busy(path.display().to_string());
    }
    if is_full(text) {
        StoreError::Full(text.to_owned())
    } else {
        StoreError::Io(text.to_owned())
    }
}

/// Why a block could not be read: a failed checksum of RocksDB is damage that the block's own hash would find too.
pub(crate) fn on_block(cid: &Cid, error: &Error) -> StoreError {
    match error.kind() {
        ErrorKind::Corruption => StoreError::Corrupt(*cid),
        _ => on_read(error),
    }
}

/// Why a record could not be read.
pub(crate) fn on_read(error: &Error) -> StoreError {
    StoreError::Io(error.to_string())
}

/// What a failed write is to the caller whose batch it was.
pub(crate) fn on_write(text: &str) -> StoreError {
    if is_full(text) {
        StoreError::Full(text.to_owned())
    } else {
        StoreError::Halted(text.to_owned())
    }
}

fn is_full(text: &str) -> bool {
    text.contains("No space left on device") || text.contains("Disk quota exceeded")
}
