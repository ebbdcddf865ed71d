//! What holds after any sequence of events.

use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;
use rustle_types::{Direction, Timestamp};
use rustle_wire::{PeerEntry, PeersList, PeersRequest, Services};

use super::tests::{ALICE, BOB, config, hello_of, stranger};
use super::*;
use crate::{Class, DialFailure, Origin, Reason, RuleKind, Target, Targets};

const PEERS: u64 = 12;
const TARGETS: Targets = Targets {
    lower: 2,
    target: 4,
    upper: 6,
    outbound: 2,
};
const FOREIGN: usize = 2;
const GREETING: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    /// A peer dials in, or another part of the node dials it.
    Come(u64, bool),
    Dialled(usize, Option<u64>),
    DialFailed(usize),
    Opened(usize),
    Foreign(usize),
    Greet(usize, u8),
    Ping(usize),
    Pong(usize),
    Goodbye(usize, DisconnectReason),
    Broken(usize, bool),
    Silent(usize, u64),
    HangUp(usize),
    Connect(u64),
    Learn(u64, SourceKind),
    PeersAsked(u64),
    PeersHeard(u64, u64),
    PeersUnheard(u64),
    Fault(u64, Fault),
    Useful(u64),
    Ban(u64, u64),
    BanHost(u64, u64),
    Allow(u64),
    Lift(u64, RuleKind),
    Disconnect(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    let (one, link) = (|| 0..PEERS, || any::<usize>());
    let reason = prop::sample::select(vec![
        DisconnectReason::Network,
        DisconnectReason::Full,
        DisconnectReason::Duplicate,
        DisconnectReason::Banned,
    ]);
    let kind = prop::sample::select(SourceKind::ALL.to_vec());
    let fault = prop::sample::select(Fault::ALL.to_vec());
    let rule = prop::sample::select(vec![RuleKind::Ban, RuleKind::Allow]);
    let connections = prop_oneof![
        4 => (one(), any::<bool>()).prop_map(|(one, ours)| Step::Come(one, ours)),
        4 => (link(), prop::option::weighted(0.1, one())).prop_map(|(dial, other)| Step::Dialled(dial, other)),
        1 => link().prop_map(Step::DialFailed),
        4 => link().prop_map(Step::Opened),
        2 => link().prop_map(Step::Foreign),
        10 => (link(), 0u8..16).prop_map(|(link, how)| Step::Greet(link, how)),
        1 => link().prop_map(Step::Ping),
        1 => link().prop_map(Step::Pong),
        1 => (link(), reason).prop_map(|(link, reason)| Step::Goodbye(link, reason)),
        1 => (link(), any::<bool>()).prop_map(|(link, garbage)| Step::Broken(link, garbage)),
        1 => (link(), 0u64..100).prop_map(|(link, seconds)| Step::Silent(link, seconds)),
        2 => link().prop_map(Step::HangUp),
    ];
    let people = prop_oneof![
        3 => (0u64..20_000).prop_map(Step::Wait),
        1 => (0u64..4_000_000).prop_map(Step::Wait),
        1 => one().prop_map(Step::Connect),
        4 => (one(), kind).prop_map(|(one, kind)| Step::Learn(one, kind)),
        1 => one().prop_map(Step::PeersAsked),
        1 => (one(), 0u64..130).prop_map(|(one, count)| Step::PeersHeard(one, count)),
        1 => one().prop_map(Step::PeersUnheard),
        2 => (one(), fault).prop_map(|(one, fault)| Step::Fault(one, fault)),
        1 => one().prop_map(Step::Useful),
        1 => (one(), 0u64..3_600).prop_map(|(one, seconds)| Step::Ban(one, seconds)),
        1 => (one(), 0u64..3_600).prop_map(|(one, seconds)| Step::BanHost(one, seconds)),
        1 => one().prop_map(Step::Allow),
        1 => (one(), rule).prop_map(|(one, kind)| Step::Lift(one, kind)),
        1 => one().prop_map(Step::Disconnect),
    ];
    prop_oneof![3 => connections, 2 => people]
}

/// Peers live in three groups.
fn place(number: u64) -> Multiaddr {
    format!("/ip4/{}/tcp/4001", ip(number)).parse().unwrap()
}

fn ip(number: u64) -> IpAddr {
    let number = u8::try_from(number).unwrap();
    Ipv4Addr::new(50, number % 3, 0, number).into()
}

struct World {
    alice: Manager,
    bob: Manager,
    millis: u64,
    next: u64,
    /// Whether each is closing.
    links: BTreeMap<ConnectionId, bool>,
    dials: BTreeMap<u64, (Option<PeerId>, Multiaddr)>,
    up: BTreeSet<PeerId>,
    /// Whom the node lets in beyond its bounds: needed, asked for, allowed.
    welcome: BTreeSet<PeerId>,
    connects: BTreeSet<u64>,
}

impl World {
    fn new() -> Self {
        let mut settings = Config {
            targets: TARGETS,
            greeting_inbound: GREETING,
            bootstrap: vec![place(0)],
            statics: vec![place(1)],
            ..config(ALICE)
        };
        settings.foreign.places = FOREIGN;
        Self {
            alice: Manager::new(settings, 4),
            bob: Manager::new(config(BOB), 5),
            millis: 0,
            next: 1,
            links: BTreeMap::new(),
            dials: BTreeMap::new(),
            up: BTreeSet::new(),
            welcome: [0, 1].map(stranger).into(),
            connects: BTreeSet::new(),
        }
    }

    fn now(&self) -> Now {
        Now {
            uptime: Uptime::from_millis(self.millis),
            wall: Timestamp::from_millis(1_700_000_000_000 + self.millis),
        }
    }

    fn link(&self, index: usize) -> Option<ConnectionId> {
        let index = index.checked_rem(self.links.len())?;
        self.links.keys().nth(index).copied()
    }

    fn tell(&mut self, input: Input) {
        self.alice.handle(self.now(), input);
        self.carry_out();
    }

    fn tell_of(&mut self, index: usize, input: impl FnOnce(ConnectionId) -> Input) {
        if let Some(connection) = self.link(index) {
            self.tell(input(connection));
        }
    }

    fn connect(&mut self, peer: PeerId, address: Multiaddr, direction: Direction, request: Option<u64>) {
        let connection = ConnectionId(self.next);
        self.next += 1;
        self.links.insert(connection, false);
        self.tell(Input::Connected {
            connection,
            peer,
            direction,
            address,
            request,
            age: Duration::ZERO,
        });
    }

    fn rule(&mut self, target: Target, kind: RuleKind, seconds: u64) {
        let now = self.now();
        let rule = Rule {
            target,
            kind,
            until: Some(now.wall.plus(Duration::from_secs(seconds))),
            reason: Reason::new("a test"),
            origin: Origin::Operator,
            since: now.wall,
        };
        self.alice.add_rule(now, rule).unwrap();
        self.carry_out();
    }

    fn wait(&mut self, millis: u64) {
        let end = self.millis + millis;
        for _ in 0..10_000 {
            let due = self.alice.next_deadline().unwrap().since_start();
            let due = u64::try_from(due.as_nanos().div_ceil(1_000_000)).unwrap();
            if end < due {
                self.millis = end;
                return;
            }
            self.millis = self.millis.max(due);
            self.alice.on_deadline(self.now());
            self.carry_out();
        }
        panic!("something is due again and again");
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.alice.poll_output() {
            match output {
                Output::Dial {
                    request,
                    peer,
                    addresses,
                } => {
                    let now = self.now();
                    for address in &addresses {
                        assert!(self.alice.banned_at(now, address, peer).is_none(), "a banned one");
                    }
                    if let Some(Dial::Known { peer, .. }) = self.alice.dials.get(&request) {
                        assert!(!self.alice.is_connected(peer), "dialled although connected");
                    }
                    self.dials.insert(request, (peer, addresses[0].clone()));
                }
                Output::Close { connection, .. } => {
                    let was_closing = self.links.insert(connection, true);
                    assert_eq!(was_closing, Some(false), "closed once, while it is there");
                }
                Output::Send { connection, .. } | Output::Probe { connection } => {
                    assert_eq!(self.links.get(&connection), Some(&false));
                }
                Output::Up { peer, .. } => assert!(self.up.insert(peer), "up twice"),
                Output::Down { peer } => assert!(self.up.remove(&peer), "down twice"),
                Output::Connect { request, .. } => assert!(self.connects.remove(&request)),
                Output::AskPeers { peer, .. } => assert!(self.up.contains(&peer)),
                Output::AnswerPeers { list: Some(list), .. } => assert!(list.addresses() <= 128),
                _ => {}
            }
        }
    }

    fn on_link(&mut self, step: &Step) {
        match *step {
            Step::Opened(link) => self.tell_of(link, |connection| Input::ControlOpened { connection }),
            Step::Foreign(link) => self.tell_of(link, |connection| Input::ControlUnsupported { connection }),
            Step::Greet(link, how) => {
                let Some(connection) = self.link(link) else { return };
                let mut hello = hello_of(&self.bob);
                hello.listen_addresses = vec![place(u64::from(how) % PEERS)];
                if how == 0 {
                    hello.network = "other".parse().unwrap();
                }
                if how == 1 {
                    hello.nonce = self.alice.nonce;
                }
                if how == 2 {
                    hello.services = Services::LIGHT;
                }
                let is_ours = self
                    .alice
                    .links
                    .get(connection)
                    .is_some_and(Connection::is_outbound);
                let message = match is_ours {
                    true => Control::HelloAck(hello),
                    false => Control::Hello(hello),
                };
                self.tell(Input::Control { connection, message });
            }
            Step::Ping(link) => self.say(link, Control::PingRequest { nonce: 7 }),
            Step::Pong(link) => self.say(link, Control::PingResponse { nonce: 7 }),
            Step::Goodbye(link, reason) => self.say(link, Control::Disconnect(Disconnect::because(reason))),
            Step::Broken(link, is_garbage) => self.tell_of(link, |connection| Input::ControlBroken {
                connection,
                is_garbage,
            }),
            Step::Silent(link, seconds) => self.tell_of(link, |connection| Input::Activity {
                connection,
                idle: Duration::from_secs(seconds),
            }),
            Step::HangUp(link) => {
                if let Some(connection) = self.link(link) {
                    self.links.remove(&connection);
                    self.tell(Input::Disconnected { connection });
                }
            }
            _ => unreachable!("not about a connection"),
        }
    }

    fn say(&mut self, link: usize, message: Control) {
        self.tell_of(link, |connection| Input::Control { connection, message });
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Wait(millis) => self.wait(millis),
            Step::Come(one, true) => self.connect(stranger(one), place(one), Direction::Outbound, None),
            Step::Come(one, false) => self.connect(stranger(one), place(one), Direction::Inbound, None),
            Step::Dialled(index, other) => {
                let Some(index) = index.checked_rem(self.dials.len()) else {
                    return;
                };
                let request = *self.dials.keys().nth(index).unwrap();
                let (peer, address) = self.dials.remove(&request).unwrap();
                let there = (0..PEERS)
                    .map(stranger)
                    .zip(0..)
                    .find(|(_, number)| place(*number) == address);
                let peer = other.map(stranger).or(peer).or(there.map(|(peer, _)| peer));
                // Whoever answers at an address that the operator gave is wanted.
                if !matches!(self.alice.dials.get(&request), Some(Dial::Known { .. })) {
                    self.welcome.extend(peer);
                }
                self.connect(
                    peer.unwrap_or_else(|| stranger(0)),
                    address,
                    Direction::Outbound,
                    Some(request),
                );
            }
            Step::DialFailed(index) => {
                let Some(index) = index.checked_rem(self.dials.len()) else {
                    return;
                };
                let request = *self.dials.keys().nth(index).unwrap();
                self.dials.remove(&request);
                let (why, error) = (DialFailure::Unreachable, String::new());
                self.tell(Input::DialFailed { request, why, error });
            }
            Step::Connect(one) => {
                let request = self.next;
                self.next += 1;
                self.connects.insert(request);
                self.welcome.insert(stranger(one));
                let address = place(one);
                self.tell(Input::Connect { request, address });
            }
            Step::Learn(one, source) => {
                if source == SourceKind::Invitation {
                    self.welcome.insert(stranger(one));
                }
                let (peer, addresses) = (stranger(one), vec![place(one)]);
                self.tell(Input::Learned {
                    peer,
                    addresses,
                    source,
                });
            }
            Step::PeersAsked(_)
            | Step::PeersHeard(..)
            | Step::PeersUnheard(_)
            | Step::Fault(..)
            | Step::Useful(_) => self.on_words(step),
            Step::Ban(..) | Step::BanHost(..) | Step::Allow(_) | Step::Lift(..) | Step::Disconnect(_) => {
                self.on_order(step);
            }
            _ => self.on_link(step),
        }
    }

    /// What peers say, and what is said of them.
    fn on_words(&mut self, step: &Step) {
        match *step {
            Step::PeersAsked(one) => {
                let (request, asked) = (self.next, PeersRequest::default());
                self.next += 1;
                self.tell(Input::PeersAsked {
                    request,
                    peer: stranger(one),
                    asked,
                });
            }
            Step::PeersHeard(one, count) => {
                let entries = (0..count).map(|number| PeerEntry {
                    peer: stranger(number % PEERS),
                    addresses: vec![place(number % PEERS)],
                    services: Services::INBOUND,
                    days_ago: 0,
                });
                let list = PeersList {
                    entries: entries.collect(),
                };
                self.tell(Input::PeersHeard {
                    peer: stranger(one),
                    list,
                });
            }
            Step::PeersUnheard(one) => self.tell(Input::PeersUnheard { peer: stranger(one) }),
            Step::Fault(one, fault) => self.tell(Input::Fault {
                peer: stranger(one),
                fault,
            }),
            Step::Useful(one) => self.tell(Input::Useful {
                peer: stranger(one),
                what: Use::Gossip,
            }),
            _ => unreachable!("not about words"),
        }
    }

    /// What the operator wants.
    fn on_order(&mut self, step: &Step) {
        match *step {
            Step::Ban(one, seconds) => self.rule(Target::Peer(stranger(one)), RuleKind::Ban, seconds),
            Step::BanHost(one, seconds) => {
                self.rule(Target::host(ip(one)), RuleKind::Ban, seconds);
            }
            Step::Allow(one) => {
                self.welcome.insert(stranger(one));
                self.rule(Target::Peer(stranger(one)), RuleKind::Allow, 1_000);
            }
            Step::Lift(one, kind) => {
                let now = self.now();
                self.alice.remove_rule(now, kind, &Target::Peer(stranger(one)));
                self.carry_out();
            }
            Step::Disconnect(one) => {
                self.alice.disconnect(self.now(), &stranger(one));
                self.carry_out();
            }
            _ => unreachable!("no order"),
        }
    }

    fn check(&self) {
        let (alice, counts) = (&self.alice, self.alice.counts());
        assert_eq!(alice.peers_up(), self.up.len());
        assert!(self.up.iter().all(|peer| alice.is_up(peer)));
        let slack = self.welcome.len();
        assert!(
            counts.up() <= TARGETS.upper + slack,
            "{counts:?}, {slack} welcome"
        );
        assert!(
            counts.inbound <= TARGETS.inbound() + slack,
            "{counts:?}, {slack} welcome"
        );
        assert!(counts.foreign <= FOREIGN + slack, "{counts:?}, {slack} welcome");
        let greetings = alice.links.greetings();
        assert!(greetings <= GREETING, "{greetings} have said nothing yet");
        let under_way = alice.dials_under_way();
        assert!(under_way <= 8 + 16 + 2, "{under_way} dials");
        for view in alice.address_views(None, None) {
            let is_waiting = view.next_dial.is_some();
            assert!(
                !alice.is_connected(&view.peer) || !is_waiting,
                "connected, and in back-off"
            );
        }
        // The end of a permission is noticed at the next deadline.
        let earlier = Timestamp::from_millis(self.now().wall.as_millis() - 10_000);
        for view in alice.views().filter(|view| view.class != Class::Pending) {
            let is_banned = |time| alice.rules.check_peer(time, &view.peer).is_err();
            assert!(
                !is_banned(self.now().wall) || !is_banned(earlier),
                "banned, and served"
            );
            let others = alice.links.of(&view.peer).map(|(_, one)| one.class());
            let others: BTreeSet<Class> = others.filter(|class| *class != Class::Pending).collect();
            assert_eq!(others.len(), 1, "of our kind, and foreign");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]
    #[test]
    fn any_sequence_of_events_keeps_every_bound(steps in prop::collection::vec(any_step(), 0..150)) {
        let mut world = World::new();
        for step in steps {
            world.take(&step);
            world.check();
        }
        // Whoever asked for a connection has an answer in the end, and the end of all connections ends all else.
        while let Some(connection) = world.link(0) {
            world.links.remove(&connection);
            world.tell(Input::Disconnected { connection });
        }
        world.wait(60_000);
        prop_assert!(world.connects.is_empty() && world.up.is_empty());
        prop_assert_eq!(world.alice.views().count(), 0);
    }
}
