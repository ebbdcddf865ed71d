//! Flags win over the file, the file over the defaults.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser};
use rustle_node::ConfigError;
use rustle_node::config::{
    Config, ConfigFile, DiscoverySection, Foreign, IpfsDht, LogFormat, NatSection, Provide, RoutingSection,
    parse_addresses, parse_admin, parse_ipfs_dht, parse_metrics, parse_network, parse_proxy,
};
use rustle_types::Multiaddr;

use crate::peer_flags::PeerFlags;
use crate::store_flags::StoreFlags;
use crate::telemetry;

/// Levels of the log unless told otherwise: what libp2p thinks worth telling is not what an operator needs.
const LOG_DEFAULT: &str = "info,libp2p_swarm=warn,libp2p_kad=error,libp2p_mdns=off,libp2p_gossipsub=error";

/// A node of a peer-to-peer ledger: chains of signed blocks, topics and files shared among machines.
#[derive(Debug, Parser)]
#[command(name = "rustled", version, about)]
pub(crate) struct Flags {
    /// Where everything is kept [default: $RUSTLE_DATA_DIR, $XDG_DATA_HOME/rustle or ~/.local/share/rustle]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Name of the network; nodes of different networks do not talk [default: main]
    #[arg(long, value_name = "NAME")]
    network: Option<String>,
    /// Listen for peers here; may be repeated [default: /ip4/0.0.0.0/tcp/4747 and /ip4/0.0.0.0/udp/4747/quic-v1]
    #[arg(long, value_name = "MULTIADDR")]
    listen: Vec<String>,
    /// Dial this peer at the start, and again when it is lost; may be repeated
    #[arg(long, value_name = "MULTIADDR")]
    bootstrap: Vec<String>,
    /// Where to serve administration: `unix` (admin.sock in the data directory), or also a loopback address with port
    #[arg(long, value_name = "unix|ADDR")]
    admin: Option<String>,
    /// A configuration file in TOML; flags win over it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How the log on standard error looks [default: text]
    #[arg(long, value_name = "FORMAT", value_parser = log_formats())]
    log_format: Option<LogFormat>,
    /// Be a light client: accept no connections, serve nothing, keep few peers
    #[arg(long)]
    light: bool,
    /// What peers get that do not speak Rustle's protocol: content, the DHT and topics; content only; or nothing
    /// [default: content]
    #[arg(long, value_name = "allow|content|deny", value_parser = foreigns())]
    foreign: Option<Foreign>,
    /// Serve metrics for Prometheus here over HTTP, without any password [default: nowhere]
    #[arg(long, value_name = "ADDR")]
    metrics: Option<String>,
    #[command(flatten)]
    discovery: DiscoveryFlags,
    #[command(flatten)]
    nat: NatFlags,
    #[command(flatten)]
    routing: RoutingFlags,
    #[command(flatten)]
    peers: PeerFlags,
    #[command(flatten)]
    store: StoreFlags,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Finding peers")]
struct DiscoveryFlags {
    /// Always keep a connection to this peer; may be repeated
    #[arg(long = "static", value_name = "MULTIADDR")]
    static_peers: Vec<String>,
    /// Do not look for peers on the local network
    #[arg(long)]
    no_mdns: bool,
    /// Register in the directory of this node, and ask it for others; ends with /p2p/ID, may be repeated
    #[arg(long, value_name = "MULTIADDR")]
    rendezvous: Vec<String>,
    /// Keep such a directory for others
    #[arg(long)]
    rendezvous_server: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Being reached, and reaching others")]
struct NatFlags {
    /// Relay connections for nodes that nobody can dial
    #[arg(long)]
    relay_server: bool,
    /// Do not ask the router to open a port
    #[arg(long)]
    no_upnp: bool,
    /// Do not ask peers whether they can dial this node
    #[arg(long)]
    no_autonat: bool,
    /// Dial through this SOCKS5 proxy, Tor for instance; then the node takes part in no DHT of IPFS
    #[arg(long, value_name = "socks5://HOST:PORT")]
    proxy: Option<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Finding content")]
struct RoutingFlags {
    /// What others are told that this node has, when it comes and every 22 hours: the roots of what is pinned, each block
    /// of it, each block at all, or nothing [default: roots]
    #[arg(long, value_name = "roots|pinned|all|none", value_parser = provides())]
    provide: Option<Provide>,
    /// Take part in no DHT of IPFS, in that of the local network, or as a client also in that of the IPFS network; only
    /// with --foreign allow and without --proxy [default: auto]
    #[arg(long, value_name = "off|lan|auto", value_parser = parse_ipfs_dht)]
    ipfs_dht: Option<IpfsDht>,
    /// A node of IPFS to begin with, while none is known; ends with /p2p/ID, may be repeated
    #[arg(long, value_name = "MULTIADDR")]
    ipfs_boot: Vec<String>,
}

/// All settings of the process.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) config: Config,
    pub(crate) log_format: LogFormat,
    /// Levels of the log where `RUST_LOG` is not set.
    pub(crate) log: String,
}

// === impl Settings ===

impl Settings {
    /// Gathers them; an error is one line that says what to do.
    pub(crate) fn gather(flags: &Flags) -> Result<Self, String> {
        let file = match &flags.config {
            Some(path) => ConfigFile::read(path, |levels| telemetry::filter(levels).map(drop))
                .map_err(|error| error.to_string())?,
            None => ConfigFile::default(),
        };
        let data_dir = match &flags.data_dir {
            Some(data_dir) => data_dir.clone(),
            None => rustle_admin::location::default_data_dir().map_err(|error| error.to_string())?,
        };
        let merged = flags.as_file().map_err(as_flag)?.or(file);
        let log = merged.log.as_ref().map(|levels| levels.get_ref().clone());
        let log_format = merged.log_format.unwrap_or_default();
        let mut config = Config::new(data_dir);
        config.apply(merged).map_err(as_flag)?;
        Ok(Self {
            config,
            log_format,
            log: log.unwrap_or_else(|| LOG_DEFAULT.to_owned()),
        })
    }
}

// === impl Flags ===

impl Flags {
    /// What the flags say, in the words of the file.
    fn as_file(&self) -> Result<ConfigFile, ConfigError> {
        Ok(ConfigFile {
            network: self.network.as_deref().map(parse_network).transpose()?,
            listen: some_addresses("listen", &self.listen)?,
            bootstrap: some_addresses("bootstrap", &self.bootstrap)?,
            admin: self.admin.as_deref().map(parse_admin).transpose()?,
            metrics: self.metrics.as_deref().map(parse_metrics).transpose()?,
            light: self.light.then_some(true),
            foreign: self.foreign,
            log_format: self.log_format,
            log: None,
            peers: self.peers.section(),
            store: self.store.section(),
            discovery: DiscoverySection {
                static_peers: some_addresses("static", &self.discovery.static_peers)?,
                mdns: self.discovery.no_mdns.then_some(false),
                rendezvous: some_addresses("rendezvous", &self.discovery.rendezvous)?,
                rendezvous_server: self.discovery.rendezvous_server.then_some(true),
            },
            nat: NatSection {
                relay_server: self.nat.relay_server.then_some(true),
                upnp: self.nat.no_upnp.then_some(false),
                autonat: self.nat.no_autonat.then_some(false),
                proxy: self.nat.proxy.as_deref().map(parse_proxy).transpose()?,
            },
            routing: RoutingSection {
                provide: self.routing.provide,
                ipfs_dht: self.routing.ipfs_dht,
                ipfs_boot: some_addresses("ipfs-boot", &self.routing.ipfs_boot)?,
            },
        })
    }
}

/// The error in the words of flags: a file that is wrong by itself was refused before.
fn as_flag(error: ConfigError) -> String {
    match error {
        ConfigError::Invalid { field, why } => {
            let name = match field.split_once('.') {
                Some(("discovery" | "nat" | "routing", name)) => name,
                _ => field,
            };
            format!("--{}: {why}", name.replace('_', "-"))
        }
        other => other.to_string(),
    }
}

/// The addresses of a flag, if it was given.
fn some_addresses(field: &'static str, texts: &[String]) -> Result<Option<Vec<Multiaddr>>, ConfigError> {
    let addresses = parse_addresses(field, texts)?;
    Ok((!addresses.is_empty()).then_some(addresses))
}

/// The values of `--foreign`.
fn foreigns() -> impl TypedValueParser<Value = Foreign> {
    PossibleValuesParser::new(["allow", "content", "deny"]).map(|text| match text.as_str() {
        "allow" => Foreign::Allow,
        "deny" => Foreign::Deny,
        _ => Foreign::Content,
    })
}

/// The values of `--provide`.
fn provides() -> impl TypedValueParser<Value = Provide> {
    PossibleValuesParser::new(["roots", "pinned", "all", "none"]).map(|text| match text.as_str() {
        "pinned" => Provide::Pinned,
        "all" => Provide::All,
        "none" => Provide::None,
        _ => Provide::Roots,
    })
}

/// The values of `--log-format`.
fn log_formats() -> impl TypedValueParser<Value = LogFormat> {
    PossibleValuesParser::new(["text", "json"]).map(|text| match text.as_str() {
        "json" => LogFormat::Json,
        _ => LogFormat::Text,
    })
}
