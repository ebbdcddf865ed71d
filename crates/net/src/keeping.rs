//! When do the records of the DHT go to the disk?
//!
//! Once a second what has changed, by a thread that may wait; never two batches at the same time. Nothing is synced: what
//! is lost with the power is told again by whoever provides it.

use std::time::Instant;

use futures::FutureExt;
use rustle_store::{Durability, StoreError};
use tokio::task::JoinHandle;

use crate::Dht;
use crate::config::STOP_TIMEOUT;
use crate::providers::Shelf;
use crate::task::Task;

/// The batch that is being written.
#[derive(Debug, Default)]
pub(crate) struct Keeping(Option<JoinHandle<Result<(), StoreError>>>);

// === impl Task ===

impl Task {
    /// Forgets what is over, and has written what has changed.
    pub(crate) fn keep_records(&mut self, now: Instant) {
        for dht in Dht::ALL {
            if let Some(table) = self.swarm.behaviour_mut().dht(dht) {
                table.store_mut().sweep(now);
            }
        }
        if let Some(writing) = &mut self.keeping.0 {
            let Some(written) = writing.now_or_never() else {
                return;
            };
            self.keeping.0 = None;
            if let Ok(Err(error)) = written {
                tracing::warn!(%error, "the records of the DHT are no longer kept on the disk");
                self.swarm.behaviour_mut().kad.store_mut().forsake_shelf();
            }
        }
        self.write_records();
    }

    fn write_records(&mut self) {
        let shelf = self.swarm.behaviour_mut().kad.store_mut().shelf();
        if let Some((store, batch)) = shelf.and_then(Shelf::take) {
            let write = move || store.commit(batch, Durability::Buffered);
            self.keeping.0 = Some(tokio::task::spawn_blocking(write));
        }
    }

    /// Writes what is not on the disk yet; to be called at the end.
    pub(crate) async fn keep_last_records(&mut self) {
        let last = async {
            if let Some(writing) = self.keeping.0.take() {
                // Whatever came of it, there is nobody left to keep records for.
                let _ = writing.await;
            }
            self.write_records();
            if let Some(writing) = self.keeping.0.take() {
                let _ = writing.await;
            }
        };
        if tokio::time::timeout(STOP_TIMEOUT, last).await.is_err() {
            tracing::debug!("some records of the DHT are not written");
        }
    }
}
