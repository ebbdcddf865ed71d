//! How does a provider record look on disk?
//!
//! Key: kind (1 byte), length of the DHT's key (1 byte), the DHT's key, the provider's id. Value: when it ends, in seconds
//! since 1970 (8 bytes, big endian), then each address behind its length (1 byte).

use std::time::{Duration, Instant};

use libp2p::kad::{ProviderRecord, RecordKey};
use rustle_types::limits::{ADDRESS_BYTES_MAX, CID_BYTES_MAX};
use rustle_types::{Multiaddr, PeerId};

use crate::config::PROVIDER_ADDRESSES_MAX;

/// The kind of all keys here.
pub(super) const KIND: u8 = 1;
/// How long a record is kept, as the DHT's specification has it.
pub(super) const LIFETIME: Duration = Duration::from_secs(48 * 60 * 60);

const _: () = assert!(
    CID_BYTES_MAX <= 0xff && ADDRESS_BYTES_MAX <= 0xff,
    "a length is one byte"
);

/// The same moment on both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clocks {
    pub(super) now: Instant,
    /// Since 1970.
    pub(super) unix: Duration,
}

// === impl Clocks ===

impl Clocks {
    pub(super) fn read() -> Self {
        Self {
            now: crate::clock::now(),
            unix: Duration::from_millis(crate::clock::wall().as_millis()),
        }
    }
}

/// Where a record is kept. Its key has at most `CID_BYTES_MAX` bytes.
pub(super) fn key(key: &RecordKey, provider: &PeerId) -> Vec<u8> {
    let name = key.as_ref();
    let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
    let mut bytes = vec![KIND, length];
    bytes.extend_from_slice(name);
    bytes.extend_from_slice(&provider.to_bytes());
    bytes
}

/// What is kept of a record. Its addresses have at most `ADDRESS_BYTES_MAX` bytes.
pub(super) fn value(record: &ProviderRecord, clocks: Clocks) -> Vec<u8> {
    let left = record
        .expires
        .map_or(LIFETIME, |end| end.saturating_duration_since(clocks.now));
    let end = (clocks.unix + left).as_secs();
    let mut bytes = end.to_be_bytes().to_vec();
    for address in &record.addresses {
        bytes.push(u8::try_from(address.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(address.as_ref());
    }
    bytes
}

/// Reads a record; `None` where it is damaged or over. A clock that was set back lets none live longer than it may.
pub(super) fn read(key: &[u8], value: &[u8], clocks: Clocks) -> Option<ProviderRecord> {
    let [KIND, length, rest @ ..] = key else {
        return None;
    };
    let (name, provider) = rest.split_at_checked(usize::from(*length))?;
    let (end, mut rest) = value.split_first_chunk::<8>()?;
    let left = Duration::from_secs(u64::from_be_bytes(*end)).checked_sub(clocks.unix)?;
    let mut addresses = Vec::new();
    while let [length, behind @ ..] = rest {
        let (address, behind) = behind.split_at_checked(usize::from(*length))?;
        addresses.push(Multiaddr::try_from(address.to_vec()).ok()?);
        rest = behind;
    }
    let is_bounded = name.len() <= CID_BYTES_MAX
        && addresses.len() <= PROVIDER_ADDRESSES_MAX
        && addresses.iter().all(|address| address.len() <= ADDRESS_BYTES_MAX);
    (is_bounded && !left.is_zero()).then_some(ProviderRecord {
        key: RecordKey::from(name.to_vec()),
        provider: PeerId::from_bytes(provider).ok()?,
        expires: Some(clocks.now + left.min(LIFETIME)),
        addresses,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clocks() -> Clocks {
        Clocks {
            now: crate::clock::now(),
            unix: Duration::from_secs(1_800_000_000),
        }
    }

    fn record(clocks: Clocks) -> ProviderRecord {
        ProviderRecord {
            key: RecordKey::from(vec![7; 34]),
            provider: PeerId::random(),
            expires: Some(clocks.now + Duration::from_secs(60)),
            addresses: vec![
                "/ip4/10.0.0.1/tcp/1".parse().unwrap(),
                "/ip6/::1/udp/1/quic-v1".parse().unwrap(),
            ],
        }
    }

    #[test]
    fn a_record_survives_until_it_ends_by_the_calendar() {
        let before = clocks();
        let record = record(before);
        let (key, value) = (key(&record.key, &record.provider), value(&record, before));
        assert_eq!(read(&key, &value, before), Some(record.clone()));

        // Another process, whose clock began at another moment.
        let at = |seconds| Clocks {
            now: before.now + Duration::from_secs(1_000_000),
            unix: before.unix + Duration::from_secs(seconds),
        };
        let later = read(&key, &value, at(20)).unwrap();
        assert_eq!(later.expires, Some(at(20).now + Duration::from_secs(40)));
        assert_eq!(
            (later.provider, later.addresses),
            (record.provider, record.addresses)
        );
        assert_eq!(read(&key, &value, at(60)), None);
        assert_eq!(read(&key, &value, at(10_000)), None);

        let set_back = Clocks {
            unix: before.unix - LIFETIME * 9,
            ..before
        };
        let bounded = read(&key, &value, set_back).unwrap();
        assert_eq!(bounded.expires, Some(before.now + LIFETIME));
    }

    #[test]
    fn whatever_is_damaged_is_no_record_or_a_bounded_one() {
        let clocks = clocks();
        let record = record(clocks);
        let (key, value) = (key(&record.key, &record.provider), value(&record, clocks));
        for cut in 0..key.len() {
            assert_eq!(read(&key[..cut], &value, clocks), None, "a key of {cut} bytes");
        }
        for cut in 0..8 {
            assert_eq!(read(&key, &value[..cut], clocks), None, "a value of {cut} bytes");
        }
        for index in 0..value.len() {
            let mut damaged = value.clone();
            damaged[index] ^= 0x55;
            if let Some(read) = read(&key, &damaged, clocks) {
                assert!(read.addresses.len() <= PROVIDER_ADDRESSES_MAX);
                assert!(read.expires <= Some(clocks.now + LIFETIME));
            }
        }
        let mut other_kind = key.clone();
        other_kind[0] = KIND + 1;
        assert_eq!(read(&other_kind, &value, clocks), None);
        let address = [&[8][..], record.addresses[0].as_ref()].concat();
        let many = [&value[..8], &address.repeat(PROVIDER_ADDRESSES_MAX + 1)].concat();
        assert_eq!(read(&key, &many, clocks), None);
    }
}
