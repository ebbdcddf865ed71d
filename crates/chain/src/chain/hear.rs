//! What do we think of a message on the chain's topic?

use bytes::Bytes;
use rustle_types::{BlockId, PeerId, Uptime, Verdict};
use rustle_wire::Announcement;

use super::attach::Taken;
use super::{Chain, Fault, Output};
use crate::Block;

// === impl Chain ===

impl Chain {
    pub(super) fn on_announced(&mut self, now: Uptime, message: u64, from: PeerId, payload: Bytes) {
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

    pub(super) fn hold(
        &mut self,
        now: Uptime,
        message: u64,
        id: BlockId,
        rest: Vec<BlockId>,
    ) -> Option<Verdict> {
        let is_held = self.held.hold(now, message, id, rest);
        (!is_held).then_some(Verdict::Ignore)
    }

    fn reject(&mut self, peer: PeerId, fault: Fault) -> Verdict {
        self.outbox.push(Output::Fault { peer, fault });
        Verdict::Reject
    }

    /// Where the store cannot tell, the block counts as known: nothing is done about it.
    pub(super) fn is_known(&mut self, id: &BlockId) -> bool {
        match self.ledger.is_known(id) {
            Ok(known) => known,
            Err(error) => {
                self.outbox.push(Output::StoreFailed { error });
                true
            }
        }
    }
}
