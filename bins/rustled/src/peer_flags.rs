//! The flags `--peers.*`: bounds of the connection set.

use clap::Args;
use rustle_node::config::PeersSection;

/// Named as the keys of the section `[peers]` of the file.
#[derive(Debug, Args)]
#[command(next_help_heading = "Bounds of the connection set")]
pub(crate) struct PeerFlags {
    /// Below so many peers, dial known ones [default: 8]
    #[arg(long = "peers.lower", value_name = "N")]
    lower: Option<u32>,
    /// Keep so many peers; above it the least useful go [default: 32]
    #[arg(long = "peers.target", value_name = "N")]
    target: Option<u32>,
    /// With so many peers, refuse new inbound connections [default: 40]
    #[arg(long = "peers.upper", value_name = "N")]
    upper: Option<u32>,
    /// Keep so many peers that this node has dialled, whoever dials it [default: 8]
    #[arg(long = "peers.outbound", value_name = "N")]
    outbound: Option<u32>,
    /// Connections to peers that do not speak Rustle's protocol, counted apart [default: 32]
    #[arg(long = "peers.foreign", value_name = "N")]
    foreign: Option<u32>,
    /// Connections with one IPv4 address or IPv6 /64 [default: 8]
    #[arg(long = "peers.per-ip", value_name = "N")]
    per_ip: Option<u32>,
    /// Connections with one IPv4 /16 or IPv6 /32 [default: 64]
    #[arg(long = "peers.per-group", value_name = "N")]
    per_group: Option<u32>,
    /// Inbound connections whose handshake is not complete [default: 32]
    #[arg(long = "peers.pending", value_name = "N")]
    pending: Option<u32>,
    /// Inbound connections let in per second [default: 64]
    #[arg(long = "peers.accept-rate", value_name = "N")]
    accept_rate: Option<u32>,
    /// Let no connection in while the process has more memory; 0 is no limit [default: 0]
    #[arg(long = "peers.memory-mib", value_name = "MIB")]
    memory_mib: Option<u32>,
    /// Ping a connection that was silent so long [default: 60]
    #[arg(long = "peers.ping-idle-seconds", value_name = "SECONDS")]
    ping_idle_seconds: Option<u32>,
    /// A ping without answer has failed after so long; the third failure closes [default: 10]
    #[arg(long = "peers.ping-timeout-seconds", value_name = "SECONDS")]
    ping_timeout_seconds: Option<u32>,
}

// === impl PeerFlags ===

impl PeerFlags {
    /// The same, in the words of the file.
    pub(crate) fn section(&self) -> PeersSection {
        PeersSection {
            lower: self.lower,
            target: self.target,
            upper: self.upper,
            outbound: self.outbound,
            foreign: self.foreign,
            per_ip: self.per_ip,
            per_group: self.per_group,
            pending: self.pending,
            accept_rate: self.accept_rate,
            memory_mib: self.memory_mib,
            ping_idle_seconds: self.ping_idle_seconds,
            ping_timeout_seconds: self.ping_timeout_seconds,
        }
    }
}
