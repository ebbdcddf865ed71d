//! When does a quiet chain tell its leaves?
//!
//! After a jittered silence, so that a lost announcement is made good and a node that comes online learns what it lacks.
//! The silence grows with the number of peers on the topic, and whoever hears its own leaves from another begins anew:
//! so the number of broadcasts in a quiet period stays nearly constant, however many nodes there are. A block that
//! arrives has been heard by the others too, and its arrival says what the leaves would.

use std::collections::BTreeSet;
use std::time::Duration;

use rustle_types::{BlockId, Uptime};

use super::random::Random;

/// So many peers on the topic make the silence longer by its shortest length.
const PEERS_PER_STEP: u32 = 16;

/// The timer of the leaves.
#[derive(Debug)]
pub(crate) struct Quiet {
    random: Random,
    shortest: Duration,
    longest: Duration,
    due: Option<Uptime>,
    /// Which of our leaves others have told since the timer began; at most the 64 that we would tell.
    heard: BTreeSet<BlockId>,
}

// === impl Quiet ===

impl Quiet {
    /// The silence is `shortest` to twice that with few peers, and never above `longest`.
    pub(crate) const fn new(random: Random, shortest: Duration, longest: Duration) -> Self {
        Self {
            random,
            shortest,
            longest,
            due: None,
            heard: BTreeSet::new(),
        }
    }

    /// Begins a new silence; without peers there is nobody to tell.
    pub(crate) fn restart(&mut self, now: Uptime, peers: usize) {
        self.heard.clear();
        self.due = (0 < peers).then(|| {
            let steps = u32::try_from(peers).unwrap_or(u32::MAX) / PEERS_PER_STEP;
            let low = self
                .shortest
                .saturating_mul(steps.saturating_add(1))
                .min(self.longest / 2);
            now + self.random.up_to_double(low)
        });
    }

    /// The number of peers has changed: starts the timer with the first, stops it with the last.
    pub(crate) fn on_peers(&mut self, now: Uptime, peers: usize) {
        if self.due.is_none() || peers == 0 {
            self.restart(now, peers);
        }
    }

    /// Another node has told `ids`; `ours` are the leaves that we would tell.
    pub(crate) fn on_heard(
        &mut self,
        now: Uptime,
        peers: usize,
        ids: &[BlockId],
        ours: impl Iterator<Item = BlockId>,
    ) {
        let ours: BTreeSet<BlockId> = ours.collect();
        self.heard.extend(ids.iter().filter(|id| ours.contains(id)));
        if ours.is_subset(&self.heard) {
            self.restart(now, peers);
        }
    }

    /// Whether it is time to tell; the caller then restarts.
    pub(crate) fn is_due(&self, now: Uptime) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    pub(crate) const fn deadline(&self) -> Option<Uptime> {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet() -> Quiet {
        Quiet::new(Random::new(5), Duration::from_secs(5), Duration::from_secs(300))
    }

    fn ids(numbers: &[u8]) -> Vec<BlockId> {
        numbers.iter().map(|n| BlockId::of(&[*n])).collect()
    }

    #[test]
    fn the_silence_grows_with_the_peers_up_to_its_bound() {
        let mut quiet = quiet();
        for (peers, low, high) in [
            (1, 5, 10),
            (15, 5, 10),
            (16, 10, 20),
            (160, 55, 110),
            (100_000, 150, 300),
        ] {
            for _ in 0..100 {
                quiet.restart(Uptime::ZERO, peers);
                let due = quiet.deadline().unwrap().since_start();
                assert!(
                    (Duration::from_secs(low)..=Duration::from_secs(high)).contains(&due),
                    "{peers}: {due:?}"
                );
            }
        }
    }

    #[test]
    fn nobody_to_tell_means_no_timer() {
        let mut quiet = quiet();
        quiet.restart(Uptime::ZERO, 3);
        quiet.on_peers(Uptime::ZERO, 0);
        assert_eq!(quiet.deadline(), None);
        quiet.on_peers(Uptime::ZERO, 1);
        assert!(quiet.deadline().is_some());
    }

    #[test]
    fn hearing_all_leaves_begins_a_new_silence_and_hearing_some_does_not() {
        let mut quiet = quiet();
        quiet.restart(Uptime::ZERO, 1);
        let due = quiet.deadline();
        let now = Uptime::from_secs(4);

        quiet.on_heard(now, 1, &ids(&[1, 9]), ids(&[1, 2]).into_iter());
        assert_eq!(quiet.deadline(), due);
        quiet.on_heard(now, 1, &ids(&[2]), ids(&[1, 2]).into_iter());
        assert!(Uptime::from_secs(9) <= quiet.deadline().unwrap());
    }
}
