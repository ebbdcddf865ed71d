//! Who gets which block next?
//!
//! Each peer has a ledger of what it wants, at most [`PEER_WANTS_MAX`] entries, which dies with the connection. Peers
//! are served in turn, about [`TASK_BYTES`] at a time, and a peer that does not take its blocks from the wire stops
//! being served at [`PEER_OUTSTANDING_BYTES_MAX`], so that no peer can make others wait or memory grow.

use std::collections::{BTreeSet, HashMap, VecDeque};

use multihash_codetable::Multihash;
use rustle_store::ContentStore;
use rustle_types::{Cid, PeerId};

use crate::message::{Presence, Want, WantKind};
use ledger::{Entry, Job, Ledger};

mod ledger;
#[cfg(test)]
mod tests;

/// Wants of one peer that are remembered, a full wantlist included.
pub const PEER_WANTS_MAX: usize = 1024;
/// Bytes given to the wire for one peer and not yet written.
pub const PEER_OUTSTANDING_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Bytes of blocks in one task; a single larger block is a task of its own.
pub const TASK_BYTES: u64 = 1024 * 1024;
/// What a presence counts for while it waits to be written: about what it takes in memory.
pub const PRESENCE_BYTES: u64 = 128;
/// A block up to this size answers a want-have: saying that it is there would cost as much.
pub const SMALL_BLOCK_BYTES_MAX: u64 = 1024;

/// What may be served to whom. Refused blocks look as if they were not there.
pub trait Policy {
    /// Whether `peer` may have `cid`, and know that it is here.
    fn may_serve(&self, peer: &PeerId, cid: &Cid) -> bool;
}

impl<F: Fn(&PeerId, &Cid) -> bool> Policy for F {
    fn may_serve(&self, peer: &PeerId, cid: &Cid) -> bool {
        self(peer, cid)
    }
}

/// One message to send: the caller reads the blocks (verified), sends, and reports [`Server::on_sent`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// To whom.
    pub peer: PeerId,
    /// Blocks to read and send. One that has gone from the store meanwhile is answered with [`Presence::DontHave`].
    pub blocks: Vec<Cid>,
    /// Presences to send with them.
    pub presences: Vec<(Cid, Presence)>,
    /// Bytes of the blocks; the amount to report as sent, also after a failure.
    pub bytes: u64,
    /// Bytes that stay queued for the peer.
    pub pending_bytes: u64,
}

/// What became of the wants of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Taken {
    /// Wants that were remembered or answered at once.
    pub kept: usize,
    /// Wants over the peer's bound.
    pub dropped: usize,
}

/// Answers the wants of all peers.
#[derive(Debug)]
pub struct Server<P> {
    policy: P,
    peers: HashMap<PeerId, Ledger>,
    /// Peers with something to send, the next one first.
    turns: VecDeque<PeerId>,
    /// Who waits for blocks that are not here, at most [`PEER_WANTS_MAX`] entries for each peer.
    waiting: HashMap<Multihash, BTreeSet<PeerId>>,
}

// === impl Server ===

impl<P: Policy> Server<P> {
    /// A server without peers.
    pub fn new(policy: P) -> Self {
        Self {
            policy,
            peers: HashMap::new(),
            turns: VecDeque::new(),
            waiting: HashMap::new(),
        }
    }

    /// Takes the wants of one message. With `full` they replace all earlier ones.
    ///
    /// Only the sizes of blocks are asked of the store. A store that cannot say is as one without the block.
    pub fn on_wants(&mut self, store: &dyn ContentStore, peer: PeerId, wants: &[Want], full: bool) -> Taken {
        if full {
            self.forget_wants(&peer);
        }
        let mut taken = Taken::default();
        for want in wants {
            if want.cancel {
                self.cancel(&peer, want.cid.hash());
                continue;
            }
            let ledger = self.peers.entry(peer).or_default();
            if !ledger.has_room_for(want.cid.hash()) {
                taken.dropped += 1;
                continue;
            }
            taken.kept += 1;
            let size = self.size_for(store, &peer, &want.cid);
            self.enter(peer, *want, size);
        }
        taken
    }

    /// Blocks have come into the store: whoever waits for them is answered.
    pub fn on_stored(&mut self, store: &dyn ContentStore, cids: &[Cid]) {
        for cid in cids {
            let Some(waiting) = self.waiting.get(cid.hash()).cloned() else {
                continue;
            };
            for peer in waiting {
                let entry = self.peers.get(&peer).and_then(|ledger| ledger.entry(cid.hash()));
                let Some(want) = entry.map(|entry| entry.want) else {
                    continue;
                };
                if let size @ Some(_) = self.size_for(store, &peer, &want.cid) {
                    self.enter(peer, want, size);
                }
            }
        }
    }

    /// `bytes` of tasks for the peer were written to the wire, or given up.
    pub fn on_sent(&mut self, peer: &PeerId, bytes: u64) {
        if let Some(ledger) = self.peers.get_mut(peer) {
            ledger.outstanding = ledger.outstanding.saturating_sub(bytes);
            self.take_turn(*peer);
        }
    }

    /// The last connection to the peer is gone, and all that it wanted with it.
    pub fn on_disconnected(&mut self, peer: &PeerId) {
        self.forget_wants(peer);
        self.peers.remove(peer);
        self.turns.retain(|other| other != peer);
    }

    /// The next message to send; `None` until something happens.
    pub fn next_task(&mut self) -> Option<Task> {
        while let Some(peer) = self.turns.pop_front() {
            let Some(ledger) = self.peers.get_mut(&peer) else {
                continue;
            };
            ledger.in_turn = false;
            let task = ledger.next_task(peer);
            self.take_turn(peer);
            if task.is_some() {
                return task;
            }
        }
        None
    }

    /// Wants of the peer that wait or are queued.
    pub fn wants_of(&self, peer: &PeerId) -> usize {
        self.peers.get(peer).map_or(0, Ledger::len)
    }

    /// Peers with a ledger.
    pub fn peers(&self) -> usize {
        self.peers.len()
    }

    fn size_for(&self, store: &dyn ContentStore, peer: &PeerId, cid: &Cid) -> Option<u64> {
        let size = store.size(cid).unwrap_or(None)?;
        self.policy.may_serve(peer, cid).then_some(size)
    }

    /// Remembers a want and queues the answer: the block or its presence where `size` is known.
    fn enter(&mut self, peer: PeerId, want: Want, size: Option<u64>) {
        let hash = *want.cid.hash();
        self.cancel(&peer, &hash);
        let job = match (size, want.kind) {
            (Some(size), WantKind::Block) => Some(Job::Block(size)),
            (Some(size), WantKind::Have) if size <= SMALL_BLOCK_BYTES_MAX => Some(Job::Block(size)),
            (Some(_), WantKind::Have) => Some(Job::Presence(Presence::Have)),
            (None, _) if want.send_dont_have => Some(Job::Presence(Presence::DontHave)),
            (None, _) => None,
        };
        if size.is_none() {
            self.waiting.entry(hash).or_default().insert(peer);
        }
        self.peers.entry(peer).or_default().insert(
            hash,
            Entry {
                want,
                job,
                order: 0,
                absent: size.is_none(),
            },
        );
        self.take_turn(peer);
    }

    fn cancel(&mut self, peer: &PeerId, hash: &Multihash) {
        let removed = self.peers.get_mut(peer).and_then(|ledger| ledger.remove(hash));
        if removed.is_some_and(|entry| entry.absent) {
            self.stop_waiting(peer, hash);
        }
    }

    fn stop_waiting(&mut self, peer: &PeerId, hash: &Multihash) {
        if let Some(waiting) = self.waiting.get_mut(hash) {
            waiting.remove(peer);
            if waiting.is_empty() {
                self.waiting.remove(hash);
            }
        }
    }

    fn forget_wants(&mut self, peer: &PeerId) {
        let absent = self.peers.get_mut(peer).map(Ledger::clear).unwrap_or_default();
        for hash in absent {
            self.stop_waiting(peer, &hash);
        }
    }

    /// Puts the peer at the end of the line, where it has something to send and may.
    fn take_turn(&mut self, peer: PeerId) {
        if let Some(ledger) = self.peers.get_mut(&peer)
            && !ledger.in_turn
            && ledger.may_send()
        {
            ledger.in_turn = true;
            self.turns.push_back(peer);
        }
    }
}
