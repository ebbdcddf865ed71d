//! What do we tell of other peers, and what do we believe?
//!
//! Lists help newcomers, and they are the way in for whoever wants to fill an address book with its own. So lists are taken
//! only from peers that we dialled and asked, a bounded number of addresses each, and given as a random part of what we
//! know, the same part to all for an hour: nobody can read the whole book by asking often.

mod credence;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rustle_types::limits::{PEER_ADDRESSES_LISTED_MAX, PEERS_LISTED_MAX};
use rustle_types::{PeerId, Uptime};
use rustle_wire::{PeerEntry, PeersList};

use crate::Fault;
use credence::is_sane;
pub(crate) use credence::{credible, may_tell};

/// A peer is asked again after so long, give or take a tenth.
const ASK_EVERY: Duration = Duration::from_secs(300);
/// A peer may ask again after so long: what we do, less the jitter.
const ANSWER_EVERY: Duration = Duration::from_secs(240);
/// After its first list a peer may tell so many addresses a second, and save up some.
const HEARD_PER_SECOND: f64 = 0.1;
const HEARD_SAVED_MAX: f64 = 32.0;
/// The part of what may be told that is told; of little, all of it up to the least number.
const TOLD_PERCENT: usize = 23;
const TOLD_MIN: usize = 32;
/// A full list is kept for so long, give or take a tenth.
const KEPT: Duration = Duration::from_secs(3600);

/// What we tell. Holds one entry per connected peer that has asked, and two lists.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    asked: BTreeMap<PeerId, Uptime>,
    /// By whether the askers are in a private network with us.
    kept: BTreeMap<bool, (Uptime, PeersList)>,
}

/// What we are told. Holds one entry per connected peer that we dialled.
#[derive(Debug, Default)]
pub(crate) struct Hearings {
    tellers: BTreeMap<PeerId, Teller>,
    due: BTreeSet<(Uptime, PeerId)>,
}

#[derive(Debug)]
struct Teller {
    /// In `due`, where it waits for its turn.
    next: Option<Uptime>,
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

impl Answers {
    /// Whether a peer may have a list now.
    pub(crate) fn may_ask(&mut self, now: Uptime, peer: PeerId) -> Result<(), Fault> {
        if self
            .asked
            .get(&peer)
            .is_some_and(|last| now < *last + ANSWER_EVERY)
        {
            return Err(Fault::ListFlood);
        }
        self.asked.insert(peer, now);
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

    /// Forgets a peer that is gone.
    pub(crate) fn forget(&mut self, peer: &PeerId) {
        self.asked.remove(peer);
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

impl Hearings {
    /// Notes that a peer that we dialled is up; it is asked at once.
    pub(crate) fn on_up(&mut self, now: Uptime, peer: PeerId) {
        self.forget(&peer);
        let teller = Teller {
            next: Some(now),
            is_first: true,
            allowance: 0.0,
            counted: now,
        };
        self.tellers.insert(peer, teller);
        self.due.insert((now, peer));
    }

    /// Takes the next peer that is to be asked now.
    pub(crate) fn take_due(&mut self, now: Uptime) -> Option<PeerId> {
        let (at, peer) = *self.due.first().filter(|(at, _)| *at <= now)?;
        self.due.remove(&(at, peer));
        if let Some(teller) = self.tellers.get_mut(&peer) {
            teller.next = None;
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
        let Some(teller) = self.tellers.get_mut(&peer).filter(|teller| teller.next.is_none()) else {
            return Err(Fault::UnaskedList);
        };
        let mut room = teller.room(now);
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
        teller.spend(heard.entries.iter().map(|entry| entry.addresses.len()).sum());
        self.ask_later(now, peer, rng);
        Ok(heard)
    }

    /// Notes that no answer came.
    pub(crate) fn on_unheard(&mut self, now: Uptime, peer: PeerId, rng: &mut StdRng) {
        self.ask_later(now, peer, rng);
    }

    /// Forgets a peer that is gone.
    pub(crate) fn forget(&mut self, peer: &PeerId) {
        if let Some(next) = self.tellers.remove(peer).and_then(|teller| teller.next) {
            self.due.remove(&(next, *peer));
        }
    }

    fn ask_later(&mut self, now: Uptime, peer: PeerId, rng: &mut StdRng) {
        if let Some(teller) = self.tellers.get_mut(&peer).filter(|teller| teller.next.is_none()) {
            let next = now + ASK_EVERY.mul_f64(rng.random_range(0.9..=1.1));
            teller.next = Some(next);
            self.due.insert((next, peer));
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
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and HEARD_SAVED_MAX"
        )]
        let whole = self.allowance as usize;
        whole
    }

    fn spend(&mut self, addresses: usize) {
        if self.is_first {
            self.is_first = false;
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "at most PEERS_LISTED_MAX")]
        let spent = addresses as f64;
        self.allowance = (self.allowance - spent).max(0.0);
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rustle_wire::Services;

    use super::*;

    fn peer(number: usize) -> PeerId {
        let [.., a, b] = number.to_be_bytes();
        PeerId::from_bytes(&[0, 2, a, b]).unwrap()
    }

    fn entry(number: usize) -> PeerEntry {
        PeerEntry {
            peer: peer(number),
            addresses: vec![
                format!("/ip4/20.{}.{}.1/tcp/1", number / 256, number % 256)
                    .parse()
                    .unwrap(),
            ],
            services: Services::INBOUND,
            days_ago: 0,
        }
    }

    fn list(range: std::ops::Range<usize>) -> PeersList {
        PeersList {
            entries: range.map(entry).collect(),
        }
    }

    fn rng() -> StdRng {
        StdRng::seed_from_u64(1)
    }

    fn at(seconds: u64) -> Uptime {
        Uptime::from_secs(seconds)
    }

    #[test]
    fn the_first_list_is_taken_whole_and_then_one_address_in_ten_seconds() {
        let (mut hearings, mut rng) = (Hearings::default(), rng());
        hearings.on_up(at(0), peer(9));
        assert_eq!(hearings.take_due(at(0)), Some(peer(9)));
        let heard = hearings
            .hear(at(1), peer(9), list(0..128), false, &mut rng)
            .unwrap();
        assert_eq!(heard.entries.len(), 128);
        assert_eq!(hearings.take_due(at(200)), None);
        let next = hearings.next_ask().unwrap();
        assert!(at(271) <= next && next <= at(331), "{next:?}");
        assert_eq!(hearings.take_due(next), Some(peer(9)));
        let heard = hearings
            .hear(at(301), peer(9), list(200..300), false, &mut rng)
            .unwrap();
        assert_eq!(
            (heard.entries.len(), heard.surplus),
            (30, 70),
            "0.1 a second for 301 seconds"
        );
        assert_eq!(hearings.take_due(at(700)), Some(peer(9)));
        hearings.on_unheard(at(700), peer(9), &mut rng);
        assert_eq!(hearings.take_due(at(1_100)), Some(peer(9)));
        let heard = hearings
            .hear(at(9_999), peer(9), list(300..400), false, &mut rng)
            .unwrap();
        assert_eq!(heard.entries.len(), 32, "what is saved up has a bound");
    }

    #[test]
    fn a_list_that_nobody_asked_for_is_a_fault() {
        let (mut hearings, mut rng) = (Hearings::default(), rng());
        let unasked = hearings.hear(at(0), peer(9), list(0..1), false, &mut rng);
        assert!(matches!(unasked, Err(Fault::UnaskedList)));
        hearings.on_up(at(0), peer(9));
        assert!(
            hearings
                .hear(at(0), peer(9), list(0..1), false, &mut rng)
                .is_err(),
            "not asked yet"
        );
        hearings.take_due(at(0));
        assert!(hearings.hear(at(0), peer(9), list(0..1), false, &mut rng).is_ok());
        assert!(
            hearings
                .hear(at(0), peer(9), list(0..1), false, &mut rng)
                .is_err(),
            "once"
        );
        hearings.forget(&peer(9));
        assert_eq!((hearings.next_ask(), hearings.tellers.len()), (None, 0));
    }

    #[test]
    fn the_book_cannot_be_read_by_asking_often() {
        let (mut answers, mut rng) = (Answers::default(), rng());
        let pool = |_: &mut StdRng| (0..1_000).map(entry).collect::<Vec<_>>();
        let mut seen = BTreeSet::new();
        for asker in 2_000..2_100 {
            let list = answers.list(at(60), &peer(asker), 0, false, &mut rng, pool);
            assert!(list.entries.len() <= PEERS_LISTED_MAX);
            seen.extend(list.entries.iter().map(|entry| entry.peer));
        }
        assert_eq!(seen.len(), PEERS_LISTED_MAX, "a hundred askers get one list");
        let later = answers.list(at(60 + 4_000), &peer(1), 5, false, &mut rng, pool);
        assert_eq!(later.entries.len(), 5);
    }

    #[test]
    fn a_short_list_is_not_kept_and_never_names_the_asker() {
        let (mut answers, mut rng) = (Answers::default(), rng());
        let two = |_: &mut StdRng| vec![entry(1), entry(2)];
        assert_eq!(
            answers.list(at(0), &peer(1), 0, false, &mut rng, two).entries,
            [entry(2)]
        );
        let three = |_: &mut StdRng| vec![entry(1), entry(2), entry(3)];
        assert_eq!(
            answers
                .list(at(1), &peer(9), 0, false, &mut rng, three)
                .entries
                .len(),
            3
        );
    }

    #[test]
    fn a_peer_has_one_list_in_four_minutes() {
        let mut answers = Answers::default();
        assert!(answers.may_ask(at(0), peer(1)).is_ok());
        assert!(matches!(answers.may_ask(at(239), peer(1)), Err(Fault::ListFlood)));
        assert!(answers.may_ask(at(240), peer(1)).is_ok());
        answers.forget(&peer(1));
        assert!(answers.asked.is_empty());
    }
}
