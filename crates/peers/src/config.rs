//! The settings of the peer manager.

use std::time::Duration;

use rustle_types::{Multiaddr, NetworkName, PeerId};
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
    /// Below so many handshaken peers, known ones are dialled.
    pub peers_low: usize,
    /// From the connection to the complete handshake.
    pub handshake_timeout: Duration,
    /// A connection that was silent so long is pinged.
    pub ping_idle: Duration,
    /// A ping that was not answered within this time has failed.
    pub ping_timeout: Duration,
    /// So many failed pings in a row close the connection.
    pub ping_tries: u32,
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
            peers_low: 8,
            handshake_timeout: Duration::from_secs(5),
            ping_idle: Duration::from_secs(60),
            ping_timeout: Duration::from_secs(10),
            ping_tries: 3,
        }
    }
}
