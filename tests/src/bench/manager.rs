//! How many events does the peer manager take in a second?
//!
//! It is one machine in one thread, so it must never be what a busy node waits for. Here it has a thousand connections and
//! a full book, and everything happens that happens to a node, only faster.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use anyhow::{Result, ensure};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rustle_adversary::{Adversary, hello};
use rustle_peers::book::SourceKind;
use rustle_peers::{Config, DialFailure, Input, Manager, Output, Targets, Use};
use rustle_types::{ConnectionId, Direction, Machine as _, Multiaddr, Now, PeerId, Timestamp, Uptime};
use rustle_wire::{Control, Hello};
use tokio::time::Instant;

use super::{PROMISED, Plan, Report, Unit};

/// Connections that stand while it is measured, give or take those that come and go.
const CONNECTIONS: usize = 1_000;
/// Peers that exist: more than a book holds.
const PEERS: usize = 20_000;
/// Events in a second on one core.
const EVENTS_PER_SECOND_MIN: f64 = 100_000.0;
/// How much later each event happens. All of it is a little more than a quarter of an hour.
const STEP: Duration = Duration::from_millis(1);

pub(super) async fn measure(plan: &Plan, report: &mut Report) -> Result<()> {
    let count = plan.manager_events;
    let rate = tokio::task::spawn_blocking(move || {
        let mut world = World::new();
        world.fill();
        let standing = world.connections.len();
        ensure!(CONNECTIONS <= standing, "only {standing} connections stand");
        let known = world.manager.book_stats();
        ensure!(
            2_900 <= known.new + known.tried,
            "the book is not full: {known:?}"
        );
        let before = world.events;
        let began = Instant::now();
        while world.events < before + count {
            world.happen();
        }
        Ok((world.events - before) as f64 / began.elapsed().as_secs_f64())
    })
    .await??;
    let name = format!("events of the peer manager, {CONNECTIONS} connections");
    report.add("manager_events", name, rate, Unit::PerSecond);
    report.limit(EVENTS_PER_SECOND_MIN, PROMISED);
    Ok(())
}

struct World {
    manager: Manager,
    rng: StdRng,
    since_start: Duration,
    peers: Vec<(PeerId, Multiaddr)>,
    numbers: HashMap<PeerId, usize>,
    hello: Hello,
    connections: Vec<ConnectionId>,
    next_connection: u64,
    dials: VecDeque<(u64, Option<PeerId>)>,
    /// What the decisions so far will bring about.
    coming: VecDeque<Input>,
    events: usize,
}

impl World {
    fn new() -> Self {
        let mut rng = StdRng::seed_from_u64(7);
        let local = Adversary::new().peer_id();
        let mut config = Config::new(local);
        config.targets = Targets {
            lower: CONNECTIONS / 2,
            target: CONNECTIONS,
            upper: 2 * CONNECTIONS,
            outbound: CONNECTIONS / 4,
        };
        config.greeting_inbound = CONNECTIONS;
        let template = local.to_bytes();
        let peers: Vec<_> = (0..PEERS).map(|number| peer(&template, number)).collect();
        let numbers = peers
            .iter()
            .enumerate()
            .map(|(number, (peer, _))| (*peer, number));
        Self {
            manager: Manager::new(config, rng.random()),
            rng,
            numbers: numbers.collect(),
            since_start: Duration::from_secs(1),
            peers,
            hello: hello("main"),
            connections: Vec::new(),
            next_connection: 1,
            dials: VecDeque::new(),
            coming: VecDeque::new(),
            events: 0,
        }
    }

    /// Peers are heard of from all sides, and so many dial in, one after the other, that the book is full of them: what is
    /// only heard of has few places. A thousand of them stay.
    fn fill(&mut self) {
        for number in 0..PEERS {
            self.learn(number);
        }
        for number in (0..PEERS).rev() {
            if CONNECTIONS + CONNECTIONS / 10 < self.connections.len() {
                let connection = self.connections.remove(0);
                self.handle(Input::Disconnected { connection });
            }
            self.come(number);
            while let Some(input) = self.coming.pop_front() {
                self.handle(input);
            }
        }
    }

    fn now(&self) -> Now {
        Now {
            uptime: Uptime::from_duration(self.since_start),
            wall: Timestamp::from_millis(1_700_000_000_000).plus(self.since_start),
        }
    }

    fn handle(&mut self, input: Input) {
        self.since_start += STEP;
        let now = self.now();
        self.manager.handle(now, input);
        self.events += 1;
        self.carry_out();
        if self.manager.next_deadline().is_some_and(|due| due <= now.uptime) {
            self.manager.on_deadline(now);
            self.carry_out();
        }
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.manager.poll_output() {
            match output {
                Output::Dial { request, peer, .. } => self.dials.push_back((request, peer)),
                Output::Send {
                    connection,
                    message: Control::PingRequest { nonce },
                } => self.coming.push_back(Input::Control {
                    connection,
                    message: Control::PingResponse { nonce },
                }),
                Output::Send {
                    connection,
                    message: Control::Hello(_),
                } => self.coming.push_back(Input::Control {
                    connection,
                    message: Control::HelloAck(self.hello.clone()),
                }),
                Output::Probe { connection } => {
                    let idle = Duration::from_secs(self.rng.random_range(0..90));
                    self.coming.push_back(Input::Activity { connection, idle });
                }
                Output::Close { connection, .. } => {
                    self.connections.retain(|other| *other != connection);
                    self.coming.push_back(Input::Disconnected { connection });
                }
                Output::AskPeers { peer, .. } => self.coming.push_back(Input::PeersUnheard { peer }),
                _ => {}
            }
        }
    }

    /// The next thing, whatever it is.
    fn happen(&mut self) {
        if let Some(input) = self.coming.pop_front() {
            self.handle(input);
            return;
        }
        match self.rng.random_range(0..100) {
            0..30 => {
                let connection = self.some_connection();
                let idle = Duration::from_millis(self.rng.random_range(0..5_000));
                self.handle(Input::Activity { connection, idle });
            }
            30..50 => {
                let (peer, _) = self.some_peer();
                let what = if self.rng.random() {
                    Use::Content
                } else {
                    Use::Gossip
                };
                self.handle(Input::Useful { peer, what });
            }
            50..65 => {
                let connection = self.some_connection();
                let message = Control::PingResponse { nonce: 7 };
                self.handle(Input::Control { connection, message });
            }
            65..85 => {
                let number = self.rng.random_range(0..PEERS);
                self.learn(number);
            }
            85..90 => self.end_dial(),
            _ => {
                if CONNECTIONS < self.connections.len() {
                    let index = self.rng.random_range(0..self.connections.len());
                    let connection = self.connections.swap_remove(index);
                    self.handle(Input::Disconnected { connection });
                }
                let number = self.rng.random_range(0..PEERS);
                self.come(number);
            }
        }
    }

    fn some_connection(&mut self) -> ConnectionId {
        self.connections[self.rng.random_range(0..self.connections.len())]
    }

    fn some_peer(&mut self) -> (PeerId, Multiaddr) {
        self.peers[self.rng.random_range(0..CONNECTIONS)].clone()
    }

    fn learn(&mut self, number: usize) {
        let (peer, address) = self.peers[number].clone();
        let source = SourceKind::ALL[number % 4];
        self.handle(Input::Learned {
            peer,
            addresses: vec![address],
            source,
        });
    }

    /// Somebody dials in and greets.
    fn come(&mut self, number: usize) {
        let (peer, address) = self.peers[number].clone();
        let connection = self.connect(peer, address, Direction::Inbound, None);
        self.hello.nonce = number as u64;
        self.hello.listen_addresses = vec![self.peers[number].1.clone()];
        let message = Control::Hello(self.hello.clone());
        self.handle(Input::Control { connection, message });
    }

    /// One in four dials is answered.
    fn end_dial(&mut self) {
        let Some((request, peer)) = self.dials.pop_front() else {
            return;
        };
        let number = peer.and_then(|peer| self.numbers.get(&peer));
        let known = number.map(|number| self.peers[*number].clone());
        match known.filter(|_| self.rng.random_range(0..4) == 0) {
            Some((peer, address)) => {
                let connection = self.connect(peer, address, Direction::Outbound, Some(request));
                self.handle(Input::ControlOpened { connection });
            }
            None => self.handle(Input::DialFailed {
                request,
                why: DialFailure::Unreachable,
                error: String::new(),
            }),
        }
    }

    fn connect(
        &mut self,
        peer: PeerId,
        address: Multiaddr,
        direction: Direction,
        request: Option<u64>,
    ) -> ConnectionId {
        let connection = ConnectionId(self.next_connection);
        self.next_connection += 1;
        self.connections.push(connection);
        self.handle(Input::Connected {
            connection,
            peer,
            direction,
            address,
            request,
            age: Duration::from_millis(3),
        });
        connection
    }
}

/// A peer of its own in one of 4,096 networks; the key of its id is no key, which nobody asks here.
fn peer(template: &[u8], number: usize) -> (PeerId, Multiaddr) {
    let mut bytes = template.to_vec();
    let end = bytes.len() - 8;
    bytes[end..].copy_from_slice(&(number as u64).to_be_bytes());
    let id = PeerId::from_bytes(&bytes).expect("as long as the template");
    let [first, second, host] = [number % 16 + 32, number / 16 % 256, number / 4096 + 1];
    let address = format!("/ip4/{first}.{second}.7.{host}/tcp/4747").parse();
    (id, address.expect("an address"))
}
