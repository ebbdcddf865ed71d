//! How do many blocks reach the disk without each waiting for it?
//!
//! They are written in groups, a few on their way while the next one fills. Bulk groups skip the log: they are flushed
//! once, before the pins that name them are synced. So a crash leaves garbage, never a pin without its blocks.

use std::collections::VecDeque;

use bytes::Bytes;
use rustle_admin::Fault;
use rustle_store::pins::{Pin, PinKind};
use rustle_store::{Batch, Durability, StoreError};
use rustle_types::Cid;
use tokio::task::JoinHandle;

use crate::faults;
use crate::keep::guard::Guard;
use crate::keep::pins;
use crate::shared::Shared;

/// Bytes of blocks that are written together.
const GROUP_BYTES: usize = 4 * 1024 * 1024;
/// Groups on their way to the store.
const GROUPS_MAX: usize = 2;

/// Where blocks go.
pub(super) struct Intake {
    shared: Shared,
    /// Whether blocks are written; else they are only counted.
    keeps: bool,
    /// Keeps the blocks until their roots are pinned; taken before the first of them.
    guard: Option<Guard>,
    group: Batch,
    writing: VecDeque<JoinHandle<Result<(), StoreError>>>,
    /// Whether some went past the log: a few blocks go with the pin.
    has_bulk: bool,
    pub(super) blocks: u64,
}

// === impl Intake ===

impl Intake {
    pub(super) fn new(shared: &Shared, keeps: bool) -> Self {
        Self {
            shared: shared.clone(),
            keeps,
            guard: None,
            group: Batch::new(),
            writing: VecDeque::new(),
            has_bulk: false,
            blocks: 0,
        }
    }

    /// Takes a block whose bytes were checked against its CID.
    pub(super) async fn put(&mut self, cid: Cid, bytes: Bytes) -> Result<(), Fault> {
        self.blocks += 1;
        if !self.keeps {
            return Ok(());
        }
        if self.guard.is_none() {
            self.guard = Some(self.shared.guard().await?);
        }
        self.group.put_block(cid, bytes);
        if self.group.weight() < GROUP_BYTES {
            return Ok(());
        }
        if GROUPS_MAX <= self.writing.len() {
            self.written().await?;
        }
        let (group, storage) = (std::mem::take(&mut self.group), self.shared.storage.clone());
        let write = async move { storage.commit(group, Durability::Bulk).await };
        self.writing.push_back(self.shared.tasks.spawn(write));
        self.has_bulk = true;
        Ok(())
    }

    /// Makes all blocks durable, and pins these with all that they link to, which was all put.
    pub(super) async fn finish(mut self, roots: &[Cid]) -> Result<(), Fault> {
        if !self.keeps {
            return Ok(());
        }
        let last = self.last().await?;
        pins::set(&self.shared, recursive(roots), last).await?;
        // Until here.
        drop(self.guard);
        Ok(())
    }

    /// As [`Intake::finish`], where nobody knows whether all that the roots link to is here: the blocks are kept in any
    /// case, the pins are set only if it is.
    pub(super) async fn finish_walked(mut self, roots: &[Cid]) -> Result<(), Fault> {
        if roots.is_empty() || !self.keeps {
            return self.finish(roots).await;
        }
        if self.guard.is_none() {
            self.guard = Some(self.shared.guard().await?);
        }
        let last = self.last().await?;
        let written = self.shared.storage.commit(last, Durability::Synced).await;
        written.map_err(faults::store)?;
        pins::require(&self.shared, roots).await?;
        pins::set(&self.shared, recursive(roots), Batch::new()).await?;
        drop(self.guard);
        Ok(())
    }

    /// Makes all groups but the last one durable, and gives that one once there is room for it.
    async fn last(&mut self) -> Result<Batch, Fault> {
        while !self.writing.is_empty() {
            self.written().await?;
        }
        if self.has_bulk {
            self.shared.storage.flush().await.map_err(faults::store)?;
        }
        let last = std::mem::take(&mut self.group);
        if !last.is_empty() {
            let admitted = self.shared.storage.admit(last.weight()).await;
            admitted.map_err(faults::store)?;
        }
        Ok(last)
    }

    /// Waits for the oldest group.
    async fn written(&mut self) -> Result<(), Fault> {
        match self.writing.pop_front() {
            Some(write) => write
                .await
                .map_err(|error| faults::internal(&error))?
                .map_err(faults::store),
            None => Ok(()),
        }
    }
}

fn recursive(roots: &[Cid]) -> Vec<Pin> {
    let pins = roots.iter().map(|root| Pin::new(*root, PinKind::Recursive));
    pins.collect()
}
