//! May this block be attached, and what follows from it?

use rustle_types::{BlockId, PeerId, Uptime, Verdict};

use super::ledger::Placement;
use super::{Chain, Fault, Output};
use crate::Block;
use crate::reader::ReadError;

/// What became of a block that a peer sent.
pub(super) enum Taken {
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
    /// Takes a verified block of a peer.
    pub(super) fn take(&mut self, now: Uptime, block: Block, from: PeerId) -> Taken {
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
    pub(super) fn attach(&mut self, now: Uptime, block: &Block, request: Option<u64>) {
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
}

fn wrong_height(block: &Block, expected: u64) -> Fault {
    Fault::WrongHeight {
        id: block.id(),
        height: block.height(),
        expected,
    }
}
