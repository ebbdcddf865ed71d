//! Where do nodes meet in a test?
//!
//! A [`World`] has nodes with a real engine each, and everything between them in memory: connections, gossip, sync and
//! join streams, disks. Time is virtual and every chance is drawn from a seed, so hours pass in milliseconds and a failure
//! repeats itself. What goes from one node to another is encoded and decoded as on a socket.

mod asks;
mod disk;
mod gossip;
mod links;
mod node;
mod pulls;
mod reach;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rustle_types::{ConnectionId, Now, Timestamp, Uptime};

pub(crate) use asks::JoinFailure;
pub(crate) use node::{Node, Setup};

/// Which node: its place in the order of their making.
pub(crate) type Index = usize;

/// The wall clock at the beginning.
const EPOCH_MS: u64 = 1_700_000_000_000;
/// Steps between two moments at which a test looks; more means that a machine wants to be woken for ever.
const STEPS_MAX: usize = 2_000_000;
/// How often a condition is looked at.
const GLANCE: Duration = Duration::from_millis(20);

/// What the network between the nodes is like.
#[derive(Debug, Clone)]
pub(crate) struct Weather {
    /// From one node to another, at least.
    pub(crate) latency: Duration,
    /// And at most so much more, drawn for each message of the topic: beyond zero they overtake each other.
    pub(crate) jitter: Duration,
    /// The part of topic messages that is lost on each way.
    pub(crate) loss: f64,
    /// Whether announcements of new blocks are lost, and only they.
    pub(crate) swallows_blocks: bool,
}

/// All nodes, and what is between them.
pub(crate) struct World {
    pub(crate) nodes: Vec<Node>,
    pub(crate) weather: Weather,
    rng: StdRng,
    now: Duration,
    events: BTreeMap<(Duration, u64), Event>,
    next: u64,
    links: BTreeMap<ConnectionId, links::Link>,
    /// Pairs between which a connection breaks and none is made.
    cut: BTreeSet<(Index, Index)>,
    /// Pairs between which everything vanishes without a trace.
    silent: BTreeSet<(Index, Index)>,
    pulls: BTreeMap<u64, pulls::Pull>,
    /// Lists of peers that were asked for: who asked, in which of its lives.
    lists: BTreeMap<u64, (Index, u64)>,
    dials: usize,
    pings: usize,
    pulls_started: usize,
}

/// What happens later.
pub(crate) enum Event {
    Link(links::LinkEvent),
    Gossip(gossip::GossipEvent),
    Pull(u64, pulls::Stage),
    Disk(disk::DiskEvent),
}

// === impl Weather ===

impl Default for Weather {
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(10),
            jitter: Duration::ZERO,
            loss: 0.0,
            swallows_blocks: false,
        }
    }
}

// === impl World ===

impl World {
    /// An empty world.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            nodes: Vec::new(),
            weather: Weather::default(),
            rng: StdRng::seed_from_u64(seed),
            now: Duration::ZERO,
            events: BTreeMap::new(),
            next: 0,
            links: BTreeMap::new(),
            cut: BTreeSet::new(),
            silent: BTreeSet::new(),
            pulls: BTreeMap::new(),
            lists: BTreeMap::new(),
            dials: 0,
            pings: 0,
            pulls_started: 0,
        }
    }

    /// A world with `count` running nodes that do not know each other.
    pub(crate) fn with_nodes(seed: u64, count: usize) -> Self {
        let mut world = Self::new(seed);
        for _ in 0..count {
            world.add(Setup::default());
        }
        world
    }

    /// Dials so far, whether or not somebody answered.
    pub(crate) fn dials(&self) -> usize {
        self.dials
    }

    /// Pings so far, whether or not they were answered.
    pub(crate) fn pings(&self) -> usize {
        self.pings
    }

    /// Sync streams so far, whether or not they came about.
    pub(crate) fn pulls_started(&self) -> usize {
        self.pulls_started
    }

    /// Runs for a while.
    pub(crate) fn run(&mut self, wait: Duration) {
        let until = self.now + wait;
        for _ in 0..STEPS_MAX {
            if !self.step(until) {
                self.now = until;
                return;
            }
        }
        panic!("at {:?} a node does not come to rest", self.now);
    }

    /// Runs until `done`, at most for `limit`; whether it was reached.
    pub(crate) fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let until = self.now + limit;
        while !done(self) {
            if until <= self.now {
                return false;
            }
            self.run(GLANCE.min(until - self.now));
        }
        true
    }

    /// Lets the earliest thing happen, unless it is later than `until`.
    fn step(&mut self, until: Duration) -> bool {
        let event = self.events.first_key_value().map(|(key, _)| *key);
        let alarm = (0..self.nodes.len())
            .filter_map(|node| Some((self.alarm(node)?, node)))
            .min();
        let event_at = event.map(|(at, _)| at);
        let earliest = [event_at, alarm.map(|(at, _)| at)].into_iter().flatten().min();
        let Some(at) = earliest.filter(|at| *at <= until) else {
            return false;
        };
        self.now = self.now.max(at);
        match (event, alarm) {
            (Some(key), _) if key.0 == at => {
                if let Some(event) = self.events.remove(&key) {
                    self.happen(event);
                }
            }
            (_, Some((_, node))) => self.wake(node),
            (_, None) => {}
        }
        true
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Link(event) => self.on_link(event),
            Event::Gossip(event) => self.on_gossip(event),
            Event::Pull(pull, stage) => self.on_pull(pull, stage),
            Event::Disk(event) => self.on_disk(event),
        }
    }

    fn later(&mut self, wait: Duration, event: Event) {
        self.at(self.now + wait, event);
    }

    fn at(&mut self, at: Duration, event: Event) {
        let number = self.number();
        self.events.insert((at, number), event);
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn jitter(&mut self) -> Duration {
        self.weather.jitter.mul_f64(self.rng.random_range(0.0..=1.0))
    }

    /// What a node's clocks say: its uptime began when it was started.
    fn clock(&self, node: Index) -> Now {
        let wall = Timestamp::from_millis(EPOCH_MS).plus(self.now);
        let uptime = Uptime::from_duration(self.now - self.nodes[node].started);
        Now { uptime, wall }
    }
}

/// Two nodes in either order.
fn pair(one: Index, other: Index) -> (Index, Index) {
    (one.min(other), one.max(other))
}
