//! Which protocols does the swarm speak, and with which numbers?
//!
//! Several defaults of libp2p do not fit: some break the talk with go-libp2p, others have no bound. Each protocol is set
//! up in a module of its own, and the reason stands beside each number.

mod dht;
mod gossip;
mod identify;
mod limits;
mod mdns;

use libp2p::swarm::NetworkBehaviour;
use libp2p::{Swarm, connection_limits, kad, relay};

pub(crate) use dht::dht_protocol;
pub(crate) use gossip::Gossipsub;
pub(crate) use mdns::{Neighbours, Sighted};

use crate::compact::Compact;
use crate::config::DHT_DIALS_MAX;
use crate::errands::Errands;
use crate::gated::Gated;
use crate::nat::Nat;
use crate::providers::Providers;
use crate::streams::Streams;
use crate::{Config, Scope};

/// The swarm of a node.
pub(crate) type NodeSwarm = Swarm<Compact<Behaviour>>;

/// All that runs on a connection. Those that may refuse it come first, before others spend anything on it; those that
/// wait for its admission stand below `streams`, which is told of it.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    pub(crate) limits: connection_limits::Behaviour,
    pub(crate) streams: Streams,
    pub(crate) identify: libp2p::identify::Behaviour,
    pub(crate) kad: Gated<Errands<kad::Behaviour<Providers>>>,
    pub(crate) gossipsub: Gated<Gossipsub>,
    pub(crate) mdns: Neighbours,
    pub(crate) nat: Nat,
}

// === impl Behaviour ===

impl Behaviour {
    /// Fails only where the numbers of a protocol contradict each other.
    pub(crate) fn new(
        config: &Config,
        streams: Streams,
        relay_client: relay::client::Behaviour,
    ) -> Result<Self, String> {
        let gossipsub = gossip::behaviour(&config.identity)?;
        Ok(Self {
            limits: limits::behaviour(config),
            identify: identify::behaviour(config),
            kad: Gated::new(
                Errands::new(dht::behaviour(config), DHT_DIALS_MAX),
                Scope::Dht,
                streams.gate(),
            ),
            gossipsub: Gated::new(gossipsub, Scope::Topics, streams.gate()),
            mdns: mdns::behaviour(config),
            nat: Nat::new(config, relay_client, streams.gate()),
            streams,
        })
    }
}
