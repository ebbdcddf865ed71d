//! How many requests does a peer get answered?

use std::collections::BTreeMap;
use std::time::Duration;

use rustle_types::{PeerId, Uptime};

/// Requests that one peer may make at once: all of its registrations, and a question under each.
pub const REQUESTS_BURST_MAX: u32 = 64;
/// Requests that one peer may make for ever.
pub const REQUESTS_PER_SECOND: u32 = 1;
/// Peers whose requests are counted at the same time; while they are so many, further ones wait.
pub const VISITORS_MAX: usize = 4096;

/// The requests that peers have left.
#[derive(Debug, Default)]
pub(super) struct Rates {
    visitors: BTreeMap<PeerId, Visitor>,
    swept: Uptime,
}

#[derive(Debug, Clone, Copy)]
struct Visitor {
    /// When it will have all its requests again.
    full: Uptime,
}

// === impl Rates ===

impl Rates {
    /// Takes one request of a peer, if it has one left.
    pub(super) fn admit(&mut self, now: Uptime, peer: PeerId) -> bool {
        if VISITORS_MAX <= self.visitors.len() && !self.visitors.contains_key(&peer) {
            self.sweep(now);
            if VISITORS_MAX <= self.visitors.len() {
                return false;
            }
        }
        let one = Duration::from_secs(1) / REQUESTS_PER_SECOND;
        let visitor = self.visitors.entry(peer).or_insert(Visitor { full: now });
        let full = visitor.full.max(now) + one;
        let has_left = full - now <= one * REQUESTS_BURST_MAX;
        if has_left {
            visitor.full = full;
        }
        has_left
    }

    /// Forgets whoever has all its requests again; at most once a second, as it looks at all.
    fn sweep(&mut self, now: Uptime) {
        if now - self.swept < Duration::from_secs(1) {
            return;
        }
        self.swept = now;
        self.visitors.retain(|_, visitor| now < visitor.full);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u32) -> PeerId {
        let [a, b, c, d] = number.to_be_bytes();
        PeerId::from_bytes(&[0, 4, a, b, c, d]).unwrap()
    }

    #[test]
    fn a_burst_is_served_and_then_one_request_each_second() {
        let mut rates = Rates::default();
        let now = Uptime::from_secs(5);
        let mut served = |now| (0..100).filter(|_| rates.admit(now, peer(1))).count();
        assert_eq!(served(now), REQUESTS_BURST_MAX as usize);
        assert_eq!(served(now), 0);
        assert_eq!(served(now + Duration::from_secs(3)), 3);
        assert_eq!(
            served(now + Duration::from_secs(600)),
            REQUESTS_BURST_MAX as usize
        );
        assert!(rates.admit(now, peer(2)), "each peer has its own");
    }

    #[test]
    fn so_many_visitors_are_counted_and_those_that_are_done_make_room() {
        let mut rates = Rates::default();
        let now = Uptime::from_secs(5);
        for number in 0..20_000 {
            rates.admit(now, peer(number));
        }
        assert_eq!(rates.visitors.len(), VISITORS_MAX);
        assert!(!rates.admit(now, peer(20_000)));
        assert!(rates.admit(now + Duration::from_secs(2), peer(20_000)));
        assert_eq!(rates.visitors.len(), 1);
    }
}
