//! Flags win over the file, the file over the defaults.

use std::path::PathBuf;

use clap::Parser;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use rustle_node::config::{Config, ConfigFile, LogFormat, parse_addresses, parse_admin, parse_network};

use crate::telemetry;

/// Levels of the log unless told otherwise: what libp2p thinks worth telling is not what an operator needs.
const LOG_DEFAULT: &str = "info,libp2p_swarm=warn,libp2p_kad=error";

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
        let mut config = Config::new(data_dir);
        apply(&mut config, &file, flags).map_err(|error| error.to_string())?;
        let log = file.log.map(|levels| levels.into_inner());
        Ok(Self {
            config,
            log_format: flags.log_format.or(file.log_format).unwrap_or_default(),
            log: log.unwrap_or_else(|| LOG_DEFAULT.to_owned()),
        })
    }
}

fn apply(config: &mut Config, file: &ConfigFile, flags: &Flags) -> Result<(), rustle_node::ConfigError> {
    config.apply(file);
    if let Some(network) = &flags.network {
        config.network = parse_network(network)?;
    }
    if !flags.listen.is_empty() {
        config.listen = parse_addresses("listen", &flags.listen)?;
    }
    if !flags.bootstrap.is_empty() {
        config.bootstrap = parse_addresses("bootstrap", &flags.bootstrap)?;
    }
    if let Some(admin) = &flags.admin {
        config.admin = parse_admin(admin)?;
    }
    Ok(())
}

/// The values of `--log-format`.
fn log_formats() -> impl TypedValueParser<Value = LogFormat> {
    PossibleValuesParser::new(["text", "json"]).map(|text| match text.as_str() {
        "json" => LogFormat::Json,
        _ => LogFormat::Text,
    })
}
