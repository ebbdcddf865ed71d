//! Calls of the service `Peers`.

use std::time::Duration;

use rustle_types::{Multiaddr, PeerId};

use super::{Client, ClientError};
use crate::convert::{all, field, millis, required};
use crate::proto;
use crate::proto::known_peer::Table;
use crate::proto::peer::{Class, Direction};
use crate::views::{AddressPage, AddressQuery, PeerDetails, PeerFilter, PeerView, Rule, Target};

// === impl Client ===

impl Client {
    /// The connected peers.
    pub async fn peers(&self) -> Result<Vec<PeerView>, ClientError> {
        self.peers_of(PeerFilter::default()).await
    }

    /// The connected peers that a filter takes.
    pub async fn peers_of(&self, filter: PeerFilter) -> Result<Vec<PeerView>, ClientError> {
        let request = proto::PeersListRequest {
            class: filter.class.map_or(Class::Unspecified, Into::into).into(),
            direction: filter.direction.map_or(Direction::Unspecified, Into::into).into(),
        };
        let answer = self.take(self.peers_service().list(request).await)?;
        Ok(all(answer.peers)?)
    }

    /// All about one peer.
    pub async fn peer(&self, peer: &PeerId) -> Result<PeerDetails, ClientError> {
        let peer_id = peer.to_string();
        self.read(
            self.peers_service()
                .info(proto::PeersInfoRequest { peer_id })
                .await,
        )
    }

    /// Dials a node; `None` leaves the time limit to the daemon.
    pub async fn connect_peer(
        &self,
        address: &Multiaddr,
        timeout: Option<Duration>,
    ) -> Result<PeerId, ClientError> {
        let request = proto::PeersConnectRequest {
            address: address.to_string(),
            timeout_ms: timeout.map_or(0, millis),
        };
        let answer = self.take(self.peers_service().connect(request).await)?;
        Ok(field("peer_id", &answer.peer_id)?)
    }

    /// Closes all connections with a peer.
    pub async fn disconnect_peer(&self, peer: &PeerId) -> Result<(), ClientError> {
        let peer_id = peer.to_string();
        let request = proto::PeersDisconnectRequest { peer_id };
        self.take(self.peers_service().disconnect(request).await)
            .map(drop)
    }

    /// Keeps somebody away for `duration`, in whole milliseconds, or for ever.
    pub async fn ban(
        &self,
        target: &Target,
        duration: Option<Duration>,
        reason: &str,
    ) -> Result<Rule, ClientError> {
        let request = proto::PeersBanRequest {
            target: target.to_string(),
            // Zero means for ever.
            duration_ms: duration.map_or(0, |time| millis(time).max(1)),
            reason: reason.to_owned(),
        };
        let answer = self.take(self.peers_service().ban(request).await)?;
        Ok(required("rule", answer.rule)?.try_into()?)
    }

    /// Ends a ban.
    pub async fn unban(&self, target: &Target) -> Result<(), ClientError> {
        let target = target.to_string();
        let request = proto::PeersUnbanRequest { target };
        self.take(self.peers_service().unban(request).await).map(drop)
    }

    /// Welcomes somebody always.
    pub async fn allow(&self, target: &Target, reason: &str) -> Result<Rule, ClientError> {
        let request = proto::PeersAllowRequest {
            target: target.to_string(),
            reason: reason.to_owned(),
        };
        let answer = self.take(self.peers_service().allow(request).await)?;
        Ok(required("rule", answer.rule)?.try_into()?)
    }

    /// Ends a permission.
    pub async fn disallow(&self, target: &Target) -> Result<(), ClientError> {
        let target = target.to_string();
        let request = proto::PeersDisallowRequest { target };
        self.take(self.peers_service().disallow(request).await).map(drop)
    }

    /// All bans and permissions.
    pub async fn rules(&self) -> Result<Vec<Rule>, ClientError> {
        let answer = self.take(self.peers_service().bans(proto::PeersBansRequest {}).await)?;
        Ok(all(answer.rules)?)
    }

    /// A page of the address book, and the node's own addresses.
    pub async fn addresses(&self, query: AddressQuery) -> Result<AddressPage, ClientError> {
        let request = proto::PeersAddressesRequest {
            table: query.table.map_or(Table::Unspecified, Into::into).into(),
            after: query.after.map_or_else(String::new, |peer| peer.to_string()),
            limit: u32::try_from(query.limit).unwrap_or(u32::MAX),
        };
        self.read(self.peers_service().addresses(request).await)
    }
}
