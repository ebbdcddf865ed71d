//! Conversions of what nodes say of themselves.

use std::time::Duration;

use super::{Unreadable, field, fields, millis, required, texts};
use crate::proto;
use crate::views::{NodeIdentity, NodeStatus, PeerCounts};

impl From<NodeIdentity> for proto::NodeIdResponse {
    fn from(view: NodeIdentity) -> Self {
        Self {
            peer_id: view.peer.to_string(),
            addresses: texts(&view.addresses),
            network: view.network.to_string(),
            agent: view.agent,
            version: view.version,
        }
    }
}

impl TryFrom<proto::NodeIdResponse> for NodeIdentity {
    type Error = Unreadable;

    fn try_from(answer: proto::NodeIdResponse) -> Result<Self, Unreadable> {
        Ok(Self {
            peer: field("peer_id", &answer.peer_id)?,
            addresses: fields("addresses", &answer.addresses)?,
            network: field("network", &answer.network)?,
            agent: answer.agent,
            version: answer.version,
        })
    }
}

impl From<NodeStatus> for proto::NodeStatusResponse {
    fn from(view: NodeStatus) -> Self {
        Self {
            uptime_ms: millis(view.uptime),
            ready: view.ready,
            health: view.health,
            network: view.network.to_string(),
            version: view.version,
            listen_addresses: texts(&view.listen_addresses),
            peers: Some(proto::PeerCounts {
                rustle: view.peers.rustle,
                foreign: view.peers.foreign,
                pending: view.peers.pending,
            }),
            chains: view.chains,
            store_bytes: view.store_bytes,
        }
    }
}

impl TryFrom<proto::NodeStatusResponse> for NodeStatus {
    type Error = Unreadable;

    fn try_from(answer: proto::NodeStatusResponse) -> Result<Self, Unreadable> {
        let peers = required("peers", answer.peers)?;
        Ok(Self {
            uptime: Duration::from_millis(answer.uptime_ms),
            ready: answer.ready,
            health: answer.health,
            network: field("network", &answer.network)?,
            version: answer.version,
            listen_addresses: fields("listen_addresses", &answer.listen_addresses)?,
            peers: PeerCounts {
                rustle: peers.rustle,
                foreign: peers.foreign,
                pending: peers.pending,
            },
            chains: answer.chains,
            store_bytes: answer.store_bytes,
        })
    }
}
