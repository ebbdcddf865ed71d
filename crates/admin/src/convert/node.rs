//! Conversions of what nodes and peers say of themselves.

use std::time::Duration;

use super::{Unreadable, field, fields, micros, millis, required, texts};
use crate::proto;
use crate::views::{Direction, NodeIdentity, NodeStatus, PeerClass, PeerCounts, PeerView};

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

impl From<PeerView> for proto::Peer {
    fn from(view: PeerView) -> Self {
        let direction = match view.direction {
            Direction::Inbound => proto::peer::Direction::Inbound,
            Direction::Outbound => proto::peer::Direction::Outbound,
        };
        let class = match view.class {
            PeerClass::Rustle => proto::peer::Class::Rustle,
            PeerClass::Foreign => proto::peer::Class::Foreign,
            PeerClass::Pending => proto::peer::Class::Pending,
        };
        Self {
            peer_id: view.peer.to_string(),
            address: view.address.to_string(),
            direction: direction.into(),
            class: class.into(),
            agent: view.agent.unwrap_or_default(),
            version: view.version.unwrap_or_default(),
            network: view.network.unwrap_or_default(),
            services: view.services,
            connected_ms: millis(view.connected),
            ping_rtt_us: view.ping_rtt.map(micros),
        }
    }
}

impl TryFrom<proto::Peer> for PeerView {
    type Error = Unreadable;

    fn try_from(answer: proto::Peer) -> Result<Self, Unreadable> {
        let said = |text: String| (!text.is_empty()).then_some(text);
        Ok(Self {
            peer: field("peer_id", &answer.peer_id)?,
            address: field("address", &answer.address)?,
            direction: match answer.direction() {
                proto::peer::Direction::Outbound => Direction::Outbound,
                proto::peer::Direction::Inbound | proto::peer::Direction::Unspecified => Direction::Inbound,
            },
            class: match answer.class() {
                proto::peer::Class::Rustle => PeerClass::Rustle,
                proto::peer::Class::Foreign => PeerClass::Foreign,
                proto::peer::Class::Pending | proto::peer::Class::Unspecified => PeerClass::Pending,
            },
            agent: said(answer.agent),
            version: said(answer.version),
            network: said(answer.network),
            services: answer.services,
            connected: Duration::from_millis(answer.connected_ms),
            ping_rtt: answer.ping_rtt_us.map(Duration::from_micros),
        })
    }
}
