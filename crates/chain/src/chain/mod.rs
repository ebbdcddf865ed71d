//! What does a node do about one chain?
//!
//! [`Chain`] takes appends, messages of the topic, pulled blocks and the acknowledgements of the disk, and decides what is
//! written, said, pulled and judged. The parts that know one thing each are its neighbours: `ledger` what is attached,
//! `orphans` what waits for ancestors, `pulls` whom to ask, `held` what is not judged yet, `quiet` when to speak; `hear`
//! judges messages, and `attach` decides about blocks.

mod attach;
mod event;
mod hear;
mod held;
mod ledger;
mod orphans;
mod pulls;
mod quiet;
mod random;

use std::fmt;
use std::sync::Arc;

use rustle_store::{Store, StoreError};
use rustle_types::limits::ANNOUNCED_BLOCK_BYTES_MAX;
use rustle_types::{ChainId, Machine, Now, Outbox, PeerId, Uptime, Verdict};
use rustle_wire::Announcement;

pub use event::{AppendError, Config, Fault, Input, OpenError, Output, Status, SyncOutcome};
pub use ledger::LEAVES_MAX;

use crate::reader::{Position, ReadError};
use crate::{Block, Body, Draft, Signer};
use attach::Taken;
use held::Held;
use ledger::Ledger;
use orphans::Orphans;
use pulls::Pulls;
use quiet::Quiet;
use random::Random;

/// The machine of one chain.
///
/// It reads the store synchronously and never writes: what is to be written is an output. Batches must be committed in the
/// order of their tickets; `Committed` acknowledges its ticket and all before it. After a failed commit none behind it may
/// be applied, which is what [`Store::commit`] does after a failed sync. The chain is then stopped: it refuses appends and
/// ignores the network until it is opened again, because what it had accepted is no longer what the disk holds.
pub struct Chain {
    ledger: Ledger,
    orphans: Orphans,
    pulls: Pulls,
    held: Held,
    quiet: Quiet,
    signer: Signer,
    config: Config,
    /// Peers whose next blocks are not asked for until the disk has caught up; at most as many as pulls.
    throttled: Vec<PeerId>,
    stopped: Option<StoreError>,
    outbox: Outbox<Output>,
}

// === impl Chain ===

impl Chain {
    /// Opens a chain that was created or adopted before. Reads the record and the leaves, not the blocks.
    ///
    /// `seed` spreads the timers of nodes; equal seeds and inputs give equal outputs.
    pub fn open(
        chain: ChainId,
        store: Arc<dyn Store>,
        signer: Signer,
        config: Config,
        seed: u64,
    ) -> Result<Self, OpenError> {
        Ok(Self {
            ledger: Ledger::open(chain, store)?,
            orphans: Orphans::default(),
            pulls: Pulls::new(config.pulls_max, config.pull_stall),
            held: Held::default(),
            quiet: Quiet::new(Random::new(seed), config.quiet, config.quiet_max),
            signer,
            config,
            throttled: Vec::new(),
            stopped: None,
            outbox: Outbox::default(),
        })
    }

    /// The chain's id.
    pub const fn id(&self) -> ChainId {
        self.ledger.chain()
    }

    /// Blocks without children in canonical order, those included that wait for the disk. At most 100,000.
    pub fn leaves(&self) -> impl Iterator<Item = Position> {
        self.ledger.leaves().iter().copied()
    }

    /// The chain at a glance.
    pub fn status(&self) -> Status {
        Status {
            blocks: self.ledger.blocks(),
            durable: self.ledger.durable(),
            leaves: self.ledger.leaves().len(),
            orphans: self.orphans.len(),
            pending_bytes: self.ledger.pending_bytes(),
            peers: self.pulls.peers(),
            pulls: self.pulls.active(),
            is_stopped: self.stopped.is_some(),
        }
    }

    // --- own blocks

    fn on_append(&mut self, now: Now, request: u64, topics: Vec<String>, body: Body) {
        match self.append(now, request, topics, body) {
            Ok(()) => {}
            Err(error) => self.outbox.push(Output::Refused { request, error }),
        }
    }

    fn append(&mut self, now: Now, request: u64, topics: Vec<String>, body: Body) -> Result<(), AppendError> {
        if let Some(error) = &self.stopped {
            return Err(AppendError::Stopped(error.clone()));
        }
        if !self.has_room() {
            return Err(AppendError::Busy);
        }
        let (parents, height) = self.ledger.next_parents();
        let chain = Some(self.id());
        let draft = Draft {
            chain,
            parents,
            height,
            time: now.wall,
            topics,
            body,
        };
        let block = draft.sign(&self.signer)?;
        self.attach(now.uptime, &block, Some(request));
        Ok(())
    }

    fn has_room(&self) -> bool {
        self.ledger.pending_bytes() < self.config.pending_bytes_max
    }

    // --- pulled blocks

    fn on_synced(&mut self, now: Uptime, from: PeerId, blocks: Vec<Block>) {
        self.pulls.on_progress(now, &from);
        if self.stopped.is_none() {
            // The bound holds even against a caller that does not wait for `Continue`.
            if self.has_room() {
                for block in blocks {
                    if let Taken::Wrong(fault) = self.take(now, block, from) {
                        self.outbox.push(Output::Fault { peer: from, fault });
                    }
                }
            } else {
                self.pulls.on_cut(&from);
            }
        }
        if self.has_room() || self.stopped.is_some() {
            self.outbox.push(Output::Continue { peer: from });
        } else if !self.throttled.contains(&from) && self.throttled.len() < pulls::PEERS_MAX {
            self.throttled.push(from);
        }
    }

    fn on_sync_ended(&mut self, now: Uptime, peer: PeerId, outcome: SyncOutcome) {
        self.throttled.retain(|other| *other != peer);
        if let Some(withheld) = self.pulls.on_ended(now, &peer, outcome) {
            self.outbox.push(Output::Fault {
                peer,
                fault: Fault::Withheld(withheld),
            });
        }
    }

    // --- the disk

    fn on_committed(&mut self, ticket: u64) {
        let before = self.ledger.durable();
        for own in self.ledger.on_committed(ticket) {
            let ledger::Own {
                request,
                id,
                height,
                bytes,
            } = own;
            self.outbox.push(Output::Appended { request, id, height });
            let block = Some(bytes).filter(|bytes| bytes.len() <= ANNOUNCED_BLOCK_BYTES_MAX);
            let payload = Announcement::NewBlock { id, block }.encode();
            self.outbox.push(Output::Publish { payload });
        }
        if before < self.ledger.durable() {
            self.outbox.push(Output::Delivered {
                next_sequence: self.ledger.durable(),
            });
        }
        if self.has_room() {
            for peer in std::mem::take(&mut self.throttled) {
                self.outbox.push(Output::Continue { peer });
            }
        }
    }

    fn on_commit_failed(&mut self, ticket: u64, error: StoreError) {
        for own in self.ledger.on_failed(ticket) {
            let error = AppendError::Stopped(error.clone());
            self.outbox.push(Output::Refused {
                request: own.request,
                error,
            });
        }
        for peer in std::mem::take(&mut self.throttled) {
            self.outbox.push(Output::Continue { peer });
        }
        self.outbox.push(Output::StoreFailed {
            error: ReadError::Store(error.clone()),
        });
        self.stopped = Some(error);
    }

    /// After each fact: writes what was attached, and pulls from whom there is reason to.
    fn settle(&mut self, now: Uptime) {
        if self.stopped.is_some() {
            return;
        }
        if let Some((ticket, batch)) = self.ledger.take_batch() {
            self.outbox.push(Output::Commit { ticket, batch });
        }
        while let Some(peer) = self.pulls.start_next(now, !self.orphans.is_empty()) {
            self.outbox.push(Output::Sync { peer });
        }
        if self.pulls.take_hopeless() {
            self.orphans.clear();
        }
    }
}

impl Machine for Chain {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::Append {
                request,
                topics,
                body,
            } => self.on_append(now, request, topics, body),
            Input::Announced {
                message,
                from,
                payload,
            } => self.on_announced(now.uptime, message, from, payload),
            Input::Synced { from, blocks } => self.on_synced(now.uptime, from, blocks),
            Input::SyncEnded { peer, outcome } => self.on_sync_ended(now.uptime, peer, outcome),
            Input::PeerJoined { peer } => {
                self.pulls.on_joined(peer);
                self.quiet.on_peers(now.uptime, self.pulls.peers());
            }
            Input::PeerLeft { peer } => {
                self.pulls.on_left(&peer);
                self.quiet.on_peers(now.uptime, self.pulls.peers());
            }
            Input::Committed { ticket } => self.on_committed(ticket),
            Input::CommitFailed { ticket, error } => self.on_commit_failed(ticket, error),
        }
        self.settle(now.uptime);
    }

    fn on_deadline(&mut self, now: Now) {
        while let Some(message) = self.held.take_expired(now.uptime) {
            self.outbox.push(Output::Judge {
                message,
                verdict: Verdict::Ignore,
            });
        }
        if self.quiet.is_due(now.uptime) {
            if self.stopped.is_none() {
                let leaves = self.ledger.top_leaves().collect();
                self.outbox.push(Output::Publish {
                    payload: Announcement::Leaves(leaves).encode(),
                });
            }
            self.quiet.restart(now.uptime, self.pulls.peers());
        }
        self.settle(now.uptime);
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outbox.pop()
    }

    fn next_deadline(&self) -> Option<Uptime> {
        let running = self.stopped.is_none();
        let pulls = self.pulls.deadline(!self.orphans.is_empty()).filter(|_| running);
        let quiet = self.quiet.deadline().filter(|_| running);
        [pulls, quiet, self.held.deadline()].into_iter().flatten().min()
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain")
            .field("id", &self.id())
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
