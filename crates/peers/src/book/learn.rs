//! What becomes of a peer that somebody names?

use rustle_types::limits::ADDRESS_BYTES_MAX;
use rustle_types::{Multiaddr, Now, PeerId, Timestamp, address};

use super::entry::{Entry, Need, Seat, elapsed};
use super::source::{Source, SourceKind};
use super::{Book, NEEDED_MAX};

/// Addresses at which this node has met itself. The oldest goes first: it may be somebody else's by now.
pub const OWN_ADDRESSES_MAX: usize = 32;
/// What was heard again within this time is not written again.
const HEARD_AGAIN: std::time::Duration = std::time::Duration::from_secs(3600);

/// What became of a peer that somebody named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learned {
    /// It has a place in the book now.
    Added,
    /// It was known; it may have an address more.
    Known,
    /// It has no address that can be dialled, or no place is free for what this source tells, or it is ourselves.
    Refused,
}

impl Book {
    /// Takes what somebody tells of a peer. Addresses that cannot be dialled or are our own are left out.
    pub fn learn(
        &mut self,
        now: Now,
        peer: PeerId,
        addresses: impl IntoIterator<Item = Multiaddr>,
        source: Source,
    ) -> Learned {
        let addresses = self.sanitised(&peer, addresses);
        if peer == self.local {
            return Learned::Refused;
        }
        if self.entries.contains_key(&peer) {
            self.hear_again(now, &peer, addresses, source);
            return Learned::Known;
        }
        let entry = fresh(now, addresses, source);
        if entry.addresses.is_empty() || !self.put_new(now.wall, peer, entry) {
            return Learned::Refused;
        }
        Learned::Added
    }

    fn hear_again(&mut self, now: Now, peer: &PeerId, addresses: Vec<Multiaddr>, source: Source) {
        let has_changed = self.update(peer, |entry| {
            let is_news = HEARD_AGAIN < elapsed(entry.heard, now.wall);
            if is_news {
                entry.heard = now.wall;
            }
            // A needed peer may have had no address; any other keeps its home, so its place stays the same.
            is_news | add(entry, addresses, source)
        });
        if has_changed == Some(true) {
            self.touch(peer);
        }
    }

    /// Takes a peer that the node needs. Over [`NEEDED_MAX`], a needed peer that never answered gives way; where there is
    /// none, this one is kept like any other.
    pub fn need(
        &mut self,
        now: Now,
        peer: PeerId,
        addresses: impl IntoIterator<Item = Multiaddr>,
        source: Source,
        need: Need,
    ) -> Learned {
        if peer == self.local {
            return Learned::Refused;
        }
        let addresses = self.sanitised(&peer, addresses);
        if self.entries.get(&peer).is_some_and(Entry::is_needed) {
            let is_new = self.update(&peer, |entry| {
                let is_new = !entry.needs.has(need);
                entry.needs = entry.needs.with(need);
                is_new
            });
            if is_new == Some(true) {
                self.touch(&peer);
            }
            self.hear_again(now, &peer, addresses, source);
            return Learned::Known;
        }
        if !self.make_room_for_needed() {
            return self.learn(now, peer, addresses, source);
        }
        let known = self.take_out(&peer);
        let learned = if known.is_some() {
            Learned::Known
        } else {
            Learned::Added
        };
        let mut entry = known.unwrap_or_else(|| fresh(now, Vec::new(), source));
        entry.needs = entry.needs.with(need);
        entry.heard = entry.heard.max(now.wall);
        entry.anchor = false;
        add(&mut entry, addresses, source);
        self.anchors.remove(&peer);
        self.trials.retain(|trial| trial.challenger != peer);
        self.put_at(peer, entry, Seat::Needed);
        learned
    }

    /// Ends one need for a peer. One that is needed no more is kept like any other, if there is a place for it.
    pub fn release(&mut self, now: Timestamp, peer: &PeerId, need: Need) {
        if !self.entries.get(peer).is_some_and(Entry::is_needed) {
            return;
        }
        if let Some(mut entry) = self.take_out(peer) {
            entry.needs = entry.needs.without(need);
            self.put(now, *peer, entry);
        }
    }

    fn make_room_for_needed(&mut self) -> bool {
        if self.needed < NEEDED_MAX {
            return true;
        }
        let silent = self.entries.iter().filter(|(_, entry)| {
            entry.is_needed() && entry.is_idle() && !entry.was_reached() && 0 < entry.failures
        });
        let longest = silent.min_by_key(|(_, entry)| entry.seen.max(entry.heard));
        let Some(peer) = longest.map(|(peer, _)| *peer) else {
            return false;
        };
        self.remove(&peer);
        true
    }

    // --- what is ours

    /// Takes the addresses at which this node listens.
    pub fn set_listening(&mut self, addresses: Vec<Multiaddr>) {
        self.listening = addresses.into_iter().map(without_peer).collect();
    }

    /// Notes that this node answered at an address: nobody is looked for there any more.
    pub fn on_self(&mut self, now: Timestamp, address: Multiaddr) {
        let address = without_peer(address);
        let knows = |entry: &Entry| entry.addresses.iter().any(|known| known.address == address);
        let liars = self.entries.iter().filter(|(_, entry)| knows(entry));
        let liars: Vec<PeerId> = liars.map(|(peer, _)| *peer).collect();
        for peer in liars {
            self.forget_address(now, &peer, &address);
        }
        if !self.is_own(&address) {
            if OWN_ADDRESSES_MAX <= self.own.len() {
                self.own.pop_front();
            }
            self.own.push_back(address);
        }
    }

    /// Whether this node listens at an address or has met itself there.
    pub fn is_own(&self, address: &Multiaddr) -> bool {
        self.listening.contains(address) || self.own.contains(address)
    }

    /// The addresses that may be kept for a peer, without its id at their end.
    fn sanitised(&self, peer: &PeerId, addresses: impl IntoIterator<Item = Multiaddr>) -> Vec<Multiaddr> {
        let kept = addresses.into_iter().take(super::ADDRESSES_MAX);
        let kept = kept.filter_map(|address| dialable(peer, address));
        kept.filter(|address| !self.is_own(address)).collect()
    }
}

/// An address as it is kept, where it can be dialled and does not name another peer.
pub(super) fn dialable(peer: &PeerId, address: Multiaddr) -> Option<Multiaddr> {
    if address::peer(&address).is_some_and(|named| named != *peer) {
        return None;
    }
    let address = without_peer(address);
    let is_short = address.len() <= ADDRESS_BYTES_MAX;
    (is_short && address::is_dialable(&address)).then_some(address)
}

/// An address without the id of the peer that lives there.
pub(super) fn without_peer(mut address: Multiaddr) -> Multiaddr {
    if address::peer(&address).is_some() {
        address.pop();
    }
    address
}

fn fresh(now: Now, addresses: Vec<Multiaddr>, source: Source) -> Entry {
    let mut entry = Entry::new(source);
    entry.heard = now.wall;
    add(&mut entry, addresses, source);
    entry
}

/// Adds addresses as far as their source is believed; whether anything changed.
fn add(entry: &mut Entry, addresses: Vec<Multiaddr>, source: Source) -> bool {
    if source.kind.is_word() {
        return entry.addresses.say(&addresses, source.kind == SourceKind::Hello);
    }
    let has_failed = 0 < entry.failures;
    let mut has_changed = false;
    for address in addresses {
        has_changed |= entry.addresses.hear(address, has_failed);
    }
    has_changed
}
