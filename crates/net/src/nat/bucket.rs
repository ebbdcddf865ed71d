//! How often may something happen?

use std::time::{Duration, Instant};

/// A token bucket: so many at once, and one more each time a while has passed.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    capacity: u32,
    every: Duration,
    tokens: u32,
    /// Up to when tokens were added; absent while the bucket is full.
    filled: Option<Instant>,
}

// === impl Bucket ===

impl Bucket {
    pub(crate) fn new(capacity: u32, every: Duration) -> Self {
        Self {
            capacity,
            every,
            tokens: capacity,
            filled: None,
        }
    }

    /// Takes a token, if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        self.fill(now);
        if self.tokens == 0 {
            return false;
        }
        self.tokens -= 1;
        self.filled.get_or_insert(now);
        true
    }

    /// Whether it is as if nothing had ever been taken.
    pub(crate) fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.tokens == self.capacity
    }

    fn fill(&mut self, now: Instant) {
        let Some(filled) = self.filled else { return };
        let periods = now.saturating_duration_since(filled).as_nanos() / self.every.as_nanos().max(1);
        let periods = u32::try_from(periods).unwrap_or(u32::MAX);
        if self.capacity - self.tokens <= periods {
            self.tokens = self.capacity;
            self.filled = None;
        } else {
            self.tokens += periods;
            self.filled = Some(filled + self.every * periods);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn gives_what_it_holds_and_fills_up_again() {
        let second = Duration::from_secs(1);
        let start = clock::now();
        let mut bucket = Bucket::new(2, second);
        assert!(bucket.take(start) && bucket.take(start) && !bucket.take(start));
        assert!(!bucket.take(start + second / 2));
        assert!(bucket.take(start + second) && !bucket.take(start + second));
        assert!(!bucket.is_full(start + 2 * second));
        assert!(bucket.is_full(start + 3 * second));
        assert!(bucket.take(start + 1000 * second) && bucket.take(start + 1000 * second));
        assert!(!bucket.take(start + 1000 * second));
    }
}
