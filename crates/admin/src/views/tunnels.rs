//! What is said of tunnels.

use std::net::SocketAddr;

use rustle_types::{Multiaddr, PeerId};

/// Who may use a tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TunnelAccess {
    /// All nodes of the network, and no foreign peer.
    Network,
    /// These, foreign or not; at most [`Tunnel::ALLOWED_MAX`].
    Peers(Vec<PeerId>),
    /// Everybody.
    Anybody,
}

/// Who offers a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TunnelEnd {
    /// Its id.
    pub peer: PeerId,
    /// Where it can be dialled, where the caller knows.
    pub address: Option<Multiaddr>,
}

/// One end of a tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tunnel {
    /// A number by which it can be closed.
    pub id: u64,
    /// The name of the service, with `/x/`.
    pub protocol: String,
    /// What it connects.
    pub side: TunnelSide,
    /// Connections that are open.
    pub open: u32,
    /// Connections so far, those that failed included.
    pub total: u64,
    /// Connections that were refused or led nowhere.
    pub refused: u64,
    /// Bytes that went to peers.
    pub bytes_out: u64,
    /// Bytes that came from peers.
    pub bytes_in: u64,
}

/// What one end of a tunnel connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TunnelSide {
    /// Streams of peers with a service of this machine.
    Listen {
        /// Where the service is.
        target: SocketAddr,
        /// Who may use it.
        access: TunnelAccess,
    },
    /// Programs of this machine with a service of a peer.
    Forward {
        /// Where programs connect.
        listen: SocketAddr,
        /// Who offers it.
        peer: PeerId,
    },
}

/// Which tunnels are meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TunnelFilter {
    /// Only that with this number.
    pub id: Option<u64>,
    /// Only those of this name.
    pub protocol: Option<String>,
    /// Only listening ones, or only forwarding ones.
    pub listens: Option<bool>,
}

// === impl Tunnel ===

impl Tunnel {
    /// Most peers that one tunnel names.
    pub const ALLOWED_MAX: usize = 256;
}

// === impl TunnelFilter ===

impl TunnelFilter {
    /// Whether a tunnel is meant.
    pub fn takes(&self, tunnel: &Tunnel) -> bool {
        let listens = matches!(tunnel.side, TunnelSide::Listen { .. });
        self.id.is_none_or(|id| id == tunnel.id)
            && self.protocol.as_ref().is_none_or(|name| *name == tunnel.protocol)
            && self.listens.is_none_or(|wanted| wanted == listens)
    }
}
