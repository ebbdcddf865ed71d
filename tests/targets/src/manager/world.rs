//! The network around one manager, as far as it can be seen from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rustle_peers::book::SourceKind;
use rustle_peers::{
    CONNECTS_MAX, Config, DialFailure, Input as Event, Manager, Origin, Output, Reason, Rule, RuleKind,
    Target as RuleTarget, Targets,
};
use rustle_types::{ConnectionId, Direction, Machine as _, Multiaddr, Now, PeerId, Timestamp, Uptime};
use rustle_wire::{Control, PeerEntry, PeersRequest, Services};

use crate::control::address;
use crate::streams::PEER;

/// Peers that there are; one number more is the node itself.
pub(super) const PEERS: usize = 24;
/// Dials under way: for the book, for needed peers, for boot and static addresses, and those that were asked for.
const DIALS_MAX: usize = CONNECTS_MAX + 64;
/// So often at one instant a manager may want to be called again.
const CALLS_MAX: usize = 64;
/// The wall clock at the start: a day of 2023.
const EPOCH_MILLIS: u64 = 1_700_000_000_000;

pub(super) struct World {
    manager: Manager,
    targets: Targets,
    since_start: Duration,
    links: BTreeMap<ConnectionId, Link>,
    next_link: u64,
    dials: BTreeMap<u64, Dial>,
    connects: BTreeSet<u64>,
    next_request: u64,
    asks: BTreeSet<u64>,
    up: BTreeSet<PeerId>,
    nonce: u64,
    /// Requests for a connection so far: who was asked for may come beyond the bound.
    asked_for: usize,
}

struct Link {
    peer: PeerId,
    direction: Direction,
    is_closing: bool,
    is_admitted: bool,
    pinged: u64,
}

struct Dial {
    peer: Option<PeerId>,
    addresses: Vec<Multiaddr>,
}

// === impl World ===

impl World {
    /// The seed chooses the bounds, too: small ones are reached sooner.
    pub(super) fn new(seed: u8) -> Self {
        let small = Targets {
            lower: 2,
            target: 4,
            upper: 6,
            outbound: 2,
        };
        let targets = if seed & 1 == 0 { small } else { Targets::default() };
        let mut config = Config::new(Self::peer(PEERS));
        config.targets = targets;
        config.light = seed & 2 != 0;
        config.greeting_inbound = if seed & 4 == 0 { 4 } else { config.greeting_inbound };
        if seed & 8 != 0 {
            config.bootstrap = vec![Self::address(0, 0), Self::address(1, 1)];
            config.statics = vec![Self::address(2, 0)];
        }
        let mut world = Self {
            manager: Manager::new(config, seed.into()),
            targets,
            since_start: Duration::ZERO,
            links: BTreeMap::new(),
            next_link: 1,
            dials: BTreeMap::new(),
            connects: BTreeSet::new(),
            next_request: 1,
            asks: BTreeSet::new(),
            up: BTreeSet::new(),
            nonce: 0,
            asked_for: 0,
        };
        world.settle();
        world
    }

    pub(super) fn peer(number: usize) -> PeerId {
        let mut bytes = PEER;
        bytes[37] = u8::try_from(number).unwrap_or(u8::MAX);
        PeerId::from_bytes(&bytes).expect("the peer id of a key")
    }

    /// One of a few addresses of a peer, in networks that some of them share.
    pub(super) fn address(number: usize, host: usize) -> Multiaddr {
        let network = ["127.0", "203.0", "198.51", "10.1"][host % 4];
        let group = number / 8;
        address(&format!(
            "/ip4/{network}.{group}.{}/tcp/{}",
            number + 1,
            4000 + host
        ))
    }

    pub(super) fn entry(number: usize, host: usize) -> PeerEntry {
        PeerEntry {
            peer: Self::peer(number % (PEERS + 1)),
            addresses: vec![Self::address(number, host)],
            services: Services::INBOUND,
            days_ago: 1,
        }
    }

    fn now(&self) -> Now {
        let millis = u64::try_from(self.since_start.as_millis()).unwrap_or(u64::MAX);
        Now {
            uptime: Uptime::from_duration(self.since_start),
            wall: Timestamp::from_millis(EPOCH_MILLIS.saturating_add(millis)),
        }
    }

    /// Time goes on; whatever becomes due meanwhile happens when it is due.
    pub(super) fn wait(&mut self, duration: Duration) {
        let end = self.since_start + duration;
        while let Some(deadline) = self
            .manager
            .next_deadline()
            .filter(|due| due.since_start() <= end)
        {
            self.since_start = self.since_start.max(deadline.since_start());
            self.run_deadline();
        }
        self.since_start = end;
    }

    /// Calls until nothing is due at this instant.
    fn run_deadline(&mut self) {
        for _ in 0..CALLS_MAX {
            let is_due = |due: Uptime| due.since_start() <= self.since_start;
            if !self.manager.next_deadline().is_some_and(is_due) {
                return;
            }
            self.manager.on_deadline(self.now());
            self.settle();
        }
        panic!(
            "time stands still: something is due for ever at {:?}",
            self.since_start
        );
    }

    pub(super) fn handle(&mut self, event: Event) {
        self.manager.handle(self.now(), event);
        self.settle();
    }

    /// A peer dials in.
    pub(super) fn come(&mut self, number: usize, age: Duration) {
        self.connect(
            number,
            Direction::Inbound,
            Self::address(number, number),
            None,
            age,
        );
    }

    fn connect(
        &mut self,
        number: usize,
        direction: Direction,
        address: Multiaddr,
        request: Option<u64>,
        age: Duration,
    ) {
        let connection = ConnectionId(self.next_link);
        self.next_link += 1;
        let peer = Self::peer(number);
        self.links.insert(
            connection,
            Link {
                peer,
                direction,
                is_closing: false,
                is_admitted: false,
                pinged: 0,
            },
        );
        self.handle(Event::Connected {
            connection,
            peer,
            direction,
            address,
            request,
            age,
        });
    }

    /// The oldest dial succeeds: with whom it was for, or with somebody else.
    pub(super) fn on_dialled(&mut self, other: usize, expected: bool, age: Duration) {
        let Some((request, mut dial)) = self.dials.pop_first() else {
            return;
        };
        let wanted = dial.peer.filter(|_| expected);
        let number = wanted.and_then(|peer| (0..=PEERS).find(|number| Self::peer(*number) == peer));
        let address = dial.addresses.swap_remove(0);
        let number = number.unwrap_or(other);
        self.connect(number, Direction::Outbound, address, Some(request), age);
    }

    pub(super) fn on_dial_failed(&mut self, why: DialFailure) {
        if let Some((request, _)) = self.dials.pop_first() {
            let error = "nobody answers".to_owned();
            self.handle(Event::DialFailed { request, why, error });
        }
    }

    /// One of the connections, counted around.
    pub(super) fn link(&self, index: usize) -> Option<ConnectionId> {
        let index = index.checked_rem(self.links.len())?;
        self.links.keys().nth(index).copied()
    }

    pub(super) fn is_outbound(&self, connection: ConnectionId) -> bool {
        self.links[&connection].direction == Direction::Outbound
    }

    pub(super) fn last_ping(&self, connection: ConnectionId) -> u64 {
        self.links[&connection].pinged
    }

    /// The number by which the manager knows itself, once it has told it.
    pub(super) fn nonce(&self) -> u64 {
        self.nonce
    }

    pub(super) fn hang_up(&mut self, index: usize) {
        if let Some(connection) = self.link(index) {
            self.links.remove(&connection);
            self.handle(Event::Disconnected { connection });
        }
    }

    pub(super) fn ask_for(&mut self, number: usize, with_peer: bool) {
        let (request, plain) = (self.next_request, Self::address(number, number));
        self.next_request += 1;
        self.connects.insert(request);
        self.asked_for += 1;
        let named = format!("{plain}/p2p/{}", Self::peer(number));
        let address = if with_peer { address(&named) } else { plain };
        self.handle(Event::Connect { request, address });
        assert!(
            self.connects.len() <= CONNECTS_MAX,
            "{} wait",
            self.connects.len()
        );
    }

    pub(super) fn learn(&mut self, number: usize, host: usize, kind: usize) {
        self.handle(Event::Learned {
            peer: Self::peer(number),
            addresses: vec![Self::address(number, host)],
            source: SourceKind::ALL[kind],
        });
    }

    pub(super) fn ask_peers(&mut self, peer: PeerId, asked: PeersRequest) {
        let request = self.next_request;
        self.next_request += 1;
        self.asks.insert(request);
        self.handle(Event::PeersAsked { request, peer, asked });
    }

    pub(super) fn disconnect(&mut self, number: usize) {
        self.manager.disconnect(self.now(), &Self::peer(number));
        self.settle();
    }

    pub(super) fn ban(&mut self, number: usize, lasting: Duration) {
        let now = self.now();
        let rule = Rule {
            target: RuleTarget::Peer(Self::peer(number)),
            kind: RuleKind::Ban,
            until: Some(now.wall.plus(lasting)),
            reason: Reason::new("a test"),
            origin: Origin::Operator,
            since: now.wall,
        };
        // A full list is a refusal, not a fault.
        let _ = self.manager.add_rule(now, rule);
        self.settle();
    }

    pub(super) fn unban(&mut self, number: usize) {
        let target = RuleTarget::Peer(Self::peer(number));
        self.manager.remove_rule(self.now(), RuleKind::Ban, &target);
        self.settle();
    }

    /// All connections end, and with them all that hangs on them.
    pub(super) fn end(mut self) {
        while !self.links.is_empty() {
            self.hang_up(0);
        }
        assert_eq!(self.up, BTreeSet::new(), "up without a connection");
        assert_eq!(self.manager.views().count(), 0);
        self.wait(Duration::from_secs(60));
        assert_eq!(self.connects, BTreeSet::new(), "never answered");
    }

    /// Carries out what was decided.
    fn settle(&mut self) {
        while let Some(output) = self.manager.poll_output() {
            self.carry_out(output);
        }
    }

    /// Compares what is shown with what was told.
    pub(super) fn check(&self) {
        let shown: BTreeSet<ConnectionId> = self.manager.views().map(|view| view.connection).collect();
        assert!(shown.iter().eq(self.links.keys()), "shown are {shown:?}");
        assert_eq!(self.manager.peers_up(), self.up.len(), "peers up");
        // Beyond are those that the operator wants.
        let most = self.targets.upper + 3 + self.asked_for;
        assert!(self.up.len() <= most, "{} up, {most} may be", self.up.len());
        for peer in &self.up {
            assert!(self.manager.is_up(peer) && self.manager.is_connected(peer));
        }
        assert!(
            self.dials.len() <= DIALS_MAX,
            "{} dials under way",
            self.dials.len()
        );
        assert_eq!(
            self.asks,
            BTreeSet::new(),
            "a question of a peer is answered at once"
        );
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Dial {
                request,
                peer,
                addresses,
            } => {
                assert!(!addresses.is_empty(), "a dial to nowhere");
                assert_ne!(peer, Some(Self::peer(PEERS)), "a dial to itself");
                let is_new = self.dials.insert(request, Dial { peer, addresses }).is_none();
                assert!(is_new, "the number {request} again");
            }
            Output::Send { connection, message } => self.on_send(connection, &message),
            Output::Probe { connection } => {
                self.open(connection);
            }
            Output::Close { connection, .. } => self.open(connection).is_closing = true,
            Output::Admit { connection, .. } => {
                let link = self.open(connection);
                assert!(!link.is_admitted, "admitted twice");
                link.is_admitted = true;
            }
            Output::Up { peer, .. } => {
                assert!(self.is_admitted(&peer), "up without an admitted connection");
                assert!(self.up.insert(peer), "up twice");
            }
            Output::Down { peer } => assert!(self.up.remove(&peer), "down without being up"),
            Output::Connect { request, .. } => {
                assert!(self.connects.remove(&request), "an answer that nobody waits for");
            }
            Output::AnswerPeers { request, list } => {
                assert!(self.asks.remove(&request), "a list that nobody asked for");
                let told = list.map_or(0, |list| list.addresses());
                assert!(told <= 128, "{told} addresses in one list");
            }
            Output::AskPeers { peer, .. } => assert!(self.is_admitted(&peer), "asks who is not let in"),
            Output::Foreign { .. }
            | Output::Persist(_)
            | Output::Fault { .. }
            | Output::Seek
            | Output::Rules(_)
            | Output::Reserve { .. }
            | Output::Unreserve { .. } => {}
        }
    }

    fn is_admitted(&self, peer: &PeerId) -> bool {
        let mut links = self.links.values();
        links.any(|link| link.peer == *peer && link.is_admitted && !link.is_closing)
    }

    fn on_send(&mut self, connection: ConnectionId, message: &Control) {
        if let Control::Hello(hello) | Control::HelloAck(hello) = message {
            self.nonce = hello.nonce;
        }
        let link = self.open(connection);
        match message {
            Control::Hello(_) => assert_eq!(link.direction, Direction::Outbound, "the dialer greets"),
            Control::HelloAck(_) => assert_eq!(link.direction, Direction::Inbound),
            Control::PingRequest { nonce } => link.pinged = *nonce,
            Control::PingResponse { .. } | Control::Disconnect(_) => {}
        }
    }

    /// A connection that something may still be done with.
    fn open(&mut self, connection: ConnectionId) -> &mut Link {
        let link = self.links.get_mut(&connection);
        let link = link.unwrap_or_else(|| panic!("{connection} is not there"));
        assert!(!link.is_closing, "{connection} is closing");
        link
    }
}
