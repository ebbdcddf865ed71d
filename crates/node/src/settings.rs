//! What do the settings of a node mean for its parts?

use rustle_net::{DhtMode, ForeignAccess, Identity, IpfsDht};
use rustle_peers::GateLimits;
use rustle_types::{PeerId, Reach};
use rustle_wire::Services;

use crate::config::{Config, Foreign};

/// The settings of the peer manager.
pub(crate) fn peer_settings(config: &Config, local: PeerId) -> rustle_peers::Config {
    let (peers, foreign) = (&config.peers, foreign_access(config));
    let mut services = Services::default();
    let mut offer = |service, is_offered: bool| {
        if is_offered {
            services = services.and(service);
        }
    };
    // Nobody can dial where the proxy does, and nobody is to know where the node listens.
    let is_hidden = config.nat.proxy.is_some();
    offer(Services::INBOUND, !config.listen.is_empty() && !is_hidden);
    offer(Services::CONTENT, !config.light);
    offer(Services::RELAY, config.nat.relay_server && !is_hidden);
    offer(Services::RENDEZVOUS, config.discovery.rendezvous_server);
    rustle_peers::Config {
        network: config.network.clone(),
        services,
        bootstrap: config.bootstrap.clone(),
        statics: config.discovery.static_peers.clone(),
        light: config.light,
        hidden: is_hidden,
        targets: rustle_peers::Targets {
            lower: whole(peers.lower),
            target: whole(peers.target),
            upper: whole(peers.upper),
            outbound: whole(peers.outbound),
        },
        greeting_inbound: whole(peers.pending),
        foreign: rustle_peers::Foreign {
            places: whole(peers.foreign),
            content: foreign.content,
            dht: foreign.dht,
            topics: foreign.topics,
        },
        reaches: reaches(config),
        ping_idle: peers.ping_idle,
        ping_timeout: peers.ping_timeout,
        ..rustle_peers::Config::new(local)
    }
}

/// The settings of the network, apart from what other parts of the node have a hand in.
pub(crate) fn network_settings(config: &Config, identity: Identity) -> rustle_net::Config {
    let (discovery, nat) = (&config.discovery, &config.nat);
    if is_kept_from_ipfs(config) {
        tracing::warn!(
            "behind a proxy this node takes part in no DHT of IPFS; set ipfs-dht to off, or leave the proxy out"
        );
    }
    rustle_net::Config {
        listen: config.listen.clone(),
        dht: match config.light {
            true => DhtMode::Client,
            false => DhtMode::Auto,
        },
        gate: gate_limits(config),
        light: config.light,
        foreign: foreign_access(config),
        mdns: discovery.mdns,
        rendezvous_points: discovery.rendezvous.clone(),
        rendezvous_server: discovery.rendezvous_server,
        relay_server: nat.relay_server,
        upnp: nat.upnp,
        autonat: nat.autonat,
        proxy: nat.proxy.clone(),
        ipfs_dht: match foreign_access(config).dht {
            true => config.routing.ipfs_dht,
            // All who speak it are foreign, and would get no answer.
            false => IpfsDht::Off,
        },
        ipfs_boot: config.routing.ipfs_boot.clone(),
        ..rustle_net::Config::new(identity, config.network.clone())
    }
}

/// Whether the proxy switches off DHTs of IPFS that the settings switch on.
fn is_kept_from_ipfs(config: &Config) -> bool {
    config.nat.proxy.is_some() && foreign_access(config).dht && config.routing.ipfs_dht != IpfsDht::Off
}

/// Room for the connections that the peer manager may want, and for as many again that are about to be refused by it.
fn gate_limits(config: &Config) -> GateLimits {
    let peers = &config.peers;
    let inbound = whole(peers.upper) + whole(peers.foreign) + whole(peers.pending);
    let defaults = GateLimits::default();
    GateLimits {
        pending: whole(peers.pending),
        per_host: whole(peers.per_ip),
        per_group: whole(peers.per_group),
        accept_per_second: peers.accept_rate,
        accept_burst: peers.accept_rate.saturating_mul(2),
        memory_bytes: peers.memory_mib.map(|mib| u64::from(mib) << 20),
        established_inbound: inbound.max(defaults.established_inbound),
        established: (inbound + whole(peers.outbound)).max(defaults.established),
    }
}

/// The networks whose addresses can be dialled: Tor through a proxy only, and Yggdrasil as any other IPv6 address.
fn reaches(config: &Config) -> Vec<Reach> {
    let mut reaches = vec![Reach::Local, Reach::Clear, Reach::Yggdrasil];
    if config.nat.proxy.is_some() {
        reaches.push(Reach::Tor);
    }
    reaches
}

pub(crate) const fn foreign_access(config: &Config) -> ForeignAccess {
    let (content, rest) = match config.foreign {
        Foreign::Allow => (true, true),
        Foreign::Content => (true, false),
        Foreign::Deny => (false, false),
    };
    ForeignAccess {
        content,
        dht: rest,
        topics: rest,
    }
}

fn whole(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_proxy;

    #[test]
    fn a_proxy_that_switches_off_dhts_of_ipfs_is_noticed() {
        let mut config = Config::new("data");
        config.foreign = Foreign::Allow;
        config.routing.ipfs_dht = IpfsDht::Auto;
        assert!(!is_kept_from_ipfs(&config), "no proxy");
        config.nat.proxy = Some(parse_proxy("socks5://127.0.0.1:9050").unwrap());
        assert!(is_kept_from_ipfs(&config));
        config.routing.ipfs_dht = IpfsDht::Off;
        assert!(!is_kept_from_ipfs(&config), "nobody expects any");
    }
}
