//! What can be set about a node, and where the settings come from.
//!
//! A file in TOML; the daemon's flags win over it. Unknown keys are errors: a misspelt limit must not be a missing one.

mod file;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use rustle_types::{Multiaddr, NetworkName};

pub use file::{ConfigFile, LogFormat, PeersSection};

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
    /// A connection that was silent so long is pinged.
    pub ping_idle: Duration,
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
    /// The value of a flag is out of its bounds.
    #[error("{field}: {why}")]
    Invalid {
        /// The flag or key.
        field: &'static str,
        /// What it should be.
        why: String,
    },
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
            ping_idle: Duration::from_secs(60),
        }
    }

    /// Takes over what the file sets.
    pub fn apply(&mut self, file: &ConfigFile) {
        if let Some(network) = &file.network {
            self.network = network.clone();
        }
        if let Some(listen) = &file.listen {
            self.listen.clone_from(listen);
        }
        if let Some(bootstrap) = &file.bootstrap {
            self.bootstrap.clone_from(bootstrap);
        }
        if let Some(admin) = file.admin {
            self.admin = admin;
        }
        if let Some(seconds) = file.peers.ping_idle_seconds {
            self.ping_idle = Duration::from_secs(seconds.get());
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_addresses() {
        assert_eq!(Config::new("x").listen.len(), 2);
    }

    #[test]
    fn a_file_sets_what_it_names() {
        let text = "network = \"test\"\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\nadmin = \"127.0.0.1:0\"\n[peers]\nping_idle_seconds = 2\n";
        let mut config = Config::new("x");
        config.apply(&ConfigFile::parse(text, "f", |_| Ok(())).unwrap());
        assert_eq!(config.network.as_str(), "test");
        assert_eq!(config.listen.len(), 1);
        assert_eq!(config.admin, Admin::Tcp("127.0.0.1:0".parse().unwrap()));
        assert_eq!(config.ping_idle, Duration::from_secs(2));
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
        assert!(parse_network("No Way").is_err());
        assert!(parse_addresses("listen", &["localhost:1".to_owned()]).is_err());
    }
}
