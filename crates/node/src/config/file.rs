//! What may stand in the configuration file, and in which line is what must not?

use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;

use rustle_types::{Multiaddr, NetworkName};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::found::{check_dialled, check_list, check_rendezvous};
use super::{
    Admin, ConfigError, Foreign, PeersSection, Proxy, RoutingSection, StoreSection, Wrong, parse_address,
    parse_admin, parse_metrics, parse_network, parse_proxy,
};

/// Largest configuration file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What the configuration file says, or the flags of the daemon: each value within its bounds. What is absent keeps its
/// default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigFile {
    /// Name of the network.
    #[serde(deserialize_with = "network")]
    pub network: Option<NetworkName>,
    /// Where to listen.
    #[serde(deserialize_with = "addresses")]
    pub listen: Option<Vec<Multiaddr>>,
    /// Whom to dial.
    #[serde(deserialize_with = "addresses")]
    pub bootstrap: Option<Vec<Multiaddr>>,
    /// Where to serve administration: `unix`, or a loopback address with port.
    #[serde(deserialize_with = "admin")]
    pub admin: Option<Admin>,
    /// Where to serve metrics.
    #[serde(deserialize_with = "metrics")]
    pub metrics: Option<SocketAddr>,
    /// Whether to be a light client.
    pub light: Option<bool>,
    /// What foreign peers get.
    pub foreign: Option<Foreign>,
    /// How the log looks.
    pub log_format: Option<LogFormat>,
    /// Levels of the log, as in `RUST_LOG`, and where they stand in the file.
    pub log: Option<toml::Spanned<String>>,
    /// Bounds of the connection set.
    pub peers: PeersSection,
    /// Ways to find peers.
    pub discovery: DiscoverySection,
    /// Ways to be reached.
    pub nat: NatSection,
    /// How content is found.
    pub routing: RoutingSection,
    /// How much the store may take.
    pub store: StoreSection,
}

/// The section `[discovery]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiscoverySection {
    /// Peers that are always dialled.
    #[serde(rename = "static", deserialize_with = "addresses")]
    pub static_peers: Option<Vec<Multiaddr>>,
    /// Whether to look on the local network.
    pub mdns: Option<bool>,
    /// Directories to register with.
    #[serde(deserialize_with = "addresses")]
    pub rendezvous: Option<Vec<Multiaddr>>,
    /// Whether to keep such a directory.
    pub rendezvous_server: Option<bool>,
}

/// The section `[nat]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NatSection {
    /// Whether to relay for others.
    pub relay_server: Option<bool>,
    /// Whether to ask the router for a port.
    pub upnp: Option<bool>,
    /// Whether to ask peers if they can dial this node.
    pub autonat: Option<bool>,
    /// Dial through this.
    #[serde(deserialize_with = "proxy")]
    pub proxy: Option<Proxy>,
}

/// How the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

// === impl ConfigFile ===

impl ConfigFile {
    /// Reads a file. `check_log` says what is wrong with levels of the log, which are the business of whoever logs.
    pub fn read(path: &Path, check_log: impl Fn(&str) -> Result<(), String>) -> Result<Self, ConfigError> {
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
        Self::parse(&text, &path.display().to_string(), check_log)
    }

    /// Reads the text of a file; `path` is for messages, `check_log` as for [`ConfigFile::read`].
    pub fn parse(
        text: &str,
        path: &str,
        check_log: impl Fn(&str) -> Result<(), String>,
    ) -> Result<Self, ConfigError> {
        let malformed = |span: Option<Range<usize>>, why: &str| {
            let before = span.and_then(|span| text.get(..span.start)).unwrap_or("");
            ConfigError::Malformed {
                path: path.to_owned(),
                line: before.matches('\n').count() + 1,
                why: why.split_whitespace().collect::<Vec<_>>().join(" "),
            }
        };
        let file: Self = toml::from_str(text).map_err(|error| malformed(error.span(), error.message()))?;
        if let Some(log) = &file.log {
            check_log(log.get_ref()).map_err(|why| malformed(Some(log.span()), &why))?;
        }
        file.check()
            .map_err(|wrong| malformed(span(text, wrong.field), &wrong.to_string()))?;
        Ok(file)
    }

    /// What is said here, and where nothing is, what is said `below`.
    #[must_use]
    pub fn or(self, below: Self) -> Self {
        Self {
            network: self.network.or(below.network),
            listen: self.listen.or(below.listen),
            bootstrap: self.bootstrap.or(below.bootstrap),
            admin: self.admin.or(below.admin),
            metrics: self.metrics.or(below.metrics),
            light: self.light.or(below.light),
            foreign: self.foreign.or(below.foreign),
            log_format: self.log_format.or(below.log_format),
            log: self.log.or(below.log),
            peers: self.peers.or(below.peers),
            store: self.store.or(below.store),
            discovery: DiscoverySection {
                static_peers: self.discovery.static_peers.or(below.discovery.static_peers),
                mdns: self.discovery.mdns.or(below.discovery.mdns),
                rendezvous: self.discovery.rendezvous.or(below.discovery.rendezvous),
                rendezvous_server: self
                    .discovery
                    .rendezvous_server
                    .or(below.discovery.rendezvous_server),
            },
            nat: NatSection {
                relay_server: self.nat.relay_server.or(below.nat.relay_server),
                upnp: self.nat.upnp.or(below.nat.upnp),
                autonat: self.nat.autonat.or(below.nat.autonat),
                proxy: self.nat.proxy.or(below.nat.proxy),
            },
            routing: self.routing.or(below.routing),
        }
    }

    /// Whether the values are within their bounds and none contradicts another.
    pub(super) fn check(&self) -> Result<(), Wrong> {
        self.peers.check()?;
        self.store.check()?;
        check_list("listen", self.listen.as_deref())?;
        check_dialled("bootstrap", self.bootstrap.as_deref())?;
        check_dialled("discovery.static", self.discovery.static_peers.as_deref())?;
        check_rendezvous(self.discovery.rendezvous.as_deref())?;
        self.routing.check()?;
        if self.light != Some(true) {
            return Ok(());
        }
        let is_listening = self.listen.as_ref().is_some_and(|listen| !listen.is_empty());
        for (field, is_asked, wish) in [
            ("listen", is_listening, "accepts no connections"),
            (
                "discovery.rendezvous_server",
                self.discovery.rendezvous_server == Some(true),
                "serves nothing",
            ),
            (
                "nat.relay_server",
                self.nat.relay_server == Some(true),
                "serves nothing",
            ),
        ] {
            if is_asked {
                let why = format!("a light client {wish}; leave out either this or `light`");
                return Err(Wrong { field, why });
            }
        }
        Ok(())
    }
}

/// One address of a list, so that a mistake is told with the line of that one.
#[derive(Deserialize)]
struct Address(#[serde(deserialize_with = "address")] Multiaddr);

fn address<'de, D: Deserializer<'de>>(value: D) -> Result<Multiaddr, D::Error> {
    parse_address(&String::deserialize(value)?).map_err(D::Error::custom)
}

pub(super) fn addresses<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Vec<Multiaddr>>, D::Error> {
    let addresses = Vec::<Address>::deserialize(value)?;
    Ok(Some(addresses.into_iter().map(|address| address.0).collect()))
}

fn network<'de, D: Deserializer<'de>>(value: D) -> Result<Option<NetworkName>, D::Error> {
    let parsed = parse_network(&String::deserialize(value)?);
    parsed.map(Some).map_err(D::Error::custom)
}

fn admin<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Admin>, D::Error> {
    let parsed = parse_admin(&String::deserialize(value)?);
    parsed.map(Some).map_err(D::Error::custom)
}

fn metrics<'de, D: Deserializer<'de>>(value: D) -> Result<Option<SocketAddr>, D::Error> {
    let parsed = parse_metrics(&String::deserialize(value)?);
    parsed.map(Some).map_err(D::Error::custom)
}

fn proxy<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Proxy>, D::Error> {
    let parsed = parse_proxy(&String::deserialize(value)?);
    parsed.map(Some).map_err(D::Error::custom)
}

/// Where the value of `peers.lower`, for instance, stands in a text.
fn span(text: &str, field: &str) -> Option<Range<usize>> {
    let table = toml::de::DeTable::parse(text).ok()?;
    let mut parts = field.split('.');
    let mut value = table.get_ref().get(parts.next()?)?;
    for part in parts {
        value = value.get_ref().get(part)?;
    }
    Some(value.span())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ConfigFile, ConfigError> {
        let check_log = |levels: &str| match levels {
            "info" => Ok(()),
            other => Err(format!("`{other}` is no level")),
        };
        ConfigFile::parse(text, "f", check_log)
    }

    #[test]
    fn a_file_sets_what_it_names() {
        let file = parse(
            "network = \"test\"\nlog_format = \"json\"\nlog = \"info\"\n[peers]\nping_idle_seconds = 2\n",
        );
        let file = file.unwrap();
        assert_eq!(file.network.unwrap().as_str(), "test");
        assert_eq!(file.log_format, Some(LogFormat::Json));
        assert_eq!(file.log.unwrap().into_inner(), "info");
        assert_eq!(file.peers.ping_idle_seconds, Some(2));
        assert_eq!((file.listen, file.bootstrap, file.admin), (None, None, None));
        assert_eq!(parse("").unwrap(), ConfigFile::default());
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        let cases = [
            ("network = ", 1, ""),
            ("network = \"a\"\nlissten = []\n", 2, "lissten"),
            ("network = \"a\"\n\nlisten = \"x\"\n", 3, ""),
            ("\nnetwork = \"No Way\"", 2, "network: "),
            (
                "listen = [\n  \"/ip4/127.0.0.1/tcp/0\",\n  \"nope\",\n]",
                3,
                "`nope` is not a multiaddr",
            ),
            ("bootstrap = [\"localhost:1\"]", 1, "not a multiaddr"),
            ("\n\nadmin = \"10.0.0.1:1\"", 3, "loopback"),
            ("\nlog_format = \"x\"", 2, "`text` or `json`"),
            ("network = \"a\"\nlog = \"==\"", 2, "`==` is no level"),
            ("[peers]\n\nping_idle_seconds = 0", 3, "at least 1"),
            ("[peers]\nping_idle_seconds = \"soon\"", 2, ""),
            ("[peers]\nlower = -1", 2, ""),
            (
                "[peers]\ntarget = 8\n\nlower = 9",
                4,
                "peers.lower: 9 is more than peers.target",
            ),
            ("peers.upper = 0", 1, "peers.upper: 0"),
            ("peers = { per_ip = 0 }", 1, "peers.per_ip: 0"),
            ("[peers]\nlimit = 9", 2, "limit"),
            (
                "[discovery]\nstatic = [\n\"/ip4/127.0.0.1/tcp/1\",\n\"x\"]",
                4,
                "multiaddr",
            ),
            ("bootstrap = [\"/ip4/127.0.0.1\"]", 1, "write /tcp/PORT"),
            (
                "[discovery]\nstatic = [\"/ip4/127.0.0.1/udp/1\"]",
                2,
                "write /quic-v1",
            ),
            (
                "[discovery]\nrendezvous = [\"/dns/a.example\"]",
                2,
                "write /tcp/PORT",
            ),
            ("[discovery]\nrendezvous = [\"/ip4/127.0.0.1/tcp/1\"]", 2, "/p2p/"),
            ("[discovery]\nmdns = \"no\"", 2, "boolean"),
            ("[nat]\n\nproxy = \"http://x:1\"", 3, "socks5://"),
            ("metrics = \"here\"", 1, "127.0.0.1:"),
            ("foreign = \"some\"", 1, "`allow`"),
            (
                "light = true\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]",
                2,
                "light client",
            ),
            (
                "light = true\n[nat]\nrelay_server = true",
                3,
                "nat.relay_server: a light client",
            ),
        ];
        for (text, expected, part) in cases {
            let error = parse(text).unwrap_err();
            let message = error.to_string();
            assert!(message.contains(part) && !message.contains('\n'), "{message}");
            match error {
                ConfigError::Malformed { line, .. } => assert_eq!(line, expected, "{message}"),
                other => panic!("{other}"),
            }
        }
    }
}
