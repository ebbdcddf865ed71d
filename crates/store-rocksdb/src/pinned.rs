//! How does a block leave RocksDB without a copy?
//!
//! A pinned value borrows from the database. Tied to a share of the database that keeps it open, it can go anywhere as
//! [`Bytes`].

use std::sync::Arc;

use bytes::Bytes;
use rocksdb::{DB, DBPinnableSlice, Error, ReadOptions};

use crate::families::{self, BLOB_BYTES_MIN};

type Value<'a> = Option<DBPinnableSlice<'a>>;

self_cell::self_cell!(
    struct Pinned {
        owner: Arc<DB>,

        #[covariant]
        dependent: Value,
    }
);

/// Who sees to it that the bytes are those that were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checks {
    /// RocksDB, by its checksum.
    OfRocksDb,
    /// The caller, by the block's own hash.
    OfCaller,
}

/// The bytes of a block by its multihash.
pub(crate) fn block(db: &Arc<DB>, multihash: &[u8], checks: Checks) -> Result<Option<Bytes>, Error> {
    let mut options = ReadOptions::default();
    options.set_verify_checksums(checks == Checks::OfRocksDb);
    let pinned = Pinned::try_new(Arc::clone(db), |db| {
        db.get_pinned_cf_opt(families::handle(db, families::BLOCKS), multihash, &options)
    })?;
    let Some(value) = pinned.borrow_dependent() else {
        return Ok(None);
    };
    // A small value would pin a whole block of the cache, and the database with it, for the sake of a few bytes.
    if value.len() < BLOB_BYTES_MIN {
        return Ok(Some(Bytes::copy_from_slice(value)));
    }
    Ok(Some(Bytes::from_owner(pinned)))
}

// === impl Pinned ===

impl AsRef<[u8]> for Pinned {
    fn as_ref(&self) -> &[u8] {
        self.borrow_dependent().as_deref().unwrap_or_default()
    }
}
