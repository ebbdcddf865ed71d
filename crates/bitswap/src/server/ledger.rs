//! What does one peer want, and in which order does it get it?

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use multihash_codetable::Multihash;
use rustle_types::PeerId;

use super::{PEER_OUTSTANDING_BYTES_MAX, PEER_WANTS_MAX, PRESENCE_BYTES, TASK_BYTES, Task};
use crate::message::{Presence, Want};

/// One remembered want.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) want: Want,
    /// The answer that is queued, if any.
    pub(super) job: Option<Job>,
    /// Place among equal priorities.
    pub(super) order: u64,
    /// The block is not here, so the peer waits for it.
    pub(super) absent: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Job {
    /// Send the block of so many bytes.
    Block(u64),
    Presence(Presence),
}

/// Urgent first, then in the order of asking.
type Place = (Reverse<i32>, u64);

/// The wants of one peer.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: HashMap<Multihash, Entry>,
    blocks: BTreeMap<Place, Multihash>,
    presences: BTreeMap<Place, Multihash>,
    next_order: u64,
    queued_bytes: u64,
    /// Bytes handed out in tasks and not reported as sent.
    pub(super) outstanding: u64,
    /// Whether the peer stands in the line of turns.
    pub(super) in_turn: bool,
}

// === impl Ledger ===

impl Ledger {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn has_room_for(&self, hash: &Multihash) -> bool {
        self.entries.len() < PEER_WANTS_MAX || self.entries.contains_key(hash)
    }

    pub(super) fn entry(&self, hash: &Multihash) -> Option<&Entry> {
        self.entries.get(hash)
    }

    pub(super) fn may_send(&self) -> bool {
        let is_empty = self.blocks.is_empty() && self.presences.is_empty();
        !is_empty && self.outstanding < PEER_OUTSTANDING_BYTES_MAX
    }

    pub(super) fn insert(&mut self, hash: Multihash, mut entry: Entry) {
        entry.order = self.next_order;
        self.next_order += 1;
        let place = entry.place();
        match entry.job {
            Some(Job::Block(size)) => {
                self.queued_bytes += size;
                self.blocks.insert(place, hash);
            }
            Some(Job::Presence(_)) => {
                self.presences.insert(place, hash);
            }
            None => {}
        }
        self.entries.insert(hash, entry);
    }

    pub(super) fn remove(&mut self, hash: &Multihash) -> Option<Entry> {
        let entry = self.entries.remove(hash)?;
        match entry.job {
            Some(Job::Block(size)) => {
                self.queued_bytes -= size;
                self.blocks.remove(&entry.place());
            }
            Some(Job::Presence(_)) => {
                self.presences.remove(&entry.place());
            }
            None => {}
        }
        Some(entry)
    }

    /// Drops all wants; gives those whose block is not here.
    pub(super) fn clear(&mut self) -> Vec<Multihash> {
        self.blocks.clear();
        self.presences.clear();
        self.queued_bytes = 0;
        self.entries
            .drain()
            .filter(|(_, entry)| entry.absent)
            .map(|(hash, _)| hash)
            .collect()
    }

    /// Presences, and blocks up to the size of a task, while the wire takes them.
    pub(super) fn next_task(&mut self, peer: PeerId) -> Option<Task> {
        let mut task = Task {
            peer,
            blocks: Vec::new(),
            presences: Vec::new(),
            bytes: 0,
            pending_bytes: 0,
        };
        while self.outstanding < PEER_OUTSTANDING_BYTES_MAX
            && let Some((_, hash)) = self.presences.pop_first()
        {
            let Some(entry) = self.entries.get_mut(&hash) else {
                continue;
            };
            if let Some(Job::Presence(presence)) = entry.job.take() {
                task.presences.push((entry.want.cid, presence));
                task.bytes += PRESENCE_BYTES;
                self.outstanding += PRESENCE_BYTES;
            }
            // Who was told that the block is here will ask for it; who was told that it is not, waits.
            if !entry.absent {
                self.entries.remove(&hash);
            }
        }
        while self.outstanding < PEER_OUTSTANDING_BYTES_MAX {
            let Some(hash) = self.blocks.first_key_value().map(|(_, hash)| *hash) else {
                break;
            };
            let job = self.entries.get(&hash).and_then(|entry| entry.job);
            let Some(Job::Block(size)) = job else {
                self.blocks.pop_first();
                continue;
            };
            if !task.blocks.is_empty() && TASK_BYTES < task.bytes + size {
                break;
            }
            task.bytes += size;
            self.outstanding += size;
            task.blocks.extend(self.remove(&hash).map(|entry| entry.want.cid));
        }
        task.pending_bytes = self.queued_bytes;
        (!task.blocks.is_empty() || !task.presences.is_empty()).then_some(task)
    }
}

// === impl Entry ===

impl Entry {
    fn place(&self) -> Place {
        (Reverse(self.want.priority), self.order)
    }
}
