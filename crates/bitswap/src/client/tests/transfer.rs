//! Clients and servers wired in memory: everything arrives exactly once, whatever happens to the peers.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proptest::prelude::*;
use rustle_store::{Batch, ContentStore, Durability, MemoryStore, Store};

use super::*;
use crate::message::{FrameLength, Message, RawBlock, frame_length};
use crate::server::Server;

const BLOCKS: u32 = 500;
const LATENCY_MILLIS: u64 = 20;

type Serve = fn(&PeerId, &Cid) -> bool;

/// One node: it fetches and serves.
struct Node {
    client: Client,
    server: Server<Serve>,
    store: MemoryStore,
    got: BTreeMap<Cid, usize>,
}

/// A message on its way: it arrives only if the connection that it was sent on still stands.
struct Letter {
    from: usize,
    to: usize,
    connection: u32,
    frame: Bytes,
}

struct World {
    nodes: Vec<Node>,
    /// For each pair, the number of the connection that stands.
    connections: BTreeMap<(usize, usize), u32>,
    letters: BTreeMap<(u64, u64), Letter>,
    next: u64,
    time: u64,
    /// Every n-th letter is lost without a trace; 0 for none.
    lose: u64,
}

impl World {
    fn new(nodes: usize, lose: u64) -> Self {
        let everyone: Serve = |_, _| true;
        let node = |_| Node {
            client: Client::new(),
            server: Server::new(everyone),
            store: MemoryStore::new(),
            got: BTreeMap::new(),
        };
        let nodes = (0..nodes).map(node).collect();
        Self {
            nodes,
            connections: BTreeMap::new(),
            letters: BTreeMap::new(),
            next: 1,
            time: 0,
            lose,
        }
    }

    fn keep(&self, node: usize, cid: Cid, bytes: Bytes) {
        let mut batch = Batch::new();
        batch.put_block(cid, bytes);
        self.nodes[node]
            .store
            .commit(batch, Durability::Buffered)
            .unwrap();
    }

    fn connect(&mut self, a: usize, b: usize) {
        let pair = (a.min(b), a.max(b));
        if a == b || self.connections.contains_key(&pair) {
            return;
        }
        self.next += 1;
        self.connections.insert(pair, self.next as u32);
        self.tell(a, Input::PeerConnected(peer(b as u8), Version::V1_2));
        self.tell(b, Input::PeerConnected(peer(a as u8), Version::V1_2));
    }

    fn disconnect(&mut self, a: usize, b: usize) {
        if self.connections.remove(&(a.min(b), a.max(b))).is_some() {
            for (node, other) in [(a, b), (b, a)] {
                self.nodes[node].server.on_disconnected(&peer(other as u8));
                self.tell(node, Input::PeerDisconnected(peer(other as u8)));
            }
        }
    }

    fn tell(&mut self, node: usize, input: Input) {
        self.nodes[node].client.handle(at(self.time), input);
        self.drain(node);
    }

    fn drain(&mut self, node: usize) {
        check(&self.nodes[node].client);
        while let Some(output) = self.nodes[node].client.poll_output() {
            match output {
                Output::Send { peer, wants } => self.post(node, number(&peer), &Message::of_wants(wants)),
                Output::Got { cid, .. } => *self.nodes[node].got.entry(cid).or_default() += 1,
                Output::Unwanted { .. } | Output::FindProviders { .. } => {}
                Output::Refused { .. } => panic!("far below the bound"),
            }
        }
    }

    fn post(&mut self, from: usize, to: usize, message: &Message) {
        let Some(connection) = self.connections.get(&(from.min(to), from.max(to))).copied() else {
            return;
        };
        self.next += 1;
        if self.lose > 0 && self.next.is_multiple_of(self.lose) {
            return;
        }
        let frame = Bytes::from(message.frame(Version::V1_2).concat());
        self.letters.insert(
            (self.time + LATENCY_MILLIS, self.next),
            Letter {
                from,
                to,
                connection,
                frame,
            },
        );
    }

    /// Delivers the next letter, or lets the next deadline come.
    fn step(&mut self) {
        let deadline = self
            .nodes
            .iter()
            .filter_map(|node| node.client.next_deadline())
            .min();
        let deadline = deadline.map(|due| due.since_start().as_micros().div_ceil(1000) as u64);
        let letter = self.letters.first_key_value().map(|(key, _)| *key);
        match (letter, deadline) {
            (Some(key), deadline) if deadline.is_none_or(|due| key.0 <= due) => {
                self.time = self.time.max(key.0);
                let letter = self.letters.remove(&key).unwrap();
                self.deliver(letter);
            }
            (_, Some(due)) => {
                self.time = self.time.max(due);
                for node in 0..self.nodes.len() {
                    self.nodes[node].client.on_deadline(at(self.time));
                    self.drain(node);
                }
            }
            (_, None) => {}
        }
    }

    fn deliver(
        &mut self,
        Letter {
            from,
            to,
            connection,
            frame,
        }: Letter,
    ) {
        if self.connections.get(&(from.min(to), from.max(to))) != Some(&connection) {
            return;
        }
        let FrameLength::Known { header, .. } = frame_length(&frame).unwrap() else {
            panic!("a whole frame")
        };
        let message = Message::decode(frame.slice(header..)).unwrap();
        let sender = peer(from as u8);
        let Node { server, store, .. } = &mut self.nodes[to];
        server.on_wants(store, sender, &message.wants, message.full);
        let mut hashed = Vec::new();
        for block in &message.blocks {
            let cid = block.hash().unwrap();
            hashed.push((cid, block.data.len() as u64));
            self.keep(to, cid, block.data.clone());
        }
        let cids: Vec<Cid> = hashed.iter().map(|(cid, _)| *cid).collect();
        let Node { server, store, .. } = &mut self.nodes[to];
        server.on_stored(store, &cids);
        self.tell(to, Input::received(sender, &message, hashed));
        self.serve(to);
    }

    fn serve(&mut self, node: usize) {
        while let Some(task) = self.nodes[node].server.next_task() {
            let load = |cid: &Cid| {
                let bytes = self.nodes[node].store.get_verified(cid).unwrap().unwrap();
                RawBlock::new(cid, bytes)
            };
            let blocks = task.blocks.iter().map(load).collect();
            let message = Message {
                blocks,
                presences: task.presences,
                ..Message::default()
            };
            self.post(node, number(&task.peer), &message);
            self.nodes[node].server.on_sent(&task.peer, task.bytes);
        }
    }
}

fn number(peer: &PeerId) -> usize {
    peer.to_bytes()[5].into()
}

fn run(seed: u64, lose: u64, drops: &[(u8, u8, u8)]) -> (World, BTreeSet<Cid>) {
    let mut world = World::new(4, lose);
    let mut all = BTreeSet::new();
    for index in 0..BLOCKS {
        let (cid, bytes) = block(index, 600 + (index as usize * 97) % 9000);
        all.insert(cid);
        // Nodes 2 and 3 together have everything; 0 and 1 fetch, also from each other.
        let third = (u64::from(index) + seed) % 3;
        let (two, three) = (third != 0, third != 1);
        for (node, keeps) in [(2, two), (3, three)] {
            if keeps {
                world.keep(node, cid, bytes.clone());
            }
        }
    }
    for (a, b) in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3)] {
        world.connect(a, b);
    }
    for node in 0..2 {
        world.tell(
            node,
            Input::Want {
                request: ONE,
                cids: all.iter().copied().collect(),
            },
        );
    }
    let mut drops = drops.iter();
    for step in 0..200_000 {
        if world.nodes[..2].iter().all(|node| node.client.wanted() == 0) {
            break;
        }
        if step % 40 == 20
            && let Some((a, b, _)) = drops.next()
        {
            world.disconnect(usize::from(a % 4), usize::from(b % 4));
        }
        if step % 100 == 99 {
            for (a, b) in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3)] {
                world.connect(a, b);
            }
        }
        world.step();
    }
    (world, all)
}

fn everything_came_once(world: &World, all: &BTreeSet<Cid>) {
    for node in &world.nodes[..2] {
        assert_eq!(node.client.wanted(), 0, "at {} ms", world.time);
        assert!(all.iter().all(|cid| node.store.has(cid).unwrap()));
        assert!(node.got.values().all(|times| *times == 1));
        assert_eq!(node.got.len(), all.len());
    }
}

#[test]
fn a_quiet_transfer_takes_few_round_trips() {
    let (world, all) = run(0, 0, &[]);
    everything_came_once(&world, &all);
    assert!(world.time < 3_000, "{} ms", world.time);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn everything_arrives_exactly_once_though_peers_drop(
        seed in any::<u64>().prop_map(|seed| seed >> 8),
        lose in prop_oneof![Just(0u64), 5u64..30],
        drops in prop::collection::vec(any::<(u8, u8, u8)>(), 0..40),
    ) {
        let (world, all) = run(seed, lose, &drops);
        everything_came_once(&world, &all);
    }
}
