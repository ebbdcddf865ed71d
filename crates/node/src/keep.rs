//! What stays on the disk, and what goes?
//!
//! Pins keep content; so do chains, and guards what is on its way in. The rest is garbage, and is collected on request or
//! when the store comes near its quota. All of it goes on beside what the node does otherwise.

pub(crate) mod garbage;
pub(crate) mod guard;
pub(crate) mod pins;
pub(crate) mod quota;
pub(crate) mod removal;
pub(crate) mod upkeep;

use std::sync::Arc;

use parking_lot::Mutex;
use rustle_admin::views::Collected;
use rustle_store_rocksdb::RocksStore;

use self::guard::Guards;
use self::quota::Quota;

/// Handles to what keeps content.
pub(crate) struct Keep {
    pub(crate) rocks: Arc<RocksStore>,
    pub(crate) guards: Arc<Guards>,
    pub(crate) quota: Arc<Quota>,
    /// Held by the one collection that runs.
    collecting: Arc<tokio::sync::Mutex<()>>,
    last: Mutex<Option<Collected>>,
    /// Held while a pin is compared with what is there, and set.
    pinning: tokio::sync::Mutex<()>,
}

// === impl Keep ===

impl Keep {
    pub(crate) fn new(rocks: Arc<RocksStore>, quota: Arc<Quota>) -> Self {
        Self {
            rocks,
            guards: Arc::default(),
            quota,
            collecting: Arc::default(),
            last: Mutex::default(),
            pinning: tokio::sync::Mutex::default(),
        }
    }
}
