//! How does the node find others, and how do others reach it?

use rustle_net::Proxy;
use rustle_types::{Multiaddr, address};
use serde::Deserialize;

use super::Wrong;

/// Addresses that one list may have.
pub(super) const LIST_MAX: usize = 256;
/// Rendezvous points that are asked.
const RENDEZVOUS_MAX: usize = 16;

/// Ways to find peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveryConfig {
    /// Peers that are always dialled, and dialled again when they are lost.
    pub static_peers: Vec<Multiaddr>,
    /// Whether peers on the local network are looked for, and told of this node.
    pub mdns: bool,
    /// Where to register and to ask for others; each with `/p2p/`.
    pub rendezvous: Vec<Multiaddr>,
    /// Whether this node keeps such a directory.
    pub rendezvous_server: bool,
}

/// Ways to be reached, and to reach others, where there is no straight way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatConfig {
    /// Whether this node passes on connections for nodes that nobody can dial.
    pub relay_server: bool,
    /// Whether the router is asked to open a port.
    pub upnp: bool,
    /// Whether peers are asked if they can dial this node.
    pub autonat: bool,
    /// Dial through this.
    pub proxy: Option<Proxy>,
}

/// What peers get that do not speak our protocol, Kubo for instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Foreign {
    /// Content, the DHT and topics.
    Allow,
    /// Content only.
    #[default]
    Content,
    /// Nothing: they are disconnected.
    Deny,
}

// === impl DiscoveryConfig ===

impl Default for DiscoveryConfig {
    fn default() -> Self {
        Self {
            static_peers: Vec::new(),
            mdns: true,
            rendezvous: Vec::new(),
            rendezvous_server: false,
        }
    }
}

// === impl NatConfig ===

impl Default for NatConfig {
    fn default() -> Self {
        Self {
            relay_server: false,
            upnp: true,
            autonat: true,
            proxy: None,
        }
    }
}

/// Whether a list of addresses is short enough.
pub(super) fn check_list(field: &'static str, addresses: Option<&[Multiaddr]>) -> Result<(), Wrong> {
    let count = addresses.map_or(0, <[_]>::len);
    if count <= LIST_MAX {
        return Ok(());
    }
    let why = format!("{count} addresses are too many; name at most {LIST_MAX}");
    Err(Wrong { field, why })
}

/// Whether a list of addresses to dial is short enough, and each can be dialled at all.
pub(super) fn check_dialled(field: &'static str, addresses: Option<&[Multiaddr]>) -> Result<(), Wrong> {
    check_list(field, addresses)?;
    let lacking = |address: &Multiaddr| address::lack(address).map(|lack| (address.clone(), lack));
    match addresses.unwrap_or(&[]).iter().find_map(lacking) {
        Some((address, lack)) => {
            let why = format!("{address} {lack}");
            Err(Wrong { field, why })
        }
        None => Ok(()),
    }
}

/// Whether rendezvous points are few and named.
pub(super) fn check_rendezvous(addresses: Option<&[Multiaddr]>) -> Result<(), Wrong> {
    let field = "discovery.rendezvous";
    let points = addresses.unwrap_or(&[]);
    if RENDEZVOUS_MAX < points.len() {
        let why = format!(
            "{} points are too many; name at most {RENDEZVOUS_MAX}",
            points.len()
        );
        return Err(Wrong { field, why });
    }
    check_dialled(field, addresses)?;
    match points.iter().find(|point| address::peer(point).is_none()) {
        Some(point) => Err(unnamed(field, point)),
        None => Ok(()),
    }
}

/// An address of a list whose peers must be named does not name one.
pub(super) fn unnamed(field: &'static str, address: &Multiaddr) -> Wrong {
    let why = format!("{address} does not say who is there; end it with /p2p/ and the id of the peer");
    Wrong { field, why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_bounded_and_rendezvous_points_named() {
        let address: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
        let many = vec![address.clone(); LIST_MAX + 1];
        assert!(check_list("x", Some(&many)).is_err());
        assert!(check_list("x", Some(&many[1..])).is_ok());
        assert!(check_list("x", None).is_ok());

        let unnamed = check_rendezvous(Some(std::slice::from_ref(&address))).unwrap_err();
        assert!(unnamed.why.contains("/p2p/"), "{}", unnamed.why);
        let id = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
        let named: Multiaddr = format!("{address}/p2p/{id}").parse().unwrap();
        assert!(check_rendezvous(Some(std::slice::from_ref(&named))).is_ok());
        assert!(check_rendezvous(Some(&vec![named; RENDEZVOUS_MAX + 1])).is_err());
    }
}
