//! One node of the society: who it is, where it lives, and what is left of it when it does not run.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rustle_peers::{Config, Manager};
use rustle_store::Table;
use rustle_types::{Multiaddr, PeerId};
use rustle_wire::PeersList;

/// Makes up the list of peers that a liar answers with.
pub(crate) type Answerer = Box<dyn FnMut(&mut StdRng, PeerId) -> Option<PeersList>>;

pub(crate) struct Node {
    pub(crate) config: Config,
    pub(crate) address: Multiaddr,
    /// Present while the node runs.
    pub(crate) manager: Option<Manager>,
    /// What it has asked to keep, as a store keeps it.
    pub(crate) records: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    /// Counts restarts, so that what was on its way to an earlier life is not delivered to the next.
    pub(crate) life: u64,
    /// Answers for the manager when it is asked for peers.
    pub(crate) liar: Option<Answerer>,
    pub(crate) dialled: Vec<Multiaddr>,
    pub(crate) started: u64,
}

/// The id of a node.
pub(crate) fn peer(index: usize) -> PeerId {
    // An identity multihash of four bytes is a valid peer id.
    let [_, _, _, _, _, a, b, c] = u64::try_from(index).unwrap().to_be_bytes();
    PeerId::from_bytes(&[0x00, 0x04, 7, a, b, c]).unwrap()
}

/// Where a node lives: in a group of its own.
pub(crate) fn place(index: usize) -> Multiaddr {
    format!("/ip4/{}.{}.0.1/tcp/4747", 20 + index / 250, index % 250)
        .parse()
        .unwrap()
}

/// Where a connection of a node seems to come from.
pub(crate) fn ephemeral(address: &Multiaddr, link: usize) -> Multiaddr {
    let ip = rustle_types::address::ip(address).unwrap();
    format!("/ip4/{ip}/tcp/{}", 20_000 + link % 40_000)
        .parse()
        .unwrap()
}
