//! Which addresses mean something to whom?
//!
//! The DHT of the world is of no use where it tells of addresses that only a local network knows, and the one of the local
//! network must not lead out of it. A name is taken for an address of the world.

use rustle_types::address::Reach;
use rustle_types::{Multiaddr, address};

/// The addresses that a DHT knows of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Realm {
    /// All.
    Everywhere,
    /// Public ones.
    World,
    /// Private ones and loopback, not through a relay.
    Local,
}

// === impl Realm ===

impl Realm {
    /// Whether `address` is within it.
    pub(crate) fn has(self, address: &Multiaddr) -> bool {
        let reach = Reach::of(address);
        match self {
            Self::Everywhere => true,
            Self::World => reach == Some(Reach::Clear),
            Self::Local => reach == Some(Reach::Local) && !address::is_relayed(address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_and_private_addresses_are_apart() {
        let relay = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
        let relayed = |head: &str| format!("{head}/p2p/{relay}/p2p-circuit");
        for (address, world, local) in [
            ("/ip4/127.0.0.1/tcp/1".to_owned(), false, true),
            ("/ip4/192.168.1.2/udp/1/quic-v1".to_owned(), false, true),
            ("/ip6/fd00::1/tcp/1".to_owned(), false, true),
            ("/ip4/8.8.8.8/tcp/1".to_owned(), true, false),
            ("/dnsaddr/bootstrap.example".to_owned(), true, false),
            (relayed("/ip4/8.8.8.8/tcp/1"), true, false),
            (relayed("/ip4/10.0.0.1/tcp/1"), false, false),
        ] {
            let parsed = address.parse().unwrap();
            let known = (Realm::World.has(&parsed), Realm::Local.has(&parsed));
            assert_eq!(known, (world, local), "{address}");
            assert!(Realm::Everywhere.has(&parsed));
        }
    }
}
