//! The peer manager: one machine for all connections of a node.

mod conduct;
mod dialling;
mod exchange;
mod foreign;
mod greeting;
mod people;
mod places;
mod relays;
mod seek;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rustle_types::{ConnectionId, Machine, Multiaddr, Now, Outbox, PeerId, Uptime};
use rustle_wire::{Control, Disconnect, DisconnectReason, Hello, Versions};

use crate::book::{Book, Need, Source, SourceKind};
use crate::connection::{Connection, Due, Phase};
use crate::counters::Counters;
use crate::exchange::{Answers, Hearings};
use crate::links::Links;
use crate::{Config, ConnectError, Fault, Input, Output, Rule, Rules, Scores, Use, Why};
use dialling::{Boot, Dial, Wanted};
use relays::Relays;
use seek::Search;

pub use dialling::CONNECTS_MAX;
pub use places::GREETING_INBOUND_MAX;

/// How long the answer to a request for a connection may take; dial and handshake have deadlines of their own below it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(25);

/// Decides about all peers of a node.
#[derive(Debug)]
pub struct Manager {
    config: Config,
    rng: StdRng,
    /// Recognises connections to ourselves.
    nonce: u64,
    /// Orders groups where some of them are protected, in a way that no peer can foresee.
    secret: u64,
    links: Links,
    /// When each connection wants attention; entries that came too early are put back.
    timers: BTreeSet<(Uptime, ConnectionId)>,
    dials: BTreeMap<u64, Dial>,
    next_dial: u64,
    connects: BTreeMap<u64, Wanted>,
    boot: Vec<Boot>,
    book: Book,
    rules: Rules,
    scores: Scores,
    answers: Answers,
    hearings: Hearings,
    relays: Relays,
    search: Search,
    counters: Counters,
    listening: Vec<Multiaddr>,
    /// When the next peer or boot address may be dialled again.
    wake: Option<Uptime>,
    /// Until then the book is not searched: it was in vain a moment ago.
    barren: Option<Uptime>,
    /// Anchors of the last run that have not been there in this one.
    awaited: BTreeSet<PeerId>,
    chores: Chores,
    outbox: Outbox<Output>,
}

/// When what is done from time to time is due.
#[derive(Debug, Clone, Copy)]
struct Chores {
    /// Dropping what is above the target.
    trim: Uptime,
    /// One dial more towards the target.
    grow: Uptime,
    /// The test of an address.
    feeler: Uptime,
}

// === impl Chores ===

impl Chores {
    fn next(&self) -> Uptime {
        self.trim.min(self.grow).min(self.feeler)
    }
}

// === impl Manager ===

impl Manager {
    /// A manager that knows nobody; `seed` gives its nonces, jitter and secrets and must not be known to peers.
    pub fn new(config: Config, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let boot = config.bootstrap.iter().map(|address| Boot::new(address, false));
        let statics = config.statics.iter().map(|address| Boot::new(address, true));
        let boot = boot.chain(statics).collect();
        Self {
            nonce: rng.random(),
            secret: rng.random(),
            boot,
            book: Book::new(config.local, &mut rng),
            chores: Chores {
                trim: Uptime::ZERO,
                // Whoever is dialled first is not drawn at random.
                grow: Uptime::ZERO + dialling::GROW_EVERY,
                feeler: Uptime::ZERO + config.feeler_every,
            },
            scores: Scores::default(),
            answers: Answers::default(),
            hearings: Hearings::default(),
            rules: Rules::default(),
            relays: Relays::default(),
            search: Search::default(),
            counters: Counters::default(),
            rng,
            config,
            links: Links::default(),
            timers: BTreeSet::new(),
            dials: BTreeMap::new(),
            next_dial: 1,
            connects: BTreeMap::new(),
            listening: Vec::new(),
            wake: Some(Uptime::ZERO),
            barren: None,
            awaited: BTreeSet::new(),
            outbox: Outbox::default(),
        }
    }

    /// Takes the records of `Table::Peers` of an earlier run. A damaged one costs an address, not the start.
    pub fn restore_book<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        records: impl IntoIterator<Item = (K, V)>,
    ) {
        self.book.restore(records);
        self.awaited = self.book.anchors().collect();
    }

    /// Takes the records of `Table::Rules`, and tells the rules. Gives how many could not be read.
    pub fn restore_rules<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        records: impl IntoIterator<Item = (K, V)>,
    ) -> usize {
        let mut damaged = 0;
        let read = records.into_iter().filter_map(|(key, value)| {
            let rule = Rule::from_record(key.as_ref(), value.as_ref()).ok();
            damaged += usize::from(rule.is_none());
            rule
        });
        self.rules = Rules::restore(read);
        self.outbox.push(Output::Rules(self.rules.clone()));
        damaged
    }

    /// A member of a chain, from before a restart: needed, and not news.
    pub fn restore_needed(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        let source = Source::of_kind(SourceKind::Invitation);
        self.book
            .need(Now::default(), peer, addresses, source, Need::Member);
    }

    /// Whether a peer has a handshaken connection.
    pub fn is_up(&self, peer: &PeerId) -> bool {
        self.links.is_up(peer)
    }

    /// Who is at the other end of a connection.
    pub fn peer(&self, connection: ConnectionId) -> Option<PeerId> {
        self.links.get(connection).map(|connection| connection.peer)
    }

    /// Whether a peer has a connection, handshaken or not.
    pub fn is_connected(&self, peer: &PeerId) -> bool {
        self.links.is_connected(peer)
    }

    /// Where a peer was reached or may be found, what is dialled first in front.
    pub fn addresses(&self, peer: &PeerId) -> Vec<Multiaddr> {
        self.book.addresses(peer)
    }

    /// How many peers have a handshaken connection.
    pub fn peers_up(&self) -> usize {
        self.links.counts().up()
    }

    fn hello(&self, now: Now, observed: &Multiaddr) -> Hello {
        // By which name it was dialled, or through which forwarder a peer came, shows where this node is, too.
        let (listen_addresses, observed_address) = match self.config.hidden {
            true => (Vec::new(), None),
            false => (self.listening.clone(), Some(observed.clone())),
        };
        Hello {
            versions: Versions::ours(),
            network: self.config.network.clone(),
            services: self.services(),
            user_agent: self.config.user_agent.clone(),
            software_version: self.config.software_version.clone(),
            time: now.wall,
            nonce: self.nonce,
            listen_addresses,
            observed_address,
        }
    }

    // --- connections

    fn on_connected(&mut self, now: Now, id: ConnectionId, mut connection: Connection, dial: Option<u64>) {
        let peer = connection.peer;
        match dial.and_then(|dial| self.dials.remove(&dial)) {
            Some(Dial::Connect(request)) => {
                connection.why = Why::Asked;
                connection.request = Some(request);
            }
            Some(Dial::Boot(index)) => {
                if let Some(boot) = self.boot.get_mut(index) {
                    connection.why = if boot.is_static { Why::Static } else { Why::Boot };
                    boot.connection = Some(id);
                    boot.peer = Some(peer);
                }
            }
            Some(Dial::Known { peer: expected, why }) => {
                connection.why = why;
                if expected != peer {
                    self.book
                        .on_wrong_peer(now, &expected, &connection.address, &mut self.rng);
                }
            }
            None => {}
        }
        // The gate looks at rules, too, but hears of a new one a moment later.
        let banned = self.banned_at(now, &connection.address, Some(peer));
        self.awaited.remove(&peer);
        self.counters.on_connected(connection.direction, connection.why);
        self.book.on_connected(&peer, connection.direction);
        self.links.insert(id, connection);
        self.arm(id);
        if peer == self.config.local {
            self.on_self_connection(now, id);
        } else if let Some(banned) = banned {
            self.counters.on_refused("banned");
            self.book.on_banned(now.uptime, &peer);
            self.answer_for(id, |_| Err(ConnectError::Banned(banned)));
            self.close(id, Some(Disconnect::because(DisconnectReason::Banned)));
        } else {
            self.make_room_for_greeting(now.uptime, id);
        }
    }

    fn on_self_connection(&mut self, now: Now, id: ConnectionId) {
        if let Some(connection) = self.links.get(id).filter(|one| one.is_outbound()) {
            self.book.on_self(now.wall, connection.address.clone());
        }
        if let Some(boot) = self.boot.iter_mut().find(|boot| boot.connection == Some(id)) {
            boot.is_own = true;
        }
        self.answer_for(id, |address| Err(ConnectError::SelfConnection { address }));
        self.close(id, Some(Disconnect::because(DisconnectReason::SelfConnection)));
    }

    fn on_disconnected(&mut self, now: Now, id: ConnectionId) {
        self.answer_for(id, |_| Err(ConnectError::HungUp));
        let Some(connection) = self.links.remove(id) else {
            return;
        };
        if let Some(armed) = connection.armed {
            self.timers.remove(&(armed, id));
        }
        let peer = connection.peer;
        self.on_boot_disconnected(now, id, &connection);
        if connection.is_ready() && !self.is_up(&peer) {
            self.on_down(peer);
        }
        if !self.is_connected(&peer) {
            self.hearings.on_gone(now.uptime, &peer);
            self.answers.on_gone(&peer);
            let lasted = now.uptime - connection.since;
            self.book.on_lost(now, &peer, lasted, &mut self.rng);
        }
    }

    fn on_down(&mut self, peer: PeerId) {
        self.on_relay_gone(&peer);
        self.hearings.on_down(&peer);
        self.outbox.push(Output::Down { peer });
    }

    /// Decides to close; the connection stays known, as closing, until the network says that it is gone.
    fn close(&mut self, id: ConnectionId, goodbye: Option<Disconnect>) {
        let Some(connection) = self.links.get(id) else {
            return;
        };
        let (was_ready, peer) = (connection.is_ready(), connection.peer);
        if matches!(connection.phase, Phase::Closing) {
            return;
        }
        self.links.set_phase(id, Phase::Closing);
        self.outbox.push(Output::Close {
            connection: id,
            goodbye,
        });
        if was_ready && !self.is_up(&peer) {
            self.on_down(peer);
        }
    }

    /// Closes every connection of a peer.
    fn close_peer(&mut self, peer: &PeerId, reason: DisconnectReason) {
        let ids: Vec<ConnectionId> = self.links.of(peer).map(|(id, _)| id).collect();
        for id in ids {
            self.answer_for(id, |_| Err(ConnectError::Refused(reason)));
            self.close(id, Some(Disconnect::because(reason)));
        }
    }

    fn on_control_broken(&mut self, now: Now, id: ConnectionId, is_garbage: bool) {
        let phase = self.links.get(id).map(|connection| &connection.phase);
        let is_greeting = matches!(phase, Some(Phase::Opening | Phase::AwaitAck | Phase::AwaitHello));
        if is_greeting || matches!(phase, Some(Phase::Ready(_))) {
            if is_greeting {
                self.counters.on_handshake("broken");
                self.note_refused(now, id);
            }
            if is_garbage {
                self.fault(now, id, Fault::Garbage);
                return;
            }
            self.answer_for(id, |_| Err(ConnectError::HungUp));
            self.close(id, None);
        }
    }

    // --- time

    /// Puts a connection's deadline into the timer table, which has one entry for a connection. An entry that is too early
    /// stays: it is looked at then, and put later.
    fn arm(&mut self, id: ConnectionId) {
        let Some(connection) = self.links.get_mut(id) else {
            return;
        };
        let Some(deadline) = connection.deadline(&self.config) else {
            return;
        };
        match connection.armed {
            Some(armed) if armed <= deadline => return,
            Some(armed) => {
                self.timers.remove(&(armed, id));
            }
            None => {}
        }
        connection.armed = Some(deadline);
        self.timers.insert((deadline, id));
    }

    fn on_idle(&mut self, now: Now, id: ConnectionId, idle: Duration) {
        let Some(connection) = self.links.get_mut(id) else {
            return;
        };
        if connection.on_idle(now.uptime, idle, &self.config) {
            self.ping(now.uptime, id);
        } else if connection.is_idle_foreign(now.uptime) {
            self.on_idle_foreign(now, id);
        }
        self.arm(id);
    }

    fn ping(&mut self, now: Uptime, id: ConnectionId) {
        if let Some(connection) = self.links.get_mut(id) {
            let nonce = self.rng.random();
            connection.on_ping_sent(now, nonce);
            self.counters.on_ping_sent();
            let message = Control::PingRequest { nonce };
            self.outbox.push(Output::Send {
                connection: id,
                message,
            });
        }
    }

    fn on_due(&mut self, now: Now, id: ConnectionId) {
        let Some(connection) = self.links.get_mut(id) else {
            return;
        };
        match connection.due(now.uptime, &self.config) {
            Due::Nothing => {}
            Due::Probe => {
                connection.on_probe_sent();
                self.outbox.push(Output::Probe { connection: id });
            }
            Due::Ping => {
                self.counters.on_ping_unanswered();
                self.ping(now.uptime, id);
            }
            Due::Dead => {
                self.counters.on_ping_unanswered();
                self.counters.on_dead();
                self.close(id, Some(Disconnect::because(DisconnectReason::Timeout)));
            }
            Due::Settle => self.settle(id),
            Due::Late => {
                self.counters.on_handshake("timeout");
                self.note_refused(now, id);
                self.answer_for(id, |_| Err(ConnectError::Timeout));
                self.close(id, Some(Disconnect::because(DisconnectReason::Timeout)));
            }
        }
        self.arm(id);
    }

    fn on_useful(&mut self, now: Uptime, peer: &PeerId, what: Use) {
        let ids: Vec<ConnectionId> = self.links.of(peer).map(|(id, _)| id).collect();
        for id in ids {
            if let Some(connection) = self.links.get_mut(id) {
                match what {
                    Use::Content => connection.useful.content = Some(now),
                    Use::Gossip => connection.useful.gossip = Some(now),
                }
            }
        }
    }

    fn on_chores(&mut self, now: Now) {
        if self.chores.trim <= now.uptime {
            self.chores.trim = now.uptime + places::TRIM_EVERY;
            self.trim(now);
        }
        if self.chores.grow <= now.uptime {
            self.chores.grow = now.uptime + dialling::GROW_EVERY;
            self.grow(now);
        }
        if self.chores.feeler <= now.uptime {
            self.chores.feeler = now.uptime + self.feeler_wait();
            self.feel(now);
        }
        self.expire_rules(now);
        self.ask_for_peers(now);
        self.seek_relays(now);
        self.persist_book();
    }
}

impl Machine for Manager {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, now: Now, input: Input) {
        // What comes often changes nothing about whom to dial; a connection that it ends is told as gone.
        let is_routine = matches!(
            input,
            Input::Activity { .. }
                | Input::Control { .. }
                | Input::ControlOpened { .. }
                | Input::Useful { .. }
        );
        match input {
            Input::Connected {
                connection,
                peer,
                direction,
                address,
                request,
                age,
            } => {
                let since = Uptime::from_duration(now.uptime.since_start().saturating_sub(age));
                let fresh = Connection::new(since, peer, direction, address);
                self.on_connected(now, connection, fresh, request);
            }
            Input::ControlOpened { connection } => self.on_control_opened(now, connection),
            Input::ControlUnsupported { connection } => self.on_unsupported(now, connection),
            Input::Control { connection, message } => self.on_control(now, connection, message),
            Input::ControlBroken {
                connection,
                is_garbage,
            } => self.on_control_broken(now, connection, is_garbage),
            Input::Activity { connection, idle } => self.on_idle(now, connection, idle),
            Input::Disconnected { connection } => self.on_disconnected(now, connection),
            Input::DialFailed { request, why, error } => self.on_dial_failed(now, request, why, error),
            Input::Connect { request, address } => self.on_connect(now, request, address),
            Input::Learned {
                peer,
                addresses,
                source,
            } => self.on_learned(now, peer, addresses, source),
            Input::Listening { addresses } => self.on_listening(now, addresses),
            Input::Reachability { reachable } => self.on_reachability(now, reachable),
            Input::Reserved { relay } => self.on_reserved(relay),
            Input::ReservationLost { relay } => self.on_reservation_lost(now, relay),
            Input::PeersAsked { request, peer, asked } => self.on_peers_asked(now, request, peer, &asked),
            Input::PeersHeard { peer, list } => self.on_peers_heard(now, peer, list),
            Input::PeersUnheard { peer } => self.on_peers_unheard(now, peer),
            Input::Fault { peer, fault } => self.on_fault(now, peer, fault),
            Input::Useful { peer, what } => self.on_useful(now.uptime, &peer, what),
        }
        if !is_routine {
            self.fill(now);
            self.seek(now);
        }
    }

    fn on_deadline(&mut self, now: Now) {
        while let Some((deadline, id)) = self.timers.first().copied() {
            if now.uptime < deadline {
                break;
            }
            self.timers.pop_first();
            if let Some(connection) = self.links.get_mut(id) {
                connection.armed = None;
            }
            self.on_due(now, id);
        }
        let late = self
            .connects
            .iter()
            .filter(|(_, wanted)| wanted.deadline <= now.uptime);
        let late: Vec<u64> = late.map(|(request, _)| *request).collect();
        for request in late {
            self.answer(request, |_| Err(ConnectError::Timeout));
        }
        self.on_chores(now);
        self.fill(now);
        self.seek(now);
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outbox.pop()
    }

    fn next_deadline(&self) -> Option<Uptime> {
        let timer = self.timers.first().map(|(deadline, _)| *deadline);
        let connect = self.connects.values().map(|wanted| wanted.deadline).min();
        let others = [
            self.hearings.next_ask(),
            self.relays.next_try(),
            self.next_search(),
            Some(self.chores.next()),
        ];
        [timer, connect, self.wake]
            .into_iter()
            .chain(others)
            .flatten()
            .min()
    }
}

#[cfg(test)]
#[path = "manager_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "boot_tests.rs"]
mod boot_tests;

#[cfg(test)]
#[path = "chosen_tests.rs"]
mod chosen_tests;

#[cfg(test)]
#[path = "seek_tests.rs"]
mod seek_tests;

#[cfg(test)]
#[path = "greeting_tests.rs"]
mod greeting_tests;

#[cfg(test)]
#[path = "stranger_tests.rs"]
mod stranger_tests;

#[cfg(test)]
#[path = "fairness_tests.rs"]
mod fairness_tests;

#[cfg(test)]
#[path = "foreign_tests.rs"]
mod foreign_tests;

#[cfg(test)]
#[path = "sequence_tests.rs"]
mod sequence_tests;

#[cfg(test)]
#[path = "return_tests.rs"]
mod return_tests;

#[cfg(test)]
#[path = "ping_tests.rs"]
mod ping_tests;

#[cfg(test)]
#[path = "doubled_tests.rs"]
mod doubled_tests;

#[cfg(test)]
#[path = "feeler_tests.rs"]
mod feeler_tests;
