//! The settings of the peer manager.

use std::time::Duration;

use rustle_types::{Multiaddr, NetworkName, PeerId, Reach};
use rustle_wire::Services;

/// Settings. `Config::new` has the defaults that the documents name.
#[derive(Debug, Clone)]
pub struct Config {
    /// This node.
    pub local: PeerId,
    /// The network it belongs to; peers of another are refused.
    pub network: NetworkName,
    /// What it offers.
    pub services: Services,
    /// Program and version, as told to peers.
    pub user_agent: String,
    /// Version of the node software, as told to peers.
    pub software_version: String,
    /// Always dialled, and dialled again when lost.
    pub bootstrap: Vec<Multiaddr>,
    /// Peers that are always dialled, as members of chains are, and never dropped for others.
    pub statics: Vec<Multiaddr>,
    /// Whether this node is a light client.
    pub light: bool,
    /// Whether nobody is to be told where this node listens, nor where it sees others.
    pub hidden: bool,
    /// How many handshaken peers to have.
    pub targets: Targets,
    /// Peers that dialled in and have not said Hello; for one more, the one that has waited longest goes.
    pub greeting_inbound: usize,
    /// What peers that do not speak our protocol may have, and how many of them.
    pub foreign: Foreign,
    /// The networks whose addresses can be dialled from here.
    pub reaches: Vec<Reach>,
    /// The mean time between two tests of an address that was only heard of.
    pub feeler_every: Duration,
    /// From the connection to the complete handshake.
    pub handshake_timeout: Duration,
    /// A connection that was silent so long is pinged.
    pub ping_idle: Duration,
    /// A ping that was not answered within this time has failed.
    pub ping_timeout: Duration,
    /// So many failed pings in a row close the connection.
    pub ping_tries: u32,
}

/// How many handshaken peers to have: `lower <= target <= upper`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Targets {
    /// Below, known peers are dialled at once, and more are looked for.
    pub lower: usize,
    /// Up to here peers are looked for, at leisure; above, the least useful ones go.
    pub target: usize,
    /// Above, new ones are refused.
    pub upper: usize,
    /// So many of them this node dials itself; peers that dial in never take these places.
    pub outbound: usize,
}

/// What peers that do not speak our protocol may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Foreign {
    /// At most so many are connected, leaving aside those that the operator asked for.
    pub places: usize,
    /// They may exchange content.
    pub content: bool,
    /// They may use the DHT.
    pub dht: bool,
    /// They may take part in topics.
    pub topics: bool,
}

// === impl Targets ===

impl Default for Targets {
    fn default() -> Self {
        Self {
            lower: 8,
            target: 32,
            upper: 40,
            outbound: 8,
        }
    }
}

impl Targets {
    /// Those of a light client: it serves nobody, so it takes few places.
    pub const LIGHT: Self = Self {
        lower: 2,
        target: 4,
        upper: 6,
        outbound: 4,
    };

    /// Peers that may dial in.
    pub const fn inbound(&self) -> usize {
        self.upper.saturating_sub(self.outbound)
    }
}

// === impl Foreign ===

impl Default for Foreign {
    fn default() -> Self {
        Self {
            places: 32,
            content: true,
            dht: true,
            topics: true,
        }
    }
}

impl Foreign {
    /// Whether they may have anything at all.
    pub const fn is_allowed(&self) -> bool {
        self.content || self.dht || self.topics
    }
}

// === impl Config ===

impl Config {
    /// The defaults for the node `local`: network `main`, ping after 60 s of silence, three tries of 10 s.
    pub fn new(local: PeerId) -> Self {
        Self {
            local,
            network: NetworkName::default(),
            services: Services::INBOUND.and(Services::CONTENT),
            user_agent: concat!("rustle/", env!("CARGO_PKG_VERSION")).to_owned(),
            software_version: env!("CARGO_PKG_VERSION").to_owned(),
            bootstrap: Vec::new(),
            statics: Vec::new(),
            light: false,
            hidden: false,
            targets: Targets::default(),
            greeting_inbound: crate::GREETING_INBOUND_MAX,
            foreign: Foreign::default(),
            reaches: vec![Reach::Local, Reach::Clear],
            feeler_every: Duration::from_secs(120),
            handshake_timeout: Duration::from_secs(5),
            ping_idle: Duration::from_secs(60),
            ping_timeout: Duration::from_secs(10),
            ping_tries: 3,
        }
    }
}
