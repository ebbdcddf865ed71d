//! Where in the tables does a peer belong?
//!
//! A keyed hash gives the place, so that nobody outside can choose addresses that meet in one place. The definition is
//! stable: the salt is kept on disk, and a peer has the same place after a restart.
//!
//! * New: the groups of the address and of the teller choose one of the few buckets that the teller's group has at all.
//!   What one teller says of one group meets in one bucket of sixteen.
//! * Tried: the address chooses one of the few buckets that its own group has at all.
//!
//! Peer ids cost nothing, so they do not count: ten thousand peers at one address have one place. An address on the local
//! network counts for itself in the new table; else a whole site would have to share one bucket.

use rand::RngExt as _;
use rand::rngs::StdRng;
use rustle_types::{Group, Multiaddr, PeerId, Reach, address};
use sha2::{Digest as _, Sha256};

use super::source::Source;
use super::table::{BUCKET_SIZE, Place};

/// Buckets of peers that were only heard of.
pub const NEW_BUCKETS: u16 = 184;
/// Buckets of peers that were reached.
pub const TRIED_BUCKETS: u16 = 64;
/// Buckets of the new table that one source group can reach.
pub const NEW_BUCKETS_PER_SOURCE: u16 = 16;
/// Buckets of the tried table that one address group can reach.
pub const TRIED_BUCKETS_PER_GROUP: u16 = 8;
/// Bytes of a salt.
pub(super) const SALT_BYTES: usize = 16;

/// The secret key of the hash.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Salt(pub(super) [u8; SALT_BYTES]);

// === impl Salt ===

impl Salt {
    pub(super) fn random(rng: &mut StdRng) -> Self {
        Self(rng.random())
    }

    /// The place of a peer that was heard of.
    pub(super) fn new_place(&self, peer: &PeerId, home: &Multiaddr, source: &Source) -> Place {
        let (key, teller) = (key(peer, home), source.hashed());
        let of_home = match Reach::of(home) {
            Some(Reach::Local) => key.clone(),
            _ => Group::of(home).as_bytes().to_vec(),
        };
        let share = self.hash(b"new share", &[&of_home, &teller]) % u64::from(NEW_BUCKETS_PER_SOURCE);
        let bucket = self.hash(b"new bucket", &[&teller, &share.to_be_bytes()]) % u64::from(NEW_BUCKETS);
        self.place(b"new slot", bucket, &key)
    }

    /// The place of a peer that was reached.
    pub(super) fn tried_place(&self, peer: &PeerId, home: &Multiaddr) -> Place {
        let key = key(peer, home);
        let share = self.hash(b"tried share", &[&key]) % u64::from(TRIED_BUCKETS_PER_GROUP);
        let group = Group::of(home);
        let parts = [group.as_bytes(), &share.to_be_bytes()];
        let bucket = self.hash(b"tried bucket", &parts) % u64::from(TRIED_BUCKETS);
        self.place(b"tried slot", bucket, &key)
    }

    fn place(&self, domain: &[u8], bucket: u64, key: &[u8]) -> Place {
        let slot = self.hash(domain, &[&bucket.to_be_bytes(), key]) % u64::from(BUCKET_SIZE);
        // Both were taken modulo something that fits.
        Place {
            bucket: bucket as u16,
            slot: slot as u8,
        }
    }

    /// The first eight bytes (big-endian) of SHA-256 over the salt, and the domain and all parts, each behind its length
    /// (u16 BE).
    fn hash(&self, domain: &[u8], parts: &[&[u8]]) -> u64 {
        let mut hash = Sha256::new();
        hash.update(self.0);
        for part in std::iter::once(&domain).chain(parts) {
            hash.update((part.len() as u16).to_be_bytes());
            hash.update(part);
        }
        let digest: [u8; 32] = hash.finalize().into();
        let (first, _) = digest.split_first_chunk::<8>().expect("32 bytes are more than 8");
        u64::from_be_bytes(*first)
    }
}

impl std::fmt::Debug for Salt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salt(secret)")
    }
}

/// What stands for one place in the network: its address. All peers behind one relay share the relay's address, so there
/// the peer id belongs to it.
fn key(peer: &PeerId, home: &Multiaddr) -> Vec<u8> {
    let mut key = home.to_vec();
    if address::is_relayed(home) {
        key.extend(peer.to_bytes());
    }
    key
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::book::source::SourceKind;
    use crate::book::tests::{address, peer};

    #[test]
    fn the_definition_is_stable() {
        let (salt, home) = (Salt([7; SALT_BYTES]), address("/ip4/8.8.8.8/tcp/4001"));
        let source = Source::at(SourceKind::Exchange, &address("/ip4/9.9.9.9/tcp/1"));
        let new = salt.new_place(&peer(1), &home, &source);
        let tried = salt.tried_place(&peer(1), &home);
        assert_eq!((new.bucket, new.slot), (NEW_STABLE.0, NEW_STABLE.1));
        assert_eq!((tried.bucket, tried.slot), (TRIED_STABLE.0, TRIED_STABLE.1));
        assert_eq!(tried, salt.tried_place(&peer(2), &home), "peer ids cost nothing");
    }

    const NEW_STABLE: (u16, u8) = (175, 3);
    const TRIED_STABLE: (u16, u8) = (55, 9);

    #[test]
    fn one_source_group_and_one_address_group_reach_few_buckets() {
        let salt = Salt([9; SALT_BYTES]);
        let source = Source::at(SourceKind::Exchange, &address("/ip4/9.9.9.9/tcp/1"));
        let (mut new, mut tried, mut of_group) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for number in 0..2_000u16 {
            let [a, b] = number.to_be_bytes();
            let anywhere = address(&format!("/ip4/{}.{b}.1.1/tcp/4001", 20 + a));
            new.insert(salt.new_place(&peer(number), &anywhere, &source).bucket);
            let local = address(&format!("/ip4/127.0.0.1/tcp/{}", 1 + number));
            new.insert(salt.new_place(&peer(number), &local, &source).bucket);
            let in_group = address(&format!("/ip4/8.8.{a}.{b}/tcp/4001"));
            tried.insert(salt.tried_place(&peer(number), &in_group).bucket);
            of_group.insert(salt.new_place(&peer(number), &in_group, &source).bucket);
        }
        assert!(new.len() <= usize::from(NEW_BUCKETS_PER_SOURCE), "{new:?}");
        assert!(tried.len() <= usize::from(TRIED_BUCKETS_PER_GROUP), "{tried:?}");
        assert_eq!(of_group.len(), 1, "one group told by one group is one bucket");
    }
}
