//! Which addresses does one peer have, and how far is each to be believed?
//!
//! An address at which the peer has answered is verified. What the peer itself said over a proven connection, or an
//! invitation or the operator, is its word. All else is hearsay: anybody may name an honest peer id with addresses of his
//! own, so hearsay has two places beside better addresses and never takes the place of one.

use std::time::Duration;

use rustle_types::{Multiaddr, Timestamp};

/// Addresses kept for each peer.
pub const ADDRESSES_MAX: usize = 8;
/// Verified addresses kept of them, so that a peer that moves has room for what it says now.
pub const VERIFIED_MAX: usize = 4;
/// Hearsay kept beside better addresses.
pub const HEARSAY_MAX: usize = 2;
/// Hearsay kept while there is nothing better.
pub const HEARSAY_ALONE_MAX: usize = 4;

/// How far an address is to be believed, in rising order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trust {
    /// Somebody said so.
    Hearsay,
    /// The peer itself, an invitation or the operator said so.
    Word,
    /// The peer answered there, last at this time.
    Verified(Timestamp),
}

/// One address of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownAddress {
    /// Where, without `/p2p/…` of the peer at its end.
    pub address: Multiaddr,
    /// How far it is to be believed.
    pub trust: Trust,
}

/// The addresses of one peer. The first is its home: the peer's place in the tables follows from it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct AddressList {
    list: Vec<KnownAddress>,
}

// === impl KnownAddress ===

impl KnownAddress {
    /// Whether the peer has answered there.
    pub const fn is_verified(&self) -> bool {
        matches!(self.trust, Trust::Verified(_))
    }
}

// === impl AddressList ===

impl AddressList {
    /// The list with these addresses, home first; what is beyond the bounds is left out.
    pub(super) fn restored(addresses: impl IntoIterator<Item = KnownAddress>) -> Self {
        let mut restored = Self::default();
        for known in addresses {
            let is_full = match known.trust {
                Trust::Verified(_) => VERIFIED_MAX <= restored.verified(),
                Trust::Word | Trust::Hearsay => false,
            };
            if !is_full && restored.list.len() < ADDRESSES_MAX && !restored.contains(&known.address) {
                restored.list.push(known);
            }
        }
        restored
    }

    pub(super) fn home(&self) -> Option<&Multiaddr> {
        self.list.first().map(|known| &known.address)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &KnownAddress> {
        self.list.iter()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    fn contains(&self, address: &Multiaddr) -> bool {
        self.list.iter().any(|known| known.address == *address)
    }

    fn verified(&self) -> usize {
        self.list.iter().filter(|known| known.is_verified()).count()
    }

    /// Where the peer answered last.
    pub(super) fn last_verified(&self) -> Option<&Multiaddr> {
        let verified = self.list.iter().filter(|known| known.is_verified());
        verified
            .max_by_key(|known| known.trust)
            .map(|known| &known.address)
    }

    /// All addresses in the order in which they are worth a dial: where the peer answered last, then its word, then
    /// hearsay.
    pub(super) fn by_worth(&self) -> Vec<Multiaddr> {
        let mut known: Vec<&KnownAddress> = self.list.iter().collect();
        known.sort_by_key(|known| std::cmp::Reverse(known.trust));
        known.into_iter().map(|known| known.address.clone()).collect()
    }

    /// Makes an address the home, where it is in the list.
    pub(super) fn move_home(&mut self, address: &Multiaddr) {
        if let Some(index) = self.list.iter().position(|known| known.address == *address) {
            self.list[..=index].rotate_right(1);
        }
    }

    /// Notes that the peer answered at an address. It counts as the last one even where the clock was set back.
    pub(super) fn verify(&mut self, address: Multiaddr, at: Timestamp) {
        let last = self.list.iter().map(|known| known.trust).max();
        let trust = match last {
            Some(Trust::Verified(last)) if at <= last => Trust::Verified(last.plus(Duration::from_millis(1))),
            _ => Trust::Verified(at),
        };
        if let Some(known) = self.list.iter_mut().find(|known| known.address == address) {
            known.trust = trust;
        } else {
            self.make_room(trust);
            self.list.push(KnownAddress { address, trust });
        }
        if VERIFIED_MAX < self.verified() {
            self.drop_least(|known| known.is_verified());
        }
    }

    /// Takes the word of the peer, an invitation or the operator; whether anything changed. The peer's own word replaces
    /// what was said before: it knows where it lives.
    pub(super) fn say(&mut self, addresses: &[Multiaddr], is_own: bool) -> bool {
        let before = self.clone();
        if is_own {
            let mut index = 0;
            self.list.retain(|known| {
                index += 1;
                index == 1 || known.trust != Trust::Word || addresses.contains(&known.address)
            });
        }
        for address in addresses {
            if let Some(known) = self.list.iter_mut().find(|known| known.address == *address) {
                known.trust = known.trust.max(Trust::Word);
            } else if self.make_room(Trust::Word) {
                self.list.push(KnownAddress {
                    address: address.clone(),
                    trust: Trust::Word,
                });
            }
        }
        self.trim_hearsay();
        *self != before
    }

    /// Takes hearsay; whether it was kept. Where dials to the peer have failed, what was heard last is kept instead of
    /// what was heard before, else the reverse: nobody pushes out by talk what nobody has tried.
    pub(super) fn hear(&mut self, address: Multiaddr, has_failed: bool) -> bool {
        if self.contains(&address) {
            return false;
        }
        if self.hearsay_max() <= self.hearsay() || ADDRESSES_MAX <= self.list.len() {
            let oldest = (1..self.list.len()).find(|index| self.list[*index].trust == Trust::Hearsay);
            let Some(oldest) = oldest.filter(|_| has_failed) else {
                return false;
            };
            self.list.remove(oldest);
        }
        self.list.push(KnownAddress {
            address,
            trust: Trust::Hearsay,
        });
        true
    }

    /// Forgets an address; whether it was known.
    pub(super) fn forget(&mut self, address: &Multiaddr) -> bool {
        let before = self.list.len();
        self.list.retain(|known| known.address != *address);
        self.list.len() < before
    }

    fn hearsay(&self) -> usize {
        let hearsay = self.list.iter().filter(|known| known.trust == Trust::Hearsay);
        hearsay.count()
    }

    fn hearsay_max(&self) -> usize {
        if self.list.iter().any(|known| Trust::Hearsay < known.trust) {
            HEARSAY_MAX
        } else {
            HEARSAY_ALONE_MAX
        }
    }

    fn trim_hearsay(&mut self) {
        while self.hearsay_max() < self.hearsay() && self.drop_least(|known| known.trust == Trust::Hearsay) {}
    }

    /// Makes room for an address of this trust; whether there is any.
    fn make_room(&mut self, trust: Trust) -> bool {
        self.list.len() < ADDRESSES_MAX || self.drop_least(|known| known.trust < trust)
    }

    /// Drops the least trusted address that fits, but never the home.
    fn drop_least(&mut self, fits: impl Fn(&KnownAddress) -> bool) -> bool {
        let candidates = (1..self.list.len()).filter(|index| fits(&self.list[*index]));
        let least = candidates.min_by_key(|index| self.list[*index].trust);
        if let Some(index) = least {
            self.list.remove(index);
        }
        least.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> Multiaddr {
        format!("/ip4/8.8.8.8/tcp/{port}").parse().unwrap()
    }

    fn ports(addresses: &AddressList) -> Vec<u16> {
        let text = |known: &KnownAddress| known.address.to_string();
        let port = |known| text(known).rsplit_once('/').unwrap().1.parse().unwrap();
        addresses.iter().map(port).collect()
    }

    #[test]
    fn hearsay_never_displaces_what_was_verified_or_said_by_the_peer() {
        let mut addresses = AddressList::default();
        addresses.verify(at(1), Timestamp::from_millis(1));
        assert!(addresses.say(&[at(2), at(3)], true));

        for port in 10..100 {
            addresses.hear(at(port), true);
        }

        assert_eq!(ports(&addresses), [1, 2, 3, 98, 99]);
        assert_eq!(addresses.by_worth()[..3], [at(1), at(2), at(3)]);
    }

    #[test]
    fn untried_hearsay_stays_and_failed_hearsay_gives_way() {
        let mut addresses = AddressList::default();
        for port in 1..=9 {
            addresses.hear(at(port), false);
        }
        assert_eq!(ports(&addresses), [1, 2, 3, 4]);
        assert!(addresses.hear(at(9), true));
        assert_eq!(ports(&addresses), [1, 3, 4, 9], "the home stays");
    }

    #[test]
    fn a_peer_that_moves_is_believed_and_old_places_are_forgotten() {
        let mut addresses = AddressList::default();
        for port in 1..=6 {
            addresses.verify(at(port), Timestamp::from_millis(port.into()));
        }
        assert_eq!(ports(&addresses), [1, 4, 5, 6], "the home and the last three");
        assert_eq!(addresses.last_verified(), Some(&at(6)));

        addresses.say(&[at(11), at(12), at(13), at(14), at(15)], true);
        assert_eq!(ports(&addresses).len(), ADDRESSES_MAX);
        addresses.say(&[at(21)], true);
        assert_eq!(ports(&addresses), [1, 4, 5, 6, 21]);
    }
}
