//! The JSON about who has which content, and about tunnels.

use rustle_admin::{parse, views};
use serde::Serialize;

use super::texts;

#[derive(Serialize)]
pub(crate) struct Provided {
    cid: String,
    told: Vec<DhtNodes>,
}

#[derive(Serialize)]
struct DhtNodes {
    dht: String,
    nodes: u32,
}

#[derive(Serialize)]
pub(crate) struct Provider {
    peer_id: String,
    addresses: Vec<String>,
}

#[derive(Serialize)]
pub(crate) struct Tunnels {
    pub(crate) tunnels: Vec<Tunnel>,
}

#[derive(Serialize)]
pub(crate) struct Tunnel {
    id: u64,
    side: &'static str,
    name: String,
    target: Option<String>,
    allow: Vec<String>,
    allow_any: bool,
    listen: Option<String>,
    peer_id: Option<String>,
    open: u32,
    total: u64,
    refused: u64,
    bytes_out: u64,
    bytes_in: u64,
}

#[derive(Serialize)]
pub(crate) struct ClosedTunnels {
    pub(crate) closed: u32,
}

impl From<&views::Provided> for Provided {
    fn from(view: &views::Provided) -> Self {
        let told = view.told.iter().map(|told| DhtNodes {
            dht: told.dht.clone(),
            nodes: told.nodes,
        });
        Self {
            cid: view.cid.to_string(),
            told: told.collect(),
        }
    }
}

impl From<&views::Provider> for Provider {
    fn from(view: &views::Provider) -> Self {
        Self {
            peer_id: view.peer.to_string(),
            addresses: texts(&view.addresses),
        }
    }
}

impl From<&views::Tunnel> for Tunnel {
    fn from(view: &views::Tunnel) -> Self {
        let mut json = Self {
            id: view.id,
            side: "listen",
            name: view.protocol.clone(),
            target: None,
            allow: Vec::new(),
            allow_any: false,
            listen: None,
            peer_id: None,
            open: view.open,
            total: view.total,
            refused: view.refused,
            bytes_out: view.bytes_out,
            bytes_in: view.bytes_in,
        };
        match &view.side {
            views::TunnelSide::Listen { target, access } => {
                json.target = Some(parse::tcp_text(*target));
                json.allow_any = *access == views::TunnelAccess::Anybody;
                if let views::TunnelAccess::Peers(peers) = access {
                    json.allow = texts(peers);
                }
            }
            views::TunnelSide::Forward { listen, peer } => {
                json.side = "forward";
                json.listen = Some(parse::tcp_text(*listen));
                json.peer_id = Some(peer.to_string());
            }
        }
        json
    }
}
