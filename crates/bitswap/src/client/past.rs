//! Which blocks were wanted a while ago?
//!
//! A block may come after another peer has sent it, or after whoever wanted it has gone: a peer that sends it then does
//! nothing wrong, other than one that sends what nobody ever asked for.

use std::collections::{HashSet, VecDeque};

use multihash_codetable::Multihash;

/// Wants that are remembered after their end.
const PAST_MAX: usize = 4096;

/// The last wants that ended, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Past {
    known: HashSet<Multihash>,
    order: VecDeque<Multihash>,
}

// === impl Past ===

impl Past {
    pub(super) fn insert(&mut self, hash: Multihash) {
        if !self.known.insert(hash) {
            return;
        }
        self.order.push_back(hash);
        if PAST_MAX < self.order.len()
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    pub(super) fn contains(&self, hash: &Multihash) -> bool {
        self.known.contains(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::cid;

    #[test]
    fn the_last_wants_are_known_and_no_more() {
        let mut past = Past::default();
        for number in 0..2 * PAST_MAX as u32 {
            past.insert(*cid(number).hash());
            past.insert(*cid(number).hash());
        }
        assert!(!past.contains(cid(PAST_MAX as u32 - 1).hash()));
        assert!(past.contains(cid(PAST_MAX as u32).hash()));
        assert_eq!((past.known.len(), past.order.len()), (PAST_MAX, PAST_MAX));
    }
}
