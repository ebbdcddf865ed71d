//! The peer manager: one machine for all connections of a node.

mod dialling;
mod greeting;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rustle_types::{ConnectionId, Direction, Machine, Multiaddr, Now, Outbox, PeerId, Uptime};
use rustle_wire::{Control, Disconnect, DisconnectReason, Hello, Versions};

use crate::book::{Book, Need, Source, SourceKind};
use crate::connection::{Connection, Due, Phase};
use crate::{Config, ConnectError, Input, Output, PeerView};

/// Requests for a connection that may wait at once.
pub const CONNECTS_MAX: usize = 64;
/// Connections to peers that do not speak our protocol, leaving aside those that the operator asked for. One more is
/// closed, so that strangers never take the place of peers.
pub const FOREIGN_MAX: usize = 32;
/// How long the answer to such a request may take; dial and handshake have deadlines of their own below it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(25);
/// Longest back-off of a boot address.
const BOOT_BACK_OFF_MAX: Duration = Duration::from_secs(60);

/// Decides about all peers of a node.
#[derive(Debug)]
pub struct Manager {
    config: Config,
    rng: StdRng,
    /// Recognises connections to ourselves.
    nonce: u64,
    connections: BTreeMap<ConnectionId, Connection>,
    /// When each connection wants attention; entries that came too early are put back.
    timers: BTreeSet<(Uptime, ConnectionId)>,
    dials: BTreeMap<u64, Dial>,
    next_dial: u64,
    connects: BTreeMap<u64, Wanted>,
    boot: Vec<Boot>,
    book: Book,
    listening: Vec<Multiaddr>,
    /// When the next peer or boot address may be dialled again.
    wake: Option<Uptime>,
    outbox: Outbox<Output>,
}

/// Why a dial was started.
#[derive(Debug)]
enum Dial {
    Connect(u64),
    Boot(usize),
    Known(PeerId),
}

#[derive(Debug)]
struct Wanted {
    address: Multiaddr,
    deadline: Uptime,
}

/// A boot address: dialled whenever the peer that lives there is not connected, whichever of the two dialled.
#[derive(Debug)]
struct Boot {
    address: Multiaddr,
    /// Who lives there: what the address says, else who answered there last.
    peer: Option<PeerId>,
    failures: u32,
    ready: Uptime,
    /// Dialling, or connected through this connection.
    busy: bool,
    connection: Option<ConnectionId>,
}

// === impl Manager ===

impl Manager {
    /// A manager that knows nobody; `seed` gives its nonces and jitter and must not be known to peers.
    pub fn new(config: Config, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let boot = config.bootstrap.iter().map(|address| Boot {
            address: address.clone(),
            peer: peer_in(address),
            failures: 0,
            ready: Uptime::ZERO,
            busy: false,
            connection: None,
        });
        Self {
            nonce: rng.random(),
            boot: boot.collect(),
            book: Book::new(config.local, &mut rng),
            rng,
            config,
            connections: BTreeMap::new(),
            timers: BTreeSet::new(),
            dials: BTreeMap::new(),
            next_dial: 1,
            connects: BTreeMap::new(),
            listening: Vec::new(),
            wake: Some(Uptime::ZERO),
            outbox: Outbox::default(),
        }
    }

    /// Takes the records of the address book of an earlier run.
    pub fn restore<K: AsRef<[u8]>, V: AsRef<[u8]>>(&mut self, records: impl IntoIterator<Item = (K, V)>) {
        self.book.restore(records);
    }

    /// Adds a member of one of our chains, known from before a restart. It is dialled with the first deadline.
    pub fn restore_member(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        let source = Source::of_kind(SourceKind::Invitation);
        self.book
            .need(Now::default(), peer, addresses, source, Need::Member);
    }

    /// Whom the node knows.
    pub const fn book(&self) -> &Book {
        &self.book
    }

    /// Every connection, as people are shown it.
    pub fn views(&self) -> impl Iterator<Item = PeerView> {
        self.connections.iter().map(|(id, connection)| PeerView {
            connection: *id,
            peer: connection.peer,
            direction: connection.direction,
            address: connection.address.clone(),
            class: connection.class(),
            since: connection.since,
            hello: match &connection.phase {
                Phase::Ready(hello) => Some((**hello).clone()),
                _ => None,
            },
            round_trip: connection.round_trip,
        })
    }

    /// Whether a peer has a handshaken connection.
    pub fn is_up(&self, peer: &PeerId) -> bool {
        self.ready_connections(peer).next().is_some()
    }

    /// Who is at the other end of a connection.
    pub fn peer(&self, connection: ConnectionId) -> Option<PeerId> {
        self.connections
            .get(&connection)
            .map(|connection| connection.peer)
    }

    /// Whether a peer has a connection, handshaken or not.
    pub fn is_connected(&self, peer: &PeerId) -> bool {
        self.connections
            .values()
            .any(|connection| connection.peer == *peer)
    }

    /// How many peers have a handshaken connection.
    pub fn peers_up(&self) -> usize {
        let ready = self
            .connections
            .values()
            .filter(|connection| connection.is_ready());
        ready
            .map(|connection| connection.peer)
            .collect::<BTreeSet<_>>()
            .len()
    }

    /// Where a peer was reached or may be found.
    pub fn addresses(&self, peer: &PeerId) -> Vec<Multiaddr> {
        self.book.addresses(peer)
    }

    fn ready_connections(&self, peer: &PeerId) -> impl Iterator<Item = ConnectionId> {
        let peer = *peer;
        let ready = self
            .connections
            .iter()
            .filter(move |(_, one)| one.peer == peer && one.is_ready());
        ready.map(|(id, _)| *id)
    }

    fn hello(&self, now: Now, observed: &Multiaddr) -> Hello {
        Hello {
            versions: Versions::ours(),
            network: self.config.network.clone(),
            services: self.config.services,
            user_agent: self.config.user_agent.clone(),
            software_version: self.config.software_version.clone(),
            time: now.wall,
            nonce: self.nonce,
            listen_addresses: self.listening.clone(),
            observed_address: Some(observed.clone()),
        }
    }

    // --- connections

    fn on_connected(&mut self, now: Now, id: ConnectionId, connection: Connection, dial: Option<u64>) {
        let peer = connection.peer;
        let mut connection = connection;
        match dial.and_then(|dial| self.dials.remove(&dial)) {
            Some(Dial::Connect(request)) => connection.request = Some(request),
            Some(Dial::Boot(index)) => {
                if let Some(boot) = self.boot.get_mut(index) {
                    boot.connection = Some(id);
                    boot.peer = Some(peer);
                }
            }
            Some(Dial::Known(other)) if other != peer => {
                self.book
                    .on_wrong_peer(now, &other, &connection.address, &mut self.rng);
            }
            Some(Dial::Known(_)) | None => {}
        }
        self.book.on_connected(&peer, connection.direction);
        if peer == self.config.local && connection.direction == Direction::Outbound {
            self.book.on_self(now.wall, connection.address.clone());
        }
        self.connections.insert(id, connection);
        self.arm(id);
        if peer == self.config.local {
            self.answer_for(id, |address| Err(ConnectError::SelfConnection { address }));
            self.close(id, Some(Disconnect::because(DisconnectReason::SelfConnection)));
        }
    }

    fn on_disconnected(&mut self, now: Now, id: ConnectionId) {
        self.answer_for(id, |_| Err(ConnectError::Refused(DisconnectReason::Unspecified)));
        let Some(connection) = self.connections.remove(&id) else {
            return;
        };
        if let Some(deadline) = connection.deadline(&self.config) {
            self.timers.remove(&(deadline, id));
        }
        let peer = connection.peer;
        self.on_boot_disconnected(now, id, &connection);
        if connection.is_ready() && !self.is_up(&peer) {
            self.outbox.push(Output::Down { peer });
        }
        if !self.is_connected(&peer) {
            let lasted = now.uptime - connection.since;
            self.book.on_lost(now, &peer, lasted, &mut self.rng);
        }
    }

    fn fault(&mut self, id: ConnectionId, fault: &'static str) {
        if let Some(peer) = self.connections.get(&id).map(|connection| connection.peer) {
            self.outbox.push(Output::Fault { peer, fault });
            self.answer_for(id, |_| Err(ConnectError::Refused(DisconnectReason::Protocol)));
            self.close(id, Some(Disconnect::because(DisconnectReason::Protocol)));
        }
    }

    /// Decides to close; the connection stays known, as closing, until the network says that it is gone.
    fn close(&mut self, id: ConnectionId, goodbye: Option<Disconnect>) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let (was_ready, peer) = (connection.is_ready(), connection.peer);
        if matches!(connection.phase, Phase::Closing) {
            return;
        }
        connection.phase = Phase::Closing;
        self.outbox.push(Output::Close {
            connection: id,
            goodbye,
        });
        if was_ready && !self.is_up(&peer) {
            self.outbox.push(Output::Down { peer });
        }
    }

    fn on_control_broken(&mut self, id: ConnectionId) {
        let phase = self.connections.get(&id).map(|connection| &connection.phase);
        if matches!(
            phase,
            Some(Phase::Opening | Phase::AwaitAck | Phase::AwaitHello | Phase::Ready(_))
        ) {
            self.answer_for(id, |_| Err(ConnectError::Refused(DisconnectReason::Unspecified)));
            self.close(id, None);
        }
    }

    // --- time

    /// Puts a connection's deadline into the timer table.
    fn arm(&mut self, id: ConnectionId) {
        if let Some(deadline) = self
            .connections
            .get(&id)
            .and_then(|one| one.deadline(&self.config))
        {
            self.timers.insert((deadline, id));
        }
    }

    fn on_idle(&mut self, now: Uptime, id: ConnectionId, idle: Duration) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        if connection.on_idle(now, idle, &self.config) {
            self.ping(now, id);
        }
        self.arm(id);
    }

    fn ping(&mut self, now: Uptime, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            let nonce = self.rng.random();
            connection.on_ping_sent(now, nonce);
            let message = Control::PingRequest { nonce };
            self.outbox.push(Output::Send {
                connection: id,
                message,
            });
        }
    }

    fn on_due(&mut self, now: Uptime, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        match connection.due(now, &self.config) {
            Due::Nothing => {}
            Due::Probe => {
                connection.on_probe_sent();
                self.outbox.push(Output::Probe { connection: id });
            }
            Due::Ping => self.ping(now, id),
            Due::Dead => self.close(id, Some(Disconnect::because(DisconnectReason::Timeout))),
            Due::Late => {
                self.answer_for(id, |_| Err(ConnectError::Timeout));
                self.close(id, Some(Disconnect::because(DisconnectReason::Timeout)));
            }
        }
        self.arm(id);
    }

    fn on_learned(&mut self, now: Now, peer: PeerId, addresses: Vec<Multiaddr>, wanted: bool) {
        let source = Source::of_kind(SourceKind::Invitation);
        if wanted {
            self.book.need(now, peer, addresses, source, Need::Member);
            // The book may have had no place for what it said when it came.
            let own = self.ready_connections(&peer).next();
            let own = own.and_then(|id| self.connections.get(&id));
            if let Some(Connection {
                phase: Phase::Ready(hello),
                address,
                ..
            }) = own
            {
                let source = Source::at(SourceKind::Hello, address);
                self.book.learn(now, peer, hello.listen_addresses.clone(), source);
            }
        } else {
            self.book.learn(now, peer, addresses, source);
        }
    }

    /// Hands out what has changed in the book.
    fn persist(&mut self) {
        if self.book.has_changes() {
            self.outbox.push(Output::Persist(self.book.take_changes()));
        }
    }
}

impl Machine for Manager {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, now: Now, input: Input) {
        // What comes often changes nothing about whom to dial; a connection that it ends is told as gone.
        let is_routine = matches!(
            input,
            Input::Activity { .. } | Input::Control { .. } | Input::ControlOpened { .. }
        );
        match input {
            Input::Connected {
                connection,
                peer,
                direction,
                address,
                request,
            } => {
                let fresh = Connection::new(now.uptime, peer, direction, address, None);
                self.on_connected(now, connection, fresh, request);
            }
            Input::ControlOpened { connection } => self.on_control_opened(now, connection),
            Input::ControlUnsupported { connection } => self.on_unsupported(now, connection),
            Input::Control { connection, message } => self.on_control(now, connection, message),
            Input::ControlBroken { connection } => self.on_control_broken(connection),
            Input::Activity { connection, idle } => self.on_idle(now.uptime, connection, idle),
            Input::Disconnected { connection } => self.on_disconnected(now, connection),
            Input::DialFailed { request, error } => self.on_dial_failed(now, request, error),
            Input::Connect { request, address } => self.on_connect(now, request, address),
            Input::Learned {
                peer,
                addresses,
                wanted,
            } => self.on_learned(now, peer, addresses, wanted),
            Input::Listening { addresses } => {
                self.book.set_listening(addresses.clone());
                self.listening = addresses;
            }
        }
        if !is_routine {
            self.fill(now);
        }
        self.persist();
    }

    fn on_deadline(&mut self, now: Now) {
        while let Some((deadline, id)) = self.timers.first().copied() {
            if now.uptime < deadline {
                break;
            }
            self.timers.pop_first();
            self.on_due(now.uptime, id);
        }
        let late = self
            .connects
            .iter()
            .filter(|(_, wanted)| wanted.deadline <= now.uptime);
        let late: Vec<u64> = late.map(|(request, _)| *request).collect();
        for request in late {
            self.answer(request, |_| Err(ConnectError::Timeout));
        }
        self.fill(now);
        self.persist();
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outbox.pop()
    }

    fn next_deadline(&self) -> Option<Uptime> {
        let timer = self.timers.first().map(|(deadline, _)| *deadline);
        let connect = self.connects.values().map(|wanted| wanted.deadline).min();
        [timer, connect, self.wake].into_iter().flatten().min()
    }
}

/// The peer id at the end of an address.
fn peer_in(address: &Multiaddr) -> Option<PeerId> {
    // The text form avoids naming the protocol enum of the address crate.
    let text = address.to_string();
    text.rsplit_once("/p2p/").and_then(|(_, peer)| peer.parse().ok())
}

#[cfg(test)]
#[path = "manager_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "boot_tests.rs"]
mod boot_tests;
