//! Which DHT does a node take part in, and what does it keep for others?

use std::sync::Arc;
use std::time::Duration;

use libp2p::{StreamProtocol, kad};
use rustle_types::NetworkName;

use crate::Config;
use crate::providers::Providers;

/// How long a search in the DHT may take.
const DHT_QUERY_TIMEOUT: Duration = Duration::from_secs(30);

/// How often the far buckets of the routing table are refreshed; each time peers are dialled for it. What is near is
/// looked up more often, by searches whose results are told.
const DHT_REFRESH_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// The name of the DHT of a network. Each has its own: the public one would fill ours with strangers.
pub(crate) fn dht_protocol(network: &NetworkName) -> StreamProtocol {
    StreamProtocol::try_from_owned(format!("/rustle/{network}/kad/1.0.0"))
        .expect("the name begins with a slash")
}

pub(super) fn behaviour(config: &Config) -> kad::Behaviour<Providers> {
    let peer = config.identity.peer_id();
    let mut settings = kad::Config::new(dht_protocol(&config.network));
    // Records of others come to us first: providers are kept within bounds, values not at all (we have no use for them).
    settings
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_query_timeout(DHT_QUERY_TIMEOUT)
        .set_periodic_bootstrap_interval(Some(DHT_REFRESH_INTERVAL));
    let mut providers = Providers::new(peer);
    if let Some(store) = &config.dht_records {
        providers = providers.with_records(Arc::clone(store));
    }
    let mut kad = kad::Behaviour::with_config(peer, providers, settings);
    // Left alone, it becomes a server once it has an external address, even a private one or that of a relay.
    kad.set_mode(Some(kad::Mode::Client));
    kad
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_network_has_its_own_dht() {
        assert_eq!(
            dht_protocol(&NetworkName::default()).as_ref(),
            "/rustle/main/kad/1.0.0"
        );
    }
}
