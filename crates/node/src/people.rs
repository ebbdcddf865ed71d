//! What the administration door shows of peers, and does to them.

use std::time::Duration;

use rustle_admin::views::{
    AddressPage, AddressQuery, BookTable, ConnectionView, Direction, FaultView, KnownPeer, OwnAddresses,
    PeerClass, PeerDetails, PeerView, Reachability, Reason, Rule, RuleKind, Target,
};
use rustle_admin::{Fault, FaultKind, fault::reason};
use rustle_engine::{Ask, PeerAsk, Reply};
use rustle_peers::book::{EntryView, TableKind};
use rustle_peers::{Class, ConnectionInfo, PeerInfo};
use rustle_types::{Multiaddr, PeerId, Reach, Timestamp, Uptime, address};

use crate::faults;
use crate::shared::Shared;

/// Every connection.
pub(crate) async fn views(shared: &Shared) -> Result<Vec<rustle_peers::PeerView>, Fault> {
    match shared.ask(Ask::Peers).await? {
        Reply::Peers(views) => Ok(views),
        _ => Err(other_answer()),
    }
}

pub(crate) async fn list(shared: &Shared) -> Result<Vec<PeerView>, Fault> {
    let now = shared.clock.now().uptime;
    let views = views(shared).await?.into_iter();
    Ok(views.map(|view| peer_view(shared, view, now)).collect())
}

pub(crate) async fn connect(shared: &Shared, address: Multiaddr, timeout: Duration) -> Result<PeerId, Fault> {
    match tokio::time::timeout(timeout, shared.ask(Ask::Connect(address.clone()))).await {
        Ok(reply) => match reply? {
            Reply::Connected(peer) => Ok(peer),
            _ => Err(other_answer()),
        },
        Err(_) => {
            let message = format!("{address} did not answer within {timeout:?}");
            Err(Fault::new(FaultKind::DeadlineExceeded, reason::TIMEOUT, message))
        }
    }
}

/// Whether there is any connection with a peer.
pub(crate) async fn is_connected(shared: &Shared, peer: PeerId) -> Result<bool, Fault> {
    Ok(views(shared).await?.iter().any(|view| view.peer == peer))
}

/// Connects to a peer, at the place where the caller knows it to be, where the address book does, or where the DHTs do. The
/// caller bounds the time.
pub(crate) async fn reach(shared: &Shared, peer: PeerId, address: Option<Multiaddr>) -> Result<(), Fault> {
    let mut addresses = Vec::from_iter(address);
    if let Ok(Reply::Peer(info)) = shared.ask(Ask::Peer(PeerAsk::Info(peer))).await {
        let known = info.book.into_iter().flat_map(|entry| entry.addresses);
        addresses.extend(known.map(|known| known.address));
    }
    if addresses.is_empty() {
        addresses = crate::routing::find_peer(shared, peer).await;
    }
    let mut last = Fault::peer_not_connected(&peer);
    for address in addresses {
        let whole = match address::peer(&address) {
            Some(named) if named == peer => Ok(address),
            _ => format!("{address}/p2p/{peer}").parse(),
        };
        let Ok(whole) = whole else { continue };
        match shared.ask(Ask::Connect(whole)).await {
            Ok(_) => return Ok(()),
            Err(fault) => last = fault,
        }
    }
    Err(last)
}

pub(crate) async fn info(shared: &Shared, peer: PeerId) -> Result<PeerDetails, Fault> {
    let now = shared.clock.now().uptime;
    match shared.ask(Ask::Peer(PeerAsk::Info(peer))).await? {
        Reply::Peer(info) => Ok(details(shared, *info, now)),
        _ => Err(other_answer()),
    }
}

pub(crate) async fn disconnect(shared: &Shared, peer: PeerId) -> Result<(), Fault> {
    done(shared, PeerAsk::Disconnect(peer)).await
}

pub(crate) async fn add_rule(
    shared: &Shared,
    kind: RuleKind,
    target: Target,
    duration: Option<Duration>,
    reason: Reason,
) -> Result<Rule, Fault> {
    let ask = PeerAsk::AddRule {
        kind,
        target,
        duration,
        reason,
    };
    match shared.ask(Ask::Peer(ask)).await? {
        Reply::Rule(rule) => {
            let Rule { target, kind, .. } = &rule;
            tracing::info!(%target, %kind, ?duration, "the operator made a rule");
            Ok(rule)
        }
        _ => Err(other_answer()),
    }
}

pub(crate) async fn remove_rule(shared: &Shared, kind: RuleKind, target: Target) -> Result<(), Fault> {
    done(shared, PeerAsk::RemoveRule { kind, target }).await?;
    tracing::info!(%target, %kind, "the operator ended a rule");
    Ok(())
}

pub(crate) async fn rules(shared: &Shared) -> Result<Vec<Rule>, Fault> {
    match shared.ask(Ask::Peer(PeerAsk::Rules)).await? {
        Reply::Rules(rules) => Ok(rules),
        _ => Err(other_answer()),
    }
}

pub(crate) async fn addresses(shared: &Shared, query: AddressQuery) -> Result<AddressPage, Fault> {
    let AddressQuery { table, after, limit } = query;
    let ask = PeerAsk::Addresses {
        table: table.map(|table| match table {
            BookTable::New => TableKind::New,
            BookTable::Tried => TableKind::Tried,
            BookTable::Needed => TableKind::Needed,
        }),
        after,
        // One more shows whether there is a further page.
        limit: limit + 1,
    };
    let Reply::Addresses(mut entries) = shared.ask(Ask::Peer(ask)).await? else {
        return Err(other_answer());
    };
    let has_more = limit < entries.len();
    entries.truncate(limit);
    let next = entries.last().filter(|_| has_more).map(|last| last.peer);
    let now = shared.clock.now().uptime;
    Ok(AddressPage {
        peers: entries.into_iter().map(|entry| known(entry, now)).collect(),
        next,
        own: own_addresses(shared),
    })
}

async fn done(shared: &Shared, ask: PeerAsk) -> Result<(), Fault> {
    match shared.ask(Ask::Peer(ask)).await? {
        Reply::Done => Ok(()),
        _ => Err(other_answer()),
    }
}

fn other_answer() -> Fault {
    faults::internal(&"an answer to something else")
}

fn own_addresses(shared: &Shared) -> OwnAddresses {
    let outside = shared.facts.outside().clone();
    // Told to peers together, shown apart.
    let is_own = |address: &Multiaddr| {
        !outside.external.contains(address) && !outside.relayed.values().any(|relayed| relayed == address)
    };
    let listen = shared.facts.addresses().into_iter().filter(is_own).collect();
    OwnAddresses {
        listen,
        external: outside.external,
        relayed: outside.relayed.into_values().collect(),
        reachability: match outside.reachable {
            None => Reachability::Unknown,
            Some(true) => Reachability::Reachable,
            Some(false) => Reachability::Unreachable,
        },
    }
}

fn peer_view(shared: &Shared, view: rustle_peers::PeerView, now: Uptime) -> PeerView {
    let hello = view.hello.as_ref();
    // Who does not greet has told what it is all the same.
    let told = shared.facts.told(view.connection);
    let told_version = || told.as_ref()?.version().map(str::to_owned);
    PeerView {
        peer: view.peer,
        direction: match view.direction {
            rustle_types::Direction::Inbound => Direction::Inbound,
            rustle_types::Direction::Outbound => Direction::Outbound,
        },
        class: match view.class {
            Class::Rustle => PeerClass::Rustle,
            Class::Foreign => PeerClass::Foreign,
            Class::Pending => PeerClass::Pending,
        },
        agent: hello
            .map(|hello| hello.user_agent.clone())
            .or_else(|| told.as_ref().map(|told| told.agent.clone())),
        version: hello
            .map(|hello| hello.software_version.clone())
            .or_else(told_version),
        network: hello.map(|hello| hello.network.to_string()),
        services: hello.map_or(0, |hello| hello.services.0),
        connected: now - view.since,
        ping_rtt: view.round_trip,
        reach: Reach::of(&view.address).map(|reach| reach.name().to_owned()),
        relayed: address::is_relayed(&view.address),
        address: view.address,
    }
}

fn details(shared: &Shared, info: PeerInfo, now: Uptime) -> PeerDetails {
    let (score, shares, faults, bans) = match info.score {
        Some(view) => (view.score, view.shares, view.faults, view.bans),
        None => Default::default(),
    };
    let fault = |fault: rustle_peers::FaultView| FaultView {
        fault: fault.fault.to_owned(),
        count: fault.count,
        last_ago: now - fault.last,
    };
    let connections = info.connections.into_iter();
    PeerDetails {
        peer: info.peer,
        connections: connections.map(|one| connection(shared, one, now)).collect(),
        score,
        shares: shares
            .into_iter()
            .map(|(part, score)| (part.name().to_owned(), score))
            .collect(),
        bans,
        faults: faults.into_iter().map(fault).collect(),
        known: info.book.map(|entry| known(entry, now)),
        rules: info.rules,
    }
}

fn connection(shared: &Shared, info: ConnectionInfo, now: Uptime) -> ConnectionView {
    let ago = |time: Option<Uptime>| time.map(|time| now - time);
    let hello = info.view.hello.clone();
    let services = hello.as_ref().map(|hello| hello.services.names());
    ConnectionView {
        connection: info.view.connection.0,
        why: info.why.name().to_owned(),
        service_names: services.into_iter().flatten().map(str::to_owned).collect(),
        versions: hello
            .as_ref()
            .map(|hello| (hello.versions.min(), hello.versions.max())),
        time: hello.as_ref().map(|hello| hello.time),
        observed_address: hello.as_ref().and_then(|hello| hello.observed_address.clone()),
        listen_addresses: match hello {
            Some(hello) => hello.listen_addresses,
            None => shared
                .facts
                .told(info.view.connection)
                .map_or_else(Vec::new, |told| told.addresses),
        },
        idle: now - info.active,
        ping_rtt_min: info.round_trip_min,
        ping_rtt_mean: info.round_trip_mean,
        content_ago: ago(info.content),
        gossip_ago: ago(info.gossip),
        peer: peer_view(shared, info.view, now),
    }
}

fn known(entry: EntryView, now: Uptime) -> KnownPeer {
    let date = |time: Timestamp| (time != Timestamp::default()).then_some(time);
    KnownPeer {
        peer: entry.peer,
        addresses: entry.addresses.into_iter().map(|known| known.address).collect(),
        table: Some(match entry.table {
            TableKind::New => BookTable::New,
            TableKind::Tried => BookTable::Tried,
            TableKind::Needed => BookTable::Needed,
        }),
        source: entry.source.name().to_owned(),
        seen: date(entry.seen),
        tried: date(entry.tried),
        reached: date(entry.reached),
        failures: entry.failures,
        next_dial_in: entry.next_dial.map(|ready| ready - now),
        anchor: entry.anchor,
    }
}
