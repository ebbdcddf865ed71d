//! Who has taken much lately?
//!
//! Two generations of counts: the present one, and the one before it at half its weight. So what is older than a minute
//! is forgotten without a sweep, and the memory is bounded whatever comes.

use std::collections::BTreeMap;
use std::time::Duration;

use rustle_types::Uptime;

/// Places in one generation.
pub(super) const HEAT_PLACES_MAX: usize = 2_048;
/// How long a generation grows.
const GENERATION: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
pub(super) struct Heat<K> {
    present: BTreeMap<K, u32>,
    before: BTreeMap<K, u32>,
    turned: Uptime,
}

// === impl Heat ===

impl<K: Ord> Heat<K> {
    /// What `place` took lately.
    pub(super) fn of(&self, place: &K) -> u32 {
        let count = |counts: &BTreeMap<K, u32>| counts.get(place).copied().unwrap_or(0);
        count(&self.present).saturating_add(count(&self.before) / 2)
    }

    /// Notes that `place` took `amount`.
    pub(super) fn add(&mut self, place: K, amount: u32) {
        if HEAT_PLACES_MAX <= self.present.len() && !self.present.contains_key(&place) {
            self.before = std::mem::take(&mut self.present);
        }
        let count = self.present.entry(place).or_default();
        *count = count.saturating_add(amount);
    }

    /// Forgets what is old.
    pub(super) fn cool(&mut self, now: Uptime) {
        let age = now - self.turned;
        if age < GENERATION {
            return;
        }
        self.turned = now;
        self.before = std::mem::take(&mut self.present);
        if GENERATION * 2 <= age {
            self.before.clear();
        }
    }
}

impl<K> Default for Heat<K> {
    fn default() -> Self {
        Self {
            present: BTreeMap::new(),
            before: BTreeMap::new(),
            turned: Uptime::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heat_halves_and_goes() {
        let mut heat = Heat::default();
        heat.add(1, 8);
        for (seconds, left) in [(29, 8), (30, 4), (59, 4), (60, 0)] {
            heat.cool(Uptime::from_secs(seconds));
            assert_eq!(heat.of(&1), left, "after {seconds} s");
        }
        heat.add(1, 8);
        heat.cool(Uptime::from_secs(200));
        assert_eq!(heat.of(&1), 0);
    }

    #[test]
    fn any_number_of_places_stays_within_two_generations() {
        let mut heat = Heat::default();
        for place in 0..10 * HEAT_PLACES_MAX {
            heat.add(place, 1);
            assert!(heat.present.len() <= HEAT_PLACES_MAX && heat.before.len() <= HEAT_PLACES_MAX);
        }
    }
}
