//! How does the book look on disk?
//!
//! One record of [`Table::Peers`] for each peer, and one for the salt. Places are not written: they follow from the salt,
//! the home and the source. What cannot be read is left out and deleted: it costs that entry, never the start.

use rustle_store::{Batch, Table};
use rustle_types::{Group, Multiaddr, PeerId, Timestamp};

use super::address_list::{AddressList, KnownAddress, Trust};
use super::entry::{Entry, Need, Needs, Seat};
use super::learn::dialable;
use super::salt::{SALT_BYTES, Salt};
use super::source::{Source, SourceKind};
use super::{BOOK_MAX, Book, NEEDED_MAX};

/// Records in one batch of changes; the rest follow in the next.
pub const CHANGES_MAX: usize = 512;
/// Records that a book has on disk at most: its peers and the salt, and twice as many while changes wait.
pub const RECORDS_MAX: usize = 2 * BOOK_MAX + 1;
/// The key of the salt. A lone zero is an identity multihash without its length, so it is no peer id, and it is the
/// first record of all.
const SALT_KEY: [u8; 1] = [0];
/// Version of the records. Books of other versions are begun anew.
const VERSION: u8 = 2;

const MEMBER: u8 = 1;
const TRIED: u8 = 2;
const ANCHOR: u8 = 4;
const NO_INBOUND: u8 = 8;
/// It was needed, by a member's record or by the settings of that run, and had no place in the tables.
const APART: u8 = 16;
const FLAGS: u8 = MEMBER | TRIED | ANCHOR | NO_INBOUND | APART;

/// An entry as it was read, and where it sat.
struct Restored {
    entry: Entry,
    seat: OldSeat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum OldSeat {
    Apart,
    New,
    Tried,
}

// === impl Book ===

impl Book {
    /// Takes the records of an earlier run, in any order. What was learned before in this run stays.
    pub fn restore<K: AsRef<[u8]>, V: AsRef<[u8]>>(&mut self, records: impl IntoIterator<Item = (K, V)>) {
        let mut restored = Vec::new();
        for (key, value) in records.into_iter().take(RECORDS_MAX) {
            let (key, value) = (key.as_ref(), value.as_ref());
            if key == SALT_KEY {
                self.restore_salt(value);
                continue;
            }
            match decode(key, value) {
                Some((peer, entry)) if peer != self.local && !self.contains(&peer) => {
                    restored.push((peer, entry));
                }
                Some((peer, _)) if self.contains(&peer) => {
                    self.stored.insert(peer);
                }
                _ => self.strays.push(key.to_vec()),
            }
        }
        // Who had a place gets it back before others are given one. Where places collide because the salt was lost or a
        // write was torn, the better ones sit first.
        restored.sort_by_key(|(_, one)| {
            let Restored { entry, seat } = one;
            std::cmp::Reverse((*seat, entry.anchor, entry.reached, entry.heard))
        });
        for (peer, one) in restored {
            self.restore_entry(peer, one);
        }
        self.anchors = self.marked();
    }

    fn restore_salt(&mut self, value: &[u8]) {
        let salt = value.strip_prefix(&[VERSION]).map(<[u8; SALT_BYTES]>::try_from);
        if let Some(Ok(salt)) = salt
            && self.is_empty()
        {
            self.salt = Salt(salt);
            self.is_salt_dirty = false;
        }
    }

    fn restore_entry(&mut self, peer: PeerId, restored: Restored) {
        let Restored { mut entry, seat } = restored;
        self.stored.insert(peer);
        if NEEDED_MAX <= self.needed {
            entry.needs = Needs::default();
        }
        let is_as_before = if !entry.needs.is_none() {
            self.put_at(peer, entry, Seat::Needed);
            seat == OldSeat::Apart
        } else if seat == OldSeat::New {
            self.restore_new(peer, entry)
        } else if let Err(entry) = self.put_tried(peer, entry) {
            self.restore_new(peer, *entry);
            false
        } else {
            seat == OldSeat::Tried
        };
        if is_as_before {
            self.dirty.remove(&peer);
        }
    }

    /// Puts an entry into the new table if its place is free: nobody who had a place gives way at the start.
    fn restore_new(&mut self, peer: PeerId, entry: Entry) -> bool {
        let place = entry.new_place(&self.salt, &peer);
        let Some(place) = place.filter(|place| self.new.at(*place).is_none()) else {
            self.forget(peer);
            return false;
        };
        self.put_at(peer, entry, Seat::New(place));
        true
    }

    fn marked(&self) -> std::collections::BTreeSet<PeerId> {
        let marked = self.entries.iter().filter(|(_, entry)| entry.anchor);
        marked.map(|(peer, _)| *peer).take(super::ANCHORS_MAX).collect()
    }

    /// Whether something is to be written. The salt of an empty book is not worth a write.
    pub fn has_changes(&self) -> bool {
        !self.dirty.is_empty() || !self.strays.is_empty()
    }

    /// What is to be written, at most [`CHANGES_MAX`] records at a time. The batch need not be synced.
    pub fn take_changes(&mut self) -> Batch {
        let mut batch = Batch::new();
        if std::mem::take(&mut self.is_salt_dirty) {
            let value = [&[VERSION], &self.salt.0[..]].concat();
            batch.put(Table::Peers, SALT_KEY.to_vec(), value);
        }
        for _ in 0..CHANGES_MAX {
            if let Some(key) = self.strays.pop() {
                batch.delete(Table::Peers, key);
            } else if let Some(peer) = self.dirty.pop_first() {
                match self.entries.get(&peer) {
                    Some(entry) => {
                        self.stored.insert(peer);
                        batch.put(Table::Peers, peer.to_bytes(), encode(entry));
                    }
                    None => {
                        self.stored.remove(&peer);
                        batch.delete(Table::Peers, peer.to_bytes());
                    }
                }
            } else {
                break;
            }
        }
        batch
    }
}

/// Version, flags, source kind, source group (behind its length), the times seen, heard, tried and reached (8 bytes BE
/// each), failures (4 bytes BE); then each address, home first: trust, for a verified one the time (8 bytes BE), length,
/// bytes. Lengths, trust and kinds are one byte each.
fn encode(entry: &Entry) -> Vec<u8> {
    let flags = [
        (entry.needs.has(Need::Member), MEMBER),
        (matches!(entry.seat, Seat::Tried(_)), TRIED),
        (entry.is_needed(), APART),
        (entry.anchor, ANCHOR),
        (!entry.accepts_inbound, NO_INBOUND),
    ];
    let flags = flags.iter().filter(|(is_set, _)| *is_set);
    let mut value = vec![
        VERSION,
        flags.map(|(_, flag)| flag).sum(),
        entry.source.kind as u8,
    ];
    let group = entry.source.group.as_ref().map_or(&[][..], Group::as_bytes);
    value.push(group.len() as u8);
    value.extend(group);
    for time in [entry.seen, entry.heard, entry.tried, entry.reached] {
        value.extend(time.as_millis().to_be_bytes());
    }
    value.extend(entry.failures.to_be_bytes());
    for known in entry.addresses.iter() {
        match known.trust {
            Trust::Hearsay => value.push(0),
            Trust::Word => value.push(1),
            Trust::Verified(at) => {
                value.push(2);
                value.extend(at.as_millis().to_be_bytes());
            }
        }
        // Sanitised addresses are shorter than 256 bytes.
        value.push(known.address.len() as u8);
        value.extend(known.address.as_ref());
    }
    value
}

fn decode(key: &[u8], value: &[u8]) -> Option<(PeerId, Restored)> {
    let peer = PeerId::from_bytes(key).ok()?;
    let mut rest = value.strip_prefix(&[VERSION])?;
    let flags = byte(&mut rest)?;
    let kind = *SourceKind::ALL.get(usize::from(byte(&mut rest)?))?;
    let group = match byte(&mut rest)? {
        0 => None,
        length => Some(Group::from_bytes(bytes(&mut rest, length.into())?)?),
    };
    let mut entry = Entry::new(Source { kind, group });
    for time in [
        &mut entry.seen,
        &mut entry.heard,
        &mut entry.tried,
        &mut entry.reached,
    ] {
        *time = timestamp(&mut rest)?;
    }
    let (failures, mut rest) = rest.split_first_chunk()?;
    entry.failures = u32::from_be_bytes(*failures);
    let mut addresses = Vec::new();
    while !rest.is_empty() {
        let trust = match byte(&mut rest)? {
            0 => Trust::Hearsay,
            1 => Trust::Word,
            2 => Trust::Verified(timestamp(&mut rest)?),
            _ => return None,
        };
        let length = byte(&mut rest)?;
        let address = Multiaddr::try_from(bytes(&mut rest, length.into())?.to_vec()).ok()?;
        let address = dialable(&peer, address)?;
        addresses.push(KnownAddress { address, trust });
    }
    entry.addresses = AddressList::restored(addresses);
    entry.accepts_inbound = flags & NO_INBOUND == 0;
    entry.anchor = flags & ANCHOR != 0 && flags & MEMBER == 0;
    if flags & MEMBER != 0 {
        entry.needs = Needs::default().with(Need::Member);
    }
    let is_kept = flags & !FLAGS == 0 && (flags & MEMBER != 0 || !entry.addresses.is_empty());
    let seat = match (flags & APART != 0, flags & TRIED != 0) {
        (true, _) => OldSeat::Apart,
        (false, true) => OldSeat::Tried,
        (false, false) => OldSeat::New,
    };
    is_kept.then_some((peer, Restored { entry, seat }))
}

fn byte(rest: &mut &[u8]) -> Option<u8> {
    let (first, more) = rest.split_first()?;
    *rest = more;
    Some(*first)
}

fn bytes<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (first, more) = rest.split_at_checked(length)?;
    *rest = more;
    Some(first)
}

fn timestamp(rest: &mut &[u8]) -> Option<Timestamp> {
    let (first, more) = rest.split_first_chunk()?;
    *rest = more;
    Some(Timestamp::from_millis(u64::from_be_bytes(*first)))
}
