//! What peers tell of others: peer exchange, and libp2p's rendezvous.

use std::fmt::Debug;

use bytes::Bytes;
use rustle_types::PeerId;
use rustle_types::limits::{ADDRESS_BYTES_MAX, PEER_ADDRESSES_LISTED_MAX, PEERS_LISTED_MAX};
use rustle_wire::rendezvous::{self, Namespace, Page, Refusal, Registration};
use rustle_wire::{PeerEntry, PeersList, PeersRequest, Services, WireError};

use crate::Target;
use crate::control::address;
use crate::input::Input;
use crate::streams::{PEER, stable};

/// The first byte says which message it is.
pub(crate) const TARGET: Target = Target {
    name: "exchange",
    run,
    seeds,
    bytes_max: 4096,
};

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let kind = input.below(4);
    let frame = Bytes::copy_from_slice(input.rest());
    match kind {
        0 => stable(frame, PeersRequest::decode, PeersRequest::encode),
        1 => list(frame),
        2 => settles(frame, rendezvous::Request::decode, rendezvous::Request::encode),
        _ => settles(frame, rendezvous::Response::decode, rendezvous::Response::encode),
    }
}

fn list(frame: Bytes) {
    if let Ok(list) = PeersList::decode(frame.clone()) {
        assert!(list.entries.len() <= PEERS_LISTED_MAX);
        assert!(list.addresses() <= PEERS_LISTED_MAX);
        for entry in &list.entries {
            assert!(entry.addresses.len() <= PEER_ADDRESSES_LISTED_MAX);
            assert!(
                entry
                    .addresses
                    .iter()
                    .all(|address| address.len() <= ADDRESS_BYTES_MAX)
            );
        }
        let again = PeersList::decode(list.encode()).expect("what we write, we read");
        for entry in &again.entries {
            assert!(list.entries.contains(entry), "{entry:?} was not there before");
        }
    }
    settles(frame, PeersList::decode, PeersList::encode);
}

/// What is read can be written and read, and then stays the same: the first writing may leave out what is allowed to
/// come, but would not be sent.
fn settles<T: PartialEq + Debug>(
    frame: Bytes,
    decode: impl Fn(Bytes) -> Result<T, WireError>,
    encode: impl Fn(&T) -> Bytes,
) {
    if let Ok(read) = decode(frame) {
        stable(
            encode(&read),
            |bytes| Ok(decode(bytes).expect("what we write, we read")),
            encode,
        );
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let entry = PeerEntry {
        peer: PeerId::from_bytes(&PEER).expect("the peer id of a key"),
        addresses: vec![
            address("/ip4/203.0.113.7/tcp/4747"),
            address("/dns/example.org/tcp/1"),
        ],
        services: Services::INBOUND,
        days_ago: 3,
    };
    let registration = Registration {
        namespace: Namespace::new("rustle/main").expect("neither empty nor long"),
        record: Bytes::from_static(b"envelope"),
        ttl: Some(7200),
    };
    let (namespace, page) = (
        registration.namespace.clone(),
        Page {
            registrations: vec![registration.clone()],
            cookie: Bytes::from_static(b"cookie"),
        },
    );
    let discover = rendezvous::Request::Discover {
        namespace: Some(namespace.clone()),
        limit: Some(10),
        cookie: Bytes::from_static(b"cookie"),
    };
    [
        (0, PeersRequest { limit: 7 }.encode()),
        (
            1,
            PeersList {
                entries: vec![entry; 3],
            }
            .encode(),
        ),
        (1, PeersList::default().encode()),
        (2, rendezvous::Request::Register(registration).encode()),
        (2, rendezvous::Request::Unregister { namespace }.encode()),
        (2, discover.encode()),
        (3, rendezvous::Response::Registered(Ok(7200)).encode()),
        (3, rendezvous::Response::Registered(Err(Refusal::Ttl)).encode()),
        (3, rendezvous::Response::Discovered(Ok(page)).encode()),
        (3, rendezvous::Response::Discovered(Err(Refusal::Cookie)).encode()),
    ]
    .map(|(kind, frame)| [&[kind][..], &frame].concat())
    .to_vec()
}
