//! Who provides what, as far as this node tells others in the DHT?
//!
//! What this node provides and what strangers say they provide are counted apart, so that strangers never take the room
//! of its own content.

use std::borrow::Cow;
use std::collections::{HashMap, hash_map};
use std::iter;
use std::time::{Duration, Instant};

use libp2p::kad::store::{Error, RecordStore};
use libp2p::kad::{K_VALUE, ProviderRecord, Record, RecordKey};
use rustle_types::PeerId;
use rustle_types::limits::{ADDRESS_BYTES_MAX, CID_BYTES_MAX};

use crate::clock;
use crate::config::{FOREIGN_KEYS_MAX, PROVIDED_KEYS_MAX, PROVIDER_ADDRESSES_MAX};

/// Expired records are looked for at most this often.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// Provider records in memory. Values are not kept at all: this node has no use for them.
pub(crate) struct Providers {
    local: PeerId,
    own: HashMap<RecordKey, ProviderRecord>,
    /// At most `FOREIGN_KEYS_MAX`, each with one record or more.
    foreign: HashMap<RecordKey, Vec<ProviderRecord>>,
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
            swept: None,
        }
    }

    fn add_own(&mut self, record: ProviderRecord) -> Result<(), Error> {
        if PROVIDED_KEYS_MAX <= self.own.len() && !self.own.contains_key(&record.key) {
            return Err(Error::MaxProvidedKeys);
        }
        self.own.insert(record.key.clone(), record);
        Ok(())
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
            if FOREIGN_KEYS_MAX <= self.foreign.len() {
                return Err(Error::MaxProvidedKeys);
            }
        }
        let known = self.foreign.entry(record.key.clone()).or_default();
        known.retain(|known| known.provider != record.provider && !known.is_expired(now));
        // The first ones stay, so that a flood of identities does not push out who really has it.
        if known.len() < K_VALUE.get() {
            known.push(record);
        }
        Ok(())
    }

    /// Forgets what has expired. kad drops an expired record only when somebody asks for its key.
    fn sweep(&mut self, now: Instant) {
        if self
            .swept
            .is_some_and(|swept| now.saturating_duration_since(swept) < SWEEP_INTERVAL)
        {
            return;
        }
        self.swept = Some(now);
        self.foreign.retain(|_, known| {
            known.retain(|record| !record.is_expired(now));
            !known.is_empty()
        });
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
            self.add_own(record)
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
        } else if let Some(known) = self.foreign.get_mut(key) {
            known.retain(|record| record.provider != *provider);
            if known.is_empty() {
                self.foreign.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            store.add_provider(record(number, stranger)).unwrap();
        }
        assert!(store.add_provider(record(FOREIGN_KEYS_MAX, stranger)).is_err());
        assert!(
            store.add_provider(record(0, PeerId::random())).is_ok(),
            "a known key has room"
        );

        for number in 0..PROVIDED_KEYS_MAX {
            store.add_provider(record(number, local)).unwrap();
        }
        assert!(store.add_provider(record(PROVIDED_KEYS_MAX, local)).is_err());
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
            let mut record = record(number, stranger);
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

        for _ in 0..K_VALUE.get() + 5 {
            store.add_provider(record(1, PeerId::random())).unwrap();
        }
        assert_eq!(store.providers(&key(1)).len(), K_VALUE.get());

        let mut long = record(2, PeerId::random());
        long.key = RecordKey::from(vec![0; CID_BYTES_MAX + 1]);
        assert!(store.add_provider(long).is_err());
    }
}
