//! The chains of a node, who else has them, and when each wants to be woken.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use rand::RngExt as _;
use rustle_chain::{AppendError, Chain};
use rustle_types::{ChainId, Machine, Now, PeerId, TopicName, Uptime, Verdict};

use crate::engine::{Engine, Ticket};
use crate::{AskError, Output, Reply};

/// Peers remembered per topic as having a chain of ours.
const SUBSCRIBERS_PER_CHAIN_MAX: usize = 1024;
/// Of those, so many are dialled again when they are lost.
const WANTED_PER_CHAIN_MAX: usize = 8;

/// The open chains.
#[derive(Default)]
pub(crate) struct Chains {
    open: BTreeMap<ChainId, Entry>,
    by_topic: BTreeMap<TopicName, ChainId>,
    timers: BTreeSet<(Uptime, ChainId)>,
}

struct Entry {
    chain: Chain,
    topic: TopicName,
    timer: Option<Uptime>,
    /// Connected peers that subscribe to the topic, whether or not their handshake is complete.
    subscribers: BTreeSet<PeerId>,
    wanted: BTreeSet<PeerId>,
}

// === impl Chains ===

impl Chains {
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn contains(&self, chain: &ChainId) -> bool {
        self.open.contains_key(chain)
    }

    /// The neighbours that subscribe to a chain's topic.
    pub(crate) fn subscribers(&self, chain: &ChainId) -> impl Iterator<Item = PeerId> {
        self.open
            .get(chain)
            .into_iter()
            .flat_map(|entry| entry.subscribers.iter().copied())
    }

    /// A peer is no longer connected.
    pub(crate) fn forget_subscriber(&mut self, peer: &PeerId) {
        for entry in self.open.values_mut() {
            entry.subscribers.remove(peer);
        }
    }

    /// Takes a chain whose deadline has come.
    pub(crate) fn take_due(&mut self, now: Uptime) -> Option<ChainId> {
        let (due, chain) = *self.timers.first()?;
        if now < due {
            return None;
        }
        self.timers.pop_first();
        if let Some(entry) = self.open.get_mut(&chain) {
            entry.timer = None;
        }
        Some(chain)
    }

    pub(crate) fn next_deadline(&self) -> Option<Uptime> {
        self.timers.first().map(|(due, _)| *due)
    }
}

// === impl Engine ===

impl Engine {
    /// Opens a chain that the store holds, and hears its topic.
    pub(crate) fn open_chain(&mut self, id: ChainId) -> Result<(), rustle_chain::OpenError> {
        let seed = self.rng.random();
        let config = rustle_chain::Config::default();
        let chain = Chain::open(id, Arc::clone(&self.store), self.signer.clone(), config, seed)?;
        let topic = self.network.chain_topic(&id);
        self.outbox.push(Output::Subscribe(topic.clone()));
        self.chains.by_topic.insert(topic.clone(), id);
        let (subscribers, wanted) = (BTreeSet::new(), BTreeSet::new());
        self.chains.open.insert(
            id,
            Entry {
                chain,
                topic,
                timer: None,
                subscribers,
                wanted,
            },
        );
        // It has heard nobody yet, so that nothing of what it decides is told to the peer manager.
        self.drain_chain(Now::default(), id);
        Ok(())
    }

    /// A new chain is durable: begin to use it.
    pub(crate) fn on_chain_written(&mut self, id: ChainId, request: u64) {
        if let Err(error) = self.open_chain(id) {
            self.reply(request, Err(AskError::Invalid(error.to_string())));
            return;
        }
        self.reply(request, Ok(Reply::Chain(id)));
    }

    /// Gives a chain a fact and passes on what it decides.
    pub(crate) fn tell_chain(&mut self, now: Now, id: ChainId, input: rustle_chain::Input) {
        if let Some(entry) = self.chains.open.get_mut(&id) {
            entry.chain.handle(now, input);
            self.drain_chain(now, id);
        }
    }

    pub(crate) fn wake_chain(&mut self, now: Now, id: ChainId) {
        if let Some(entry) = self.chains.open.get_mut(&id) {
            entry.chain.on_deadline(now);
            self.drain_chain(now, id);
        }
    }

    fn drain_chain(&mut self, now: Now, id: ChainId) {
        use rustle_chain::Output as Out;
        while let Some(output) = self
            .chains
            .open
            .get_mut(&id)
            .and_then(|entry| entry.chain.poll_output())
        {
            match output {
                Out::Commit { ticket, batch } => {
                    let ticket = self.ticket(Ticket::Chain(id, ticket));
                    self.outbox.push(Output::Commit { ticket, batch });
                }
                Out::Appended { request, id, height } => {
                    self.reply(request, Ok(Reply::Appended { id, height }))
                }
                Out::Refused { request, error } => self.reply(request, Err(append_error(error))),
                Out::Publish { payload } => {
                    let topic = self.chains.open[&id].topic.clone();
                    self.outbox.push(Output::Publish { topic, payload });
                }
                Out::Judge { message, verdict } => self.judge(now, message, verdict),
                Out::Sync { peer } => self.outbox.push(Output::Sync { chain: id, peer }),
                Out::Continue { peer } => self.outbox.push(Output::Continue { chain: id, peer }),
                Out::StoreFailed { error } => {
                    self.outbox.push(Output::StoreFailed {
                        chain: id,
                        error: error.to_string(),
                    });
                }
                Out::Delivered { next_sequence } => {
                    self.outbox.push(Output::Delivered {
                        chain: id,
                        next_sequence,
                    });
                }
                Out::Fault { peer, fault } => {
                    self.outbox.push(Output::Fault {
                        peer,
                        fault: fault.to_string(),
                    });
                    let fault = kind_of(&fault);
                    self.peers.handle(now, rustle_peers::Input::Fault { peer, fault });
                }
            }
        }
        self.arm_chain(id);
    }

    fn arm_chain(&mut self, id: ChainId) {
        let Some(entry) = self.chains.open.get_mut(&id) else {
            return;
        };
        let wanted = entry.chain.next_deadline();
        if entry.timer == wanted {
            return;
        }
        if let Some(old) = entry.timer {
            self.chains.timers.remove(&(old, id));
        }
        entry.timer = wanted;
        if let Some(deadline) = wanted {
            self.chains.timers.insert((deadline, id));
        }
    }

    // --- who has which chain

    pub(crate) fn on_subscribed(&mut self, now: Now, peer: PeerId, topic: &TopicName) {
        let Some(id) = self.chains.by_topic.get(topic).copied() else {
            return;
        };
        let Some(entry) = self.chains.open.get_mut(&id) else {
            return;
        };
        if SUBSCRIBERS_PER_CHAIN_MAX <= entry.subscribers.len() || !entry.subscribers.insert(peer) {
            return;
        }
        if self.peers.is_up(&peer) {
            self.on_companion(now, id, peer);
        }
    }

    pub(crate) fn on_unsubscribed(&mut self, now: Now, peer: PeerId, topic: &TopicName) {
        let Some(id) = self.chains.by_topic.get(topic).copied() else {
            return;
        };
        let left = self
            .chains
            .open
            .get_mut(&id)
            .is_some_and(|entry| entry.subscribers.remove(&peer));
        if left {
            self.tell_chain(now, id, rustle_chain::Input::PeerLeft { peer });
        }
    }

    /// A peer is both handshaken and subscribed: the chain may ask it, and the node wants to keep it.
    fn on_companion(&mut self, now: Now, id: ChainId, peer: PeerId) {
        let Some(entry) = self.chains.open.get_mut(&id) else {
            return;
        };
        if entry.wanted.len() < WANTED_PER_CHAIN_MAX && entry.wanted.insert(peer) {
            let learned = rustle_peers::Input::Learned {
                peer,
                addresses: Vec::new(),
                source: rustle_peers::book::SourceKind::Invitation,
            };
            self.peers.handle(now, learned);
        }
        self.tell_chain(now, id, rustle_chain::Input::PeerJoined { peer });
    }

    pub(crate) fn on_peer_up(&mut self, now: Now, peer: PeerId) {
        for id in self.chains_of(peer) {
            self.on_companion(now, id, peer);
        }
    }

    pub(crate) fn on_peer_down(&mut self, now: Now, peer: PeerId) {
        for id in self.chains_of(peer) {
            self.tell_chain(now, id, rustle_chain::Input::PeerLeft { peer });
        }
    }

    fn chains_of(&self, peer: PeerId) -> Vec<ChainId> {
        let shared = self
            .chains
            .open
            .iter()
            .filter(|(_, entry)| entry.subscribers.contains(&peer));
        shared.map(|(id, _)| *id).collect()
    }

    pub(crate) fn on_message(
        &mut self,
        now: Now,
        message: u64,
        from: PeerId,
        topic: &TopicName,
        payload: Bytes,
    ) {
        self.messages.insert(message, from);
        match self.chains.by_topic.get(topic).copied() {
            Some(id) => self.tell_chain(
                now,
                id,
                rustle_chain::Input::Announced {
                    message,
                    from,
                    payload,
                },
            ),
            None => self.judge(now, message, Verdict::Ignore),
        }
    }

    fn judge(&mut self, now: Now, message: u64, verdict: Verdict) {
        let from = self.messages.remove(&message);
        if let Some(peer) = from.filter(|_| verdict == Verdict::Accept) {
            let what = rustle_peers::Use::Gossip;
            self.peers.handle(now, rustle_peers::Input::Useful { peer, what });
        }
        self.outbox.push(Output::Judge { message, verdict });
    }
}

/// What a fault that a chain has seen is to the peer manager.
fn kind_of(fault: &rustle_chain::Fault) -> rustle_peers::Fault {
    use rustle_chain::Fault as Seen;
    match fault {
        Seen::Malformed(_) | Seen::WrongId(_) => rustle_peers::Fault::InvalidGossip,
        Seen::Invalid(_) | Seen::ForeignChain(_) | Seen::WrongHeight { .. } => {
            rustle_peers::Fault::InvalidBlock
        }
        Seen::Withheld(_) => rustle_peers::Fault::WithheldBlocks,
    }
}

fn append_error(error: AppendError) -> AskError {
    match error {
        AppendError::Draft(error) => AskError::Invalid(error.to_string()),
        AppendError::Busy => AskError::Busy(error.to_string()),
        AppendError::Stopped(_) => AskError::Stopped(error.to_string()),
    }
}
