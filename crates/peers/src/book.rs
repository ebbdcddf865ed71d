//! Which peers do we know, and whom do we believe?
//!
//! An attacker can name a million peers at no cost. What he cannot have at no cost are addresses in many networks, and
//! peers that answer. So the book has two tables, as Bitcoin Core's address manager has. What was heard of stands in
//! *new*, where the network of the teller chooses the bucket: whoever talks from one network fills a few buckets, however
//! much he says. What was reached stands in *tried*, where the peer's own network chooses the bucket. A draw takes first a
//! table, then a bucket, then a peer, so that a full bucket weighs no more than one with a single peer.
//!
//! * A peer has one place in the book. Core lets an address stand in up to eight buckets of its new table; here the table
//!   is small, each further reference would take the place of another peer, and what the references protect from, loss
//!   of an honest entry by a flood, cannot happen: only terrible entries give way.
//! * A peer that was reached takes a taken place in *tried* only after its holder was dialled and did not answer, or could
//!   not be dialled at all within [`TRIAL_WINDOW`], as in Bitcoin Core. A holder that is connected, or was reached within
//!   [`FRESH`], keeps it.
//! * *Needed* peers (members of our chains, boot and static nodes) are kept apart; no hearsay pushes them out.
//!
//! Forgotten is: a terrible entry ([`HORIZON`], [`NEVER_REACHED_FAILURES_MAX`], [`FAILURES_MAX`], or a peer that does not
//! speak our protocol) when another wants its place in *new*; the loser of a test, if its place in *new* is held by a peer that was reached too; an address at which
//! somebody else answered, and a peer without addresses with it. A failed dial counts only while that network is seen to
//! work, so that a node without a network forgets nobody. Nothing else is forgotten.

mod address_list;
mod anchor;
mod entry;
mod index;
mod learn;
mod outcome;
mod pick;
mod record;
mod salt;
mod source;
mod table;
mod trial;
mod view;

#[cfg(test)]
mod flood_tests;
#[cfg(test)]
mod record_tests;
#[cfg(test)]
mod sequence_tests;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand::rngs::StdRng;
use rustle_types::{Group, Multiaddr, Now, PeerId, Reach, Timestamp, Uptime};

pub use address_list::{ADDRESSES_MAX, HEARSAY_ALONE_MAX, HEARSAY_MAX, KnownAddress, Trust, VERIFIED_MAX};
pub use anchor::{ANCHOR_STEADY, ANCHORS_MAX};
pub use entry::{FAILING_FOR, FAILURES_MAX, HORIZON, NEVER_REACHED_FAILURES_MAX, Need};
pub use learn::{Learned, OWN_ADDRESSES_MAX};
pub use outcome::{
    BACK_OFF_BANNED, BACK_OFF_FIRST, BACK_OFF_INCOMPATIBLE, BACK_OFF_MAX, BACK_OFF_NEEDED_FIRST,
    BACK_OFF_NEEDED_MAX, STEADY, back_off,
};
pub use pick::Wish;
pub use record::{CHANGES_MAX, RECORDS_MAX};
pub use salt::{NEW_BUCKETS, NEW_BUCKETS_PER_SOURCE, TRIED_BUCKETS, TRIED_BUCKETS_PER_GROUP};
pub use source::{Source, SourceKind};
pub use table::BUCKET_SIZE;
pub use trial::{FRESH, TRIAL_WINDOW, TRIALS_MAX};
pub use view::{BookStats, EntryView, TableKind};

use entry::{Entry, Seat};
use index::Index;
use salt::Salt;
use table::{Place, Table};
use trial::Trial;

/// Needed peers kept apart from the tables. One more is kept like any other peer.
pub const NEEDED_MAX: usize = 1_024;
/// Peers in the book.
pub const BOOK_MAX: usize =
    NEEDED_MAX + (NEW_BUCKETS as usize + TRIED_BUCKETS as usize) * BUCKET_SIZE as usize;

const _: () = assert!(BOOK_MAX <= 5_000, "the book is bounded");

/// The address book. It draws from the caller's random numbers and reads the caller's clock.
#[derive(Debug)]
pub struct Book {
    local: PeerId,
    salt: Salt,
    entries: BTreeMap<PeerId, Entry>,
    new: Table,
    tried: Table,
    needed: usize,
    index: Index,
    /// Collisions in the tried table that wait for a test; at most [`TRIALS_MAX`].
    trials: Vec<Trial>,
    /// Peers whose records bear the mark of an anchor; at most [`ANCHORS_MAX`].
    anchors: BTreeSet<PeerId>,
    /// Peers with a connection, known or not. As many as there are connections.
    connected: BTreeSet<PeerId>,
    /// When a peer was last reached through each network.
    good: [Option<Uptime>; Reach::ALL.len()],
    /// Where this node listens.
    listening: Vec<Multiaddr>,
    /// Where it has met itself; at most [`OWN_ADDRESSES_MAX`].
    own: VecDeque<Multiaddr>,
    /// Peers whose records are to be written or deleted.
    dirty: BTreeSet<PeerId>,
    /// Peers that have a record on disk.
    stored: BTreeSet<PeerId>,
    /// Records on disk that belong to nobody.
    strays: Vec<Vec<u8>>,
    is_salt_dirty: bool,
}

// === impl Book ===

impl Book {
    /// An empty book of the node `local`, with a fresh salt; `rng` must not be known to peers.
    pub fn new(local: PeerId, rng: &mut StdRng) -> Self {
        Self {
            local,
            salt: Salt::random(rng),
            entries: BTreeMap::new(),
            new: Table::new(NEW_BUCKETS),
            tried: Table::new(TRIED_BUCKETS),
            needed: 0,
            index: Index::default(),
            trials: Vec::new(),
            anchors: BTreeSet::new(),
            connected: BTreeSet::new(),
            good: [None; Reach::ALL.len()],
            listening: Vec::new(),
            own: VecDeque::new(),
            dirty: BTreeSet::new(),
            stored: BTreeSet::new(),
            strays: Vec::new(),
            is_salt_dirty: true,
        }
    }

    /// How many peers are known.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nobody is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether a peer is known.
    pub fn contains(&self, peer: &PeerId) -> bool {
        self.entries.contains_key(peer)
    }

    /// Whether the node needs a peer.
    pub fn is_needed(&self, peer: &PeerId) -> bool {
        self.entries.get(peer).is_some_and(Entry::is_needed)
    }

    /// The addresses of a peer, those first that are worth a dial first. None where the peer is not known.
    pub fn addresses(&self, peer: &PeerId) -> Vec<Multiaddr> {
        let entry = self.entries.get(peer);
        entry.map_or_else(Vec::new, |entry| entry.addresses.by_worth())
    }

    /// The network and the group of the address by which a peer has its place.
    pub fn home(&self, peer: &PeerId) -> Option<(Reach, Group)> {
        let entry = self.entries.get(peer)?;
        Some((entry.reach()?, entry.group()?))
    }

    /// Needed peers that may be dialled now, the one that waited longest first.
    pub fn needed_ready(&self, now: Uptime) -> impl Iterator<Item = PeerId> {
        self.index.needed_ready(now)
    }

    /// When the next peer that waits may be dialled, needed or not.
    pub fn next_ready(&self, now: Uptime) -> Option<Uptime> {
        let times = [self.next_needed_ready(now), self.index.next_other(now)];
        times.into_iter().flatten().min()
    }

    /// Whether a peer that is not needed may be dialled now.
    pub fn is_anybody_due(&self, now: Uptime) -> bool {
        self.index.is_any_ready(now, None)
    }

    /// When the next needed peer that waits may be dialled.
    pub fn next_needed_ready(&self, now: Uptime) -> Option<Uptime> {
        self.index.next_needed(now)
    }

    // --- the one way in which an entry changes

    /// Changes an entry in place. Its seat and home must stay.
    fn update<R>(&mut self, peer: &PeerId, change: impl FnOnce(&mut Entry) -> R) -> Option<R> {
        let entry = self.entries.get_mut(peer)?;
        self.index.remove(*peer, entry);
        let result = change(entry);
        self.index.add(*peer, entry);
        Some(result)
    }

    /// Takes an entry out, to be put in again at another seat or forgotten.
    fn take_out(&mut self, peer: &PeerId) -> Option<Entry> {
        let entry = self.entries.remove(peer)?;
        self.index.remove(*peer, &entry);
        match entry.seat {
            Seat::New(place) => self.new.clear(place),
            Seat::Tried(place) => self.tried.clear(place),
            Seat::Needed => self.needed -= 1,
        }
        Some(entry)
    }

    /// Puts an entry in at a seat that is free.
    fn put_at(&mut self, peer: PeerId, mut entry: Entry, seat: Seat) {
        entry.seat = seat;
        entry.connected = self.connected.contains(&peer);
        match seat {
            Seat::New(place) => self.new.seat(place, peer),
            Seat::Tried(place) => self.tried.seat(place, peer),
            Seat::Needed => self.needed += 1,
        }
        self.index.add(peer, &entry);
        self.entries.insert(peer, entry);
        self.dirty.insert(peer);
    }

    /// Puts an entry into the tried table if its place there is free, else gives it back.
    fn put_tried(&mut self, peer: PeerId, mut entry: Entry) -> Result<(), Box<Entry>> {
        let Some(home) = tried_home(&entry) else {
            return Err(Box::new(entry));
        };
        let place = self.salt.tried_place(&peer, &home);
        if self.tried.at(place).is_some() {
            return Err(Box::new(entry));
        }
        entry.addresses.move_home(&home);
        self.put_at(peer, entry, Seat::Tried(place));
        Ok(())
    }

    /// Puts an entry into the new table, or forgets it where its place is held by a better one.
    fn put_new(&mut self, now: Timestamp, peer: PeerId, entry: Entry) -> bool {
        let place = entry.new_place(&self.salt, &peer);
        let Some(place) = place.filter(|place| self.gives_way(now, *place, &entry)) else {
            self.forget(peer);
            return false;
        };
        if let Some(holder) = self.new.at(place)
            && self.take_out(&holder).is_some()
        {
            self.forget(holder);
        }
        self.put_at(peer, entry, Seat::New(place));
        true
    }

    /// Whether a place of the new table is free or held by an entry that gives way to `entry`.
    fn gives_way(&self, now: Timestamp, place: Place, entry: &Entry) -> bool {
        let Some(holder) = self.new.at(place).and_then(|holder| self.entries.get(&holder)) else {
            return true;
        };
        let is_lesser = entry.was_reached() && !holder.was_reached() && holder.is_idle();
        is_lesser || holder.is_terrible(now)
    }

    /// Puts an entry where it belongs: with the needed, in tried, in new, or nowhere.
    fn put(&mut self, now: Timestamp, peer: PeerId, entry: Entry) {
        if !entry.needs.is_none() {
            return self.put_at(peer, entry, Seat::Needed);
        }
        if let Err(entry) = self.put_tried(peer, entry) {
            self.put_new(now, peer, *entry);
        }
    }

    /// Clears what is left of an entry that was taken out.
    fn forget(&mut self, peer: PeerId) {
        if self.stored.contains(&peer) {
            self.dirty.insert(peer);
        } else {
            self.dirty.remove(&peer);
        }
        self.anchors.remove(&peer);
        self.trials.retain(|trial| trial.challenger != peer);
    }

    /// Forgets a peer altogether.
    pub fn remove(&mut self, peer: &PeerId) {
        if self.take_out(peer).is_some() {
            self.forget(*peer);
        }
    }

    /// Forgets one address of a peer, and the peer with its last one, unless it is needed.
    fn forget_address(&mut self, now: Timestamp, peer: &PeerId, address: &Multiaddr) {
        let knows = |entry: &Entry| entry.addresses.iter().any(|known| known.address == *address);
        if !self.entries.get(peer).is_some_and(knows) {
            return;
        }
        let Some(mut entry) = self.take_out(peer) else {
            return;
        };
        entry.addresses.forget(address);
        match entry.seat {
            _ if entry.addresses.is_empty() && entry.needs.is_none() => self.forget(*peer),
            Seat::New(_) => {
                self.put_new(now, *peer, entry);
            }
            Seat::Tried(_) | Seat::Needed => self.put(now, *peer, entry),
        }
    }

    /// Starts a dial: gives the addresses, those first that are worth it first. None where the peer has no address.
    pub fn start_dial(&mut self, now: Now, peer: &PeerId) -> Option<Vec<Multiaddr>> {
        let addresses = self.update(peer, |entry| {
            if entry.addresses.is_empty() {
                return None;
            }
            entry.dialling = true;
            entry.tried = now.wall;
            Some(entry.addresses.by_worth())
        })?;
        self.touch(peer);
        addresses
    }

    /// Notes that the record of a peer is to be written again.
    fn touch(&mut self, peer: &PeerId) {
        if self.contains(peer) {
            self.dirty.insert(*peer);
        }
    }
}

/// The address that gives an entry its place in the tried table: its home, if it answered there.
fn tried_home(entry: &Entry) -> Option<Multiaddr> {
    let home = entry.addresses.iter().next().filter(|home| home.is_verified());
    let home = home.map(|home| &home.address);
    home.or_else(|| entry.addresses.last_verified()).cloned()
}
