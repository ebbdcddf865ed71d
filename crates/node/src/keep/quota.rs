//! How much of the disk may content take?
//!
//! From high water on garbage is collected, down to low water. At the quota itself new content waits for the end of a
//! collection, and is refused where that has not helped. Chains are not content in this sense: what they append is little,
//! and to refuse it would stop them. Without a quota only the disk is the bound.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use rustle_admin::views::QuotaView;
use rustle_store::StoreError;
use rustle_store_rocksdb::RocksStore;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::garbage::{self, GarbageError};
use crate::config::StoreConfig;
use crate::shared::Shared;

/// How often the bytes on disk are looked at without anybody asking.
const LOOK_PACE: Duration = Duration::from_secs(5);
/// Time before a collection that freed too little is tried again, unless something is unpinned.
const FUTILE_PAUSE: Duration = Duration::from_secs(60);
/// Age up to which a look at the disk serves further content.
const LOOK_AGE_MAX: Duration = Duration::from_millis(200);
/// Longest wait of new content for a collection.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// The bound, and what is done about it.
#[derive(Debug)]
pub(crate) struct Quota {
    rocks: Weak<RocksStore>,
    view: Option<QuotaView>,
    /// When a collection has ended above high water, since when nothing was unpinned.
    futile: Mutex<Option<Instant>>,
    /// What the last look has found.
    seen: Mutex<Option<Seen>>,
    /// Somebody is waiting for room.
    wanted: Notify,
    /// A collection has ended.
    collected: Notify,
}

/// Bytes that were taken.
#[derive(Debug, Clone, Copy)]
struct Seen {
    at: Instant,
    /// With those that were admitted since.
    used: u64,
}

// === impl Quota ===

impl Quota {
    pub(crate) fn new(config: &StoreConfig, rocks: &Arc<RocksStore>) -> Self {
        let view = config.quota_bytes.map(|bytes| {
            let part = |percent: u8| u64::try_from(u128::from(bytes) * u128::from(percent) / 100);
            QuotaView {
                bytes,
                high: part(config.high_percent).unwrap_or(bytes),
                low: part(config.low_percent).unwrap_or(bytes),
            }
        });
        Self {
            rocks: Arc::downgrade(rocks),
            view,
            futile: Mutex::default(),
            seen: Mutex::default(),
            wanted: Notify::new(),
            collected: Notify::new(),
        }
    }

    /// No bound.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self {
            rocks: Weak::new(),
            view: None,
            futile: Mutex::default(),
            seen: Mutex::default(),
            wanted: Notify::new(),
            collected: Notify::new(),
        }
    }

    pub(crate) fn view(&self) -> Option<QuotaView> {
        self.view
    }

    /// Something was unpinned, so that a collection may help again.
    pub(crate) fn reconsider(&self) {
        *self.futile.lock() = None;
        self.wanted.notify_one();
    }

    /// Waits until there is room for so many bytes of new content, or tells that there is none.
    pub(crate) async fn admit(&self, bytes: usize) -> Result<(), StoreError> {
        let Some(view) = self.view else {
            return Ok(());
        };
        let end = tokio::time::Instant::now() + WAIT_MAX;
        loop {
            // Before the look, so that no end of a collection is missed.
            let collected = self.collected.notified();
            let mut used = self.seen(LOOK_AGE_MAX).await;
            if view.bytes <= used {
                used = self.seen(Duration::ZERO).await;
            }
            if used < view.bytes {
                if view.high <= used {
                    self.wanted.notify_one();
                }
                if let Some(seen) = &mut *self.seen.lock() {
                    seen.used += bytes as u64;
                }
                return Ok(());
            }
            let full = StoreError::Quota {
                used,
                quota: view.bytes,
            };
            if self.is_futile() {
                return Err(full);
            }
            self.wanted.notify_one();
            if tokio::time::timeout_at(end, collected).await.is_err() {
                return Err(full);
            }
        }
    }

    /// Bytes that are taken, as a look has found that is not older, with what was admitted since.
    async fn seen(&self, age_max: Duration) -> u64 {
        if let Some(seen) = self.seen.lock().filter(|seen| seen.at.elapsed() < age_max) {
            return seen.used;
        }
        let used = self.used().await;
        let at = Instant::now();
        *self.seen.lock() = Some(Seen { at, used });
        used
    }

    /// Bytes on disk, and those in memory that a flush is going to write there. A thread that may wait lists the folder.
    async fn used(&self) -> u64 {
        let rocks = self.rocks.clone();
        let look = move || {
            let rocks = rocks.upgrade()?;
            // A folder that cannot be listed is told by whoever shows the figure.
            Some(rocks.disk_bytes().unwrap_or(0) + rocks.pending_bytes())
        };
        let looked = tokio::task::spawn_blocking(look).await;
        looked.ok().flatten().unwrap_or(0)
    }

    fn is_futile(&self) -> bool {
        self.futile.lock().is_some_and(|at| at.elapsed() < FUTILE_PAUSE)
    }
}

/// Collects garbage whenever there is more than high water.
pub(crate) async fn watch(shared: Shared) {
    let quota = Arc::clone(&shared.keep.quota);
    let Some(view) = quota.view else {
        return;
    };
    loop {
        // The end of the time is as good a reason to look as a wish.
        let _ = tokio::time::timeout(LOOK_PACE, quota.wanted.notified()).await;
        if quota.is_futile() || quota.used().await < view.high {
            quota.collected.notify_waiters();
            continue;
        }
        tracing::info!(
            quota = view.bytes,
            "the store has come near its quota; collecting garbage"
        );
        match garbage::collect_down_to(&shared, view.low).await {
            Ok(()) => {}
            Err(GarbageError::Ended) => return,
            Err(error) => tracing::error!(%error, "garbage cannot be collected"),
        }
        if view.high <= quota.used().await {
            *quota.futile.lock() = Some(Instant::now());
        }
        quota.collected.notify_waiters();
    }
}
