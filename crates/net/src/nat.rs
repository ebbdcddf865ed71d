//! How is a node reached that stands behind a router which translates addresses?
//!
//! * It asks its router for a port (UPnP), and peers whether they can dial it (AutoNAT v2).
//! * Where they cannot, a public node keeps a place for it (circuit relay v2) and passes on connections, two minutes and
//!   128 KiB at a time.
//! * The two ends of such a connection tell each other their outer addresses and dial at the same moment, so that each
//!   router takes what comes in for an answer (DCUtR). What follows goes over the direct connection.
//!
//! The behaviours are libp2p's, with rules around them: what they lack is a bound on what others can make them do.

mod around;
mod bucket;
mod dial_back;
mod events;
mod observed;
mod probe;
mod punch;
mod reachability;
mod relay;
mod reservations;

use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{multiaddr, upnp};
use rustle_types::{Multiaddr, Reach, address};

use crate::Config;
use crate::admission::Connections;
use crate::gated::Gated;

pub(crate) use events::{NatCounts, State};

/// All that helps a node to be reached. Below `Streams`, as some of it waits for the admission of a connection.
#[derive(NetworkBehaviour)]
pub(crate) struct Nat {
    pub(crate) client: reservations::Client,
    pub(crate) server: Toggle<Gated<libp2p::relay::Behaviour>>,
    pub(crate) punches: Toggle<punch::Punches>,
    pub(crate) probes: Toggle<probe::Probes>,
    pub(crate) dial_backs: Toggle<dial_back::DialBacks>,
    pub(crate) upnp: Toggle<upnp::tokio::Behaviour>,
}

// === impl Nat ===

impl Nat {
    pub(crate) fn new(config: &Config, client: libp2p::relay::client::Behaviour, gate: &Connections) -> Self {
        let local = config.identity.peer_id();
        Self {
            client: reservations::client(client),
            server: config.relay_server.then(|| relay::server(local, gate)).into(),
            punches: config.proxy.is_none().then(|| punch::punches(local)).into(),
            probes: config.autonat.then(probe::probes).into(),
            // Who keeps places for others is meant to be public; others have to find out first.
            dial_backs: (config.autonat && config.relay_server)
                .then(|| dial_back::dial_backs(gate))
                .into(),
            upnp: (config.upnp && config.listen.iter().any(is_behind_router))
                .then(upnp::tokio::Behaviour::default)
                .into(),
        }
    }

    /// Answers peers that want to know whether they can be dialled, from the next connections on.
    pub(crate) fn serve_dial_backs(&mut self, gate: &Connections) {
        if !self.dial_backs.is_enabled() {
            self.dial_backs = Some(dial_back::dial_backs(gate)).into();
        }
    }
}

/// Whether a router could have a port open for this listen address. A search for routers is heard by all the network, so
/// it is left where it cannot be of use.
fn is_behind_router(listen: &Multiaddr) -> bool {
    match listen.iter().next() {
        Some(multiaddr::Protocol::Ip4(ip)) => ip.is_unspecified() || ip.is_private(),
        _ => false,
    }
}

/// Whether an address is one that the whole of a network can dial: what is worth to be asked for, and to be dialled for
/// others.
fn is_public(place: &Multiaddr) -> bool {
    let reach = address::ip(place).map(Reach::of_ip);
    matches!(reach, Some(Reach::Clear | Reach::Yggdrasil))
        && address::is_dialable(place)
        && !address::is_relayed(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routers_are_looked_for_where_one_could_be() {
        let looked = |text: &str| is_behind_router(&text.parse().unwrap());
        assert!(looked("/ip4/0.0.0.0/tcp/4747"));
        assert!(looked("/ip4/192.168.1.2/udp/4747/quic-v1"));
        assert!(!looked("/ip4/127.0.0.1/tcp/0"));
        assert!(!looked("/ip4/8.8.8.8/tcp/1"));
        assert!(!looked("/ip6/::/tcp/1"));
    }

    #[test]
    fn public_is_what_all_can_dial() {
        let public = |text: &str| is_public(&text.parse().unwrap());
        assert!(public("/ip4/8.8.8.8/tcp/1"));
        assert!(public("/ip6/2001:db8::1/udp/1/quic-v1"));
        for text in [
            "/ip4/10.0.0.1/tcp/1",
            "/ip4/127.0.0.1/tcp/1",
            "/ip4/8.8.8.8/tcp/0",
            "/dns4/a.example/tcp/1",
            "/ip4/8.8.8.8/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp/p2p-circuit",
        ] {
            assert!(!public(text), "{text}");
        }
    }
}
