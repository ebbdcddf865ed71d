//! A network in memory: links with a delay, nodes that come and go, one seed for all that happens.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

use crate::node::{Node, ephemeral, peer, place};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rustle_peers::{Config, DialFailure, Input, Manager, Output};
use rustle_store::{Batch, Op, Table};
use rustle_types::{
    ConnectionId, Direction, Machine as _, Multiaddr, Now, PeerId, Timestamp, Uptime, address,
};
use rustle_wire::{Control, Disconnect, PeersList, PeersRequest};

/// When the first node starts, by the wall clock.
const START_MILLIS: u64 = 1_800_000_000_000;

#[derive(Debug)]
struct Link {
    ends: [(usize, u64, ConnectionId); 2],
    active: u64,
    open: bool,
}

#[derive(Debug)]
enum Event {
    Tell {
        node: usize,
        life: u64,
        input: Box<Input>,
    },
    Heard {
        link: usize,
        to: usize,
        message: Control,
    },
    Closed {
        link: usize,
        to: usize,
    },
    Arrive {
        from: usize,
        life: u64,
        request: u64,
        peer: Option<PeerId>,
        to: Option<usize>,
        address: Multiaddr,
    },
}

pub(crate) struct World {
    pub(crate) nodes: Vec<Node>,
    pub(crate) rng: StdRng,
    pub(crate) millis: u64,
    links: Vec<Link>,
    events: BinaryHeap<Reverse<(u64, u64)>>,
    bodies: BTreeMap<u64, Event>,
    next_event: u64,
    next_connection: u64,
    delay: std::ops::Range<u64>,
    /// Lists that were asked for: request => who asked.
    asked: BTreeMap<u64, (usize, u64)>,
    /// When each running node wants attention.
    deadlines: BTreeSet<(u64, usize)>,
    deadline_of: BTreeMap<usize, u64>,
}

// === impl World ===

impl World {
    pub(crate) fn new(seed: u64, delay: std::ops::Range<u64>) -> Self {
        Self {
            nodes: Vec::new(),
            rng: StdRng::seed_from_u64(seed),
            millis: 0,
            links: Vec::new(),
            events: BinaryHeap::new(),
            bodies: BTreeMap::new(),
            next_event: 0,
            next_connection: 1,
            delay,
            asked: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            deadline_of: BTreeMap::new(),
        }
    }

    pub(crate) fn now(&self) -> Now {
        Now {
            uptime: Uptime::from_millis(self.millis),
            wall: Timestamp::from_millis(START_MILLIS + self.millis),
        }
    }

    /// Adds a node that does not run yet; each lives in a group of its own on the public internet.
    pub(crate) fn add(&mut self, change: impl FnOnce(&mut Config)) -> usize {
        let index = self.nodes.len();
        let peer = peer(index);
        let address = place(index);
        let mut config = Config::new(peer);
        change(&mut config);
        self.nodes.push(Node {
            config,
            address,
            manager: None,
            records: BTreeMap::new(),
            life: 0,
            liar: None,
            dialled: Vec::new(),
            started: 0,
        });
        index
    }

    pub(crate) fn start(&mut self, index: usize) {
        let seed = self.rng.random();
        let now = self.now();
        let node = &mut self.nodes[index];
        let mut manager = Manager::new(node.config.clone(), seed);
        let of = |wanted: Table| {
            let records = node
                .records
                .iter()
                .filter(move |((table, _), _)| *table == wanted);
            records.map(|((_, key), value)| (key.clone(), value.clone()))
        };
        manager.restore_book(of(Table::Peers));
        manager.restore_rules(of(Table::Rules));
        let addresses = vec![node.address.clone()];
        manager.handle(now, Input::Listening { addresses });
        node.manager = Some(manager);
        node.started = self.millis;
        self.drain(index);
    }

    /// Ends a node at once. Where `silently`, the other ends of its links hear nothing of it.
    pub(crate) fn kill(&mut self, index: usize, silently: bool) {
        self.nodes[index].manager = None;
        self.nodes[index].life += 1;
        self.note_deadline(index);
        for link in 0..self.links.len() {
            let Some(end) = self.links[link].ends.iter().position(|(node, ..)| *node == index) else {
                continue;
            };
            if self.links[link].open && !silently {
                self.links[link].open = false;
                self.later(Event::Closed { link, to: 1 - end });
            }
        }
    }

    pub(crate) fn manager(&self, index: usize) -> &Manager {
        self.nodes[index].manager.as_ref().unwrap()
    }

    pub(crate) fn is_running(&self, index: usize) -> bool {
        self.nodes[index].manager.is_some()
    }

    pub(crate) fn tell(&mut self, index: usize, input: Input) {
        let now = self.now();
        if let Some(manager) = &mut self.nodes[index].manager {
            manager.handle(now, input);
            self.drain(index);
        }
    }

    /// Tells something after a while.
    pub(crate) fn tell_at(&mut self, millis: u64, index: usize, input: Input) {
        let life = self.nodes[index].life;
        self.at(
            millis,
            Event::Tell {
                node: index,
                life,
                input: Box::new(input),
            },
        );
    }

    /// Lets time pass until `millis`.
    pub(crate) fn run_until(&mut self, millis: u64) {
        let (mut turns, mut turns_at) = (0u32, self.millis);
        loop {
            turns = if turns_at == self.millis { turns + 1 } else { 0 };
            turns_at = self.millis;
            assert!(
                turns < 100_000,
                "a machine wants attention again and again at {turns_at} ms"
            );
            let event = self.events.peek().map(|Reverse((at, _))| *at);
            let deadline = self.deadlines.first().copied();
            let next = event.into_iter().chain(deadline.map(|(at, _)| at)).min();
            let Some(next) = next.filter(|next| *next <= millis) else {
                self.millis = millis;
                return;
            };
            self.millis = self.millis.max(next);
            if let Some((at, index)) = deadline
                && at <= self.millis
            {
                let now = self.now();
                self.nodes[index].manager.as_mut().unwrap().on_deadline(now);
                self.drain(index);
            }
            while let Some(Reverse((at, number))) = self.events.peek().copied() {
                if self.millis < at {
                    break;
                }
                self.events.pop();
                let event = self.bodies.remove(&number).unwrap();
                self.carry(event);
            }
        }
    }

    /// How many peers of a node are up.
    pub(crate) fn up(&self, index: usize) -> usize {
        self.manager(index).peers_up()
    }

    /// Links that both ends still hold open, between two nodes.
    pub(crate) fn open_links(&self, one: usize, other: usize) -> usize {
        let between = self.links.iter().filter(|link| {
            let [(a, ..), (b, ..)] = link.ends;
            link.open && [(a, b), (b, a)].contains(&(one, other))
        });
        between.count()
    }

    fn at(&mut self, millis: u64, event: Event) {
        self.events.push(Reverse((millis, self.next_event)));
        self.bodies.insert(self.next_event, event);
        self.next_event += 1;
    }

    fn later(&mut self, event: Event) {
        let delay = self.rng.random_range(self.delay.clone());
        self.at(self.millis + delay, event);
    }

    fn end(&self, link: usize, to: usize) -> Option<(usize, ConnectionId)> {
        let (node, life, connection) = self.links[link].ends[to];
        (self.nodes[node].life == life).then_some((node, connection))
    }

    fn carry(&mut self, event: Event) {
        match event {
            Event::Tell { node, life, input } => {
                if self.nodes[node].life == life {
                    self.tell(node, *input);
                }
            }
            Event::Heard { link, to, message } => {
                let Some((node, connection)) = self.end(link, to).filter(|_| self.links[link].open) else {
                    return;
                };
                self.links[link].active = self.millis;
                self.tell(node, Input::Control { connection, message });
            }
            Event::Closed { link, to } => {
                if let Some((node, connection)) = self.end(link, to) {
                    self.tell(node, Input::Disconnected { connection });
                }
            }
            Event::Arrive {
                from,
                life,
                request,
                peer,
                to,
                address,
            } => {
                if self.nodes[from].life == life {
                    self.arrive(from, request, peer, to, address);
                }
            }
        }
    }

    fn arrive(
        &mut self,
        from: usize,
        request: u64,
        wanted: Option<PeerId>,
        to: Option<usize>,
        address: Multiaddr,
    ) {
        let there = to.filter(|to| self.is_running(*to));
        let found = there.map(|to| self.nodes[to].config.local);
        let why = match (found, wanted) {
            (None, _) => Some(DialFailure::Unreachable),
            (Some(found), Some(wanted)) if found != wanted => Some(DialFailure::WrongPeer),
            (Some(_), _) => None,
        };
        if let Some(why) = why {
            self.tell(
                from,
                Input::DialFailed {
                    request,
                    why,
                    error: String::from("no answer"),
                },
            );
            return;
        }
        let to = there.unwrap();
        let ids = [
            ConnectionId(self.next_connection),
            ConnectionId(self.next_connection + 1),
        ];
        self.next_connection += 2;
        let link = self.links.len();
        self.links.push(Link {
            ends: [
                (from, self.nodes[from].life, ids[0]),
                (to, self.nodes[to].life, ids[1]),
            ],
            active: self.millis,
            open: true,
        });
        let age = Duration::ZERO;
        let of_dialer = Input::Connected {
            connection: ids[0],
            peer: self.nodes[to].config.local,
            direction: Direction::Outbound,
            address,
            request: Some(request),
            age,
        };
        let of_acceptor = Input::Connected {
            connection: ids[1],
            peer: self.nodes[from].config.local,
            direction: Direction::Inbound,
            address: ephemeral(&self.nodes[from].address, link),
            request: None,
            age,
        };
        self.tell(from, of_dialer);
        self.tell(to, of_acceptor);
        if self.links[link].open {
            let life = self.nodes[from].life;
            let input = Box::new(Input::ControlOpened { connection: ids[0] });
            self.later(Event::Tell {
                node: from,
                life,
                input,
            });
        }
    }

    fn drain(&mut self, index: usize) {
        while let Some(output) = self.nodes[index]
            .manager
            .as_mut()
            .and_then(|manager| manager.poll_output())
        {
            self.carry_out(index, output);
        }
        self.note_deadline(index);
    }

    fn note_deadline(&mut self, index: usize) {
        if let Some(old) = self.deadline_of.remove(&index) {
            self.deadlines.remove(&(old, index));
        }
        let manager = self.nodes[index].manager.as_ref();
        if let Some(deadline) = manager.and_then(|manager| manager.next_deadline()) {
            let millis = u64::try_from(deadline.since_start().as_nanos().div_ceil(1_000_000)).unwrap();
            self.deadline_of.insert(index, millis);
            self.deadlines.insert((millis, index));
        }
    }

    fn carry_out(&mut self, index: usize, output: Output) {
        match output {
            Output::Dial {
                request,
                peer,
                addresses,
            } => self.dial(index, request, peer, &addresses),
            Output::Send { connection, message } => {
                if let Some((link, end)) = self.link_of(index, connection) {
                    self.links[link].active = self.millis;
                    self.later(Event::Heard {
                        link,
                        to: 1 - end,
                        message,
                    });
                }
            }
            Output::Probe { connection } => {
                let active = self
                    .link_of(index, connection)
                    .map_or(0, |(link, _)| self.links[link].active);
                let idle = Duration::from_millis(self.millis - active);
                self.tell_at(self.millis, index, Input::Activity { connection, idle });
            }
            Output::Close { connection, goodbye } => self.close(index, connection, goodbye),
            Output::Persist(batch) => self.keep(index, &batch),
            Output::AskPeers { peer, ask } => self.ask(index, peer, ask),
            Output::AnswerPeers { request, list } => {
                let Some((node, life)) = self.asked.remove(&request) else {
                    return;
                };
                let peer = self.nodes[index].config.local;
                let input = Box::new(match list {
                    Some(list) => Input::PeersHeard { peer, list },
                    None => Input::PeersUnheard { peer },
                });
                self.later(Event::Tell { node, life, input });
            }
            _ => {}
        }
    }

    fn close(&mut self, index: usize, connection: ConnectionId, goodbye: Option<Disconnect>) {
        let Some((link, end)) = self.link_of(index, connection) else {
            return;
        };
        if let Some(goodbye) = goodbye
            && let Some((node, there)) = self.end(link, 1 - end)
        {
            let life = self.nodes[node].life;
            let input = Box::new(Input::Control {
                connection: there,
                message: Control::Disconnect(goodbye),
            });
            self.later(Event::Tell { node, life, input });
        }
        self.links[link].open = false;
        self.later(Event::Closed { link, to: end });
        let slow = self.delay.end;
        self.at(self.millis + slow, Event::Closed { link, to: 1 - end });
    }

    fn ask(&mut self, index: usize, peer: PeerId, asked: PeersRequest) {
        let there = self
            .nodes
            .iter()
            .position(|node| node.config.local == peer)
            .unwrap();
        let from = self.nodes[index].config.local;
        if let Some(list) = self.lie(there, from) {
            let life = self.nodes[index].life;
            let input = Box::new(Input::PeersHeard { peer, list });
            self.later(Event::Tell {
                node: index,
                life,
                input,
            });
            return;
        }
        let request = self.next_event;
        self.asked.insert(request, (index, self.nodes[index].life));
        let life = self.nodes[there].life;
        let input = Box::new(Input::PeersAsked {
            request,
            peer: from,
            asked,
        });
        self.later(Event::Tell {
            node: there,
            life,
            input,
        });
    }

    fn lie(&mut self, liar: usize, asker: PeerId) -> Option<PeersList> {
        let mut answerer = self.nodes[liar].liar.take()?;
        let list = answerer(&mut self.rng, asker);
        self.nodes[liar].liar = Some(answerer);
        list
    }

    fn dial(&mut self, from: usize, request: u64, peer: Option<PeerId>, addresses: &[Multiaddr]) {
        self.nodes[from].dialled.extend(addresses.iter().cloned());
        let bare = |address: &Multiaddr| address.iter().take(2).collect::<Multiaddr>();
        let found = addresses.iter().find_map(|address| {
            let to = self
                .nodes
                .iter()
                .position(|node| bare(&node.address) == bare(address))?;
            Some((to, address.clone()))
        });
        let named = addresses.first().and_then(address::peer);
        let (to, address) = match found {
            Some((to, address)) => (Some(to), address),
            None => (None, addresses.first().cloned().unwrap_or_else(Multiaddr::empty)),
        };
        let life = self.nodes[from].life;
        let peer = peer.or(named);
        self.later(Event::Arrive {
            from,
            life,
            request,
            peer,
            to,
            address,
        });
    }

    fn link_of(&self, node: usize, connection: ConnectionId) -> Option<(usize, usize)> {
        // Two numbers are drawn for each link, in order.
        let link = usize::try_from((connection.0 - 1) / 2).unwrap();
        let end = self
            .links
            .get(link)?
            .ends
            .iter()
            .position(|(at, _, id)| *at == node && *id == connection)?;
        Some((link, end))
    }

    fn keep(&mut self, index: usize, batch: &Batch) {
        for operation in batch.ops() {
            match operation {
                Op::Put(table, key, value) => {
                    self.nodes[index]
                        .records
                        .insert((*table, key.to_vec()), value.to_vec());
                }
                Op::Delete(table, key) => {
                    self.nodes[index].records.remove(&(*table, key.to_vec()));
                }
                _ => {}
            }
        }
    }
}
