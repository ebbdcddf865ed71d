//! How many peers are served at the same time, and how much of that may one peer take?

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rustle_types::PeerId;

/// Places for the streams of one protocol.
#[derive(Debug)]
pub(crate) struct Guests {
    places: usize,
    places_per_peer: usize,
    /// Places that a peer has also where the others have taken all.
    places_sure: usize,
    /// Streams that are served, by peer; no longer than `places`, or the number of peers where places are sure.
    served: Mutex<HashMap<PeerId, usize>>,
}

/// A taken place, free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Guest {
    peer: PeerId,
    of: Arc<Guests>,
}

// === impl Guests ===

impl Guests {
    /// So many places, and so many for each peer, so that no peer can take them all.
    pub(crate) fn new(places: usize, places_per_peer: usize) -> Arc<Self> {
        Self::with_sure(places, places_per_peer, 0)
    }

    /// The same, and so many places for each peer whatever the others have: those who take many keep nobody out.
    pub(crate) fn with_sure(places: usize, places_per_peer: usize, places_sure: usize) -> Arc<Self> {
        Arc::new(Self {
            places,
            places_per_peer,
            places_sure,
            served: Mutex::default(),
        })
    }

    /// Places that are taken.
    pub(crate) fn taken(&self) -> usize {
        let served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        served.values().sum()
    }

    /// A place for a peer, if there is one.
    pub(crate) fn admit(self: &Arc<Self>, peer: PeerId) -> Option<Guest> {
        let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        let taken: usize = served.values().sum();
        let own = served.get(&peer).copied().unwrap_or(0);
        let is_full = self.places <= taken && self.places_sure <= own;
        if is_full || self.places_per_peer <= own {
            return None;
        }
        served.insert(peer, own + 1);
        Some(Guest {
            peer,
            of: Arc::clone(self),
        })
    }
}

// === impl Guest ===

impl Drop for Guest {
    fn drop(&mut self) {
        let mut served = self.of.served.lock().unwrap_or_else(PoisonError::into_inner);
        match served.get_mut(&self.peer) {
            Some(own) if 1 < *own => *own -= 1,
            _ => {
                served.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u8) -> PeerId {
        // An identity multihash of one byte is a valid peer id.
        PeerId::from_bytes(&[0x00, 0x01, number]).unwrap()
    }

    #[test]
    fn one_peer_cannot_take_all_places() {
        let guests = Guests::new(3, 2);
        let first = guests.admit(peer(1));
        let second = guests.admit(peer(1));
        assert!(first.is_some() && second.is_some());
        assert!(guests.admit(peer(1)).is_none(), "its share is taken");
        let other = guests.admit(peer(2));
        assert!(other.is_some());
        assert!(guests.admit(peer(3)).is_none(), "all places are taken");

        drop(first);
        assert!(guests.admit(peer(3)).is_some());
        drop((second, other));
        assert!(guests.served.lock().unwrap().is_empty());
    }

    #[test]
    fn who_takes_many_keeps_nobody_from_the_sure_places() {
        let guests = Guests::with_sure(10, 6, 2);
        let mut taken: Vec<Guest> = Vec::new();
        for (number, places) in [(1, 6), (2, 4), (3, 2)] {
            let before = guests.taken();
            taken.extend(std::iter::from_fn(|| guests.admit(peer(number))));
            assert_eq!(guests.taken() - before, places, "peer {number}");
        }
    }
}
