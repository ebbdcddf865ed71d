//! Who is due, who is connected, and how many groups are there, without looking at every entry.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use rustle_types::{Group, PeerId, Reach, Uptime};

use super::entry::Entry;

/// Entries that are looked at for one that may be dialled, when draws did not find it.
const SEARCH_MAX: usize = 128;

/// Sorted views of the entries. Each entry is taken out before it changes and put in again after.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Idle needed peers with an address, by the time from which they may be dialled.
    needed: BTreeSet<(Uptime, PeerId)>,
    /// Idle other peers, by the network of their home.
    others: [BTreeSet<(Uptime, PeerId)>; Reach::ALL.len()],
    /// Where the last search among them ended.
    cursors: [Option<(Uptime, PeerId)>; Reach::ALL.len()],
    groups: BTreeMap<Group, u32>,
    /// Handshaken outbound connections by their age.
    outbound: BTreeSet<(Uptime, PeerId)>,
    /// How many of them there are in each network.
    live: [u32; Reach::ALL.len()],
}

// === impl Index ===

impl Index {
    pub(super) fn add(&mut self, peer: PeerId, entry: &Entry) {
        if let Some(due) = self.due(entry) {
            due.insert((entry.ready, peer));
        }
        if let Some(group) = entry.group() {
            *self.groups.entry(group).or_default() += 1;
        }
        if let Some(since) = entry.outbound {
            self.outbound.insert((since, peer));
            if let Some(reach) = entry.reach() {
                self.live[reach as usize] += 1;
            }
        }
    }

    pub(super) fn remove(&mut self, peer: PeerId, entry: &Entry) {
        if let Some(due) = self.due(entry) {
            due.remove(&(entry.ready, peer));
        }
        if let Some(group) = entry.group()
            && let Some(count) = self.groups.get_mut(&group)
        {
            *count -= 1;
            if *count == 0 {
                self.groups.remove(&group);
            }
        }
        if let Some(since) = entry.outbound {
            self.outbound.remove(&(since, peer));
            if let Some(reach) = entry.reach() {
                self.live[reach as usize] -= 1;
            }
        }
    }

    fn due(&mut self, entry: &Entry) -> Option<&mut BTreeSet<(Uptime, PeerId)>> {
        let reach = entry.reach().filter(|_| entry.is_idle())?;
        Some(if entry.is_needed() {
            &mut self.needed
        } else {
            &mut self.others[reach as usize]
        })
    }

    /// Needed peers that may be dialled now, the one that waited longest first.
    pub(super) fn needed_ready(&self, now: Uptime) -> impl Iterator<Item = PeerId> {
        let ready = self.needed.iter().take_while(move |(ready, _)| *ready <= now);
        ready.map(|(_, peer)| *peer)
    }

    /// When the next needed peer that waits may be dialled.
    pub(super) fn next_needed(&self, now: Uptime) -> Option<Uptime> {
        next(&self.needed, now)
    }

    /// When the next other peer that waits may be dialled.
    pub(super) fn next_other(&self, now: Uptime) -> Option<Uptime> {
        self.others.iter().filter_map(|due| next(due, now)).min()
    }

    /// Whether any other peer may be dialled now.
    pub(super) fn is_any_ready(&self, now: Uptime, reach: Option<Reach>) -> bool {
        let first = |due: &BTreeSet<(Uptime, PeerId)>| due.first().is_some_and(|(ready, _)| *ready <= now);
        match reach {
            Some(reach) => first(&self.others[reach as usize]),
            None => self.others.iter().any(first),
        }
    }

    /// Searches in turn for an other peer that may be dialled now. Each call looks at a bounded number and goes on where
    /// the last one ended, so that everybody's turn comes.
    pub(super) fn search(
        &mut self,
        now: Uptime,
        reach: Option<Reach>,
        fits: impl Fn(&PeerId) -> bool,
    ) -> Option<PeerId> {
        let reaches = Reach::ALL
            .into_iter()
            .filter(|one| reach.is_none_or(|reach| reach == *one));
        reaches
            .map(|one| one as usize)
            .find_map(|one| self.search_in(one, now, &fits))
    }

    fn search_in(&mut self, reach: usize, now: Uptime, fits: &impl Fn(&PeerId) -> bool) -> Option<PeerId> {
        let due = &self.others[reach];
        let after = self.cursors[reach].map_or(Bound::Unbounded, Bound::Excluded);
        let rest = due.range((after, Bound::Unbounded));
        let start = self.cursors[reach].map(|cursor| due.range(..=cursor));
        let is_due = |one: &&(Uptime, PeerId)| one.0 <= now;
        let turn = rest
            .take_while(is_due)
            .chain(start.into_iter().flatten().take_while(is_due));
        let mut last = None;
        let mut found = None;
        for one in turn.take(SEARCH_MAX) {
            last = Some(*one);
            if fits(&one.1) {
                found = Some(one.1);
                break;
            }
        }
        self.cursors[reach] = last;
        found
    }

    /// How many groups the entries are spread over.
    pub(super) fn groups(&self) -> usize {
        self.groups.len()
    }

    /// Peers with a handshaken outbound connection, the longest-lived first.
    pub(super) fn outbound(&self) -> impl Iterator<Item = (Uptime, PeerId)> {
        self.outbound.iter().copied()
    }

    /// Whether some outbound connection through this network stands: it works.
    pub(super) const fn is_live(&self, reach: Reach) -> bool {
        self.live[reach as usize] != 0
    }
}

/// The first time after `now`.
fn next(due: &BTreeSet<(Uptime, PeerId)>, now: Uptime) -> Option<Uptime> {
    // A tick later nobody can stand at `now` any more, whatever his id.
    let after = now + std::time::Duration::from_nanos(1);
    let lowest = PeerId::from_bytes(&[0, 0]).expect("an empty identity multihash is the lowest peer id");
    due.range((after, lowest)..).next().map(|(ready, _)| *ready)
}
