//! What can be set about a node, and where the settings come from.
//!
//! A file in TOML; the daemon's flags win over it. Unknown keys are errors: a misspelt limit must not be a missing one.

mod file;
mod found;
mod peers;
mod routing;
mod store;

use std::net::SocketAddr;
use std::path::PathBuf;

use rustle_types::{Multiaddr, NetworkName};

pub use file::{ConfigFile, DiscoverySection, LogFormat, NatSection};
pub use found::{DiscoveryConfig, Foreign, NatConfig};
pub use peers::{PeersConfig, PeersSection};
pub use routing::{Provide, RoutingConfig, RoutingSection, parse_ipfs_dht};
pub use rustle_net::{IpfsDht, Proxy};
pub use store::{StoreConfig, StoreSection};

/// Where a node listens unless told otherwise.
const LISTEN_DEFAULT: [&str; 2] = ["/ip4/0.0.0.0/tcp/4747", "/ip4/0.0.0.0/udp/4747/quic-v1"];

/// The settings of a node.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where everything is kept; made with mode 0700 where it is missing. Nobody else may use it.
    pub data_dir: PathBuf,
    /// The network to belong to.
    pub network: NetworkName,
    /// Where to listen for peers.
    pub listen: Vec<Multiaddr>,
    /// Peers to dial at the start, and again when they are lost.
    pub bootstrap: Vec<Multiaddr>,
    /// Where to serve the administration interface.
    pub admin: Admin,
    /// Where to serve metrics for Prometheus, without any password.
    pub metrics: Option<SocketAddr>,
    /// Whether to be a light client: it listens nowhere, serves nothing, keeps few peers, and says so.
    pub light: bool,
    /// What peers get that do not speak our protocol.
    pub foreign: Foreign,
    /// Bounds of the connection set.
    pub peers: PeersConfig,
    /// Ways to find peers.
    pub discovery: DiscoveryConfig,
    /// Ways to be reached.
    pub nat: NatConfig,
    /// How content is found.
    pub routing: RoutingConfig,
    /// How much the store may take.
    pub store: StoreConfig,
}

/// Where the administration interface is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admin {
    /// On the unix socket `admin.sock` in the data directory.
    Unix,
    /// On the unix socket, and on this loopback address for whoever has the token `admin.token`.
    Tcp(SocketAddr),
}

/// Why the settings cannot be used. One line that says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {why}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        why: String,
    },
    /// The file is no valid TOML, or has unknown keys, wrong types or values out of their bounds.
    #[error("{path}, line {line}: {why}")]
    Malformed {
        /// The file.
        path: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong there.
        why: String,
    },
    /// The value of a flag is out of its bounds, or contradicts another.
    #[error("{field}: {why}")]
    Invalid {
        /// The flag or key.
        field: &'static str,
        /// What it should be.
        why: String,
    },
}

/// What is wrong with one value, before it is known where that stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
struct Wrong {
    field: &'static str,
    why: String,
}

// === impl Config ===

impl Config {
    /// The defaults for a node in `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            network: NetworkName::default(),
            listen: LISTEN_DEFAULT
                .iter()
                .map(|text| {
                    text.parse()
                        .expect("the defaults are multiaddrs, as a test shows")
                })
                .collect(),
            bootstrap: Vec::new(),
            admin: Admin::Unix,
            metrics: None,
            light: false,
            foreign: Foreign::default(),
            peers: PeersConfig::default(),
            discovery: DiscoveryConfig::default(),
            nat: NatConfig::default(),
            routing: RoutingConfig::default(),
            store: StoreConfig::default(),
        }
    }

    /// Takes over what the file sets; the numbers that it leaves out follow from those that it sets. Flags are put over
    /// the file with [`ConfigFile::or`] before, so that a contradiction between the two is found here.
    pub fn apply(&mut self, file: ConfigFile) -> Result<(), ConfigError> {
        file.check()
            .map_err(|Wrong { field, why }| ConfigError::Invalid { field, why })?;
        let ConfigFile {
            discovery,
            nat,
            routing,
            ..
        } = file;
        self.light = file.light.unwrap_or(self.light);
        self.peers = PeersConfig::of(&file.peers, self.light);
        self.store = StoreConfig::of(&file.store);
        if self.light {
            self.listen = Vec::new();
        }
        set(&mut self.network, file.network);
        set(&mut self.listen, file.listen);
        set(&mut self.bootstrap, file.bootstrap);
        set(&mut self.admin, file.admin);
        self.metrics = file.metrics.or(self.metrics);
        set(&mut self.foreign, file.foreign);
        set(&mut self.discovery.static_peers, discovery.static_peers);
        set(&mut self.discovery.mdns, discovery.mdns);
        set(&mut self.discovery.rendezvous, discovery.rendezvous);
        set(&mut self.discovery.rendezvous_server, discovery.rendezvous_server);
        set(&mut self.nat.relay_server, nat.relay_server);
        set(&mut self.nat.upnp, nat.upnp);
        set(&mut self.nat.autonat, nat.autonat);
        self.nat.proxy = nat.proxy.or(self.nat.proxy.take());
        set(&mut self.routing.provide, routing.provide);
        set(&mut self.routing.ipfs_dht, routing.ipfs_dht);
        set(&mut self.routing.ipfs_boot, routing.ipfs_boot);
        Ok(())
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

/// A network name from a flag or key.
pub fn parse_network(text: &str) -> Result<NetworkName, ConfigError> {
    text.parse()
        .map_err(|error: rustle_types::TopicError| ConfigError::Invalid {
            field: "network",
            why: error.to_string(),
        })
}

/// Multiaddrs from a flag.
pub fn parse_addresses(field: &'static str, texts: &[String]) -> Result<Vec<Multiaddr>, ConfigError> {
    let parse = |text: &String| parse_address(text).map_err(|why| ConfigError::Invalid { field, why });
    texts.iter().map(parse).collect()
}

fn parse_address(text: &str) -> Result<Multiaddr, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is not a multiaddr; write for example /ip4/127.0.0.1/tcp/4747"))
}

/// The place of the administration interface from a flag or key.
pub fn parse_admin(text: &str) -> Result<Admin, ConfigError> {
    if text == "unix" {
        return Ok(Admin::Unix);
    }
    match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Ok(Admin::Tcp(address)),
        Ok(address) => {
            let why = format!("{address} is not a loopback address; use 127.0.0.1 or [::1]");
            Err(ConfigError::Invalid { field: "admin", why })
        }
        Err(_) => {
            let why = format!("`{text}` is neither `unix` nor an address such as 127.0.0.1:4748");
            Err(ConfigError::Invalid { field: "admin", why })
        }
    }
}

/// The address of the metrics from a flag or key.
pub fn parse_metrics(text: &str) -> Result<SocketAddr, ConfigError> {
    text.parse().map_err(|_| ConfigError::Invalid {
        field: "metrics",
        why: format!("`{text}` is no address with port; write for example 127.0.0.1:9747"),
    })
}

/// The proxy from a flag or key.
pub fn parse_proxy(text: &str) -> Result<Proxy, ConfigError> {
    // Not the text itself, which may hold a password.
    text.parse()
        .map_err(|error: rustle_net::ProxyFormatError| ConfigError::Invalid {
            field: "proxy",
            why: error.to_string(),
        })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn file(text: &str) -> ConfigFile {
        ConfigFile::parse(text, "f", |_| Ok(())).unwrap()
    }

    #[test]
    fn defaults_are_addresses() {
        assert_eq!(Config::new("x").listen.len(), 2);
    }

    #[test]
    fn a_file_sets_what_it_names() {
        let text = r#"
            network = "test"
            listen = ["/ip4/127.0.0.1/tcp/0"]
            admin = "127.0.0.1:0"
            metrics = "127.0.0.1:9"
            foreign = "deny"
            [peers]
            ping_idle_seconds = 2
            upper = 9
            memory_mib = 512
            [discovery]
            static = ["/ip4/127.0.0.1/tcp/1"]
            mdns = false
            rendezvous_server = true
            [nat]
            upnp = false
            relay_server = true
            proxy = "socks5://[::1]:9050"
        "#;
        let mut config = Config::new("x");
        config.apply(file(text)).unwrap();
        assert_eq!(config.network.as_str(), "test");
        assert_eq!(config.listen.len(), 1);
        assert_eq!(config.admin, Admin::Tcp("127.0.0.1:0".parse().unwrap()));
        assert_eq!(config.metrics, Some("127.0.0.1:9".parse().unwrap()));
        assert_eq!(config.foreign, Foreign::Deny);
        assert_eq!(config.peers.ping_idle, Duration::from_secs(2));
        assert_eq!((config.peers.target, config.peers.upper), (9, 9));
        assert_eq!(config.peers.memory_mib, Some(512));
        assert_eq!(config.discovery.static_peers.len(), 1);
        assert!(!config.discovery.mdns && config.discovery.rendezvous_server);
        assert!(config.nat.relay_server && config.nat.autonat && !config.nat.upnp);
        assert_eq!(config.nat.proxy.unwrap().to_string(), "socks5://[::1]:9050");
    }

    #[test]
    fn a_light_client_listens_nowhere_and_has_few_peers() {
        let mut config = Config::new("x");
        config.apply(file("light = true")).unwrap();
        assert!(config.light && config.listen.is_empty());
        let peers = (config.peers.lower, config.peers.target, config.peers.upper);
        assert_eq!(peers, (2, 4, 6));

        let mut config = Config::new("x");
        config
            .apply(file("light = true\nlisten = []\npeers.target = 9"))
            .unwrap();
        assert_eq!(config.peers.target, 9);
    }

    #[test]
    fn flags_win_and_are_held_against_the_file() {
        let below = file("light = true\n[peers]\nlower = 3\ntarget = 5");
        let flags = file("[peers]\ntarget = 7");
        let mut config = Config::new("x");
        config.apply(flags.or(below.clone())).unwrap();
        assert_eq!((config.peers.lower, config.peers.target), (3, 7));

        let flags = file("listen = [\"/ip4/127.0.0.1/tcp/0\"]");
        let error = config.apply(flags.or(below.clone())).unwrap_err();
        assert!(error.to_string().starts_with("listen: a light client"), "{error}");

        let error = config.apply(file("peers.target = 2").or(below)).unwrap_err();
        assert!(error.to_string().starts_with("peers.lower: 3 is more"), "{error}");
    }

    #[test]
    fn values_out_of_bounds_are_named() {
        assert!(
            parse_admin("10.0.0.1:1")
                .unwrap_err()
                .to_string()
                .contains("loopback")
        );
        assert!(parse_admin("nowhere").is_err());
        assert!(parse_metrics("9090").is_err());
        assert!(parse_proxy("127.0.0.1:9050").is_err());
        assert!(parse_network("No Way").is_err());
        assert!(parse_addresses("listen", &["localhost:1".to_owned()]).is_err());
    }
}
