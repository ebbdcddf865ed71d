//! Conversions of who has which content.

use super::{Unreadable, all, field, fields, texts};
use crate::proto;
use crate::views::{DhtNodes, Provided, Provider};

impl From<Provided> for proto::RoutingProvideResponse {
    fn from(view: Provided) -> Self {
        let nodes = |told: DhtNodes| proto::DhtNodes {
            dht: told.dht,
            nodes: told.nodes,
        };
        Self {
            cid: view.cid.to_string(),
            told: view.told.into_iter().map(nodes).collect(),
        }
    }
}

impl TryFrom<proto::RoutingProvideResponse> for Provided {
    type Error = Unreadable;

    fn try_from(answer: proto::RoutingProvideResponse) -> Result<Self, Unreadable> {
        Ok(Self {
            cid: field("cid", &answer.cid)?,
            told: all(answer.told)?,
        })
    }
}

impl TryFrom<proto::DhtNodes> for DhtNodes {
    type Error = Unreadable;

    fn try_from(answer: proto::DhtNodes) -> Result<Self, Unreadable> {
        let proto::DhtNodes { dht, nodes } = answer;
        Ok(Self { dht, nodes })
    }
}

impl From<Provider> for proto::RoutingFindProvidersResponse {
    fn from(view: Provider) -> Self {
        Self {
            peer_id: view.peer.to_string(),
            addresses: texts(&view.addresses),
        }
    }
}

impl TryFrom<proto::RoutingFindProvidersResponse> for Provider {
    type Error = Unreadable;

    fn try_from(answer: proto::RoutingFindProvidersResponse) -> Result<Self, Unreadable> {
        Ok(Self {
            peer: field("peer_id", &answer.peer_id)?,
            addresses: fields("addresses", &answer.addresses)?,
        })
    }
}
