//! Which protocols does the swarm speak, and with which numbers?
//!
//! Several defaults of libp2p do not fit: some break the talk with go-libp2p, others have no bound. Each protocol is set
//! up in a module of its own, and the reason stands beside each number.

mod dht;
mod gossip;
mod identify;
mod limits;
mod mdns;

use libp2p::PeerId;
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{Swarm, connection_limits, relay};

pub(crate) use dht::{Table, protocol};
pub(crate) use gossip::Gossipsub;
pub(crate) use mdns::{Neighbours, Sighted};

use crate::compact::Compact;
use crate::gated::Gated;
use crate::nat::Nat;
use crate::streams::{Spoken, Streams};
use crate::{Config, Dht, Scope};

/// The swarm of a node.
pub(crate) type NodeSwarm = Swarm<Compact<Behaviour>>;

/// All that runs on a connection. Those that may refuse it come first, before others spend anything on it; those that
/// wait for its admission stand below `streams`, which is told of it.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    pub(crate) limits: connection_limits::Behaviour,
    pub(crate) streams: Streams,
    pub(crate) identify: libp2p::identify::Behaviour,
    pub(crate) kad: Table,
    pub(crate) ipfs_lan: Toggle<Table>,
    pub(crate) ipfs: Toggle<Table>,
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
            kad: dht::own(config, streams.gate()),
            ipfs_lan: dht::foreign(Dht::IpfsLan, config, streams.gate()),
            ipfs: dht::foreign(Dht::Ipfs, config, streams.gate()),
            gossipsub: Gated::new(gossipsub, Scope::Topics, streams.gate()),
            mdns: mdns::behaviour(config),
            nat: Nat::new(config, relay_client, streams.gate()),
            streams,
        })
    }

    /// A DHT, where it is switched on.
    pub(crate) fn dht(&mut self, dht: Dht) -> Option<&mut Table> {
        match dht {
            Dht::Own => Some(&mut self.kad),
            Dht::IpfsLan => self.ipfs_lan.as_mut(),
            Dht::Ipfs => self.ipfs.as_mut(),
        }
    }

    /// Takes a peer into the tables of the DHTs that it speaks, each with the addresses that are of use there.
    pub(crate) fn add_to_dhts(&mut self, peer: &PeerId, spoken: &Spoken) {
        for dht in &spoken.dhts {
            let Some(table) = self.dht(*dht) else { continue };
            for address in spoken.addresses.iter().filter(|address| dht.realm().has(address)) {
                table.add_address(peer, address.clone());
            }
        }
    }
}
