//! One task drives the engine: facts in, decisions out, and it never waits for a send.
//!
//! Decisions that find no room wait in an outbox, and while one is not empty nothing new is taken from peers or callers.
//! So pressure ends where it came from, and the core cannot deadlock with the tasks around it.

mod words;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use rustle_engine::{Ask, AskError, Engine, Input, Output, Reply};
use rustle_net::{Command, Event, ForeignAccess, MessageRef, Net};
use rustle_peers::Class;
use rustle_store::Batch;
use rustle_types::{ChainId, Machine as _, Multiaddr, PeerId, address};
use rustle_wire::{JoinReply, JoinRequest, PeersList};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::deliveries::Deliveries;
use crate::exchange::Told;
use crate::facts::{Facts, SyncFact};
use crate::lists::{self, ListFact};
use crate::log_budget::LogBudget;
use crate::routing::Routing;
use crate::storage::{Storage, Written};

/// Asks that may wait for the engine, and again so many that may wait for their answer.
pub(crate) const ASKS_MAX: usize = 1024;
/// Join requests that may wait for the engine.
pub(crate) const JOINS_MAX: usize = 32;
/// Batches of synced blocks that may wait for the engine.
pub(crate) const SYNC_FACTS_MAX: usize = 4;
/// Ends of writes that may wait for the core; the storage thread waits beyond.
pub(crate) const WRITTEN_MAX: usize = 4096;

/// What somebody asks the engine, and where the answer goes.
pub(crate) type Question = (Ask, oneshot::Sender<Result<Reply, AskError>>);
/// A join request, and where the answer goes.
pub(crate) type Knock = (PeerId, JoinRequest, oneshot::Sender<JoinReply>);

/// Everything that the core hears.
pub(crate) struct Inbox {
    pub(crate) net: mpsc::Receiver<Event>,
    pub(crate) written: mpsc::Receiver<Written>,
    pub(crate) asks: mpsc::Receiver<Question>,
    pub(crate) knocks: mpsc::Receiver<Knock>,
    pub(crate) synced: mpsc::Receiver<SyncFact>,
    pub(crate) lists: mpsc::Receiver<ListFact>,
    pub(crate) shutdown: CancellationToken,
}

/// The core: the engine and what it decides upon.
pub(crate) struct Core {
    pub(crate) engine: Engine,
    pub(crate) clock: Clock,
    pub(crate) net: Net,
    pub(crate) storage: Storage,
    pub(crate) deliveries: Arc<Deliveries>,
    pub(crate) facts: Arc<Facts>,
    /// Starts sync streams; beyond its room the chain asks again later.
    pub(crate) pulls: mpsc::Sender<crate::sync::Pull>,
    /// Asks peers for lists of peers; beyond its room the question counts as not answered.
    pub(crate) questions: mpsc::Sender<lists::Question>,
    /// What foreign peers may have.
    pub(crate) foreign: ForeignAccess,
    /// Tells the exchange who came and went, and who has what.
    pub(crate) exchange: mpsc::Sender<Told>,
    /// Takes what the DHTs answer to its questions.
    pub(crate) routing: Arc<Routing>,
    pub(crate) outgoing: Outgoing,
    /// What peers may write into the log.
    pub(crate) log_budget: LogBudget,
}

/// Decisions that found no room yet, and answers that are awaited.
#[derive(Default)]
pub(crate) struct Outgoing {
    commands: VecDeque<Command>,
    writes: VecDeque<(Option<u64>, Batch)>,
    told: VecDeque<Told>,
    asks: HashMap<u64, oneshot::Sender<Result<Reply, AskError>>>,
    joins: HashMap<u64, oneshot::Sender<JoinReply>>,
    lists: HashMap<u64, oneshot::Sender<Option<PeersList>>>,
    messages: HashMap<u64, MessageRef>,
    /// What decisions have led to; empty between two facts from outside.
    facts: VecDeque<Input>,
    /// Pulls that wait until their blocks are taken; at most one per chain and peer.
    pulls: HashMap<(ChainId, PeerId), oneshot::Sender<()>>,
    addresses: Vec<Multiaddr>,
    next: u64,
}

// === impl Core ===

impl Core {
    /// Runs until the shutdown.
    pub(crate) async fn run(mut self, mut inbox: Inbox) {
        // Waited upon while `self` is free for the arms.
        let (net, storage, exchange) = (self.net.clone(), self.storage.clone(), self.exchange.clone());
        self.drain();
        loop {
            self.flush();
            let open = self.outgoing.is_empty();
            let deadline = self
                .engine
                .next_deadline()
                .map(|uptime| self.clock.instant(uptime));
            let alarm = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = inbox.shutdown.cancelled() => break,
                Some(written) = inbox.written.recv() => self.on_written(written),
                () = storage.ready(), if !self.outgoing.writes.is_empty() => {}
                () = net.ready(), if !self.outgoing.commands.is_empty() => {}
                _ = exchange.reserve(), if !self.outgoing.told.is_empty() => {}
                () = alarm => self.engine.on_deadline(self.clock.now()),
                Some((ask, reply)) = inbox.asks.recv(), if open && self.outgoing.asks.len() < ASKS_MAX => {
                    self.on_ask(ask, reply);
                }
                Some(knock) = inbox.knocks.recv(), if open => self.on_knock(knock),
                Some(fact) = inbox.synced.recv(), if open => self.on_sync(fact),
                Some(fact) = inbox.lists.recv(), if open => self.on_list(fact),
                Some(event) = inbox.net.recv(), if open => self.on_event(event),
            }
            self.drain();
        }
        tracing::debug!("the core has stopped");
    }

    fn handle(&mut self, input: Input) {
        self.engine.handle(self.clock.now(), input);
    }

    fn on_written(&mut self, Written { ticket, result }: Written) {
        self.handle(match result {
            Ok(()) => Input::Committed { ticket },
            Err(error) => Input::CommitFailed { ticket, error },
        });
    }

    fn on_ask(&mut self, ask: Ask, reply: oneshot::Sender<Result<Reply, AskError>>) {
        let _span = chain_of(&ask).map(|chain| tracing::info_span!("chain", %chain).entered());
        let request = self.outgoing.number();
        self.outgoing.asks.insert(request, reply);
        self.handle(Input::Request { request, ask });
    }

    fn on_knock(&mut self, (from, join, reply): Knock) {
        let request = self.outgoing.number();
        self.outgoing.joins.insert(request, reply);
        self.handle(Input::Join { request, from, join });
    }

    fn on_list(&mut self, fact: ListFact) {
        use rustle_peers::Input as In;
        let input = match fact {
            ListFact::Asked { peer, asked, reply } => {
                let request = self.outgoing.number();
                self.outgoing.lists.insert(request, reply);
                In::PeersAsked { request, peer, asked }
            }
            ListFact::Heard { peer, list } => In::PeersHeard { peer, list },
            ListFact::Unheard { peer } => In::PeersUnheard { peer },
            ListFact::Garbage { peer, fault } => In::Fault { peer, fault },
        };
        self.handle(Input::Peers(input));
    }

    fn on_sync(&mut self, fact: SyncFact) {
        let _span = tracing::info_span!("chain", chain = %fact.chain()).entered();
        let input = match fact {
            SyncFact::Blocks {
                chain,
                from,
                blocks,
                taken,
            } => {
                self.outgoing.pulls.insert((chain, from), taken);
                Input::Synced { chain, from, blocks }
            }
            SyncFact::Ended { chain, peer, outcome } => {
                self.outgoing.pulls.remove(&(chain, peer));
                Input::SyncEnded { chain, peer, outcome }
            }
        };
        self.handle(input);
    }

    fn on_event(&mut self, event: Event) {
        let _span = words::peer_of(&event).map(|peer| tracing::info_span!("peer", %peer).entered());
        words::note(&event);
        self.facts.on_event(&event);
        let out = &mut self.outgoing;
        match &event {
            Event::Disconnected { peer, connection, .. } => {
                out.told.push_back(Told::Disconnected {
                    peer: *peer,
                    connection: *connection,
                });
            }
            Event::Listening { address } => out.addresses.push(address.clone()),
            Event::ListenFailed { address, .. } | Event::ExternalExpired { address } => {
                out.addresses.retain(|known| known != address);
            }
            // Known to be reached by others, so they come before those where the node merely listens.
            Event::ExternalAddress { address } | Event::Reserved { address, .. } => {
                out.addresses.insert(0, address.clone());
            }
            Event::ReservationLost { relay } => {
                out.addresses
                    .retain(|known| address::relay(known) != Some(*relay));
            }
            _ => {}
        }
        if words::is_about_addresses(&event) {
            self.on_addresses();
        }
        let Some(event) = self.routing.take(event) else {
            return;
        };
        match event {
            Event::Providers {
                request: search,
                providers,
                ..
            } => {
                self.outgoing
                    .told
                    .push_back(Told::Providers { search, providers });
            }
            Event::Message {
                message,
                from,
                topic,
                data,
                ..
            } => {
                let number = self.outgoing.number();
                self.outgoing.messages.insert(number, message);
                self.handle(Input::Message {
                    message: number,
                    from,
                    topic,
                    payload: data,
                });
            }
            other => {
                if let Some(input) = words::translate(other) {
                    self.handle(input);
                }
            }
        }
    }

    fn on_addresses(&mut self) {
        let addresses = self.outgoing.addresses.clone();
        self.facts.set_addresses(addresses.clone());
        self.handle(Input::Peers(rustle_peers::Input::Listening { addresses }));
    }

    /// Takes all decisions that the last fact has caused.
    fn drain(&mut self) {
        loop {
            while let Some(output) = self.engine.poll_output() {
                self.carry_out(output);
            }
            // Facts that a decision has caused; the engine takes them once it is drained.
            match self.outgoing.facts.pop_front() {
                Some(input) => self.handle(input),
                None => break,
            }
        }
        self.facts
            .set_counts(self.engine.peers_up(), self.engine.chains_open());
    }

    fn carry_out(&mut self, output: Output) {
        let out = &mut self.outgoing;
        match output {
            Output::Peers(output) => self.carry_out_for_peers(output),
            Output::Subscribe(topic) => out.commands.push_back(Command::Subscribe { topic }),
            Output::Publish { topic, payload } => {
                out.commands.push_back(Command::Publish { topic, data: payload });
            }
            Output::Judge { message, verdict } => {
                if let Some(message) = out.messages.remove(&message) {
                    out.commands.push_back(Command::Report { message, verdict });
                }
            }
            Output::Sync { chain, peer } => {
                let _span = tracing::info_span!("chain", %chain).entered();
                tracing::debug!(%peer, "asking a peer for what is missing");
                if self.pulls.try_send(crate::sync::Pull { chain, peer }).is_err() {
                    let outcome = rustle_chain::SyncOutcome::Failed;
                    out.facts.push_back(Input::SyncEnded { chain, peer, outcome });
                }
            }
            // The pull may have ended meanwhile.
            Output::Continue { chain, peer } => {
                if let Some(pull) = out.pulls.remove(&(chain, peer)) {
                    let _ = pull.send(());
                }
            }
            Output::Commit { ticket, batch } => out.writes.push_back((Some(ticket), batch)),
            Output::Persist(batch) => out.writes.push_back((None, batch)),
            Output::Delivered { chain, next_sequence } => self.deliveries.set(chain, next_sequence),
            // Whoever asked may have gone away meanwhile.
            Output::Reply { request, reply } => {
                if let Some(asker) = out.asks.remove(&request) {
                    let _ = asker.send(reply);
                }
            }
            Output::Join { request, reply } => {
                if let Some(joiner) = out.joins.remove(&request) {
                    let _ = joiner.send(reply);
                }
            }
            Output::StoreFailed { chain, error } => tracing::error!(%chain, error, "the store failed"),
            Output::PeerUp(_)
            | Output::PeerDown(_)
            | Output::PeerForeign(_)
            | Output::Fault { .. }
            | Output::Judged { .. } => {
                if self.log_budget.take(self.clock.now().uptime) {
                    words::tell(&output);
                }
            }
            Output::RulesDamaged { count } => {
                tracing::warn!(
                    count,
                    "rules that cannot be read do not hold any more; `rustle peer bans` shows those that do"
                );
            }
        }
    }

    fn carry_out_for_peers(&mut self, output: rustle_peers::Output) {
        use rustle_peers::Output as Out;
        let out = &mut self.outgoing;
        match output {
            Out::AskPeers { peer, ask } => {
                if self.questions.try_send(lists::Question { peer, ask }).is_err() {
                    let unheard = rustle_peers::Input::PeersUnheard { peer };
                    out.facts.push_back(Input::Peers(unheard));
                }
            }
            Out::AnswerPeers { request, list } => {
                if let Some(asker) = out.lists.remove(&request) {
                    // It may have gone away meanwhile.
                    let _ = asker.send(list);
                }
            }
            Out::Seek => {
                tracing::debug!("too few peers; the DHT and the rendezvous points are asked for more");
                out.commands.extend(words::search());
            }
            other => {
                // Nothing is asked of a peer before it is known what it is.
                if let Out::Admit { connection, class } = &other
                    && let Some(peer) = self.engine.peer(*connection)
                    && (*class == Class::Rustle || self.foreign.content)
                {
                    let connection = *connection;
                    out.told.push_back(Told::Connected { peer, connection });
                }
                out.commands.extend(words::peer_command(other, self.foreign));
            }
        }
    }

    /// Hands over what there is room for.
    fn flush(&mut self) {
        let out = &mut self.outgoing;
        // First, so that the exchange knows a peer before the network lets its streams in.
        while !out.told.is_empty() {
            let Ok(permit) = self.exchange.try_reserve() else {
                break;
            };
            if let Some(told) = out.told.pop_front() {
                permit.send(told);
            }
        }
        while !out.commands.is_empty() {
            let Some(permit) = self.net.try_reserve() else {
                break;
            };
            if let Some(command) = out.commands.pop_front() {
                permit.send(command);
            }
        }
        while !out.writes.is_empty() {
            let Some(permit) = self.storage.try_reserve() else {
                break;
            };
            match out.writes.pop_front() {
                Some((Some(ticket), batch)) => permit.commit(ticket, batch),
                Some((None, batch)) => permit.persist(batch),
                None => break,
            }
        }
    }
}

/// Which chain is asked about.
fn chain_of(ask: &Ask) -> Option<ChainId> {
    match ask {
        Ask::AdoptChain { chain, .. } | Ask::Append { chain, .. } | Ask::Invite { chain, .. } => Some(*chain),
        Ask::Connect(_) | Ask::Peers | Ask::Peer(_) | Ask::CreateChain { .. } => None,
    }
}

// === impl Outgoing ===

impl Outgoing {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn is_empty(&self) -> bool {
        self.commands.is_empty() && self.writes.is_empty() && self.told.is_empty()
    }
}
