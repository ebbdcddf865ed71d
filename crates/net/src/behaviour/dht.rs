//! In which DHTs does a node take part, and what does it keep for others?
//!
//! That of its own network, and by setting those of IPFS. Each has a table, a store and bounds of its own, so that
//! strangers of one never take the room of another.

use std::sync::Arc;
use std::time::Duration;

use libp2p::kad::{self, BucketInserts};
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{PeerId, StreamProtocol};
use rustle_types::NetworkName;

use crate::admission::Connections;
use crate::config::DHT_DIALS_MAX;
use crate::errands::Errands;
use crate::gated::Gated;
use crate::providers::Providers;
use crate::{Config, Dht, Scope};

/// How long a search in the DHT may take.
const DHT_QUERY_TIMEOUT: Duration = Duration::from_secs(30);

/// How often the far buckets of the routing table are refreshed; each time peers are dialled for it. What is near is
/// looked up more often, by searches whose results are told.
const DHT_REFRESH_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// The DHT of the IPFS network.
const IPFS: StreamProtocol = StreamProtocol::new("/ipfs/kad/1.0.0");
/// What Kubo nodes of one local network speak among themselves.
const IPFS_LAN: StreamProtocol = StreamProtocol::new("/ipfs/lan/kad/1.0.0");

/// One DHT: deaf until a connection is admitted to it, and bounded in what it dials.
pub(crate) type Table = Gated<Errands<kad::Behaviour<Providers>>>;

/// The name of a DHT. Each of our networks has its own: the public one would fill ours with strangers.
pub(crate) fn protocol(dht: Dht, network: &NetworkName) -> StreamProtocol {
    match dht {
        Dht::Own => StreamProtocol::try_from_owned(format!("/rustle/{network}/kad/1.0.0"))
            .expect("the name begins with a slash"),
        Dht::IpfsLan => IPFS_LAN,
        Dht::Ipfs => IPFS,
    }
}

/// The DHT of our own network.
pub(super) fn own(config: &Config, gate: &Connections) -> Table {
    let mut providers = Providers::new(config.identity.peer_id());
    if let Some(store) = &config.dht_records {
        providers = providers.with_records(Arc::clone(store));
    }
    table(Dht::Own, config, gate, providers, BucketInserts::OnConnected)
}

/// A DHT of IPFS, where it is switched on. What others provide there is kept in memory only: its nodes tell it again,
/// and to more of their kind than to us. Peers come into the table by what identify says of them.
pub(super) fn foreign(dht: Dht, config: &Config, gate: &Connections) -> Toggle<Table> {
    let is_on = config.ipfs_dht.includes(dht);
    let providers = Providers::new(config.identity.peer_id());
    Toggle::from(is_on.then(|| table(dht, config, gate, providers, BucketInserts::Manual)))
}

fn table(
    dht: Dht,
    config: &Config,
    gate: &Connections,
    providers: Providers,
    inserts: BucketInserts,
) -> Table {
    let peer: PeerId = config.identity.peer_id();
    let mut settings = kad::Config::new(protocol(dht, &config.network));
    // Records of others come to us first: providers are kept within bounds, values not at all (we have no use for them).
    // What is provided is told again by whoever knows what is still kept, not by kad.
    settings
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_query_timeout(DHT_QUERY_TIMEOUT)
        .set_provider_publication_interval(None)
        .set_kbucket_inserts(inserts)
        .set_periodic_bootstrap_interval(Some(DHT_REFRESH_INTERVAL));
    let mut kad = kad::Behaviour::with_config(peer, providers, settings);
    // Left alone, it becomes a server once it has an external address, even a private one or that of a relay.
    kad.set_mode(Some(kad::Mode::Client));
    let errands = Errands::new(kad, DHT_DIALS_MAX).within(dht.realm());
    Gated::new(errands, Scope::Dht, gate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_network_has_its_own_dht() {
        let network = NetworkName::default();
        let names = Dht::ALL.map(|dht| protocol(dht, &network).to_string());
        assert_eq!(
            names,
            ["/rustle/main/kad/1.0.0", "/ipfs/lan/kad/1.0.0", "/ipfs/kad/1.0.0"]
        );
    }
}
