//! How many lines of the log may strangers cause?
//!
//! Peers that come and go, or break the rules, are told to the operator one by one. Whoever makes a thousand peer ids could
//! fill a disk with that; so there is a budget, and what is beyond it is counted and told in one line.

use std::time::Duration;

use rustle_types::Uptime;

/// Lines at once.
const LINES_MAX: u32 = 200;
/// After this time there is room for another line.
const REFILL: Duration = Duration::from_millis(100);

/// A budget of lines. Full at the start.
#[derive(Debug)]
pub(crate) struct LogBudget {
    left: u32,
    /// Until when the refill is counted.
    counted: Uptime,
    /// Lines that were not written since the last one that was.
    suppressed: u64,
}

// === impl LogBudget ===

impl Default for LogBudget {
    fn default() -> Self {
        Self {
            left: LINES_MAX,
            counted: Uptime::ZERO,
            suppressed: 0,
        }
    }
}

impl LogBudget {
    /// Whether a line may be written. The first one after a gap tells how many are missing.
    pub(crate) fn take(&mut self, now: Uptime) -> bool {
        let refills = (now - self.counted).as_nanos() / REFILL.as_nanos();
        let refills = u32::try_from(refills).unwrap_or(u32::MAX);
        if LINES_MAX <= self.left.saturating_add(refills) {
            (self.left, self.counted) = (LINES_MAX, now);
        } else {
            self.left += refills;
            self.counted = self.counted + REFILL * refills;
        }
        if self.left == 0 {
            self.suppressed += 1;
            return false;
        }
        self.left -= 1;
        let suppressed = std::mem::take(&mut self.suppressed);
        if suppressed != 0 {
            tracing::info!(suppressed, "events of peers came too fast to be told one by one");
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_gets_its_budget_and_no_more() {
        let mut budget = LogBudget::default();
        let minute = 60_000;
        let told = (0..minute)
            .filter(|millis| budget.take(Uptime::from_millis(*millis)))
            .count();
        let refilled = usize::try_from(minute / 100).unwrap();
        let most = LINES_MAX as usize + refilled;
        assert!((most - 1..=most).contains(&told), "{told}");
        assert!(budget.suppressed > 0);

        // After a pause everything is told again.
        let later = Uptime::from_secs(3600);
        assert!((0..LINES_MAX).all(|_| budget.take(later)));
        assert_eq!(budget.suppressed, 0);
    }
}
