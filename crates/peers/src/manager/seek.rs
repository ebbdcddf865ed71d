//! When to ask others for peers that nobody has told of?
//!
//! The book may be empty, or full of peers that are gone. While there are fewer peers than the lower bound, the DHT and the
//! rendezvous points are asked: at once, and then ever more rarely, because a small network has no more to tell.

use std::time::Duration;

use rustle_types::{Now, Uptime};

use super::Manager;
use crate::Output;
use crate::book::back_off;

/// First and longest wait between two searches; a random half is taken off, so that a minute is the least.
const SEEK_WAIT_MIN: Duration = Duration::from_secs(120);
const SEEK_WAIT_MAX: Duration = Duration::from_secs(20 * 60);

/// What was asked, and when to ask again.
#[derive(Debug, Default)]
pub(super) struct Search {
    next: Uptime,
    /// Searches since there were last enough peers.
    count: u32,
}

// === impl Manager ===

impl Manager {
    /// Asks where it is due. The wait holds even where there were enough peers meanwhile.
    pub(super) fn seek(&mut self, now: Now) {
        if !self.is_short() {
            self.search.count = 0;
        } else if self.search.next <= now.uptime {
            let wait = back_off(SEEK_WAIT_MIN, self.search.count, SEEK_WAIT_MAX, &mut self.rng);
            self.search.next = now.uptime + wait;
            self.search.count = self.search.count.saturating_add(1);
            self.outbox.push(Output::Seek);
        }
    }

    /// When to ask again, where nothing happens before.
    pub(super) fn next_search(&self) -> Option<Uptime> {
        self.is_short().then_some(self.search.next)
    }

    /// Whether there are fewer peers than the lower bound.
    pub(super) fn is_short(&self) -> bool {
        self.links.counts().up() < self.config.targets.lower
    }
}
