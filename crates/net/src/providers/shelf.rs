//! How do records come to the disk and back?
//!
//! The task of the swarm never waits for a disk: what changes is noted, and written in batches by others. While very many
//! notes wait, no new record is taken.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use rustle_store::{Batch, Scan, Store, StoreError, Table};

use super::record;
use crate::config::DHT_WRITES_MAX;

/// Records that are read at once.
const PAGE: usize = 4096;

/// The place of the records on a disk, and what is not there yet.
pub(crate) struct Shelf {
    store: Arc<dyn Store>,
    /// Values to write, and keys to drop.
    pending: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

// === impl Shelf ===

impl Shelf {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            pending: BTreeMap::new(),
        }
    }

    /// Gives all records to `take`, which tells whether to keep one.
    pub(super) fn read(&mut self, mut take: impl FnMut(&[u8], &[u8]) -> bool) -> Result<(), StoreError> {
        let mut scan = Scan::prefix(&[record::KIND], PAGE);
        loop {
            let page = self.store.scan(Table::Dht, &scan)?;
            for (key, value) in &page {
                if !take(key, value) {
                    self.pending.insert(key.to_vec(), None);
                }
            }
            match page.last() {
                Some((last, _)) if page.len() == PAGE => {
                    scan = scan.from_key([last, &[0][..]].concat());
                }
                _ => return Ok(()),
            }
        }
    }

    /// Whether a new record may be noted.
    pub(super) fn has_room(&self) -> bool {
        self.pending.len() < DHT_WRITES_MAX
    }

    pub(super) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.pending.insert(key, Some(value));
    }

    /// Drops a record. Notes of drops are bounded by the records that there are.
    pub(super) fn drop(&mut self, key: Vec<u8>) {
        self.pending.insert(key, None);
    }

    /// What is to be written now, and where; `None` where there is nothing.
    pub(crate) fn take(&mut self) -> Option<(Arc<dyn Store>, Batch)> {
        if self.pending.is_empty() {
            return None;
        }
        let mut batch = Batch::new();
        for (key, value) in std::mem::take(&mut self.pending) {
            match value {
                Some(value) => batch.put(Table::Dht, key, value),
                None => batch.delete(Table::Dht, key),
            };
        }
        Some((Arc::clone(&self.store), batch))
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf")
            .field("pending", &self.pending.len())
            .finish_non_exhaustive()
    }
}
