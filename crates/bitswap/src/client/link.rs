//! How much may be asked of a peer at once, and how long may it take?

use std::collections::HashSet;
use std::time::Duration;

use multihash_codetable::Multihash;
use rustle_types::Uptime;

use super::{PEER_WANTS_MAX, PeerStats};
use crate::message::Version;

/// Bytes asked of a peer that is not known yet.
const WINDOW_BYTES_START: u64 = 1024 * 1024;
const WINDOW_BYTES_MIN: u64 = 256 * 1024;
const WINDOW_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Blocks asked at once, however small.
const WINDOW_BLOCKS_MAX: usize = 512;
/// The window grows while blocks come faster than this; a queue at the peer helps nobody.
const LATENCY_GOOD: Duration = Duration::from_secs(1);
/// Bounds of the time that a block may take.
const TIMEOUT_MIN: Duration = Duration::from_secs(1);
const TIMEOUT_MAX: Duration = Duration::from_secs(5);
/// A throughput is measured over at least this time.
const SAMPLE_MIN: Duration = Duration::from_millis(50);
/// Taken for a peer that was not measured yet: better than a slow peer, worse than a fast one.
const BYTES_PER_SECOND_GUESS: f64 = 4_000_000.0;

/// A connected peer.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) version: Version,
    /// Wants of ours that the peer remembers; at most [`PEER_WANTS_MAX`].
    pub(super) open: HashSet<Multihash>,
    pub(super) flying: usize,
    flying_bytes: u64,
    window_bytes: u64,
    latency: Option<Duration>,
    bytes_per_second: Option<f64>,
    pub(super) last_delivery: Uptime,
    sample_start: Uptime,
    sample_bytes: u64,
}

// === impl Link ===

impl Link {
    pub(super) fn new(version: Version) -> Self {
        Self {
            version,
            open: HashSet::new(),
            flying: 0,
            flying_bytes: 0,
            window_bytes: WINDOW_BYTES_START,
            latency: None,
            bytes_per_second: None,
            last_delivery: Uptime::ZERO,
            sample_start: Uptime::ZERO,
            sample_bytes: 0,
        }
    }

    /// Whether the peer can be asked one more thing.
    pub(super) fn hears(&self) -> bool {
        self.open.len() < PEER_WANTS_MAX
    }

    /// Whether a block of `size` bytes may be asked of the peer; one block always may.
    pub(super) fn has_room(&self, size: u64) -> bool {
        let fits = self.flying == 0 || self.flying_bytes + size <= self.window_bytes;
        fits && self.flying < WINDOW_BLOCKS_MAX && self.hears()
    }

    /// Seconds until a block of `size` bytes asked now would be here.
    pub(super) fn seconds_for(&self, size: u64) -> f64 {
        (self.flying_bytes + size) as f64 / self.bytes_per_second.unwrap_or(BYTES_PER_SECOND_GUESS).max(1.0)
    }

    /// How long the peer may be silent about a block.
    pub(super) fn timeout(&self) -> Duration {
        self.latency.map_or(TIMEOUT_MAX, |latency| {
            (latency * 4).clamp(TIMEOUT_MIN, TIMEOUT_MAX)
        })
    }

    /// When a block is late enough that, near the end, it is asked of another peer too.
    pub(super) fn patience(&self) -> Duration {
        self.timeout() / 2
    }

    pub(super) fn take_off(&mut self, now: Uptime, size: u64) {
        if self.flying == 0 {
            (self.sample_start, self.sample_bytes) = (now, 0);
        }
        self.flying += 1;
        self.flying_bytes += size;
    }

    /// Ends a flight that was counted with `size` bytes.
    pub(super) fn land(&mut self, size: u64) {
        self.flying = self.flying.saturating_sub(1);
        self.flying_bytes = self.flying_bytes.saturating_sub(size);
    }

    /// A block of `bytes` bytes came, asked at `asked`. Called before `land`.
    pub(super) fn delivered(&mut self, now: Uptime, asked: Uptime, bytes: u64) {
        let took = now - asked;
        let latency = self.latency.map_or(took, |old| (old * 7 + took) / 8);
        self.latency = Some(latency);
        self.last_delivery = now;
        if self.window_bytes <= self.flying_bytes * 2 && latency < LATENCY_GOOD {
            self.window_bytes = (self.window_bytes + bytes).min(WINDOW_BYTES_MAX);
        }
        self.sample_bytes += bytes;
        let over = now - self.sample_start;
        if SAMPLE_MIN <= over {
            let sample = self.sample_bytes as f64 / over.as_secs_f64();
            self.bytes_per_second = Some(
                self.bytes_per_second
                    .map_or(sample, |old| old * 0.7 + sample * 0.3),
            );
            (self.sample_start, self.sample_bytes) = (now, 0);
        }
    }

    /// A block did not come in time.
    pub(super) fn failed(&mut self) {
        self.window_bytes = (self.window_bytes / 2).max(WINDOW_BYTES_MIN);
        self.bytes_per_second = Some(self.bytes_per_second.unwrap_or(BYTES_PER_SECOND_GUESS) / 2.0);
    }

    pub(super) fn stats(&self) -> PeerStats {
        PeerStats {
            bytes_per_second: self.bytes_per_second.unwrap_or(0.0),
            window_bytes: self.window_bytes,
            flying: self.flying,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_grows_with_quick_blocks_and_halves_on_failure() {
        let mut link = Link::new(Version::V1_2);
        for step in 0..1000 {
            let now = Uptime::from_millis(step * 10);
            while link.has_room(100_000) {
                link.take_off(now, 100_000);
            }
            link.delivered(now + Duration::from_millis(5), now, 100_000);
            link.land(100_000);
        }
        assert_eq!(link.stats().window_bytes, WINDOW_BYTES_MAX);
        assert!(
            (5e6..2e7).contains(&link.stats().bytes_per_second),
            "{:?}",
            link.stats()
        );
        link.failed();
        assert_eq!(link.stats().window_bytes, WINDOW_BYTES_MAX / 2);
    }

    #[test]
    fn the_timeout_follows_the_latency_within_bounds() {
        let mut link = Link::new(Version::V1_2);
        assert_eq!(link.timeout(), TIMEOUT_MAX);
        link.delivered(Uptime::from_millis(400), Uptime::ZERO, 1);
        assert_eq!(link.timeout(), Duration::from_millis(1600));
        for _ in 0..50 {
            link.delivered(Uptime::from_millis(1), Uptime::ZERO, 1);
        }
        assert_eq!(link.timeout(), TIMEOUT_MIN);
    }

    #[test]
    fn one_block_of_any_size_may_always_be_asked() {
        let mut link = Link::new(Version::V1_2);
        assert!(link.has_room(2 << 20));
        link.take_off(Uptime::ZERO, 2 << 20);
        assert!(!link.has_room(1));
    }
}
