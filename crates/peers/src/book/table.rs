//! Buckets of sixteen places, and a fair draw from them.

use rand::RngExt as _;
use rand::rngs::StdRng;
use rustle_types::PeerId;

/// Places in each bucket.
pub const BUCKET_SIZE: u8 = 16;

/// One place of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    /// Which bucket.
    pub bucket: u16,
    /// Which of its places.
    pub slot: u8,
}

/// Who sits at which place.
#[derive(Debug)]
pub(super) struct Table {
    places: Vec<Option<PeerId>>,
    buckets: Vec<Bucket>,
    /// Buckets that are not empty, in no order, so that a draw never meets an empty one.
    filled: Vec<u16>,
    len: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    len: u8,
    /// Where it stands in `filled`.
    at: u16,
}

// === impl Place ===

impl Place {
    fn index(self) -> usize {
        usize::from(self.bucket) * usize::from(BUCKET_SIZE) + usize::from(self.slot)
    }
}

// === impl Table ===

impl Table {
    pub(super) fn new(buckets: u16) -> Self {
        Self {
            places: vec![None; usize::from(buckets) * usize::from(BUCKET_SIZE)],
            buckets: vec![Bucket::default(); buckets.into()],
            filled: Vec::new(),
            len: 0,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn at(&self, place: Place) -> Option<PeerId> {
        self.places[place.index()]
    }

    /// Seats a peer at a free place.
    pub(super) fn seat(&mut self, place: Place, peer: PeerId) {
        debug_assert!(self.at(place).is_none(), "a place has room for one");
        self.places[place.index()] = Some(peer);
        let bucket = &mut self.buckets[usize::from(place.bucket)];
        if bucket.len == 0 {
            bucket.at = self.filled.len() as u16;
            self.filled.push(place.bucket);
        }
        bucket.len += 1;
        self.len += 1;
    }

    /// Clears a place that is taken.
    pub(super) fn clear(&mut self, place: Place) {
        debug_assert!(self.at(place).is_some(), "only a taken place is cleared");
        self.places[place.index()] = None;
        self.len -= 1;
        let bucket = &mut self.buckets[usize::from(place.bucket)];
        bucket.len -= 1;
        if bucket.len == 0 {
            let at = bucket.at;
            self.filled.swap_remove(at.into());
            if let Some(moved) = self.filled.get(usize::from(at)) {
                self.buckets[usize::from(*moved)].at = at;
            }
        }
    }

    /// Draws a peer: first a bucket, then one of its places. Whoever fills a few buckets to the brim is drawn no more
    /// often than a single peer in each of as many others.
    pub(super) fn draw(&self, rng: &mut StdRng) -> Option<PeerId> {
        if self.filled.is_empty() {
            return None;
        }
        let bucket = self.filled[rng.random_range(0..self.filled.len())];
        let start = rng.random_range(0..BUCKET_SIZE);
        let slots = (0..BUCKET_SIZE).map(|step| (start + step) % BUCKET_SIZE);
        slots
            .map(|slot| Place { bucket, slot })
            .find_map(|place| self.at(place))
    }

    /// Everybody, bucket by bucket.
    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = PeerId> {
        self.places.iter().flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;
    use crate::book::tests::peer;

    #[test]
    fn draws_are_fair_among_buckets() {
        let (mut table, mut rng) = (Table::new(8), StdRng::seed_from_u64(1));
        assert_eq!(table.draw(&mut rng), None);
        for slot in 0..BUCKET_SIZE {
            table.seat(Place { bucket: 3, slot }, peer(slot.into()));
        }
        table.seat(Place { bucket: 5, slot: 9 }, peer(100));

        let alone = (0..1_000)
            .filter(|_| table.draw(&mut rng) == Some(peer(100)))
            .count();

        assert!((400..600).contains(&alone), "{alone}");
        table.clear(Place { bucket: 3, slot: 0 });
        table.clear(Place { bucket: 5, slot: 9 });
        assert_eq!(table.len(), 15);
        assert!((0..1_000).all(|_| table.draw(&mut rng).is_some_and(|drawn| drawn < peer(16))));
    }
}
