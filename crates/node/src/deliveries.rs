//! How far has each chain been delivered? Followers wait here.
//!
//! A follower reads blocks from the store by their number; only "there is more" is told through this table. So a slow
//! follower holds nothing in memory and slows nobody.

use std::collections::HashMap;

use parking_lot::Mutex;
use rustle_types::ChainId;
use tokio::sync::watch;

/// One number per chain that somebody follows or that has grown since the start; bounded by the number of chains.
#[derive(Debug, Default)]
pub(crate) struct Deliveries {
    next: Mutex<HashMap<ChainId, watch::Sender<u64>>>,
}

// === impl Deliveries ===

impl Deliveries {
    /// Tells that the numbers below `next` can be read.
    pub(crate) fn set(&self, chain: ChainId, next: u64) {
        let mut table = self.next.lock();
        let sender = table.entry(chain).or_insert_with(|| watch::Sender::new(next));
        sender.send_if_modified(|known| {
            let grown = *known < next;
            *known = next.max(*known);
            grown
        });
    }

    /// Hears of every growth from now on.
    pub(crate) fn subscribe(&self, chain: ChainId) -> watch::Receiver<u64> {
        let mut table = self.next.lock();
        table
            .entry(chain)
            .or_insert_with(|| watch::Sender::new(0))
            .subscribe()
    }
}
