//! The engine: routing between the machines.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rustle_chain::Signer;
use rustle_peers::Manager;
use rustle_store::{Scan, Store, StoreError, Table};
use rustle_types::{ChainId, Machine, Multiaddr, NetworkName, Now, Outbox, PeerId, Uptime};

use crate::chains::Chains;
use crate::join::Waiting;
use crate::{AskError, Input, Output};

/// Settings of the engine.
#[derive(Debug, Clone)]
pub struct Config {
    /// Settings of the peer manager, and with them the network and the identity.
    pub peers: rustle_peers::Config,
}

/// Why an engine cannot start from what the store holds.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The table of chains could not be read.
    #[error(transparent)]
    Chains(#[from] rustle_chain::ReadError),
    /// A chain could not be opened.
    #[error("chain {chain}: {error}")]
    Chain {
        /// Which chain.
        chain: ChainId,
        /// What is wrong with it.
        error: Box<rustle_chain::OpenError>,
    },
}

/// What a ticket of the storage stands for.
#[derive(Debug)]
pub(crate) enum Ticket {
    /// A batch of a chain, with the chain's own ticket.
    Chain(ChainId, u64),
    /// A new chain, with the request that waits for it.
    Open { chain: ChainId, request: u64 },
    /// A redeemed invitation, with the join request that waits for it. Until it is written, others with the same wait.
    Join {
        request: u64,
        reply: rustle_wire::JoinReply,
        capability: rustle_types::Author,
    },
    /// An issued invitation, with the request that waits for it.
    Invite { request: u64, text: String },
}

/// The whole node without I/O.
pub struct Engine {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) signer: Signer,
    pub(crate) network: NetworkName,
    pub(crate) local: PeerId,
    pub(crate) rng: StdRng,
    pub(crate) peers: Manager,
    pub(crate) chains: Chains,
    pub(crate) listening: Vec<Multiaddr>,
    pub(crate) is_light: bool,
    /// Whether no peer is to be told where this node listens.
    pub(crate) is_hidden: bool,
    /// What the storage has not answered yet. Bounded by the storage: it takes no more than its queue holds.
    pub(crate) tickets: BTreeMap<u64, Ticket>,
    pub(crate) next_ticket: u64,
    /// Joiners that wait until another with the same invitation is written; at most `JOINS_WAITING_MAX`.
    pub(crate) joins: VecDeque<Waiting>,
    /// Who brought the messages that wait for their verdict. As many as the caller hands in before it is judged.
    pub(crate) messages: BTreeMap<u64, PeerId>,
    pub(crate) outbox: Outbox<Output>,
}

// === impl Engine ===

impl Engine {
    /// Starts from what the store holds: known peers and chains. `seed` must be secret and fresh: keys are drawn from it.
    pub fn open(
        config: Config,
        store: Arc<dyn Store>,
        signer: Signer,
        seed: [u8; 32],
    ) -> Result<Self, OpenError> {
        use rand::RngExt as _;
        let mut rng = StdRng::from_seed(seed);
        let (network, local) = (config.peers.network.clone(), config.peers.local);
        let (is_light, is_hidden) = (config.peers.light, config.peers.hidden);
        let mut peers = Manager::new(config.peers, rng.random());
        let records = store.scan(Table::Peers, &Scan::prefix(&[], rustle_peers::book::RECORDS_MAX))?;
        peers.restore_book(records);
        let rules = store.scan(Table::Rules, &Scan::prefix(&[], rustle_peers::RULES_MAX))?;
        let damaged = peers.restore_rules(rules);
        let mut engine = Self {
            store,
            signer,
            network,
            local,
            rng,
            peers,
            chains: Chains::default(),
            listening: Vec::new(),
            is_light,
            is_hidden,
            tickets: BTreeMap::new(),
            next_ticket: 1,
            joins: VecDeque::new(),
            messages: BTreeMap::new(),
            outbox: Outbox::default(),
        };
        if 0 < damaged {
            engine.outbox.push(Output::RulesDamaged { count: damaged });
        }
        engine.open_chains()?;
        Ok(engine)
    }

    fn open_chains(&mut self) -> Result<(), OpenError> {
        for record in rustle_chain::reader::chains(&*self.store)? {
            let chain = record.chain;
            self.open_chain(chain).map_err(|error| OpenError::Chain {
                chain,
                error: Box::new(error),
            })?;
            // Restored, not told as news: the first deadline dials them all, and nothing is written again.
            for member in record.members {
                self.peers.restore_needed(member.peer, member.addresses);
            }
        }
        Ok(())
    }

    /// The peers that have a handshaken connection.
    pub fn peers_up(&self) -> usize {
        self.peers.peers_up()
    }

    /// Who is at the other end of a connection.
    pub fn peer(&self, connection: rustle_types::ConnectionId) -> Option<PeerId> {
        self.peers.peer(connection)
    }

    /// How many chains are open.
    pub fn chains_open(&self) -> usize {
        self.chains.len()
    }

    pub(crate) fn ticket(&mut self, ticket: Ticket) -> u64 {
        let number = self.next_ticket;
        self.next_ticket += 1;
        self.tickets.insert(number, ticket);
        number
    }

    pub(crate) fn reply(&mut self, request: u64, reply: Result<crate::Reply, AskError>) {
        self.outbox.push(Output::Reply { request, reply });
    }

    fn on_committed(&mut self, now: Now, ticket: u64) {
        match self.tickets.remove(&ticket) {
            Some(Ticket::Chain(chain, ticket)) => {
                self.tell_chain(now, chain, rustle_chain::Input::Committed { ticket });
            }
            Some(Ticket::Open { chain, request }) => self.on_chain_written(chain, request),
            Some(Ticket::Join {
                request,
                reply,
                capability,
            }) => {
                self.outbox.push(Output::Join { request, reply });
                self.retry_joins(now, &capability);
            }
            Some(Ticket::Invite { request, text }) => self.reply(request, Ok(crate::Reply::Invitation(text))),
            None => {}
        }
    }

    fn on_commit_failed(&mut self, now: Now, ticket: u64, error: StoreError) {
        match self.tickets.remove(&ticket) {
            Some(Ticket::Chain(chain, ticket)) => {
                self.tell_chain(now, chain, rustle_chain::Input::CommitFailed { ticket, error });
            }
            Some(Ticket::Open { request, .. } | Ticket::Invite { request, .. }) => {
                self.reply(request, Err(AskError::Store(error)));
            }
            Some(Ticket::Join {
                request, capability, ..
            }) => {
                let reply = rustle_wire::JoinReply::Refused(rustle_wire::JoinRefusal::Busy);
                self.outbox.push(Output::Join { request, reply });
                self.retry_joins(now, &capability);
            }
            None => {}
        }
    }

    fn on_peers(&mut self, now: Now, input: rustle_peers::Input) {
        let lost = match &input {
            rustle_peers::Input::Disconnected { connection } => self.peers.peer(*connection),
            _ => None,
        };
        self.peers.handle(now, input);
        if let Some(peer) = lost.filter(|peer| !self.peers.is_connected(peer)) {
            // First the chains hear that it is down, and then its subscriptions go: it tells them anew when it comes back.
            self.drain_peers(now);
            self.chains.forget_subscriber(&peer);
        }
    }

    /// Passes on what the peer manager has decided, and tells the chains who came and went.
    fn drain_peers(&mut self, now: Now) {
        use rustle_peers::Output as Out;
        while let Some(output) = self.peers.poll_output() {
            match output {
                Out::Dial { .. }
                | Out::Send { .. }
                | Out::Probe { .. }
                | Out::Close { .. }
                | Out::Admit { .. }
                | Out::AskPeers { .. }
                | Out::AnswerPeers { .. }
                | Out::Seek
                | Out::Rules(_)
                | Out::Reserve { .. }
                | Out::Unreserve { .. } => {
                    self.outbox.push(Output::Peers(output));
                }
                Out::Up { peer, .. } => {
                    self.outbox.push(Output::PeerUp(peer));
                    self.on_peer_up(now, peer);
                }
                Out::Down { peer } => {
                    self.outbox.push(Output::PeerDown(peer));
                    self.on_peer_down(now, peer);
                }
                Out::Foreign { peer } => self.outbox.push(Output::PeerForeign(peer)),
                Out::Connect { request, result } => {
                    let reply = result.map(crate::Reply::Connected).map_err(AskError::Connect);
                    self.reply(request, reply);
                }
                Out::Persist(batch) => self.outbox.push(Output::Persist(batch)),
                Out::Fault { peer, fault, verdict } => {
                    self.outbox.push(Output::Judged { peer, fault, verdict });
                }
            }
        }
    }
}

impl Machine for Engine {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::Peers(input) => {
                if let rustle_peers::Input::Listening { addresses } = &input {
                    self.listening.clone_from(addresses);
                }
                self.on_peers(now, input);
            }
            Input::Subscribed { peer, topic } => self.on_subscribed(now, peer, &topic),
            Input::Unsubscribed { peer, topic } => self.on_unsubscribed(now, peer, &topic),
            Input::Message {
                message,
                from,
                topic,
                payload,
            } => {
                self.on_message(now, message, from, &topic, payload);
            }
            Input::Synced { chain, from, blocks } => {
                if !blocks.is_empty() {
                    let what = rustle_peers::Use::Content;
                    self.peers
                        .handle(now, rustle_peers::Input::Useful { peer: from, what });
                }
                self.tell_chain(now, chain, rustle_chain::Input::Synced { from, blocks });
            }
            Input::SyncEnded { chain, peer, outcome } => {
                self.tell_chain(now, chain, rustle_chain::Input::SyncEnded { peer, outcome });
            }
            Input::Committed { ticket } => self.on_committed(now, ticket),
            Input::CommitFailed { ticket, error } => self.on_commit_failed(now, ticket, error),
            Input::Join { request, from, join } => self.on_join(now, request, from, join),
            Input::Request { request, ask } => self.on_ask(now, request, ask),
        }
        self.drain_peers(now);
    }

    fn on_deadline(&mut self, now: Now) {
        self.peers.on_deadline(now);
        self.drain_peers(now);
        while let Some(chain) = self.chains.take_due(now.uptime) {
            self.wake_chain(now, chain);
        }
        self.drain_peers(now);
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outbox.pop()
    }

    fn next_deadline(&self) -> Option<Uptime> {
        [self.peers.next_deadline(), self.chains.next_deadline()]
            .into_iter()
            .flatten()
            .min()
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("local", &self.local)
            .field("chains", &self.chains.len())
            .finish_non_exhaustive()
    }
}
