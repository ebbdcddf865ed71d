//! The disk of a node: writes in their order, takes its time, and forgets what was not written when the power goes.

use std::collections::VecDeque;
use std::time::Duration;

use rustle_engine::Input;
use rustle_store::{Batch, Durability, Store as _, StoreError};

use super::{Event, Index, World};

/// What waits for the disk.
pub(crate) struct Disk {
    /// How long a write takes.
    pub(crate) delay: Duration,
    /// Whether writes fail from now on.
    pub(crate) is_broken: bool,
    queue: VecDeque<(Option<u64>, Batch)>,
}

pub(crate) enum DiskEvent {
    /// The oldest batch is on the disk.
    Written { node: Index, life: u64 },
    /// The node is told.
    Told {
        node: Index,
        life: u64,
        ticket: u64,
        result: Result<(), StoreError>,
    },
}

// === impl Disk ===

impl Disk {
    pub(crate) fn lose_power(&mut self) {
        self.queue.clear();
    }
}

impl Default for Disk {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(2),
            is_broken: false,
            queue: VecDeque::new(),
        }
    }
}

// === impl World ===

impl World {
    pub(super) fn write(&mut self, node: Index, ticket: Option<u64>, batch: Batch) {
        let disk = &mut self.nodes[node].disk;
        disk.queue.push_back((ticket, batch));
        if disk.queue.len() == 1 {
            self.begin_write(node);
        }
    }

    fn begin_write(&mut self, node: Index) {
        let (life, delay) = (self.nodes[node].life, self.nodes[node].disk.delay);
        self.later(delay, Event::Disk(DiskEvent::Written { node, life }));
    }

    pub(super) fn on_disk(&mut self, event: DiskEvent) {
        match event {
            DiskEvent::Written { node, life } if life == self.nodes[node].life => self.on_written(node),
            DiskEvent::Told {
                node,
                life,
                ticket,
                result,
            } if life == self.nodes[node].life => {
                self.feed(
                    node,
                    match result {
                        Ok(()) => Input::Committed { ticket },
                        Err(error) => Input::CommitFailed { ticket, error },
                    },
                );
            }
            // The power went meanwhile.
            DiskEvent::Written { .. } | DiskEvent::Told { .. } => {}
        }
    }

    /// The write and the word of it are two events: a node can die between them.
    fn on_written(&mut self, index: Index) {
        let node = &mut self.nodes[index];
        let Some((ticket, batch)) = node.disk.queue.pop_front() else {
            return;
        };
        let result = if node.disk.is_broken {
            Err(StoreError::Halted("the disk is broken".to_owned()))
        } else {
            node.store.commit(batch, Durability::Synced)
        };
        let (life, is_idle) = (node.life, node.disk.queue.is_empty());
        if let Some(ticket) = ticket {
            let told = DiskEvent::Told {
                node: index,
                life,
                ticket,
                result,
            };
            self.later(Duration::from_micros(100), Event::Disk(told));
        }
        if !is_idle {
            self.begin_write(index);
        }
    }
}
