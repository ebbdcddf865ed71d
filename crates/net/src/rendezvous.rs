//! How do nodes that share nothing but a name and a meeting point find each other?
//!
//! At a rendezvous point: it keeps a directory, in which nodes register under a namespace and look for others. The client
//! and the server are our own, over libp2p's protocol. In rust-libp2p 0.57 a server can end the task of the client's swarm
//! with one large number, and a client can fill the memory of the server.
//!
//! A namespace is `/rustle/<network>` for the nodes of a network, with `/<name>` behind it for a name within the network.

mod client;
mod exchange;
mod record;
mod server;
mod visit;

pub(crate) use client::{Client, Start};
pub(crate) use server::serve;
pub(crate) use visit::{Found, Report};

use rustle_types::NetworkName;
use rustle_wire::rendezvous::Namespace;

use crate::config::DISCOVERY_NAME_BYTES_MAX;

/// The namespace of a name within a network, or with an empty name of the network itself; `None` where the name is too
/// long.
pub(crate) fn namespace(network: &NetworkName, name: &str) -> Option<Namespace> {
    if DISCOVERY_NAME_BYTES_MAX < name.len() {
        return None;
    }
    let separator = if name.is_empty() { "" } else { "/" };
    Namespace::new(&format!("/rustle/{network}{separator}{name}"))
}

/// The name within a network that a namespace stands for.
pub(crate) fn name<'a>(network: &NetworkName, namespace: &'a Namespace) -> Option<&'a str> {
    let rest = namespace.as_str().strip_prefix("/rustle/")?;
    rest.strip_prefix(network.as_str())?.strip_prefix('/')
}

#[cfg(test)]
mod tests {
    use rustle_types::limits::NETWORK_NAME_BYTES_MAX;

    use super::*;

    #[test]
    fn namespaces_are_below_their_network_and_long_names_fit() {
        let network = NetworkName::default();
        let text = |name| namespace(&network, name).map(|namespace| namespace.to_string());
        assert_eq!(text("").as_deref(), Some("/rustle/main"));
        assert_eq!(text("market/7").as_deref(), Some("/rustle/main/market/7"));
        let of = |given| namespace(&network, given).and_then(|it| name(&network, &it).map(str::to_owned));
        assert_eq!((of("market/7").as_deref(), of("")), (Some("market/7"), None));

        let longest: NetworkName = "n".repeat(NETWORK_NAME_BYTES_MAX).parse().unwrap();
        let name = "x".repeat(DISCOVERY_NAME_BYTES_MAX);
        assert!(namespace(&longest, &name).is_some());
        assert!(namespace(&longest, &format!("{name}x")).is_none());
    }
}
