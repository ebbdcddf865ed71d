//! Whom to dial next, whom to test, and whom to name to others?

use std::collections::BTreeSet;
use std::fmt;

use rand::RngExt as _;
use rand::rngs::StdRng;
use rustle_types::{Group, Multiaddr, Now, PeerId, Reach, Timestamp};

use super::Book;
use super::entry::{Entry, HORIZON, elapsed};
use super::table::Table;

/// Draws from one table before another way is tried.
const DRAWS_MAX: u32 = 32;
/// By how much each draw that was not kept raises the chance of the next.
const CHANCE_GROWTH: f64 = 1.2;

/// What the next peer to be dialled must be like.
#[derive(Clone, Copy)]
pub struct Wish<'a> {
    /// Reached through this network; any where `None`.
    pub reach: Option<Reach>,
    /// Not in one of these groups, which have an outbound connection. Asked only of peers on the clear internet. Where the
    /// caller finds nobody, it may ask again without: a small network may live in one group.
    pub groups: &'a BTreeSet<Group>,
    /// Not one of these.
    pub excluded: &'a dyn Fn(&PeerId) -> bool,
}

// === impl Wish ===

impl fmt::Debug for Wish<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wish")
            .field("reach", &self.reach)
            .field("groups", &self.groups)
            .finish_non_exhaustive()
    }
}

impl Wish<'_> {
    fn fits(&self, peer: &PeerId, entry: &Entry, now: Now) -> bool {
        let reach = entry.reach();
        let is_crowded =
            reach == Some(Reach::Clear) && entry.group().is_some_and(|group| self.groups.contains(&group));
        let is_near = self.reach.is_none_or(|wanted| reach == Some(wanted));
        entry.is_ready(now.uptime) && is_near && !is_crowded && !(self.excluded)(peer)
    }
}

// === impl Book ===

impl Book {
    /// Draws the next peer to dial: from new or tried with even chances, a bucket, then a peer, kept with a chance that
    /// falls with failures and recent dials. Where draws find nobody, the due peers are searched in turn, so that a single
    /// one that can be dialled is found after a few calls. Costs at most two hundred looks, and nothing where nobody is due:
    /// after `None`, there is no need to ask again before [`Self::next_ready`], or before the wish changes.
    pub fn pick(&mut self, now: Now, wish: &Wish<'_>, rng: &mut StdRng) -> Option<PeerId> {
        if !self.index.is_any_ready(now.uptime, wish.reach) {
            return None;
        }
        let (first, second) = if rng.random() {
            (&self.tried, &self.new)
        } else {
            (&self.new, &self.tried)
        };
        let drawn = self.draw(first, now, wish, rng);
        if let Some(peer) = drawn.or_else(|| self.draw(second, now, wish, rng)) {
            return Some(peer);
        }
        let entries = &self.entries;
        let fits = |peer: &PeerId| entries.get(peer).is_some_and(|entry| wish.fits(peer, entry, now));
        self.index.search(now.uptime, wish.reach, fits)
    }

    fn draw(&self, table: &Table, now: Now, wish: &Wish<'_>, rng: &mut StdRng) -> Option<PeerId> {
        let mut factor = 1.0;
        for _ in 0..DRAWS_MAX {
            let peer = table.draw(rng)?;
            let entry = self.entries.get(&peer)?;
            let is_kept =
                wish.fits(&peer, entry, now) && rng.random::<f64>() < factor * entry.chance(now.wall);
            if is_kept {
                return Some(peer);
            }
            factor *= CHANCE_GROWTH;
        }
        None
    }

    /// The peer for the next feeler, a short connection that only tells whether a peer lives: the holder of a place in the
    /// tried table that another claims, else somebody who was only heard of.
    pub fn feeler(
        &mut self,
        now: Now,
        excluded: &dyn Fn(&PeerId) -> bool,
        rng: &mut StdRng,
    ) -> Option<PeerId> {
        self.resolve(now);
        self.refresh_anchors(now.uptime);
        let mut holders = self.holders_to_test();
        holders.retain(|peer| !excluded(peer));
        if !holders.is_empty() {
            return Some(holders[rng.random_range(0..holders.len())]);
        }
        let groups = BTreeSet::new();
        let wish = Wish {
            reach: None,
            groups: &groups,
            excluded,
        };
        self.draw(&self.new, now, &wish, rng)
    }

    /// At most `count` random peers to be named to somebody else: reached within [`HORIZON`], accepting connections, not
    /// terrible, with the addresses at which they answered and that `scope` admits. Nothing tells who is connected now.
    pub fn sample(
        &self,
        now: Timestamp,
        count: usize,
        scope: &dyn Fn(Reach) -> bool,
        rng: &mut StdRng,
    ) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let worthy = |entry: &Entry| {
            let is_alive = entry.was_reached() && elapsed(entry.reached, now) <= HORIZON;
            is_alive && entry.accepts_inbound && !entry.is_terrible(now)
        };
        let within = |entry: &Entry| -> Vec<Multiaddr> {
            let verified = entry.addresses.iter().filter(|known| known.is_verified());
            let verified = verified.map(|known| &known.address);
            let within = verified.filter(|address| Reach::of(address).is_some_and(scope));
            within.cloned().collect()
        };
        let worthy = self.entries.iter().filter(|(_, entry)| worthy(entry));
        let named = worthy.map(|(peer, entry)| (*peer, within(entry)));
        let mut named: Vec<_> = named.filter(|(_, addresses)| !addresses.is_empty()).collect();
        let count = count.min(named.len());
        for index in 0..count {
            let other = rng.random_range(index..named.len());
            named.swap(index, other);
        }
        named.truncate(count);
        named
    }
}
