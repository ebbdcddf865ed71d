//! Who signed that a peer is at some addresses?
//!
//! A peer record is signed in one of two ways: libp2p's, which go-libp2p and js-libp2p know, or an older one that
//! rust-libp2p's rendezvous knows and no other.

use bytes::Bytes;
use libp2p::core::{PeerRecord, SignedEnvelope};
use rustle_types::{Multiaddr, PeerId};
use rustle_wire::rendezvous::SIGNED_RECORD_BYTES_MAX;

use crate::Identity;

/// The way in which a record is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// As libp2p specifies it.
    Standard,
    /// As only rust-libp2p's rendezvous does.
    Legacy,
}

/// What a record says, its signature proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proven {
    pub(super) peer: PeerId,
    pub(super) addresses: Vec<Multiaddr>,
    pub(super) style: Style,
}

// === impl Style ===

impl Style {
    /// The other one.
    pub(super) fn other(self) -> Self {
        match self {
            Self::Standard => Self::Legacy,
            Self::Legacy => Self::Standard,
        }
    }
}

/// Reads a record; `None` where it is malformed, or not signed by the peer that it is about.
pub(super) fn read(bytes: &[u8]) -> Option<Proven> {
    let envelope = SignedEnvelope::from_protobuf_encoding(bytes).ok()?;
    let standard = PeerRecord::from_signed_envelope_interop(envelope.clone());
    let (record, style) = match standard {
        Ok(record) => (record, Style::Standard),
        Err(_) => (PeerRecord::from_signed_envelope(envelope).ok()?, Style::Legacy),
    };
    Some(Proven {
        peer: record.peer_id(),
        addresses: record.addresses().to_vec(),
        style,
    })
}

/// Signs that this node is at some addresses; `None` where they are too long.
pub(super) fn sign(identity: &Identity, addresses: &[Multiaddr], style: Style) -> Option<Bytes> {
    let (key, addresses) = (identity.keypair(), addresses.to_vec());
    let record = match style {
        Style::Standard => PeerRecord::new_interop(key, addresses),
        Style::Legacy => PeerRecord::new(key, addresses),
    };
    let bytes = record.ok()?.into_signed_envelope().into_protobuf_encoding();
    (bytes.len() <= SIGNED_RECORD_BYTES_MAX).then(|| bytes.into())
}

#[cfg(test)]
mod tests {
    use rustle_types::limits::ADDRESS_BYTES_MAX;

    use super::*;
    use crate::config::DISCOVERED_ADDRESSES_MAX;

    #[test]
    fn records_of_both_styles_are_read_and_damaged_ones_are_not() {
        let identity = Identity::generate();
        let addresses: Vec<Multiaddr> = vec!["/ip4/10.0.0.1/tcp/1".parse().unwrap()];
        for style in [Style::Standard, Style::Legacy] {
            let bytes = sign(&identity, &addresses, style).unwrap();
            let proven = Proven {
                peer: identity.peer_id(),
                addresses: addresses.clone(),
                style,
            };
            assert_eq!(read(&bytes), Some(proven));
            for index in 0..bytes.len() {
                let mut damaged = bytes.to_vec();
                damaged[index] ^= 1;
                assert_eq!(read(&damaged), None, "byte {index}");
            }
        }
        assert_eq!(read(b""), None);
    }

    #[test]
    fn the_longest_record_that_is_made_has_its_bound() {
        let long = format!("/dns4/{}/tcp/1", "x".repeat(ADDRESS_BYTES_MAX - 5));
        let long: Multiaddr = long.parse().unwrap();
        assert_eq!(long.len(), ADDRESS_BYTES_MAX);
        let all = vec![long; DISCOVERED_ADDRESSES_MAX];
        assert!(sign(&Identity::generate(), &all, Style::Standard).is_some());
    }
}
