//! What do we tell of other peers, and what do we believe?
//!
//! Lists help newcomers, and they are the way in for whoever wants to fill an address book with its own. So they are taken
//! only from peers that we asked, a bounded number of addresses each; we ask those that we dialled by our own choice, and
//! others only while we have too few of these. They are given as a random part of what we know, the same part to all for
//! an hour: nobody can read the whole book by asking often.
//!
//! All of this is counted beyond the end of a connection, and for hosts as well as for peers: else whoever comes back each
//! second, or under a new name, would have no bounds at all.

mod allowance;
mod credence;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rustle_types::limits::{PEER_ADDRESSES_LISTED_MAX, PEERS_LISTED_MAX};
use rustle_types::{Host, PeerId, Uptime};
use rustle_wire::{PeerEntry, PeersList};

use crate::Fault;
use allowance::Allowances;
use credence::is_sane;
pub(crate) use credence::{credible, may_tell};

/// A peer is asked again after so long, give or take a tenth.
const ASK_EVERY: Duration = Duration::from_secs(300);
/// A peer may ask again after so long: what we do, less the jitter.
const ANSWER_EVERY: Duration = Duration::from_secs(240);
/// After its first list a peer may tell so many addresses a second, and save up some.
const HEARD_PER_SECOND: f64 = 0.1;
const HEARD_SAVED_MAX: f64 = 32.0;
/// So long a teller that is gone is remembered: until it would have earned a whole first list.
const GONE_FOR: Duration = Duration::from_secs(1280);
/// Tellers that are gone and remembered; for one more, the one that went first is forgotten.
const GONE_MAX: usize = 1_024;
/// What all those on one host that we did not choose may tell, first lists included, before they must earn it.
const HEARD_OF_HOST_MAX: f64 = 128.0;
/// Askers that are remembered; for one more, the one that asked first is forgotten.
const ASKED_MAX: usize = 4_096;
/// Lists that one host may have at once, and one more each time its share of [`ANSWER_EVERY`] has gone by.
const ANSWERS_OF_HOST_MAX: u32 = 8;
/// The part of what may be told that is told; of little, all of it up to the least number.
const TOLD_PERCENT: usize = 23;
const TOLD_MIN: usize = 32;
/// A full list is kept for so long, give or take a tenth.
const KEPT: Duration = Duration::from_secs(3600);

/// What we tell. Holds at most [`ASKED_MAX`] askers, and two lists.
#[derive(Debug)]
pub(crate) struct Answers {
    asked: BTreeMap<PeerId, Asker>,
    hosts: Allowances,
    /// By whether the askers are in a private network with us.
    kept: BTreeMap<bool, (Uptime, PeersList)>,
}

#[derive(Debug)]
struct Asker {
    last: Uptime,
    /// It was disconnected since: it need not know that it asks too soon.
    has_left: bool,
}

/// What we are told. Holds one entry per connected peer that is asked, and at most [`GONE_MAX`] of others.
#[derive(Debug)]
pub(crate) struct Hearings {
    tellers: BTreeMap<PeerId, Teller>,
    /// Those that are up, by when they are to be asked.
    due: BTreeSet<(Uptime, PeerId)>,
    /// Those that are not, the one that went first in front.
    gone: BTreeSet<(Uptime, PeerId)>,
    hosts: Allowances,
}

#[derive(Debug)]
struct Teller {
    /// When it is to be asked, unless it was asked a moment ago. In `due` while it is up.
    next: Option<Uptime>,
    /// Whether it was asked and has not answered.
    is_asked: bool,
    is_up: bool,
    /// Since when it is not connected; in `gone` then.
    gone: Option<Uptime>,
    /// Where it comes from, unless we chose it.
    host: Option<Host>,
    is_first: bool,
    allowance: f64,
    counted: Uptime,
}

/// What was taken from a list.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) entries: Vec<PeerEntry>,
    /// Addresses left out because they lead nowhere, and because they were too many.
    pub(crate) insane: usize,
    pub(crate) surplus: usize,
}

// === impl Heard ===

impl Heard {
    /// How many addresses the peer sent, those that were left out included.
    pub(crate) fn addresses(&self) -> usize {
        let taken: usize = self.entries.iter().map(|entry| entry.addresses.len()).sum();
        taken + self.insane + self.surplus
    }
}

// === impl Answers ===

impl Default for Answers {
    fn default() -> Self {
        let at_once = f64::from(ANSWERS_OF_HOST_MAX);
        Self {
            asked: BTreeMap::new(),
            hosts: Allowances::new(at_once / ANSWER_EVERY.as_secs_f64(), at_once),
            kept: BTreeMap::new(),
        }
    }
}

impl Answers {
    /// Whether a peer at a host may have a list now. The fault is that of a peer that knows better.
    pub(crate) fn may_ask(
        &mut self,
        now: Uptime,
        peer: PeerId,
        host: Option<Host>,
    ) -> Result<(), Option<Fault>> {
        if let Some(asker) = self.asked.get_mut(&peer)
            && now < asker.last + ANSWER_EVERY
        {
            // It may have been started anew, and remember nothing.
            let has_left = std::mem::take(&mut asker.has_left);
            return Err((!has_left).then_some(Fault::ListFlood));
        }
        if let Some(host) = host {
            if self.hosts.left(now, host) < 1.0 {
                return Err(None);
            }
            self.hosts.spend(now, host, 1.0);
        }
        if ASKED_MAX <= self.asked.len() && !self.asked.contains_key(&peer) {
            self.asked.retain(|_, asker| now < asker.last + ANSWER_EVERY);
            let first = self.asked.iter().min_by_key(|(_, asker)| asker.last);
            if let Some(first) = first.map(|(peer, _)| *peer)
                && ASKED_MAX <= self.asked.len()
            {
                self.asked.remove(&first);
            }
        }
        let asker = Asker {
            last: now,
            has_left: false,
        };
        self.asked.insert(peer, asker);
        Ok(())
    }

    /// The list for a peer. `pool` gives all that may be told to askers of this kind, and is not called while a list is kept.
    pub(crate) fn list(
        &mut self,
        now: Uptime,
        asker: &PeerId,
        limit: u32,
        is_local: bool,
        rng: &mut StdRng,
        pool: impl FnOnce(&mut StdRng) -> Vec<PeerEntry>,
    ) -> PeersList {
        let is_kept = self.kept.get(&is_local).is_some_and(|(until, _)| now < *until);
        if !is_kept {
            let list = choose(pool(rng), rng);
            // A short list would keep newcomers from each other for as long as it is kept.
            let until = if TOLD_MIN <= list.entries.len() {
                now + KEPT.mul_f64(rng.random_range(0.9..=1.1))
            } else {
                now
            };
            self.kept.insert(is_local, (until, list));
        }
        let list = self.kept.get(&is_local).map(|(_, list)| list);
        let limit = if limit == 0 {
            PEERS_LISTED_MAX
        } else {
            usize::try_from(limit).unwrap_or(PEERS_LISTED_MAX)
        };
        let entries = list.map_or(&[][..], |list| &list.entries).iter();
        PeersList {
            entries: entries
                .filter(|entry| entry.peer != *asker)
                .take(limit)
                .cloned()
                .collect(),
        }
    }

    /// Notes that a peer is gone; what it has had still counts.
    pub(crate) fn on_gone(&mut self, peer: &PeerId) {
        if let Some(asker) = self.asked.get_mut(peer) {
            asker.has_left = true;
        }
    }
}

/// A random part of what may be told, within the bounds of a list.
fn choose(mut pool: Vec<PeerEntry>, rng: &mut StdRng) -> PeersList {
    pool.retain(|entry| !entry.addresses.is_empty());
    pool.shuffle(rng);
    let told = (pool.len() * TOLD_PERCENT / 100).clamp(TOLD_MIN, PEERS_LISTED_MAX);
    let mut room = PEERS_LISTED_MAX;
    let entries = pool.into_iter().take(told).map_while(|mut entry| {
        entry.addresses.truncate(PEER_ADDRESSES_LISTED_MAX.min(room));
        room -= entry.addresses.len();
        (!entry.addresses.is_empty()).then_some(entry)
    });
    PeersList {
        entries: entries.collect(),
    }
}

// === impl Hearings ===

impl Default for Hearings {
    fn default() -> Self {
        Self {
            tellers: BTreeMap::new(),
            due: BTreeSet::new(),
            gone: BTreeSet::new(),
            hosts: Allowances::new(HEARD_PER_SECOND, HEARD_OF_HOST_MAX),
        }
    }
}

impl Hearings {
    /// Notes that a peer that is to be asked is up: at once, unless it was lately. `host` is where it comes from, unless we
    /// chose it.
    pub(crate) fn on_up(&mut self, now: Uptime, peer: PeerId, host: Option<Host>) {
        self.expire(now);
        let fresh = Teller {
            next: Some(now),
            is_asked: false,
            is_up: true,
            gone: None,
            host,
            is_first: true,
            allowance: 0.0,
            counted: now,
        };
        let teller = self.tellers.entry(peer).or_insert(fresh);
        if let Some(gone) = teller.gone.take() {
            self.gone.remove(&(gone, peer));
        }
        (teller.is_up, teller.host) = (true, host);
        let next = teller.next.map_or(now + ASK_EVERY, |next| now.max(next));
        teller.next = Some(next);
        self.due.insert((next, peer));
    }

    /// Takes the next peer that is to be asked now.
    pub(crate) fn take_due(&mut self, now: Uptime) -> Option<PeerId> {
        let (at, peer) = *self.due.first().filter(|(at, _)| *at <= now)?;
        self.due.remove(&(at, peer));
        if let Some(teller) = self.tellers.get_mut(&peer) {
            teller.next = None;
            teller.is_asked = true;
        }
        Some(peer)
    }

    /// When the next peer is to be asked.
    pub(crate) fn next_ask(&self) -> Option<Uptime> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Takes a list; `is_local` is whether the teller is in a private network with us.
    pub(crate) fn hear(
        &mut self,
        now: Uptime,
        peer: PeerId,
        list: PeersList,
        is_local: bool,
        rng: &mut StdRng,
    ) -> Result<Heard, Fault> {
        let Some(teller) = self.tellers.get_mut(&peer).filter(|teller| teller.is_asked) else {
            return Err(Fault::UnaskedList);
        };
        teller.is_asked = false;
        let mut room = teller.room(now);
        if let Some(host) = teller.host {
            room = room.min(whole(self.hosts.left(now, host)));
        }
        let mut heard = Heard::default();
        for mut entry in list.entries {
            let told = entry.addresses.len();
            entry
                .addresses
                .retain(|address| is_sane(address, &entry.peer, is_local));
            entry.addresses.sort();
            entry.addresses.dedup();
            heard.insane += told - entry.addresses.len();
            let taken = entry.addresses.len().min(room);
            heard.surplus += entry.addresses.len() - taken;
            entry.addresses.truncate(taken);
            room -= taken;
            if !entry.addresses.is_empty() {
                heard.entries.push(entry);
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "at most PEERS_LISTED_MAX")]
        let taken = heard
            .entries
            .iter()
            .map(|entry| entry.addresses.len())
            .sum::<usize>() as f64;
        teller.spend(taken);
        if let Some(host) = teller.host {
            self.hosts.spend(now, host, taken);
        }
        self.ask_later(now, peer, rng);
        Ok(heard)
    }

    /// Notes that no answer came.
    pub(crate) fn on_unheard(&mut self, now: Uptime, peer: PeerId, rng: &mut StdRng) {
        self.ask_later(now, peer, rng);
    }

    /// Notes that a peer is not up any more.
    pub(crate) fn on_down(&mut self, peer: &PeerId) {
        if let Some(teller) = self.tellers.get_mut(peer) {
            teller.is_up = false;
            if let Some(next) = teller.next {
                self.due.remove(&(next, *peer));
            }
        }
    }

    /// Notes that a peer is gone; what it has told still counts.
    pub(crate) fn on_gone(&mut self, now: Uptime, peer: &PeerId) {
        self.on_down(peer);
        if let Some(teller) = self.tellers.get_mut(peer).filter(|teller| teller.gone.is_none()) {
            teller.next = teller.next.or(Some(now + ASK_EVERY));
            teller.gone = Some(now);
            self.gone.insert((now, *peer));
            self.expire(now);
        }
    }

    /// Forgets those that are gone and would have earned all back, and those that are too many.
    fn expire(&mut self, now: Uptime) {
        while let Some((since, peer)) = self.gone.first().copied() {
            if now < since + GONE_FOR && self.gone.len() <= GONE_MAX {
                return;
            }
            self.gone.pop_first();
            self.tellers.remove(&peer);
        }
    }

    fn ask_later(&mut self, now: Uptime, peer: PeerId, rng: &mut StdRng) {
        let Some(teller) = self.tellers.get_mut(&peer) else {
            return;
        };
        teller.is_asked = false;
        if teller.next.is_none() {
            let next = now + ASK_EVERY.mul_f64(rng.random_range(0.9..=1.1));
            teller.next = Some(next);
            if teller.is_up {
                self.due.insert((next, peer));
            }
        }
    }
}

// === impl Teller ===

impl Teller {
    /// How many addresses may be taken now.
    fn room(&mut self, now: Uptime) -> usize {
        if self.is_first {
            return PEERS_LISTED_MAX;
        }
        let earned = (now - self.counted).as_secs_f64() * HEARD_PER_SECOND;
        self.allowance = (self.allowance + earned).min(HEARD_SAVED_MAX);
        self.counted = now;
        whole(self.allowance)
    }

    fn spend(&mut self, addresses: f64) {
        if self.is_first {
            self.is_first = false;
            return;
        }
        self.allowance = (self.allowance - addresses).max(0.0);
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and what is saved up, and negative numbers become 0"
)]
const fn whole(allowance: f64) -> usize {
    allowance as usize
}

#[cfg(test)]
mod tests;
