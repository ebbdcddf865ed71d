//! What is said of who has which content.

use std::time::Duration;

use rustle_types::{Cid, Multiaddr, PeerId};

/// Nodes of one DHT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DhtNodes {
    /// `rustle`, `ipfs-lan` or `ipfs`.
    pub dht: String,
    /// How many.
    pub nodes: u32,
}

/// A block that the DHTs were told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provided {
    /// Which.
    pub cid: Cid,
    /// How many nodes of each DHT know now who has it.
    pub told: Vec<DhtNodes>,
}

/// A search for those who have some content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderQuery {
    /// Which content.
    pub cid: Cid,
    /// End after so many peers.
    pub limit: usize,
    /// How long to search at most.
    pub timeout: Duration,
}

/// Somebody who has some content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// Who.
    pub peer: PeerId,
    /// Where it can be dialled, as far as that is known.
    pub addresses: Vec<Multiaddr>,
}

// === impl ProviderQuery ===

impl ProviderQuery {
    /// Peers after which a search ends where the caller says nothing.
    pub const LIMIT: usize = 20;
    /// Most peers of one search.
    pub const LIMIT_MAX: usize = 1000;
    /// How long it takes at most where the caller says nothing.
    pub const TIME: Duration = Duration::from_secs(60);
    /// The longest search.
    pub const TIME_MAX: Duration = Duration::from_secs(60 * 60);

    /// A search with the usual bounds.
    pub fn new(cid: Cid) -> Self {
        Self {
            cid,
            limit: Self::LIMIT,
            timeout: Self::TIME,
        }
    }
}
