//! What has the exchange done since the start, and what did it not do that nobody would notice otherwise?

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows, if not said otherwise.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

/// All that is counted.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Peers with wants that are remembered now.
    pub(crate) peers: Count,
    /// Inbound streams that were reset because the peer has too many.
    pub(crate) streams_refused: Count,
    /// Inbound streams that ended within a message, or were too slow with one.
    pub(crate) streams_broken: Count,
    /// Inbound streams with a message that is none, or a block that cannot be named.
    pub(crate) streams_malformed: Count,
    /// Messages that could not be written, so that their stream was opened anew.
    pub(crate) writes_failed: Count,
    /// Wants that were not kept: over the bound, or of what is none.
    pub(crate) wants_dropped: Count,
    /// Blocks that came and were wanted.
    pub(crate) blocks_received: Count,
    /// Bytes of them.
    pub(crate) bytes_received: Count,
    /// Blocks that came again, or after they were not wanted any more.
    pub(crate) blocks_late: Count,
    /// Blocks that nobody here asked for.
    pub(crate) blocks_unwanted: Count,
    /// Blocks that were written to peers.
    pub(crate) blocks_sent: Count,
    /// Bytes of them.
    pub(crate) bytes_sent: Count,
}

// === impl Count ===

impl Count {
    pub(crate) fn one(&self) {
        self.add(1);
    }

    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// For what comes and goes.
    pub(crate) fn set(&self, count: u64) {
        self.0.store(count, Ordering::Relaxed);
    }

    pub(crate) fn so_far(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
