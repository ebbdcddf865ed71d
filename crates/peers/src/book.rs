//! Which peers do we know, and when may each be dialled again?
//!
//! Failed dials back off exponentially with jitter, so that a dead peer costs little and a returning one is met soon.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use rustle_store::{Batch, Table};
use rustle_types::limits::ADDRESS_BYTES_MAX;
use rustle_types::{Multiaddr, PeerId, Timestamp, Uptime};

/// Peers kept in the book; beyond, the one that was seen longest ago is forgotten.
pub const KNOWN_PEERS_MAX: usize = 1_000;
/// Addresses kept for each.
const ADDRESSES_MAX: usize = 8;
/// First back-off after a failed dial.
const BACK_OFF_MIN: Duration = Duration::from_secs(1);
/// Longest back-off of a peer that the node needs.
const BACK_OFF_WANTED_MAX: Duration = Duration::from_secs(60);
/// Longest back-off of any other.
const BACK_OFF_MAX: Duration = Duration::from_secs(3600);
/// Failures that still count against a peer that was reached: a minute of back-off, should it leave again at once.
const REACHED_FAILURES_MAX: u32 = 6;
/// Back-off of a peer of another network or version.
const BACK_OFF_INCOMPATIBLE: Duration = Duration::from_secs(600);

/// A peer of the book as it is kept on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPeer {
    /// The peer.
    pub peer: PeerId,
    /// Where it may be found, the address that worked last first.
    pub addresses: Vec<Multiaddr>,
    /// When it was connected last; zero for never.
    pub seen: Timestamp,
    /// Whether the node needs it.
    pub wanted: bool,
}

/// Why a record of the book is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a record of the address book is damaged; it is left out")]
pub struct RecordError;

#[derive(Debug)]
struct Entry {
    known: KnownPeer,
    failures: u32,
    /// Not dialled before.
    ready: Uptime,
    dialling: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Book {
    entries: BTreeMap<PeerId, Entry>,
}

// === impl KnownPeer ===

impl KnownPeer {
    /// Reads a record of [`Table::Peers`].
    pub fn from_record(key: &[u8], value: &[u8]) -> Result<Self, RecordError> {
        let peer = PeerId::from_bytes(key).map_err(|_| RecordError)?;
        let (&wanted, rest) = value.split_first().ok_or(RecordError)?;
        let (seen, mut rest) = rest.split_first_chunk::<8>().ok_or(RecordError)?;
        let mut addresses = Vec::new();
        while let Some((&length, more)) = rest.split_first() {
            let (address, more) = more.split_at_checked(length.into()).ok_or(RecordError)?;
            addresses.push(Multiaddr::try_from(address.to_vec()).map_err(|_| RecordError)?);
            rest = more;
        }
        Ok(Self {
            peer,
            addresses,
            seen: Timestamp::from_millis(u64::from_be_bytes(*seen)),
            wanted: wanted != 0,
        })
    }

    /// The record of [`Table::Peers`]: wanted (1 byte), seen (8 bytes BE), then each address behind its length (1 byte).
    pub fn to_record(&self) -> (Vec<u8>, Vec<u8>) {
        let mut value = vec![u8::from(self.wanted)];
        value.extend(self.seen.as_millis().to_be_bytes());
        for address in &self.addresses {
            if let Ok(length) = u8::try_from(address.len()) {
                value.push(length);
                value.extend(address.as_ref());
            }
        }
        (self.peer.to_bytes(), value)
    }
}

// === impl Book ===

impl Book {
    /// Adds what is known of a peer; gives the peer that had to make room.
    pub(crate) fn learn(&mut self, known: KnownPeer) -> Option<PeerId> {
        let entry = self.entries.entry(known.peer).or_insert_with(|| Entry {
            known: KnownPeer {
                addresses: Vec::new(),
                seen: Timestamp::default(),
                wanted: false,
                ..known.clone()
            },
            failures: 0,
            ready: Uptime::ZERO,
            dialling: false,
        });
        entry.known.wanted |= known.wanted;
        entry.known.seen = entry.known.seen.max(known.seen);
        for address in known.addresses {
            if address.len() <= ADDRESS_BYTES_MAX && !entry.known.addresses.contains(&address) {
                entry.known.addresses.insert(0, address);
            }
        }
        entry.known.addresses.truncate(ADDRESSES_MAX);
        self.forget_one(known.peer)
    }

    /// Forgets the least useful peer where the book is over its bound, but not `fresh`.
    fn forget_one(&mut self, fresh: PeerId) -> Option<PeerId> {
        if self.entries.len() <= KNOWN_PEERS_MAX {
            return None;
        }
        let (peer, _) = self
            .entries
            .iter()
            .filter(|(peer, entry)| **peer != fresh && !entry.dialling)
            .min_by_key(|(_, entry)| (entry.known.wanted, entry.known.seen))?;
        let peer = *peer;
        self.entries.remove(&peer);
        Some(peer)
    }

    /// Notes that a peer was reached at `address`.
    pub(crate) fn on_reached(&mut self, peer: PeerId, address: Option<Multiaddr>, wall: Timestamp) {
        let Some(entry) = self.entries.get_mut(&peer) else {
            return;
        };
        entry.failures = entry.failures.min(REACHED_FAILURES_MAX);
        entry.ready = Uptime::ZERO;
        entry.dialling = false;
        entry.known.seen = wall;
        if let Some(address) = address {
            entry.known.addresses.retain(|known| *known != address);
            entry.known.addresses.insert(0, address);
            entry.known.addresses.truncate(ADDRESSES_MAX);
        }
    }

    /// Notes that the last connection of a peer came to its end; only one that lasted ends the growth of the waits.
    pub(crate) fn on_lost(&mut self, peer: PeerId, now: Uptime, has_lasted: bool, rng: &mut StdRng) {
        if let Some(entry) = self.entries.get_mut(&peer).filter(|_| has_lasted) {
            entry.failures = 0;
        }
        self.on_failed(peer, now, rng);
    }

    /// Notes that a dial came to nothing. A longer wait that was set before still holds.
    pub(crate) fn on_failed(&mut self, peer: PeerId, now: Uptime, rng: &mut StdRng) {
        let Some(entry) = self.entries.get_mut(&peer) else {
            return;
        };
        let longest = if entry.known.wanted {
            BACK_OFF_WANTED_MAX
        } else {
            BACK_OFF_MAX
        };
        entry.dialling = false;
        entry.ready = entry.ready.max(now + back_off(entry.failures, longest, rng));
        entry.failures = entry.failures.saturating_add(1);
    }

    /// Notes that a peer cannot be talked to for now.
    pub(crate) fn on_incompatible(&mut self, peer: PeerId, now: Uptime) {
        if let Some(entry) = self.entries.get_mut(&peer) {
            entry.dialling = false;
            entry.ready = now + BACK_OFF_INCOMPATIBLE;
        }
    }

    /// Marks a peer as being dialled and gives its addresses.
    pub(crate) fn start_dial(&mut self, peer: PeerId) -> Option<Vec<Multiaddr>> {
        let entry = self.entries.get_mut(&peer)?;
        entry.dialling = true;
        Some(entry.known.addresses.clone())
    }

    /// The peers that may be dialled at `now`: wanted ones first, then those seen last.
    pub(crate) fn candidates(&self, now: Uptime) -> Vec<(PeerId, bool)> {
        let mut ready: Vec<&Entry> = self
            .entries
            .values()
            .filter(|entry| entry.ready <= now && !entry.dialling && !entry.known.addresses.is_empty())
            .collect();
        ready.sort_by_key(|entry| std::cmp::Reverse((entry.known.wanted, entry.known.seen)));
        ready
            .into_iter()
            .map(|entry| (entry.known.peer, entry.known.wanted))
            .collect()
    }

    /// When the next peer that waits may be dialled.
    pub(crate) fn next_ready(&self, now: Uptime) -> Option<Uptime> {
        let waiting = self
            .entries
            .values()
            .filter(|entry| !entry.dialling && now < entry.ready);
        waiting.map(|entry| entry.ready).min()
    }

    pub(crate) fn peer(&self, peer: &PeerId) -> Option<&KnownPeer> {
        self.entries.get(peer).map(|entry| &entry.known)
    }

    /// The record of a peer as a batch.
    pub(crate) fn persist(&self, peer: &PeerId) -> Batch {
        let mut batch = Batch::new();
        if let Some(known) = self.peer(peer) {
            let (key, value) = known.to_record();
            batch.put(Table::Peers, key, value);
        }
        batch
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// `BACK_OFF_MIN` · 2ⁿ up to `longest`, of which a random half is taken off so that nodes do not dial in step.
pub(crate) fn back_off(failures: u32, longest: Duration, rng: &mut StdRng) -> Duration {
    let whole = BACK_OFF_MIN
        .saturating_mul(2u32.saturating_pow(failures.min(20)))
        .min(longest);
    whole.mul_f64(rng.random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    fn peer(number: u16) -> PeerId {
        // An identity multihash of two bytes is a valid peer id.
        PeerId::from_bytes(&[0x00, 0x02, (number >> 8) as u8, number as u8]).unwrap()
    }

    fn known(number: u16, seen: u64) -> KnownPeer {
        KnownPeer {
            peer: peer(number),
            addresses: vec![format!("/ip4/127.0.0.1/tcp/{number}").parse().unwrap()],
            seen: Timestamp::from_millis(seen),
            wanted: false,
        }
    }

    #[test]
    fn records_survive_and_damage_is_told() {
        let mut peer = known(7, 9);
        peer.wanted = true;
        peer.addresses
            .push("/ip4/10.0.0.1/udp/9/quic-v1".parse().unwrap());
        let (key, value) = peer.to_record();
        assert_eq!(KnownPeer::from_record(&key, &value), Ok(peer));
        for cut in [0, 5, value.len() - 1] {
            assert_eq!(KnownPeer::from_record(&key, &value[..cut]), Err(RecordError));
        }
    }

    #[test]
    fn the_book_keeps_its_bound_and_forgets_the_oldest() {
        let mut book = Book::default();
        let mut forgotten = Vec::new();
        for number in 1..=u16::try_from(KNOWN_PEERS_MAX).unwrap() + 5 {
            forgotten.extend(book.learn(known(number, number.into())));
        }
        assert_eq!(book.len(), KNOWN_PEERS_MAX);
        assert_eq!(forgotten, (1..=5).map(peer).collect::<Vec<_>>());
    }

    #[test]
    fn failures_back_off_and_success_forgives() {
        let mut book = Book::default();
        let mut rng = StdRng::seed_from_u64(1);
        book.learn(known(1, 0));
        let mut last = Duration::ZERO;
        for _ in 0..5 {
            book.on_failed(peer(1), Uptime::ZERO, &mut rng);
            let ready = book.next_ready(Uptime::ZERO).unwrap() - Uptime::ZERO;
            assert!(last < ready * 2, "{last:?} {ready:?}");
            assert!(book.candidates(Uptime::ZERO).is_empty());
            last = ready;
        }
        book.on_reached(peer(1), None, Timestamp::from_millis(5));
        assert_eq!(book.candidates(Uptime::ZERO), vec![(peer(1), false)]);
    }

    #[test]
    fn the_end_of_a_refused_connection_does_not_shorten_the_wait() {
        let mut book = Book::default();
        let mut rng = StdRng::seed_from_u64(3);
        book.learn(known(1, 0));

        book.on_incompatible(peer(1), Uptime::ZERO);
        book.on_failed(peer(1), Uptime::ZERO, &mut rng);

        assert_eq!(
            book.next_ready(Uptime::ZERO),
            Some(Uptime::ZERO + BACK_OFF_INCOMPATIBLE)
        );
    }

    #[test]
    fn back_off_never_passes_an_hour() {
        let mut rng = StdRng::seed_from_u64(2);
        assert!(back_off(u32::MAX, BACK_OFF_MAX, &mut rng) <= BACK_OFF_MAX);
    }
}
