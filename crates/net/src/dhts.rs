//! Which DHTs are there, and in which does a node take part?

use std::fmt;

use rustle_types::Multiaddr;

use crate::realm::Realm;

/// The addresses of a DHT of IPFS may end up in public tables; that of our network knows only its own nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dht {
    /// `/rustle/<network>/kad/1.0.0`: the nodes of our network.
    Own,
    /// `/ipfs/lan/kad/1.0.0`: IPFS nodes of the local network, at private addresses and loopback.
    IpfsLan,
    /// `/ipfs/kad/1.0.0`: the IPFS network, at public addresses.
    Ipfs,
}

/// In which DHTs of IPFS a node takes part, beside that of its own network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum IpfsDht {
    /// In none.
    #[default]
    Off,
    /// In that of the local network.
    Lan,
    /// In both: that of the local network, and as a client in that of the IPFS network.
    Auto,
}

// === impl Dht ===

impl Dht {
    /// All of them, our own first.
    pub const ALL: [Self; 3] = [Self::Own, Self::IpfsLan, Self::Ipfs];

    /// What people call it: `rustle`, `ipfs-lan` or `ipfs`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Own => "rustle",
            Self::IpfsLan => "ipfs-lan",
            Self::Ipfs => "ipfs",
        }
    }

    /// Which addresses it knows of.
    pub(crate) const fn realm(self) -> Realm {
        match self {
            Self::Own => Realm::Everywhere,
            Self::IpfsLan => Realm::Local,
            Self::Ipfs => Realm::World,
        }
    }

    /// Whether a peer at the other end of a connection with `remote` may be taken into the table. That of the local network
    /// has addresses that mean something there alone: a stranger from afar could have this node dial its neighbours.
    pub(crate) fn takes_from(self, remote: &Multiaddr) -> bool {
        self != Self::IpfsLan || Realm::Local.has(remote)
    }
}

impl fmt::Display for Dht {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// === impl IpfsDht ===

impl IpfsDht {
    /// Whether the node takes part in `dht`; in its own it always does.
    pub const fn includes(self, dht: Dht) -> bool {
        match (dht, self) {
            (Dht::Own, _) | (_, Self::Auto) | (Dht::IpfsLan, Self::Lan) => true,
            (Dht::IpfsLan | Dht::Ipfs, Self::Off) | (Dht::Ipfs, Self::Lan) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_local_network_takes_nobody_from_afar() {
        let takes = |remote: &str| {
            let remote = remote.parse().unwrap();
            Dht::ALL.map(|dht| dht.takes_from(&remote))
        };
        assert_eq!(takes("/ip4/192.168.1.9/tcp/1"), [true; 3]);
        for afar in [
            "/ip4/8.8.8.8/tcp/1",
            "/ip4/10.0.0.1/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp/p2p-circuit",
        ] {
            assert_eq!(takes(afar), [true, false, true], "{afar}");
        }
    }

    #[test]
    fn each_setting_includes_what_it_says() {
        let included = |setting: IpfsDht| Dht::ALL.map(|dht| setting.includes(dht));
        assert_eq!(included(IpfsDht::Off), [true, false, false]);
        assert_eq!(included(IpfsDht::Lan), [true, true, false]);
        assert_eq!(included(IpfsDht::Auto), [true; 3]);
    }
}
