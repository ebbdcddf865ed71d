//! What does an error of RocksDB mean for the caller?
//!
//! RocksDB hands its errors over as text. What is matched here is the part that its own sources write
//! (`env/fs_posix.cc`, `env/io_posix.cc`) and the C locale's text of the error number.

use std::io;
use std::path::Path;

use rocksdb::{Error, ErrorKind};
use rustle_store::StoreError;
use rustle_types::Cid;

/// Why a directory could not be opened.
pub(crate) fn on_open(path: &Path, error: &Error) -> StoreError {
    let text = one_line(error.as_ref());
    // The first comes within one process, the second from another one.
    let held = text.contains("lock hold by current process")
        || (text.contains("While lock file") && text.contains("Resource temporarily unavailable"));
    if held {
        return StoreError::Busy(path.display().to_string());
    }
    if is_full(&text) {
        StoreError::Full(text)
    } else if is_damage(error) {
        damaged(path, &text)
    } else {
        unreadable(path, &text)
    }
}

/// What is in the directory is not what was written.
pub(crate) fn damaged(path: &Path, reason: &str) -> StoreError {
    StoreError::Io(format!(
        "{} is damaged: {reason}; restore it from a backup, or move it away, start again and join the chains again",
        path.display()
    ))
}

/// The directory cannot be used, and nothing says that it is damaged.
pub(crate) fn unreadable(path: &Path, reason: &str) -> StoreError {
    StoreError::Io(format!(
        "cannot open {}: {reason}; check the disk and who may write there, then start again",
        path.display()
    ))
}

/// Why a directory could not be made.
pub(crate) fn on_create(path: &Path, error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            StoreError::Full(format!("{}: {error}", path.display()))
        }
        _ => unreadable(path, &error.to_string()),
    }
}

/// Why a block could not be read: a failed checksum of RocksDB is damage that the block's own hash would find too.
pub(crate) fn on_block(cid: &Cid, error: &Error) -> StoreError {
    match is_damage(error) {
        true => StoreError::Corrupt(*cid),
        false => on_read(error),
    }
}

/// Whether what was written is known to be gone or changed; else the disk may answer at the next try.
///
/// A file that another one names and that is not there is damage as well.
pub(crate) fn is_damage(error: &Error) -> bool {
    error.kind() == ErrorKind::Corruption || error.as_ref().contains("No such file or directory")
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

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
