//! What do dials and connections teach, and when may a peer be dialled again?
//!
//! The wait doubles with each dial that came to nothing, and with each connection that the peer ended at once: a peer that
//! accepts and drops us has banned us, or is full. Only failed dials can make a peer terrible.

use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use rustle_types::{Direction, Multiaddr, Now, PeerId, Reach, Timestamp, Uptime};

use super::Book;
use super::entry::{Contact, Entry, Seat};
use super::learn::{dialable, without_peer};
use super::source::{Source, SourceKind};

/// First wait after a failed dial.
pub const BACK_OFF_FIRST: Duration = Duration::from_secs(10);
/// Longest wait after a failed dial.
pub const BACK_OFF_MAX: Duration = Duration::from_secs(3600);
/// First wait after a failed dial to a peer that the node needs.
pub const BACK_OFF_NEEDED_FIRST: Duration = Duration::from_secs(1);
/// Longest wait after a failed dial to a peer that the node needs.
pub const BACK_OFF_NEEDED_MAX: Duration = Duration::from_secs(60);
/// Wait after meeting a peer of another network or version, or one that does not speak our protocol.
pub const BACK_OFF_INCOMPATIBLE: Duration = Duration::from_secs(600);
/// Wait where a ban of our own keeps us from a peer; it may be lifted meanwhile.
pub const BACK_OFF_BANNED: Duration = Duration::from_secs(60);
/// A connection that lasted so long ends the growth of the waits. Longer than a handshake may take.
pub const STEADY: Duration = Duration::from_secs(10);
/// Doublings beyond this change nothing.
const DOUBLINGS_MAX: u32 = 20;

impl Book {
    /// Notes that a connection with a peer stands, known or not.
    pub fn on_connected(&mut self, peer: &PeerId, direction: Direction) {
        let is_first = self.connected.insert(*peer);
        self.update(peer, |entry| {
            entry.connected = true;
            match direction {
                Direction::Outbound => {
                    entry.dialling = false;
                    if is_first {
                        entry.contact = Contact::Dialled;
                    }
                }
                Direction::Inbound if is_first => entry.contact = Contact::Received,
                Direction::Inbound => {}
            }
        });
    }

    /// Notes that a dial led to a handshake. The peer is added where it was not known, and moves to the tried table; where
    /// its place there is taken, the holder is tested first.
    pub fn on_reached(&mut self, now: Now, peer: &PeerId, address: &Multiaddr) {
        self.note_answer(now, peer, address, true);
    }

    /// Notes that a dial that nobody here has chosen led to a handshake: the address is good, and the peer becomes no
    /// anchor.
    pub fn on_met(&mut self, now: Now, peer: &PeerId, address: &Multiaddr) {
        self.note_answer(now, peer, address, false);
    }

    fn note_answer(&mut self, now: Now, peer: &PeerId, address: &Multiaddr, is_chosen: bool) {
        let Some(address) = dialable(peer, address.clone()).filter(|_| *peer != self.local) else {
            return;
        };
        let reach = Reach::of(&address);
        if let Some(reach) = reach {
            self.good[reach as usize] = Some(now.uptime);
        }
        if !self.contains(peer) {
            let entry = Entry::new(Source::at(SourceKind::Operator, &address));
            self.add_reached(now, *peer, entry, address.clone());
        }
        self.connected.insert(*peer);
        self.update(peer, |entry| {
            entry.addresses.verify(address.clone(), now.wall);
            note_reached(entry, now);
            entry.connected = true;
            if is_chosen {
                entry.outbound = entry.outbound.or(Some(now.uptime));
            }
        });
        self.touch(peer);
        match self.entries.get(peer).map(|entry| entry.seat) {
            Some(Seat::New(_)) => self.promote_or_test(now, *peer),
            Some(Seat::Tried(_)) => self.follow(*peer, &address),
            Some(Seat::Needed) | None => {}
        }
        self.refresh_anchors(now.uptime);
    }

    /// Adds a peer that was reached before it was known.
    fn add_reached(&mut self, now: Now, peer: PeerId, mut entry: Entry, address: Multiaddr) {
        entry.heard = now.wall;
        entry.addresses.verify(address, now.wall);
        note_reached(&mut entry, now);
        self.put(now.wall, peer, entry);
    }

    /// A tried peer that answers in another group moves there if its place is free; else it stays where it is.
    fn follow(&mut self, peer: PeerId, address: &Multiaddr) {
        let Some(entry) = self.entries.get(&peer) else {
            return;
        };
        let is_same = entry.group() == Some(rustle_types::Group::of(address));
        let place = self.salt.tried_place(&peer, address);
        if is_same || self.tried.at(place).is_some() {
            return;
        }
        if let Some(mut entry) = self.take_out(&peer) {
            entry.addresses.move_home(address);
            self.put_at(peer, entry, Seat::Tried(place));
        }
    }

    /// Notes that a peer that dialled us is connected in good order.
    pub fn on_seen(&mut self, now: Now, peer: &PeerId) {
        self.update(peer, |entry| {
            entry.seen = now.wall;
            entry.is_foreign = false;
            entry.contact = Contact::Greeted;
        });
        self.touch(peer);
    }

    /// Notes whether a peer says that it accepts connections; only such peers are named to others.
    pub fn set_accepts_inbound(&mut self, peer: &PeerId, accepts_inbound: bool) {
        let has_changed = self.update(peer, |entry| {
            std::mem::replace(&mut entry.accepts_inbound, accepts_inbound) != accepts_inbound
        });
        if has_changed == Some(true) {
            self.touch(peer);
        }
    }

    /// Notes that a dial came to nothing. A longer wait that was set before still holds.
    pub fn on_failed(&mut self, now: Now, peer: &PeerId, rng: &mut StdRng) {
        let reach = self.entries.get(peer).and_then(Entry::reach);
        let is_proof = self.is_proof(peer, reach);
        self.update(peer, |entry| {
            entry.dialling = false;
            delay(entry, now.uptime, rng);
            entry.misses = entry.misses.saturating_add(1);
            if is_proof {
                entry.failures = entry.failures.saturating_add(1);
                entry.counted = Some(now.uptime);
            }
        });
        self.touch(peer);
        self.resolve(now);
    }

    /// Whether a failed dial says something about the peer: its network works now, or has since the last such failure.
    fn is_proof(&self, peer: &PeerId, reach: Option<Reach>) -> bool {
        let (Some(entry), Some(reach)) = (self.entries.get(peer), reach) else {
            return false;
        };
        let good = self.good[reach as usize];
        self.index.is_live(reach)
            || good.is_some_and(|good| entry.counted.is_none_or(|counted| counted < good))
    }

    /// Notes that the last connection of a peer, which lasted so long, came to its end.
    pub fn on_lost(&mut self, now: Now, peer: &PeerId, lasted: Duration, rng: &mut StdRng) {
        self.connected.remove(peer);
        let contact = self.update(peer, |entry| {
            let contact = std::mem::replace(&mut entry.contact, Contact::Received);
            entry.connected = false;
            entry.outbound = None;
            if entry.is_foreign {
                entry.ready = entry.ready.max(now.uptime + BACK_OFF_INCOMPATIBLE);
            }
            match contact {
                Contact::Greeted if STEADY <= lasted => {
                    (entry.misses, entry.drops) = (0, 0);
                    delay(entry, now.uptime, rng);
                }
                Contact::Greeted | Contact::Received => {
                    delay(entry, now.uptime, rng);
                    entry.drops = entry.drops.saturating_add(1);
                }
                Contact::Dialled | Contact::Excused => {}
            }
            contact
        });
        if contact == Some(Contact::Dialled) {
            self.on_failed(now, peer, rng);
        }
        self.refresh_anchors(now.uptime);
    }

    /// Notes that a peer refused us because it is full: a longer wait, but nothing that counts against it.
    pub fn on_refused(&mut self, now: Now, peer: &PeerId, rng: &mut StdRng) {
        self.update(peer, |entry| {
            entry.dialling = false;
            entry.contact = Contact::Excused;
            delay(entry, now.uptime, rng);
            entry.drops = entry.drops.saturating_add(1);
        });
    }

    /// Notes that a peer is of another network or version: it is left alone for a while, and nothing is forgotten.
    pub fn on_incompatible(&mut self, now: Uptime, peer: &PeerId) {
        if self.anchors.contains(peer) {
            self.mark(*peer, false);
        }
        self.update(peer, |entry| {
            entry.dialling = false;
            entry.contact = Contact::Excused;
            entry.ready = entry.ready.max(now + BACK_OFF_INCOMPATIBLE);
        });
    }

    /// Notes that a peer does not speak our protocol, whether or not there is a place for it: it fills none of those that
    /// the book is for, so it is left alone until a while after the end of its connection.
    pub fn on_foreign(&mut self, now: Now, peer: &PeerId) {
        if self.anchors.contains(peer) {
            self.mark(*peer, false);
        }
        self.update(peer, |entry| {
            entry.seen = now.wall;
            entry.is_foreign = true;
            entry.dialling = false;
            entry.contact = Contact::Excused;
            entry.ready = entry.ready.max(now.uptime + BACK_OFF_INCOMPATIBLE);
        });
        self.touch(peer);
    }

    /// Notes that somebody else answered at an address of a peer: the address is forgotten.
    pub fn on_wrong_peer(&mut self, now: Now, peer: &PeerId, address: &Multiaddr, rng: &mut StdRng) {
        self.update(peer, |entry| {
            entry.dialling = false;
            delay(entry, now.uptime, rng);
            entry.misses = entry.misses.saturating_add(1);
        });
        self.forget_address(now.wall, peer, &without_peer(address.clone()));
    }

    /// Notes that this node itself will have nothing to do with a peer: nothing counts against it and nothing is forgotten,
    /// but it is dialled first after no restart.
    pub fn on_banned(&mut self, now: Uptime, peer: &PeerId) {
        if self.anchors.contains(peer) {
            self.mark(*peer, false);
        }
        self.update(peer, |entry| {
            entry.outbound = None;
            entry.contact = Contact::Excused;
            entry.ready = entry.ready.max(now + BACK_OFF_BANNED);
        });
    }

    /// Notes that somebody asked for a connection with a peer, known or not.
    pub fn on_asked(&mut self, now: Timestamp, peer: &PeerId) {
        self.update(peer, |entry| entry.tried = now);
        self.touch(peer);
    }

    /// Ends a dial that was given up for reasons of our own.
    pub fn on_given_up(&mut self, peer: &PeerId) {
        self.update(peer, |entry| entry.dialling = false);
    }

    /// When a peer was last dialled successfully; zero for never.
    pub fn last_reached(&self, peer: &PeerId) -> Timestamp {
        self.entries
            .get(peer)
            .map_or(Timestamp::default(), |entry| entry.reached)
    }
}

fn note_reached(entry: &mut Entry, now: Now) {
    (entry.seen, entry.reached) = (now.wall, now.wall);
    if entry.tried == Timestamp::default() {
        // It was dialled at an address that was not known to be its.
        entry.tried = now.wall;
    }
    (entry.failures, entry.misses) = (0, 0);
    entry.counted = None;
    entry.dialling = false;
    entry.contact = Contact::Greeted;
    entry.is_foreign = false;
}

/// Puts the next dial off.
fn delay(entry: &mut Entry, now: Uptime, rng: &mut StdRng) {
    let (first, longest) = if entry.is_needed() {
        (BACK_OFF_NEEDED_FIRST, BACK_OFF_NEEDED_MAX)
    } else {
        (BACK_OFF_FIRST, BACK_OFF_MAX)
    };
    let wait = back_off(first, entry.misses.max(entry.drops), longest, rng);
    entry.ready = entry.ready.max(now + wait);
}

/// `first` · 2ⁿ up to `longest`, of which a random half is taken off so that nodes do not dial in step.
pub fn back_off(first: Duration, doublings: u32, longest: Duration, rng: &mut StdRng) -> Duration {
    let whole = first
        .saturating_mul(2u32.saturating_pow(doublings.min(DOUBLINGS_MAX)))
        .min(longest);
    whole.mul_f64(rng.random_range(0.5..=1.0))
}
