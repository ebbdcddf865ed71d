//! How much has one host had, whatever it calls itself?
//!
//! A peer id costs nothing, so what a peer may have is counted for its host as well. A host earns at a steady rate and
//! saves up to a bound; it is remembered until it has earned back what it spent, connected or not.

use std::collections::BTreeMap;

use rustle_types::{Host, Uptime};

/// Hosts that are remembered as having spent something. For one more, the one that has earned back most goes.
pub(crate) const HOSTS_MAX: usize = 4_096;
/// This machine counts as so many hosts: a proxy on it speaks for many.
const LOOPBACK_HOSTS: f64 = 8.0;

/// What each host may still have.
#[derive(Debug)]
pub(crate) struct Allowances {
    per_second: f64,
    saved_max: f64,
    /// What a host had spent and not earned back at that time.
    spent: BTreeMap<Host, (f64, Uptime)>,
}

// === impl Allowances ===

impl Allowances {
    /// Hosts that earn so much a second, and start with all that they can save.
    pub(crate) const fn new(per_second: f64, saved_max: f64) -> Self {
        Self {
            per_second,
            saved_max,
            spent: BTreeMap::new(),
        }
    }

    /// What a host may have now.
    pub(crate) fn left(&self, now: Uptime, host: Host) -> f64 {
        let size = size(host);
        let owed = self
            .spent
            .get(&host)
            .map_or(0.0, |spent| self.owed(now, host, spent));
        (self.saved_max * size - owed).max(0.0)
    }

    /// Notes what a host has had.
    pub(crate) fn spend(&mut self, now: Uptime, host: Host, amount: f64) {
        if !self.spent.contains_key(&host) && HOSTS_MAX <= self.spent.len() {
            self.make_room(now);
        }
        let owed = self
            .spent
            .get(&host)
            .map_or(0.0, |spent| self.owed(now, host, spent));
        self.spent.insert(host, (owed + amount, now));
    }

    fn owed(&self, now: Uptime, host: Host, (amount, since): &(f64, Uptime)) -> f64 {
        let earned = (now - *since).as_secs_f64() * self.per_second * size(host);
        (amount - earned).max(0.0)
    }

    fn make_room(&mut self, now: Uptime) {
        let owed = self
            .spent
            .iter()
            .map(|(host, spent)| (*host, self.owed(now, *host, spent)));
        let owed: Vec<(Host, f64)> = owed.collect();
        for (host, _) in owed.iter().filter(|(_, owed)| *owed <= 0.0) {
            self.spent.remove(host);
        }
        if HOSTS_MAX <= self.spent.len()
            && let Some((host, _)) = owed.iter().min_by(|one, other| one.1.total_cmp(&other.1))
        {
            self.spent.remove(host);
        }
    }
}

fn size(host: Host) -> f64 {
    if host.is_loopback() { LOOPBACK_HOSTS } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn host(number: u32) -> Host {
        Host::of_ip(Ipv4Addr::from(0x1400_0000 + number).into())
    }

    fn at(seconds: u64) -> Uptime {
        Uptime::from_secs(seconds)
    }

    #[test]
    fn what_was_spent_is_earned_back_and_no_more() {
        let mut all = Allowances::new(0.1, 128.0);
        assert!(all.left(at(0), host(1)) >= 128.0);
        all.spend(at(0), host(1), 128.0);
        assert!(all.left(at(0), host(1)) <= 0.0);
        assert!((all.left(at(100), host(1)) - 10.0).abs() < 1e-6);
        assert!(all.left(at(100), host(2)) >= 128.0);
        assert!(all.left(at(9_999), host(1)) <= 128.0);
        let loopback = Host::of_ip(Ipv4Addr::LOCALHOST.into());
        assert!(all.left(at(0), loopback) >= 1_024.0);
    }

    #[test]
    fn hosts_are_remembered_within_a_bound_and_those_longest_that_owe_most() {
        let mut all = Allowances::new(0.1, 128.0);
        all.spend(at(0), host(0), 100.0);
        for number in 1..=2 * u32::try_from(HOSTS_MAX).unwrap() {
            all.spend(at(0), host(number), 1.0);
            assert!(all.spent.len() <= HOSTS_MAX);
        }
        assert!(all.left(at(0), host(0)) <= 28.0);
        all.spend(at(11), host(99_999), 1.0);
        assert_eq!(all.spent.len(), 2, "whoever owes nothing is forgotten");
    }
}
