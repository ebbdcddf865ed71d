//! Which blocks are in memory only?
//!
//! A block of a bulk commit is not in the log, so that a later batch which puts it again must not take it as stored. What
//! is remembered is a fingerprint of 64 bits under a key of this process: two blocks that share one are written once
//! more than needed, and nobody can choose them.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

/// Blocks that may wait for a flush: 16 to 32 bytes of memory each.
pub(crate) const UNFLUSHED_MAX: usize = 1 << 18;

/// The blocks of bulk commits since the last flush.
#[derive(Debug, Default)]
pub(crate) struct Unflushed {
    key: RandomState,
    written: HashSet<u64>,
    /// Those that a flush is writing out now.
    flushing: HashSet<u64>,
}

// === impl Unflushed ===

impl Unflushed {
    pub(crate) fn add(&mut self, multihash: &[u8]) {
        self.written.insert(self.key.hash_one(multihash));
    }

    pub(crate) fn has(&self, multihash: &[u8]) -> bool {
        if self.written.is_empty() && self.flushing.is_empty() {
            return false;
        }
        let fingerprint = self.key.hash_one(multihash);
        self.written.contains(&fingerprint) || self.flushing.contains(&fingerprint)
    }

    pub(crate) fn is_full(&self) -> bool {
        UNFLUSHED_MAX <= self.written.len()
    }

    /// A flush of all that is written begins; there is one at a time. Gives whether there is something.
    pub(crate) fn begin_flush(&mut self) -> bool {
        self.flushing = std::mem::take(&mut self.written);
        !self.flushing.is_empty()
    }

    /// The flush has succeeded.
    pub(crate) fn end_flush(&mut self) {
        self.flushing = HashSet::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_remembered_until_the_end_of_the_flush_that_began_after_it() {
        let mut unflushed = Unflushed::default();
        unflushed.add(b"one");
        assert!(unflushed.has(b"one") && !unflushed.has(b"other"));

        unflushed.begin_flush();
        unflushed.add(b"other");
        assert!(unflushed.has(b"one") && unflushed.has(b"other"));
        unflushed.end_flush();

        assert!(!unflushed.has(b"one") && unflushed.has(b"other"));
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut unflushed = Unflushed::default();
        for number in 0..UNFLUSHED_MAX {
            assert!(!unflushed.is_full());
            unflushed.add(&number.to_be_bytes());
        }
        assert!(unflushed.is_full());
        unflushed.begin_flush();
        assert!(!unflushed.is_full());
    }
}
