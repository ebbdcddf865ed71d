//! Who provides what, as far as this node tells others in the DHT?
//!
//! What this node provides and what strangers say they provide are counted apart, so that strangers never take the room
//! of its own content. What strangers say outlives the process where there is a disk for it; what this node provides it
//! is told anew at each start, by whoever knows what is pinned. Values are not kept at all: nothing here reads them, and
//! whoever stores them for strangers is a disk for strangers.

mod record;
mod shelf;

use std::borrow::Cow;
use std::collections::{HashMap, hash_map};
use std::iter;
use std::sync::Arc;
use std::time::{Duration, Instant};

use libp2p::kad::store::{Error, RecordStore};
use libp2p::kad::{K_VALUE, ProviderRecord, Record, RecordKey};
use rustle_store::Store;
use rustle_types::PeerId;
use rustle_types::limits::{ADDRESS_BYTES_MAX, CID_BYTES_MAX};

use crate::clock;
use crate::config::{
    FOREIGN_KEYS_MAX, FOREIGN_KEYS_PER_PROVIDER_MAX, PROVIDED_KEYS_MAX, PROVIDER_ADDRESSES_MAX,
};
use record::Clocks;
pub(crate) use shelf::Shelf;

/// Expired records are looked for at most this often.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// Provider records, all of them in memory.
pub(crate) struct Providers {
    local: PeerId,
    own: HashMap<RecordKey, ProviderRecord>,
    /// At most `FOREIGN_KEYS_MAX`, each with one record or more.
    foreign: HashMap<RecordKey, Vec<ProviderRecord>>,
    /// How many keys each provider has; at most `FOREIGN_KEYS_PER_PROVIDER_MAX`.
    held: HashMap<PeerId, usize>,
    /// Where the records of others are kept, if anywhere.
    shelf: Option<Shelf>,
    swept: Option<Instant>,
}

// === impl Providers ===

impl Providers {
    /// An empty store of the node `local`.
    pub(crate) fn new(local: PeerId) -> Self {
        Self {
            local,
            own: HashMap::new(),
            foreign: HashMap::new(),
            held: HashMap::new(),
            shelf: None,
            swept: None,
        }
    }

    /// Takes in what is on the disk, within the bounds; what is damaged, over or too much is dropped there.
    pub(crate) fn with_records(mut self, store: Arc<dyn Store>) -> Self {
        let clocks = Clocks::read();
        let mut shelf = Shelf::new(store);
        let read = shelf.read(|key, value| {
            record::read(key, value, clocks).is_some_and(|record| {
                record.provider != self.local && self.add_foreign(record, clocks.now).is_ok()
            })
        });
        match read {
            Ok(()) => self.shelf = Some(shelf),
            Err(error) => {
                tracing::warn!(%error, "the records of the DHT are not read, and not kept");
            }
        }
        self
    }

    /// The disk, where there is one.
    pub(crate) fn shelf(&mut self) -> Option<&mut Shelf> {
        self.shelf.as_mut()
    }

    /// The disk is of no use any more.
    pub(crate) fn forsake_shelf(&mut self) {
        self.shelf = None;
    }

    /// Keeps what this node provides, so that it answers for it as well. What is more than the bound is told to others all
    /// the same; and what is not told again in time is over here as it is there.
    fn add_own(&mut self, mut record: ProviderRecord, now: Instant) {
        if PROVIDED_KEYS_MAX <= self.own.len() && !self.own.contains_key(&record.key) {
            return;
        }
        record.expires = Some(now + record::LIFETIME);
        self.own.insert(record.key.clone(), record);
    }

    fn add_foreign(&mut self, mut record: ProviderRecord, now: Instant) -> Result<(), Error> {
        if CID_BYTES_MAX < record.key.as_ref().len() {
            return Err(Error::ValueTooLarge);
        }
        record
            .addresses
            .retain(|address| address.len() <= ADDRESS_BYTES_MAX);
        record.addresses.truncate(PROVIDER_ADDRESSES_MAX);
        record.addresses.shrink_to_fit();
        if FOREIGN_KEYS_MAX <= self.foreign.len() && !self.foreign.contains_key(&record.key) {
            self.sweep(now);
        }
        self.forget(&record.key, |known| known.is_expired(now));
        let others = self.foreign.get(&record.key);
        let is_known =
            others.is_some_and(|others| others.iter().any(|known| known.provider == record.provider));
        // The first ones stay, so that a flood of identities does not push out who really has it.
        let has_room = match others {
            Some(others) => is_known || others.len() < K_VALUE.get(),
            None => self.foreign.len() < FOREIGN_KEYS_MAX,
        };
        let held = self.held.get(&record.provider).copied().unwrap_or(0);
        let is_fair = is_known || held < FOREIGN_KEYS_PER_PROVIDER_MAX;
        if !has_room || !is_fair || self.shelf.as_ref().is_some_and(|shelf| !shelf.has_room()) {
            return Err(Error::MaxProvidedKeys);
        }
        if let Some(shelf) = &mut self.shelf {
            let unix = Clocks::read().unix;
            let value = record::value(&record, Clocks { now, unix });
            shelf.put(record::key(&record.key, &record.provider), value);
        }
        let others = self.foreign.entry(record.key.clone()).or_default();
        match others.iter_mut().find(|known| known.provider == record.provider) {
            Some(known) => *known = record,
            None => {
                *self.held.entry(record.provider).or_default() += 1;
                others.push(record);
            }
        }
        Ok(())
    }

    /// Forgets those records of a key of which `is_over` holds.
    fn forget(&mut self, key: &RecordKey, is_over: impl Fn(&ProviderRecord) -> bool) {
        let Some(known) = self.foreign.get_mut(key) else {
            return;
        };
        for record in known.extract_if(.., |record| is_over(record)) {
            if let Some(shelf) = &mut self.shelf {
                shelf.drop(record::key(key, &record.provider));
            }
            if let Some(count) = self.held.get_mut(&record.provider) {
                *count -= 1;
                if *count == 0 {
                    self.held.remove(&record.provider);
                }
            }
        }
        if known.is_empty() {
            self.foreign.remove(key);
        }
    }

    /// Forgets what has expired. kad drops an expired record only when somebody asks for its key.
    pub(crate) fn sweep(&mut self, now: Instant) {
        let is_early = |swept: Instant| now.saturating_duration_since(swept) < SWEEP_INTERVAL;
        if self.swept.is_some_and(is_early) {
            return;
        }
        self.swept = Some(now);
        self.own.retain(|_, record| !record.is_expired(now));
        let over = self.foreign.iter();
        let over = over.filter(|(_, known)| known.iter().any(|record| record.is_expired(now)));
        let over: Vec<RecordKey> = over.map(|(key, _)| key.clone()).collect();
        for key in over {
            self.forget(&key, |record| record.is_expired(now));
        }
    }
}

impl RecordStore for Providers {
    type RecordsIter<'a> = iter::Empty<Cow<'a, Record>>;
    type ProvidedIter<'a> = iter::Map<
        hash_map::Values<'a, RecordKey, ProviderRecord>,
        fn(&'a ProviderRecord) -> Cow<'a, ProviderRecord>,
    >;

    fn get(&self, _: &RecordKey) -> Option<Cow<'_, Record>> {
        None
    }

    fn put(&mut self, _: Record) -> Result<(), Error> {
        Err(Error::MaxRecords)
    }

    fn remove(&mut self, _: &RecordKey) {}

    fn records(&self) -> Self::RecordsIter<'_> {
        iter::empty()
    }

    fn add_provider(&mut self, record: ProviderRecord) -> Result<(), Error> {
        if record.provider == self.local {
            self.add_own(record, clock::now());
            Ok(())
        } else {
            self.add_foreign(record, clock::now())
        }
    }

    fn providers(&self, key: &RecordKey) -> Vec<ProviderRecord> {
        let foreign = self.foreign.get(key).into_iter().flatten();
        self.own.get(key).into_iter().chain(foreign).cloned().collect()
    }

    fn provided(&self) -> Self::ProvidedIter<'_> {
        self.own.values().map(Cow::Borrowed)
    }

    fn remove_provider(&mut self, key: &RecordKey, provider: &PeerId) {
        if *provider == self.local {
            self.own.remove(key);
        } else {
            self.forget(key, |record| record.provider == *provider);
        }
    }
}

#[cfg(test)]
mod tests {
    use rustle_store::{Batch, Durability, MemoryStore, Scan, Table};

    use super::*;
    use crate::config::DHT_WRITES_MAX;

    fn key(number: usize) -> RecordKey {
        RecordKey::new(&number.to_be_bytes())
    }

    fn record(number: usize, provider: PeerId) -> ProviderRecord {
        ProviderRecord::new(key(number), provider, Vec::new())
    }

    #[test]
    fn strangers_have_a_share_and_own_keys_always_fit() {
        let (local, stranger) = (PeerId::random(), PeerId::random());
        let mut store = Providers::new(local);
        for number in 0..FOREIGN_KEYS_MAX {
            let one = match number < FOREIGN_KEYS_PER_PROVIDER_MAX {
                true => stranger,
                false => PeerId::random(),
            };
            store.add_provider(record(number, one)).unwrap();
        }
        let greedy = record(FOREIGN_KEYS_PER_PROVIDER_MAX, stranger);
        assert!(
            store.add_provider(greedy).is_err(),
            "half of it is enough for one"
        );
        assert!(
            store
                .add_provider(record(FOREIGN_KEYS_MAX, PeerId::random()))
                .is_err()
        );
        assert!(
            store.add_provider(record(0, PeerId::random())).is_ok(),
            "a known key has room"
        );

        for number in 0..PROVIDED_KEYS_MAX {
            store.add_provider(record(number, local)).unwrap();
        }
        assert!(store.add_provider(record(PROVIDED_KEYS_MAX, local)).is_ok());
        assert_eq!(store.provided().count(), PROVIDED_KEYS_MAX);
        assert_eq!(store.providers(&key(0)).len(), 3);
        store.remove_provider(&key(0), &local);
        store.remove_provider(&key(1), &stranger);
        assert_eq!(store.providers(&key(0)).len(), 2);
        assert!(store.add_provider(record(FOREIGN_KEYS_MAX, stranger)).is_ok());
    }

    #[test]
    fn what_has_expired_makes_room() {
        let stranger = PeerId::random();
        let mut store = Providers::new(PeerId::random());
        let now = clock::now();
        for number in 0..FOREIGN_KEYS_MAX {
            let mut record = record(number, PeerId::random());
            record.expires = Some(now + Duration::from_secs(1));
            store.add_foreign(record, now).unwrap();
        }
        let late = record(FOREIGN_KEYS_MAX, stranger);
        assert!(store.add_foreign(late.clone(), now).is_err());
        assert!(store.add_foreign(late, now + SWEEP_INTERVAL).is_ok());
        assert_eq!(store.foreign.len(), 1);
    }

    #[test]
    fn a_record_has_few_and_short_addresses_a_key_few_providers_and_no_key_is_long() {
        let mut store = Providers::new(PeerId::random());
        let mut many = record(1, PeerId::random());
        let long = format!("/dns4/{}/tcp/1", "x".repeat(ADDRESS_BYTES_MAX));
        many.addresses = (1..=PROVIDER_ADDRESSES_MAX + 2)
            .map(|port| format!("/ip4/10.0.0.1/tcp/{port}").parse().unwrap())
            .collect();
        many.addresses.insert(0, long.parse().unwrap());
        let short = many.addresses[1..=PROVIDER_ADDRESSES_MAX].to_vec();
        store.add_provider(many).unwrap();
        assert_eq!(store.providers(&key(1))[0].addresses, short);

        for number in 1..K_VALUE.get() + 5 {
            let added = store.add_provider(record(1, PeerId::random()));
            assert_eq!(added.is_ok(), number < K_VALUE.get());
        }
        assert_eq!(store.providers(&key(1)).len(), K_VALUE.get());

        let mut long = record(2, PeerId::random());
        long.key = RecordKey::from(vec![0; CID_BYTES_MAX + 1]);
        assert!(store.add_provider(long).is_err());
    }

    fn keep(store: &mut Providers) {
        if let Some((disk, batch)) = store.shelf().and_then(Shelf::take) {
            disk.commit(batch, Durability::Buffered).unwrap();
        }
    }

    fn on_disk(disk: &Arc<MemoryStore>) -> usize {
        disk.scan(Table::Dht, &Scan::prefix(b"", usize::MAX))
            .unwrap()
            .len()
    }

    fn opened(local: PeerId, disk: &Arc<MemoryStore>) -> Providers {
        Providers::new(local).with_records(Arc::clone(disk) as Arc<dyn Store>)
    }

    #[test]
    fn records_of_others_outlive_the_process_and_own_ones_do_not() {
        let (local, stranger, disk) = (PeerId::random(), PeerId::random(), Arc::new(MemoryStore::new()));
        let mut store = opened(local, &disk);
        for number in 0..FOREIGN_KEYS_PER_PROVIDER_MAX {
            store.add_provider(record(number, stranger)).unwrap();
            store.add_provider(record(number, local)).unwrap();
        }
        store.add_provider(record(7, PeerId::random())).unwrap();
        store.remove_provider(&key(0), &stranger);
        keep(&mut store);
        assert!(store.shelf().unwrap().take().is_none(), "once is enough");

        let mut again = opened(local, &disk);
        assert_eq!(again.foreign.len(), FOREIGN_KEYS_PER_PROVIDER_MAX - 1);
        assert_eq!(again.providers(&key(7)).len(), 2);
        assert_eq!(again.provided().count(), 0);
        assert!(again.providers(&key(1))[0].expires.is_some());
        assert!(again.shelf().unwrap().take().is_none(), "nothing to mend");
    }

    #[test]
    fn what_is_damaged_over_or_too_much_is_dropped_from_the_disk() {
        let (local, disk) = (PeerId::random(), Arc::new(MemoryStore::new()));
        let clocks = Clocks::read();
        let mut batch = Batch::new();
        let mut put = |record: &ProviderRecord, clocks| {
            let key = record::key(&record.key, &record.provider);
            batch.put(Table::Dht, key, record::value(record, clocks));
        };
        let long_ago = Clocks {
            unix: clocks.unix - record::LIFETIME,
            ..clocks
        };
        put(&record(1, PeerId::random()), long_ago);
        put(&record(2, local), clocks);
        for _ in 0..K_VALUE.get() + 3 {
            put(&record(3, PeerId::random()), clocks);
        }
        batch.put(Table::Dht, vec![record::KIND, 9], b"garbage".to_vec());
        batch.put(Table::Dht, vec![record::KIND + 1], b"of another kind".to_vec());
        disk.commit(batch, Durability::Buffered).unwrap();

        let mut store = opened(local, &disk);
        assert_eq!(store.foreign.len(), 1);
        keep(&mut store);
        assert_eq!(on_disk(&disk), K_VALUE.get() + 1, "and one of another kind");
    }

    #[test]
    fn what_expires_is_dropped_from_the_disk_too() {
        let (disk, stranger) = (Arc::new(MemoryStore::new()), PeerId::random());
        let mut store = opened(PeerId::random(), &disk);
        let now = clock::now();
        let mut short = record(1, stranger);
        short.expires = Some(now + Duration::from_secs(60));
        store.add_foreign(short, now).unwrap();
        store.add_foreign(record(2, stranger), now).unwrap();
        keep(&mut store);
        assert_eq!(on_disk(&disk), 2);
        store.sweep(now + SWEEP_INTERVAL);
        keep(&mut store);
        assert_eq!((on_disk(&disk), store.held[&stranger]), (1, 1));
        store.remove_provider(&key(2), &stranger);
        assert!(store.held.is_empty());
    }

    #[test]
    fn while_the_disk_is_behind_no_new_records_are_taken() {
        let disk = Arc::new(MemoryStore::new());
        let mut store = opened(PeerId::random(), &disk);
        let mut taken = 0;
        for number in 0..DHT_WRITES_MAX + 100 {
            let stranger = PeerId::random();
            taken += usize::from(store.add_provider(record(number % 2000, stranger)).is_ok());
        }
        assert_eq!(taken, DHT_WRITES_MAX);
        keep(&mut store);
        assert!(store.add_provider(record(1999, PeerId::random())).is_ok());
    }
}
