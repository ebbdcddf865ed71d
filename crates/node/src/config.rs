//! What can be set about a node, and where the settings come from.
//!
//! A file in TOML; the daemon's flags win over it. Unknown keys are errors: a misspelt limit must not be a missing one.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustle_types::{Multiaddr, NetworkName};
use serde::Deserialize;

/// Largest configuration file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
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

/// The configuration file. What is absent keeps its default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    /// Name of the network.
    pub network: Option<String>,
    /// Multiaddrs to listen on.
    pub listen: Option<Vec<String>>,
    /// Multiaddrs to dial.
    pub bootstrap: Option<Vec<String>>,
    /// `unix` or a loopback address with port.
    pub admin: Option<String>,
    /// `text` or `json`.
    pub log_format: Option<String>,
    /// Levels of the log, as in `RUST_LOG`.
    pub log: Option<String>,
    /// Settings of the peer manager.
    #[serde(default)]
    pub peers: PeersSection,
}

/// The section `[peers]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeersSection {
    /// A connection that was silent for so many seconds is pinged.
    pub ping_idle_seconds: Option<u64>,
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
    /// The file is no valid TOML, or has unknown keys or wrong types.
    #[error("{path}, line {line}: {why}")]
    Malformed {
        /// The file.
        path: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong there.
        why: String,
    },
    /// A value is out of its bounds.
    #[error("{field}: {why}")]
    Invalid {
        /// The flag or key.
        field: &'static str,
        /// What it should be.
        why: String,
    },
}

// === impl ConfigFile ===

impl ConfigFile {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |why: String| ConfigError::Unreadable {
            path: path.display().to_string(),
            why,
        };
        let size = std::fs::metadata(path)
            .map_err(|error| unreadable(error.to_string()))?
            .len();
        if FILE_BYTES_MAX < size {
            return Err(unreadable(format!(
                "it has {size} bytes, at most {FILE_BYTES_MAX} are read"
            )));
        }
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Reads the text of a file; `path` is for messages.
    pub fn parse(text: &str, path: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or("");
            ConfigError::Malformed {
                path: path.to_owned(),
                line: before.matches('\n').count() + 1,
                why: error.message().split_whitespace().collect::<Vec<_>>().join(" "),
            }
        })
    }
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
    pub fn apply(&mut self, file: &ConfigFile) -> Result<(), ConfigError> {
        if let Some(network) = &file.network {
            self.network = parse_network(network)?;
        }
        if let Some(listen) = &file.listen {
            self.listen = parse_addresses("listen", listen)?;
        }
        if let Some(bootstrap) = &file.bootstrap {
            self.bootstrap = parse_addresses("bootstrap", bootstrap)?;
        }
        if let Some(admin) = &file.admin {
            self.admin = parse_admin(admin)?;
        }
        if let Some(seconds) = file.peers.ping_idle_seconds {
            if seconds == 0 {
                let why = "must be at least 1".to_owned();
                return Err(ConfigError::Invalid {
                    field: "peers.ping_idle_seconds",
                    why,
                });
            }
            self.ping_idle = Duration::from_secs(seconds);
        }
        Ok(())
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

/// Multiaddrs from a flag or key.
pub fn parse_addresses(field: &'static str, texts: &[String]) -> Result<Vec<Multiaddr>, ConfigError> {
    let parse = |text: &String| {
        text.parse().map_err(|_| {
            let why = format!("`{text}` is not a multiaddr; write for example /ip4/127.0.0.1/tcp/4747");
            ConfigError::Invalid { field, why }
        })
    };
    texts.iter().map(parse).collect()
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
        config.apply(&ConfigFile::parse(text, "f").unwrap()).unwrap();
        assert_eq!(config.network.as_str(), "test");
        assert_eq!(config.listen.len(), 1);
        assert_eq!(config.admin, Admin::Tcp("127.0.0.1:0".parse().unwrap()));
        assert_eq!(config.ping_idle, Duration::from_secs(2));
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        let line = |text| match ConfigFile::parse(text, "f").unwrap_err() {
            ConfigError::Malformed { line, .. } => line,
            other => panic!("{other}"),
        };
        assert_eq!(line("network = \"a\"\nlissten = []\n"), 2);
        assert_eq!(line("network = \"a\"\n\nlisten = \"x\"\n"), 3);
        assert_eq!(line("network = "), 1);
        let message = ConfigFile::parse("x = 1", "f").unwrap_err().to_string();
        assert!(!message.contains('\n'), "{message}");
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
