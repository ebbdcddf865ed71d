//! What two nodes say on a peer exchange stream.

use bytes::Bytes;
use prost::Message as _;
use rustle_types::limits::{ADDRESS_BYTES_MAX, PEER_ADDRESSES_LISTED_MAX, PEERS_LISTED_MAX};
use rustle_types::{Multiaddr, PeerId};

use crate::control::address;
use crate::generated as pb;
use crate::{Services, WireError};

/// Longest peer id: a multihash of a public key that is not hashed.
const PEER_ID_BYTES_MAX: usize = 64;

/// "Whom do you know?"
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeersRequest {
    /// At most so many entries; 0 for as many as the other likes to tell.
    pub limit: u32,
}

/// Peers that the sender has reached lately, or is connected with; at most 128, with at most 128 addresses in all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PeersList {
    /// One entry for each.
    pub entries: Vec<PeerEntry>,
}

/// Where a peer may be found, by the word of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerEntry {
    /// The peer.
    pub peer: PeerId,
    /// Its addresses; at most 8.
    pub addresses: Vec<Multiaddr>,
    /// What it offers.
    pub services: Services,
    /// How many days ago the sender met it last.
    pub days_ago: u32,
}

// === impl PeersRequest ===

impl PeersRequest {
    /// The request as protobuf, without a length.
    pub fn encode(&self) -> Bytes {
        pb::PeersRequest { limit: self.limit }.encode_to_vec().into()
    }

    /// Reads a request.
    pub fn decode(bytes: Bytes) -> Result<Self, WireError> {
        let limit = pb::PeersRequest::decode(bytes)?.limit;
        Ok(Self { limit })
    }
}

// === impl PeersList ===

impl PeersList {
    /// The list as protobuf, without a length. What is beyond a bound is left out.
    pub fn encode(&self) -> Bytes {
        let mut room = PEERS_LISTED_MAX;
        let entries = self.entries.iter().map_while(|entry| {
            let fitting = entry
                .addresses
                .iter()
                .filter(|address| address.len() <= ADDRESS_BYTES_MAX);
            let addresses: Vec<Bytes> = fitting
                .take(room.min(PEER_ADDRESSES_LISTED_MAX))
                .map(|address| address.to_vec().into())
                .collect();
            room -= addresses.len();
            (!addresses.is_empty()).then(|| pb::PeerEntry {
                peer: entry.peer.to_bytes().into(),
                addresses,
                services: entry.services.0,
                days_ago: entry.days_ago,
            })
        });
        pb::PeersList {
            entries: entries.take(PEERS_LISTED_MAX).collect(),
        }
        .encode_to_vec()
        .into()
    }

    /// Reads a list; the bytes are one whole frame.
    pub fn decode(bytes: Bytes) -> Result<Self, WireError> {
        let list = pb::PeersList::decode(bytes)?;
        let addresses: usize = list.entries.iter().map(|entry| entry.addresses.len()).sum();
        if PEERS_LISTED_MAX < list.entries.len() || PEERS_LISTED_MAX < addresses {
            return Err(WireError::invalid("entries", "more than 128 peers or addresses"));
        }
        let entries = list.entries.into_iter().map(PeerEntry::from_proto);
        Ok(Self {
            entries: entries.collect::<Result<_, _>>()?,
        })
    }

    /// How many addresses are told.
    pub fn addresses(&self) -> usize {
        self.entries.iter().map(|entry| entry.addresses.len()).sum()
    }
}

// === impl PeerEntry ===

impl PeerEntry {
    fn from_proto(entry: pb::PeerEntry) -> Result<Self, WireError> {
        if PEER_ADDRESSES_LISTED_MAX < entry.addresses.len() {
            return Err(WireError::invalid("addresses", "more than 8"));
        }
        if PEER_ID_BYTES_MAX < entry.peer.len() {
            return Err(WireError::invalid("peer", "longer than 64 bytes"));
        }
        let addresses = entry.addresses.iter().map(|bytes| address(bytes, "addresses"));
        Ok(Self {
            peer: PeerId::from_bytes(&entry.peer).map_err(|_| WireError::invalid("peer", "not a peer id"))?,
            addresses: addresses.collect::<Result<_, _>>()?,
            services: Services(entry.services),
            days_ago: entry.days_ago,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rustle_types::limits::PEERS_FRAME_BYTES_MAX;

    use super::*;

    fn any_entry() -> impl Strategy<Value = PeerEntry> {
        let address = (any::<[u8; 4]>(), any::<u16>())
            .prop_map(|([a, b, c, d], port)| format!("/ip4/{a}.{b}.{c}.{d}/tcp/{port}").parse().unwrap());
        let addresses = prop::collection::vec(address, 1..=2);
        (any::<[u8; 4]>(), addresses, any::<u64>(), any::<u32>()).prop_map(
            |(id, addresses, services, days_ago)| {
                let [a, b, c, d] = id;
                PeerEntry {
                    peer: PeerId::from_bytes(&[0, 4, a, b, c, d]).unwrap(),
                    addresses,
                    services: Services(services),
                    days_ago,
                }
            },
        )
    }

    #[test]
    fn a_list_at_its_bounds_fits_a_frame() {
        let host = "a".repeat(60);
        let address: Multiaddr = format!("/dns4/{host}.example/tcp/65535").parse().unwrap();
        let peer: PeerId = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"
            .parse()
            .unwrap();
        let entry = PeerEntry {
            peer,
            addresses: vec![address; 20],
            services: Services(u64::MAX),
            days_ago: u32::MAX,
        };
        let list = PeersList {
            entries: vec![entry; 500],
        };
        let bytes = list.encode();
        assert!(bytes.len() <= PEERS_FRAME_BYTES_MAX, "{}", bytes.len());
        let read = PeersList::decode(bytes).unwrap();
        assert_eq!(read.addresses(), PEERS_LISTED_MAX);
        assert!(
            read.entries
                .iter()
                .all(|entry| entry.addresses.len() <= PEER_ADDRESSES_LISTED_MAX)
        );
    }

    #[test]
    fn lists_beyond_the_bounds_are_refused() {
        let entry = |addresses| pb::PeerEntry {
            peer: vec![0, 1, 7].into(),
            addresses: vec![Bytes::from_static(&[4, 1, 2, 3, 4, 6, 0, 9]); addresses],
            ..Default::default()
        };
        let decode = |entries| PeersList::decode(pb::PeersList { entries }.encode_to_vec().into());
        assert!(decode(vec![entry(8); 16]).is_ok());
        assert!(decode(vec![entry(9)]).is_err());
        assert!(decode(vec![entry(8); 17]).is_err());
        assert!(decode(vec![entry(0); 129]).is_err());
        let mut bad = entry(1);
        bad.peer = vec![0; 65].into();
        assert!(decode(vec![bad]).is_err());
    }

    proptest! {
        #[test]
        fn lists_survive(entries in prop::collection::vec(any_entry(), 0..40), limit in any::<u32>()) {
            let list = PeersList { entries };
            prop_assert_eq!(PeersList::decode(list.encode()).unwrap(), list);
            let request = PeersRequest { limit };
            prop_assert_eq!(PeersRequest::decode(request.encode()).unwrap(), request);
        }

        #[test]
        fn any_bytes_are_a_list_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = PeersList::decode(bytes.clone().into());
            let _ = PeersRequest::decode(bytes.into());
        }
    }
}
