//! Conversions of what is said of peers.

use std::time::Duration;

use rustle_types::Timestamp;

use super::{Unreadable, field, fields, micros, millis, required, said, texts};
use crate::proto;
use crate::views::{
    AddressPage, BookTable, ConnectionView, Direction, FaultView, KnownPeer, Origin, OwnAddresses, PeerClass,
    PeerDetails, PeerView, Reachability, Reason, Rule, RuleKind,
};

impl From<Direction> for proto::peer::Direction {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Inbound => Self::Inbound,
            Direction::Outbound => Self::Outbound,
        }
    }
}

impl From<PeerClass> for proto::peer::Class {
    fn from(class: PeerClass) -> Self {
        match class {
            PeerClass::Rustle => Self::Rustle,
            PeerClass::Foreign => Self::Foreign,
            PeerClass::Pending => Self::Pending,
        }
    }
}

impl From<PeerView> for proto::Peer {
    fn from(view: PeerView) -> Self {
        Self {
            peer_id: view.peer.to_string(),
            address: view.address.to_string(),
            direction: proto::peer::Direction::from(view.direction).into(),
            class: proto::peer::Class::from(view.class).into(),
            agent: view.agent.unwrap_or_default(),
            version: view.version.unwrap_or_default(),
            network: view.network.unwrap_or_default(),
            services: view.services,
            connected_ms: millis(view.connected),
            ping_rtt_us: view.ping_rtt.map(micros),
            reach: view.reach.unwrap_or_default(),
            relayed: view.relayed,
        }
    }
}

impl TryFrom<proto::Peer> for PeerView {
    type Error = Unreadable;

    fn try_from(answer: proto::Peer) -> Result<Self, Unreadable> {
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
            reach: said(answer.reach),
            relayed: answer.relayed,
        })
    }
}

impl From<ConnectionView> for proto::PeerConnection {
    fn from(view: ConnectionView) -> Self {
        let (version_min, version_max) = view.versions.unwrap_or_default();
        Self {
            peer: Some(view.peer.into()),
            connection: view.connection,
            why: view.why,
            service_names: view.service_names,
            version_min,
            version_max,
            time_ms: view.time.map(Timestamp::as_millis),
            listen_addresses: texts(&view.listen_addresses),
            observed_address: view
                .observed_address
                .map_or_else(String::new, |address| address.to_string()),
            idle_ms: millis(view.idle),
            ping_rtt_min_us: view.ping_rtt_min.map(micros),
            ping_rtt_mean_us: view.ping_rtt_mean.map(micros),
            content_ago_ms: view.content_ago.map(millis),
            gossip_ago_ms: view.gossip_ago.map(millis),
        }
    }
}

impl TryFrom<proto::PeerConnection> for ConnectionView {
    type Error = Unreadable;

    fn try_from(answer: proto::PeerConnection) -> Result<Self, Unreadable> {
        let observed = said(answer.observed_address);
        let versions = (answer.version_min, answer.version_max);
        Ok(Self {
            peer: required("peer", answer.peer)?.try_into()?,
            connection: answer.connection,
            why: answer.why,
            service_names: answer.service_names,
            versions: (versions != (0, 0)).then_some(versions),
            time: answer.time_ms.map(Timestamp::from_millis),
            listen_addresses: fields("listen_addresses", &answer.listen_addresses)?,
            observed_address: observed
                .map(|text| field("observed_address", &text))
                .transpose()?,
            idle: Duration::from_millis(answer.idle_ms),
            ping_rtt_min: answer.ping_rtt_min_us.map(Duration::from_micros),
            ping_rtt_mean: answer.ping_rtt_mean_us.map(Duration::from_micros),
            content_ago: answer.content_ago_ms.map(Duration::from_millis),
            gossip_ago: answer.gossip_ago_ms.map(Duration::from_millis),
        })
    }
}

impl From<PeerDetails> for proto::PeersInfoResponse {
    fn from(view: PeerDetails) -> Self {
        let fault = |fault: FaultView| proto::PeerFault {
            fault: fault.fault,
            count: fault.count,
            last_ago_ms: millis(fault.last_ago),
        };
        Self {
            peer_id: view.peer.to_string(),
            connections: view.connections.into_iter().map(Into::into).collect(),
            score: view.score,
            shares: view
                .shares
                .into_iter()
                .map(|(part, score)| proto::PeerScoreShare { part, score })
                .collect(),
            bans: view.bans,
            faults: view.faults.into_iter().map(fault).collect(),
            known: view.known.map(Into::into),
            rules: view.rules.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<proto::PeersInfoResponse> for PeerDetails {
    type Error = Unreadable;

    fn try_from(answer: proto::PeersInfoResponse) -> Result<Self, Unreadable> {
        let fault = |fault: proto::PeerFault| FaultView {
            fault: fault.fault,
            count: fault.count,
            last_ago: Duration::from_millis(fault.last_ago_ms),
        };
        Ok(Self {
            peer: field("peer_id", &answer.peer_id)?,
            connections: all(answer.connections)?,
            score: answer.score,
            shares: answer
                .shares
                .into_iter()
                .map(|share| (share.part, share.score))
                .collect(),
            bans: answer.bans,
            faults: answer.faults.into_iter().map(fault).collect(),
            known: answer.known.map(TryInto::try_into).transpose()?,
            rules: all(answer.rules)?,
        })
    }
}

impl From<Rule> for proto::PeerRule {
    fn from(rule: Rule) -> Self {
        let kind = match rule.kind {
            RuleKind::Ban => proto::peer_rule::Kind::Ban,
            RuleKind::Allow => proto::peer_rule::Kind::Allow,
        };
        let origin = match rule.origin {
            Origin::Operator => proto::peer_rule::Origin::Operator,
            Origin::Score => proto::peer_rule::Origin::Score,
        };
        Self {
            target: rule.target.to_string(),
            kind: kind.into(),
            origin: origin.into(),
            reason: rule.reason.as_str().to_owned(),
            since_ms: rule.since.as_millis(),
            until_ms: rule.until.map(Timestamp::as_millis),
        }
    }
}

impl TryFrom<proto::PeerRule> for Rule {
    type Error = Unreadable;

    fn try_from(answer: proto::PeerRule) -> Result<Self, Unreadable> {
        Ok(Self {
            target: field("target", &answer.target)?,
            // A kind that is not known here must not look like a permission.
            kind: match answer.kind() {
                proto::peer_rule::Kind::Allow => RuleKind::Allow,
                proto::peer_rule::Kind::Ban | proto::peer_rule::Kind::Unspecified => RuleKind::Ban,
            },
            origin: match answer.origin() {
                proto::peer_rule::Origin::Score => Origin::Score,
                proto::peer_rule::Origin::Operator | proto::peer_rule::Origin::Unspecified => {
                    Origin::Operator
                }
            },
            reason: Reason::new(&answer.reason),
            since: Timestamp::from_millis(answer.since_ms),
            until: answer.until_ms.map(Timestamp::from_millis),
        })
    }
}

impl From<BookTable> for proto::known_peer::Table {
    fn from(table: BookTable) -> Self {
        match table {
            BookTable::New => Self::New,
            BookTable::Tried => Self::Tried,
            BookTable::Needed => Self::Needed,
        }
    }
}

impl From<KnownPeer> for proto::KnownPeer {
    fn from(view: KnownPeer) -> Self {
        let table = view
            .table
            .map_or(proto::known_peer::Table::Unspecified, Into::into);
        Self {
            peer_id: view.peer.to_string(),
            addresses: texts(&view.addresses),
            table: table.into(),
            source: view.source,
            seen_ms: view.seen.map(Timestamp::as_millis),
            tried_ms: view.tried.map(Timestamp::as_millis),
            reached_ms: view.reached.map(Timestamp::as_millis),
            failures: view.failures,
            next_dial_in_ms: view.next_dial_in.map(millis),
            anchor: view.anchor,
        }
    }
}

impl TryFrom<proto::KnownPeer> for KnownPeer {
    type Error = Unreadable;

    fn try_from(answer: proto::KnownPeer) -> Result<Self, Unreadable> {
        Ok(Self {
            peer: field("peer_id", &answer.peer_id)?,
            addresses: fields("addresses", &answer.addresses)?,
            table: match answer.table() {
                proto::known_peer::Table::New => Some(BookTable::New),
                proto::known_peer::Table::Tried => Some(BookTable::Tried),
                proto::known_peer::Table::Needed => Some(BookTable::Needed),
                proto::known_peer::Table::Unspecified => None,
            },
            source: answer.source,
            seen: answer.seen_ms.map(Timestamp::from_millis),
            tried: answer.tried_ms.map(Timestamp::from_millis),
            reached: answer.reached_ms.map(Timestamp::from_millis),
            failures: answer.failures,
            next_dial_in: answer.next_dial_in_ms.map(Duration::from_millis),
            anchor: answer.anchor,
        })
    }
}

impl From<OwnAddresses> for proto::OwnAddresses {
    fn from(view: OwnAddresses) -> Self {
        let reachability = match view.reachability {
            Reachability::Unknown => proto::own_addresses::Reachability::Unknown,
            Reachability::Reachable => proto::own_addresses::Reachability::Reachable,
            Reachability::Unreachable => proto::own_addresses::Reachability::Unreachable,
        };
        Self {
            listen: texts(&view.listen),
            external: texts(&view.external),
            reachability: reachability.into(),
            relayed: texts(&view.relayed),
        }
    }
}

impl TryFrom<proto::OwnAddresses> for OwnAddresses {
    type Error = Unreadable;

    fn try_from(answer: proto::OwnAddresses) -> Result<Self, Unreadable> {
        use proto::own_addresses::Reachability as Told;
        Ok(Self {
            listen: fields("listen", &answer.listen)?,
            external: fields("external", &answer.external)?,
            relayed: fields("relayed", &answer.relayed)?,
            reachability: match answer.reachability() {
                Told::Reachable => Reachability::Reachable,
                Told::Unreachable => Reachability::Unreachable,
                Told::Unknown | Told::Unspecified => Reachability::Unknown,
            },
        })
    }
}

impl From<AddressPage> for proto::PeersAddressesResponse {
    fn from(view: AddressPage) -> Self {
        Self {
            peers: view.peers.into_iter().map(Into::into).collect(),
            next: view.next.map_or_else(String::new, |peer| peer.to_string()),
            own: Some(view.own.into()),
        }
    }
}

impl TryFrom<proto::PeersAddressesResponse> for AddressPage {
    type Error = Unreadable;

    fn try_from(answer: proto::PeersAddressesResponse) -> Result<Self, Unreadable> {
        Ok(Self {
            peers: all(answer.peers)?,
            next: said(answer.next).map(|text| field("next", &text)).transpose()?,
            own: required("own", answer.own)?.try_into()?,
        })
    }
}

/// Converts a list.
pub(crate) fn all<T, U: TryFrom<T, Error = Unreadable>>(answers: Vec<T>) -> Result<Vec<U>, Unreadable> {
    answers.into_iter().map(U::try_from).collect()
}
