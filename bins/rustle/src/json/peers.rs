//! The JSON of peers.

use std::time::Duration;

use rustle_admin::views::{
    self, AddressPage, ConnectionView, Direction, OwnAddresses, PeerClass, PeerDetails, PeerView,
};
use rustle_types::Timestamp;
use serde::Serialize;

use super::{millis, texts};

#[derive(Serialize)]
pub(crate) struct Peers {
    pub(crate) peers: Vec<Peer>,
}

#[derive(Serialize)]
pub(crate) struct Peer {
    peer_id: String,
    address: String,
    direction: &'static str,
    class: &'static str,
    agent: Option<String>,
    version: Option<String>,
    network: Option<String>,
    services: u64,
    connected_ms: u64,
    ping_rtt_us: Option<u64>,
    reach: Option<String>,
    relayed: bool,
}

#[derive(Serialize)]
pub(crate) struct PeerInfo {
    peer_id: String,
    score: f64,
    shares: Vec<Share>,
    bans: u32,
    connections: Vec<Connection>,
    faults: Vec<Fault>,
    known: Option<Known>,
    rules: Vec<Rule>,
}

#[derive(Serialize)]
struct Connection {
    #[serde(flatten)]
    peer: Peer,
    connection: u64,
    why: String,
    service_names: Vec<String>,
    version_min: Option<u32>,
    version_max: Option<u32>,
    time_ms: Option<u64>,
    listen_addresses: Vec<String>,
    observed_address: Option<String>,
    idle_ms: u64,
    ping_rtt_min_us: Option<u64>,
    ping_rtt_mean_us: Option<u64>,
    content_ago_ms: Option<u64>,
    gossip_ago_ms: Option<u64>,
}

#[derive(Serialize)]
struct Share {
    part: String,
    score: f64,
}

#[derive(Serialize)]
struct Fault {
    fault: String,
    count: u64,
    last_ago_ms: u64,
}

#[derive(Serialize)]
pub(crate) struct Connected {
    pub(crate) peer_id: String,
}

#[derive(Serialize)]
pub(crate) struct Rules {
    pub(crate) rules: Vec<Rule>,
}

#[derive(Serialize)]
pub(crate) struct Rule {
    target: String,
    kind: &'static str,
    origin: &'static str,
    reason: String,
    since_ms: u64,
    until_ms: Option<u64>,
}

/// A rule that has ended.
#[derive(Serialize)]
pub(crate) struct Ended {
    pub(crate) target: String,
}

#[derive(Serialize)]
pub(crate) struct Book {
    own: Own,
    peers: Vec<Known>,
}

#[derive(Serialize)]
struct Own {
    listen: Vec<String>,
    external: Vec<String>,
    relayed: Vec<String>,
    reachability: &'static str,
}

#[derive(Serialize)]
struct Known {
    peer_id: String,
    addresses: Vec<String>,
    table: Option<&'static str>,
    source: String,
    seen_ms: Option<u64>,
    tried_ms: Option<u64>,
    reached_ms: Option<u64>,
    failures: u32,
    next_dial_in_ms: Option<u64>,
    anchor: bool,
}

/// The word for a direction, also in tables.
pub(crate) fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
    }
}

/// The word for a class of peers, also in tables.
pub(crate) fn class(class: PeerClass) -> &'static str {
    match class {
        PeerClass::Rustle => "rustle",
        PeerClass::Foreign => "foreign",
        PeerClass::Pending => "pending",
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl From<&PeerView> for Peer {
    fn from(view: &PeerView) -> Self {
        Self {
            peer_id: view.peer.to_string(),
            address: view.address.to_string(),
            direction: direction(view.direction),
            class: class(view.class),
            agent: view.agent.clone(),
            version: view.version.clone(),
            network: view.network.clone(),
            services: view.services,
            connected_ms: millis(view.connected),
            ping_rtt_us: view.ping_rtt.map(micros),
            reach: view.reach.clone(),
            relayed: view.relayed,
        }
    }
}

impl From<&PeerDetails> for PeerInfo {
    fn from(view: &PeerDetails) -> Self {
        let share = |(part, score): &(String, f64)| Share {
            part: part.clone(),
            score: *score,
        };
        let fault = |fault: &views::FaultView| Fault {
            fault: fault.fault.clone(),
            count: fault.count,
            last_ago_ms: millis(fault.last_ago),
        };
        Self {
            peer_id: view.peer.to_string(),
            score: view.score,
            shares: view.shares.iter().map(share).collect(),
            bans: view.bans,
            connections: view.connections.iter().map(Into::into).collect(),
            faults: view.faults.iter().map(fault).collect(),
            known: view.known.as_ref().map(Into::into),
            rules: view.rules.iter().map(Into::into).collect(),
        }
    }
}

impl From<&ConnectionView> for Connection {
    fn from(view: &ConnectionView) -> Self {
        Self {
            peer: (&view.peer).into(),
            connection: view.connection,
            why: view.why.clone(),
            service_names: view.service_names.clone(),
            version_min: view.versions.map(|(min, _)| min),
            version_max: view.versions.map(|(_, max)| max),
            time_ms: view.time.map(Timestamp::as_millis),
            listen_addresses: texts(&view.listen_addresses),
            observed_address: view.observed_address.as_ref().map(ToString::to_string),
            idle_ms: millis(view.idle),
            ping_rtt_min_us: view.ping_rtt_min.map(micros),
            ping_rtt_mean_us: view.ping_rtt_mean.map(micros),
            content_ago_ms: view.content_ago.map(millis),
            gossip_ago_ms: view.gossip_ago.map(millis),
        }
    }
}

impl From<&views::Rule> for Rule {
    fn from(rule: &views::Rule) -> Self {
        Self {
            target: rule.target.to_string(),
            kind: rule.kind.name(),
            origin: rule.origin.name(),
            reason: rule.reason.as_str().to_owned(),
            since_ms: rule.since.as_millis(),
            until_ms: rule.until.map(Timestamp::as_millis),
        }
    }
}

impl From<&views::KnownPeer> for Known {
    fn from(view: &views::KnownPeer) -> Self {
        Self {
            peer_id: view.peer.to_string(),
            addresses: texts(&view.addresses),
            table: view.table.map(views::BookTable::name),
            source: view.source.clone(),
            seen_ms: view.seen.map(Timestamp::as_millis),
            tried_ms: view.tried.map(Timestamp::as_millis),
            reached_ms: view.reached.map(Timestamp::as_millis),
            failures: view.failures,
            next_dial_in_ms: view.next_dial_in.map(millis),
            anchor: view.anchor,
        }
    }
}

impl From<&AddressPage> for Book {
    fn from(page: &AddressPage) -> Self {
        let OwnAddresses {
            listen,
            external,
            relayed,
            reachability,
        } = &page.own;
        Self {
            own: Own {
                listen: texts(listen),
                external: texts(external),
                relayed: texts(relayed),
                reachability: reachability.name(),
            },
            peers: page.peers.iter().map(Into::into).collect(),
        }
    }
}
