//! A node: an engine that lives and dies, and what outlives it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;
use rustle_chain::Signer;
use rustle_engine::{AskError, Config, Engine, Input, Output, Reply};
use rustle_store::{MemoryStore, Store};
use rustle_types::{BlockId, ChainId, Machine as _, Multiaddr, NetworkName, PeerId};
use rustle_wire::JoinReply;

use super::disk::Disk;
use super::gossip::Router;
use super::{Index, World};

/// How a node is made.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) network: NetworkName,
    /// Whether others can dial it.
    pub(crate) listens: bool,
    /// Whether it tells nobody where.
    pub(crate) is_hidden: bool,
}

/// A node, running or not.
pub(crate) struct Node {
    pub(crate) peer: PeerId,
    pub(crate) address: Multiaddr,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) setup: Setup,
    pub(crate) engine: Option<Engine>,
    /// Counts its lives, so that what was meant for an earlier one is dropped.
    pub(crate) life: u64,
    pub(crate) started: Duration,
    pub(crate) disk: Disk,
    pub(crate) router: Router,
    /// Answers that nobody has taken yet.
    pub(crate) replies: BTreeMap<u64, Result<Reply, AskError>>,
    pub(crate) join_replies: BTreeMap<u64, JoinReply>,
    /// Every block that was acknowledged here, in all lives.
    pub(crate) acknowledged: Vec<BlockId>,
    /// What it has found others to do wrong.
    pub(crate) faults: Vec<String>,
    pub(crate) up: BTreeSet<PeerId>,
    /// How far followers of each chain may read.
    pub(crate) delivered: BTreeMap<ChainId, u64>,
    secret: [u8; 32],
}

// === impl Setup ===

impl Default for Setup {
    fn default() -> Self {
        Self {
            network: NetworkName::default(),
            listens: true,
            is_hidden: false,
        }
    }
}

// === impl Node ===

impl Node {
    pub(crate) fn is_running(&self) -> bool {
        self.engine.is_some()
    }

    /// The chain's digest and its number of blocks, as far as they are durable.
    pub(crate) fn digest(&self, chain: &ChainId) -> ([u8; 32], u64) {
        rustle_chain::reader::digest(&*self.store, chain).unwrap()
    }

    pub(crate) fn blocks(&self, chain: &ChainId) -> u64 {
        rustle_chain::reader::count(&*self.store, chain).unwrap()
    }

    pub(crate) fn has(&self, chain: &ChainId, block: &BlockId) -> bool {
        rustle_chain::reader::block(&*self.store, chain, block)
            .unwrap()
            .is_some()
    }
}

// === impl World ===

impl World {
    /// Makes a node and starts it.
    pub(crate) fn add(&mut self, setup: Setup) -> Index {
        let index = self.nodes.len();
        let secret = [u8::try_from(index).unwrap() + 1; 32];
        self.nodes.push(Node {
            peer: Signer::from_secret(secret).author().peer_id().unwrap(),
            address: format!("/ip4/10.0.0.{}/tcp/4001", index + 1).parse().unwrap(),
            store: Arc::new(MemoryStore::new()),
            setup,
            engine: None,
            life: 0,
            started: Duration::ZERO,
            disk: Disk::default(),
            router: Router::default(),
            replies: BTreeMap::new(),
            join_replies: BTreeMap::new(),
            acknowledged: Vec::new(),
            faults: Vec::new(),
            up: BTreeSet::new(),
            delivered: BTreeMap::new(),
            secret,
        });
        self.start(index);
        index
    }

    /// Starts a node from what its store holds.
    pub(crate) fn start(&mut self, index: Index) {
        let seed = self.rng.random();
        let now = self.now;
        let node = &mut self.nodes[index];
        assert!(!node.is_running(), "node {index} runs already");
        let peers = rustle_peers::Config {
            network: node.setup.network.clone(),
            hidden: node.setup.is_hidden,
            ..rustle_peers::Config::new(node.peer)
        };
        let signer = Signer::from_secret(node.secret);
        let store = Arc::clone(&node.store) as Arc<dyn Store>;
        node.started = now;
        node.engine = Some(Engine::open(Config { peers }, store, signer, seed).unwrap());
        let listening = node.setup.listens.then(|| node.address.clone());
        self.drain(index);
        if let Some(address) = listening {
            let addresses = vec![address];
            self.feed(index, Input::Peers(rustle_peers::Input::Listening { addresses }));
        }
    }

    /// A node dies: what its disk had not written is gone, and so are its connections.
    pub(crate) fn crash(&mut self, index: Index) {
        let node = &mut self.nodes[index];
        assert!(node.is_running(), "node {index} does not run");
        node.engine = None;
        node.life += 1;
        node.disk.lose_power();
        node.router = Router::default();
        node.replies.clear();
        node.join_replies.clear();
        node.up.clear();
        self.drop_links_of(index);
    }

    /// When a node wants to be woken.
    pub(super) fn alarm(&self, index: Index) -> Option<Duration> {
        let node = &self.nodes[index];
        let deadline = node.engine.as_ref()?.next_deadline()?;
        Some(node.started + deadline.since_start())
    }

    pub(super) fn wake(&mut self, index: Index) {
        let now = self.clock(index);
        if let Some(engine) = &mut self.nodes[index].engine {
            engine.on_deadline(now);
            self.drain(index);
        }
    }

    /// Tells a node a fact, and carries out what it decides.
    pub(crate) fn feed(&mut self, index: Index, input: Input) {
        let now = self.clock(index);
        if let Some(engine) = &mut self.nodes[index].engine {
            engine.handle(now, input);
            self.drain(index);
        }
    }

    fn drain(&mut self, index: Index) {
        while let Some(output) = self.nodes[index].engine.as_mut().and_then(Engine::poll_output) {
            self.carry_out(index, output);
        }
    }

    /// Nothing here tells a node anything at once: answers come as events, as they do from sockets and disks.
    fn carry_out(&mut self, index: Index, output: Output) {
        match output {
            Output::Peers(output) => self.on_peers_output(index, output),
            Output::Subscribe(topic) => self.subscribe(index, topic),
            Output::Publish { topic, payload } => self.publish(index, topic, payload),
            Output::Judge { message, verdict } => self.judge(index, message, verdict),
            Output::Sync { chain, peer } => self.start_pull(index, chain, peer),
            Output::Continue { chain, peer } => self.continue_pull(index, chain, peer),
            Output::Commit { ticket, batch } => self.write(index, Some(ticket), batch),
            Output::Persist(batch) => self.write(index, None, batch),
            output => self.nodes[index].note(output),
        }
    }
}

// === impl Node ===

impl Node {
    /// Keeps what a test may want to know.
    fn note(&mut self, output: Output) {
        match output {
            Output::Delivered { chain, next_sequence } => {
                let before = self.delivered.insert(chain, next_sequence);
                assert!(before < Some(next_sequence), "deliveries only grow within a life");
            }
            Output::Reply { request, reply } => {
                if let Ok(Reply::Appended { id, .. }) = &reply {
                    self.acknowledged.push(*id);
                }
                assert!(
                    self.replies.insert(request, reply).is_none(),
                    "one answer to each request"
                );
            }
            Output::Join { request, reply } => {
                assert!(
                    self.join_replies.insert(request, reply).is_none(),
                    "one answer to each joiner"
                );
            }
            Output::PeerUp(peer) => assert!(self.up.insert(peer), "{peer} comes up once"),
            Output::PeerDown(peer) => assert!(self.up.remove(&peer), "{peer} goes down once"),
            Output::Fault { fault, .. } => self.faults.push(fault),
            Output::StoreFailed { error, .. } => self.faults.push(error),
            Output::PeerForeign(_) | Output::Judged { .. } => {}
            _ => unreachable!("carried out by the world"),
        }
    }
}
