//! What does a node do about one chain?
//!
//! [`Chain`] takes appends, messages of the topic, pulled blocks and the acknowledgements of the disk, and decides what is
//! written, said, pulled and judged. The parts that know one thing each are its neighbours: `ledger` what is attached,
//! `orphans` what waits for ancestors, `pulls` whom to ask, `held` what is not judged yet, `quiet` when to speak.

mod event;
mod held;
mod ledger;
mod orphans;
mod pulls;
mod quiet;
mod random;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use rustle_store::{Store, StoreError};
use rustle_types::limits::ANNOUNCED_BLOCK_BYTES_MAX;
use rustle_types::{BlockId, ChainId, Machine, Now, Outbox, PeerId, Uptime, Verdict};
use rustle_wire::Announcement;

pub use event::{AppendError, Config, Fault, Input, OpenError, Output, Status, SyncOutcome};
pub use ledger::LEAVES_MAX;

use crate::reader::{Position, ReadError};
use crate::{Block, Body, Draft, Signer};
use held::Held;
use ledger::{Ledger, Placement};
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

/// What became of a block that a peer sent.
enum Taken {
    /// It was attached before.
    Known,
    /// It is attached now.
    Attached,
    /// It waits for its ancestors.
    Waits,
    /// There is no room for it now.
    NoRoom,
    /// It is wrong.
    Wrong(Fault),
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

    // --- messages of the topic

    fn on_announced(&mut self, now: Uptime, message: u64, from: PeerId, payload: Bytes) {
        let verdict = if self.stopped.is_some() {
            Some(Verdict::Ignore)
        } else {
            match Announcement::decode(payload) {
                Ok(Announcement::NewBlock { id, block }) => self.on_new_block(now, message, from, id, block),
                Ok(Announcement::Leaves(ids)) => self.on_leaves(now, message, from, ids),
                Err(error) => Some(self.reject(from, Fault::Malformed(error))),
            }
        };
        if let Some(verdict) = verdict {
            self.outbox.push(Output::Judge { message, verdict });
        }
    }

    /// `None` where the judgement has to wait.
    fn on_new_block(
        &mut self,
        now: Uptime,
        message: u64,
        from: PeerId,
        id: BlockId,
        bytes: Option<Bytes>,
    ) -> Option<Verdict> {
        let Some(bytes) = bytes else {
            return self.on_ids(now, message, &from, vec![id]);
        };
        if BlockId::of(&bytes) != id {
            return Some(self.reject(from, Fault::WrongId(id)));
        }
        // A block that is here already was verified before: no need to spend a signature check on it.
        if self.orphans.contains(&id) || self.is_known(&id) {
            return Some(Verdict::Ignore);
        }
        if !self.has_room() {
            self.pulls.on_cut(&from);
            return Some(Verdict::Ignore);
        }
        let taken = match Block::decode(bytes) {
            Ok(block) => self.take(now, block, from),
            Err(error) => Taken::Wrong(Fault::Invalid(error)),
        };
        match taken {
            Taken::Attached => Some(Verdict::Accept),
            Taken::Known | Taken::NoRoom => Some(Verdict::Ignore),
            Taken::Wrong(fault) => Some(self.reject(from, fault)),
            Taken::Waits => self.hold(now, message, id, Vec::new()),
        }
    }

    fn on_leaves(&mut self, now: Uptime, message: u64, from: PeerId, ids: Vec<BlockId>) -> Option<Verdict> {
        self.quiet
            .on_heard(now, self.pulls.peers(), &ids, self.ledger.top_leaves());
        self.on_ids(now, message, &from, ids)
    }

    /// Ids without blocks: good once all of them are here; until then they are pulled.
    fn on_ids(&mut self, now: Uptime, message: u64, from: &PeerId, ids: Vec<BlockId>) -> Option<Verdict> {
        let mut unknown: Vec<BlockId> = ids.into_iter().filter(|id| !self.is_known(id)).collect();
        let awaited = unknown.iter().copied().filter(|id| !self.orphans.contains(id));
        self.pulls.on_announced(from, awaited);
        match unknown.pop() {
            Some(last) => self.hold(now, message, last, unknown),
            None => Some(Verdict::Accept),
        }
    }

    fn hold(&mut self, now: Uptime, message: u64, id: BlockId, rest: Vec<BlockId>) -> Option<Verdict> {
        let is_held = self.held.hold(now, message, id, rest);
        (!is_held).then_some(Verdict::Ignore)
    }

    fn reject(&mut self, peer: PeerId, fault: Fault) -> Verdict {
        self.outbox.push(Output::Fault { peer, fault });
        Verdict::Reject
    }

    /// Where the store cannot tell, the block counts as known: nothing is done about it.
    fn is_known(&mut self, id: &BlockId) -> bool {
        match self.ledger.is_known(id) {
            Ok(known) => known,
            Err(error) => {
                self.outbox.push(Output::StoreFailed { error });
                true
            }
        }
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

    // --- attaching

    /// Takes a verified block of a peer.
    fn take(&mut self, now: Uptime, block: Block, from: PeerId) -> Taken {
        if block.chain() != self.id() {
            return Taken::Wrong(Fault::ForeignChain(block.id()));
        }
        match self.ledger.place(&block) {
            Ok(Placement::Known) => Taken::Known,
            Ok(Placement::Full) => Taken::NoRoom,
            Ok(Placement::WrongHeight { expected }) => {
                self.give_up(&block.id(), Verdict::Reject);
                Taken::Wrong(wrong_height(&block, expected))
            }
            Ok(Placement::Missing(missing)) => {
                self.pulls.on_orphan(&from);
                self.orphans.insert(block, from, missing);
                Taken::Waits
            }
            Ok(Placement::Fits) => {
                self.attach(now, &block, None);
                Taken::Attached
            }
            Err(error) => {
                self.outbox.push(Output::StoreFailed { error });
                Taken::NoRoom
            }
        }
    }

    /// Attaches a block that fits, and then all orphans that waited only for it, without recursion.
    fn attach(&mut self, now: Uptime, block: &Block, request: Option<u64>) {
        let mut attached = vec![block.id()];
        self.ledger.attach(block, request);
        while let Some(id) = attached.pop() {
            self.pulls.on_attached(&id);
            self.judge_held(now, &id);
            for orphan in self.orphans.take_ready(&id) {
                let id = orphan.block.id();
                match self.take_orphan(&orphan.block) {
                    Ok(Placement::Fits) => attached.push(id),
                    Ok(Placement::WrongHeight { expected }) => {
                        let fault = wrong_height(&orphan.block, expected);
                        self.outbox.push(Output::Fault {
                            peer: orphan.from,
                            fault,
                        });
                        self.give_up(&id, Verdict::Reject);
                    }
                    // Dropped: it comes again with a pull.
                    Ok(Placement::Full | Placement::Known | Placement::Missing(_)) => {}
                    Err(error) => self.outbox.push(Output::StoreFailed { error }),
                }
            }
        }
        self.quiet.restart(now, self.pulls.peers());
    }

    fn take_orphan(&mut self, block: &Block) -> Result<Placement, ReadError> {
        let placement = self.ledger.place(block)?;
        if placement == Placement::Fits {
            self.ledger.attach(block, None);
        }
        Ok(placement)
    }

    /// A block can never be attached: what descends from it goes too, and messages about them are judged.
    fn give_up(&mut self, id: &BlockId, verdict: Verdict) {
        self.judge(id, verdict);
        for descendant in self.orphans.drop_descendants(id) {
            self.judge(&descendant, Verdict::Ignore);
        }
    }

    fn judge(&mut self, id: &BlockId, verdict: Verdict) {
        if let Some((message, _)) = self.held.take(id) {
            self.outbox.push(Output::Judge { message, verdict });
        }
    }

    /// `id` is here: accepts the message that waited for it, unless it waits for more.
    fn judge_held(&mut self, now: Uptime, id: &BlockId) {
        let Some((message, mut rest)) = self.held.take(id) else {
            return;
        };
        rest.retain(|id| !self.is_known(id));
        let verdict = match rest.pop() {
            Some(next) => self.hold(now, message, next, rest),
            None => Some(Verdict::Accept),
        };
        if let Some(verdict) = verdict {
            self.outbox.push(Output::Judge { message, verdict });
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

fn wrong_height(block: &Block, expected: u64) -> Fault {
    Fault::WrongHeight {
        id: block.id(),
        height: block.height(),
        expected,
    }
}

#[cfg(test)]
mod tests;
