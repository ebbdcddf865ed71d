//! What do the machines that read blocks have in common?
//!
//! Each names blocks ahead, takes them in any order, and gives what it makes of them.

use std::collections::HashSet;

use bytes::Bytes;
use rustle_admin::Fault;
use rustle_ipld::{Step, Walker};
use rustle_types::Cid;
use rustle_unixfs::{Entry, Listed, Lister, Progress, Reader, Resolved, Resolver};

use crate::faults;

/// Bytes asked for ahead of the reader of a file.
const WINDOW_BYTES: u64 = 16 * 1024 * 1024;

/// A machine that reads blocks.
pub(super) trait Machine: Send {
    /// What it makes of them.
    type Item: Send;

    /// Blocks to fetch now, each named once.
    fn wants(&mut self) -> Vec<Cid>;

    /// Takes a block that was checked against its CID.
    fn supply(&mut self, cid: &Cid, bytes: Bytes) -> Result<(), Fault>;

    /// The next item, or what is missing for it.
    fn poll(&mut self) -> Result<Pulled<Self::Item>, Fault>;
}

/// What comes next.
pub(super) enum Pulled<T> {
    Item(T),
    Need(Cid),
    Done,
}

/// A machine, and which blocks it waits for.
pub(super) struct Pull<M> {
    pub(super) machine: M,
    pub(super) asked: HashSet<Cid>,
}

// === impl Pull ===

impl<M: Machine> Pull<M> {
    pub(super) fn new(machine: M) -> Self {
        Self {
            machine,
            asked: HashSet::new(),
        }
    }

    /// As [`Pull::new`], with the root that was read already.
    pub(super) fn with_root(mut machine: M, root: &Cid, bytes: Bytes) -> Result<Self, Fault> {
        for cid in machine.wants() {
            if cid == *root {
                machine.supply(root, bytes.clone())?;
            }
        }
        Ok(Self::new(machine))
    }
}

impl Machine for Reader {
    type Item = Bytes;

    fn wants(&mut self) -> Vec<Cid> {
        self.wants(WINDOW_BYTES)
    }

    fn supply(&mut self, cid: &Cid, bytes: Bytes) -> Result<(), Fault> {
        self.supply(cid, bytes).map_err(faults::read)
    }

    fn poll(&mut self) -> Result<Pulled<Bytes>, Fault> {
        Ok(match self.poll().map_err(faults::read)? {
            Progress::Bytes(bytes) => Pulled::Item(bytes),
            Progress::Need(cid) => Pulled::Need(cid),
            Progress::Done => Pulled::Done,
        })
    }
}

impl Machine for Lister {
    type Item = Entry;

    fn wants(&mut self) -> Vec<Cid> {
        self.wants()
    }

    fn supply(&mut self, cid: &Cid, bytes: Bytes) -> Result<(), Fault> {
        self.supply(cid, bytes).map_err(faults::list)
    }

    fn poll(&mut self) -> Result<Pulled<Entry>, Fault> {
        Ok(match self.poll().map_err(faults::list)? {
            Listed::Entry(entry) => Pulled::Item(entry),
            Listed::Need(cid) => Pulled::Need(cid),
            Listed::Done => Pulled::Done,
        })
    }
}

impl Machine for Walker {
    type Item = (Cid, Bytes);

    fn wants(&mut self) -> Vec<Cid> {
        self.wants()
    }

    fn supply(&mut self, cid: &Cid, bytes: Bytes) -> Result<(), Fault> {
        self.supply(cid, bytes).map_err(faults::walk)
    }

    fn poll(&mut self) -> Result<Pulled<(Cid, Bytes)>, Fault> {
        Ok(match self.poll().map_err(faults::walk)? {
            Step::Block { cid, bytes } => Pulled::Item((cid, bytes)),
            Step::Need(cid) => Pulled::Need(cid),
            Step::Done => Pulled::Done,
        })
    }
}

impl Machine for Resolver {
    type Item = Cid;

    /// It goes from block to block, and knows none ahead.
    fn wants(&mut self) -> Vec<Cid> {
        Vec::new()
    }

    fn supply(&mut self, cid: &Cid, bytes: Bytes) -> Result<(), Fault> {
        self.supply(cid, bytes).map_err(faults::list)
    }

    fn poll(&mut self) -> Result<Pulled<Cid>, Fault> {
        Ok(match self.poll().map_err(faults::list)? {
            Resolved::Found { cid, .. } => Pulled::Item(cid),
            Resolved::Need(cid) => Pulled::Need(cid),
        })
    }
}
