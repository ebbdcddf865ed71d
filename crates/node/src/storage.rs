//! One thread writes; everything that waits is committed together.
//!
//! A synced write costs the same for one batch as for a thousand. So the thread takes all that has queued up while the
//! disk was busy, commits it as one batch, syncs once, and then acknowledges each part (group commit).
//!
//! Bulk commits and flushes pass the thread by: they need no sync, and megabytes of an import are not to stand before an
//! append to a chain. Who makes them waits for each, so that they are in order for him.

use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use rustle_store::{Batch, Durability, Store, StoreError};
use tokio::sync::{mpsc, oneshot};

use crate::keep::quota::Quota;

/// Batches that may wait for the disk.
const QUEUE_MAX: usize = 4096;
/// Bytes that are committed together.
const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A batch and who waits for it.
#[derive(Debug)]
struct Write {
    batch: Batch,
    durability: Durability,
    done: Done,
}

/// What the thread is told.
#[derive(Debug)]
enum Order {
    /// Write.
    Write(Write),
    /// End, once everything before is written.
    Stop,
}

/// Who is told of the end of a write.
#[derive(Debug)]
enum Done {
    /// The core loop, by ticket.
    Core(u64),
    /// A task.
    Task(oneshot::Sender<Result<(), StoreError>>),
    /// Nobody.
    Nobody,
}

/// The end of a write that the core loop asked for.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) ticket: u64,
    pub(crate) result: Result<(), StoreError>,
}

/// The queue to the storage thread.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    store: Kept,
    quota: Arc<Quota>,
    queue: mpsc::Sender<Order>,
    health: Arc<Mutex<Option<StoreError>>>,
}

/// The store, which nobody has to see in a log.
#[derive(Clone)]
struct Kept(Weak<dyn Store>);

/// Room for one write of the core loop, which must not wait.
pub(crate) struct Permit<'a>(mpsc::Permit<'a, Order>);

/// Starts the thread. It ends when it is told to, or all queues to it are gone, and everything is written.
pub(crate) fn spawn(
    store: Arc<dyn Store>,
    quota: Arc<Quota>,
    core: mpsc::Sender<Written>,
) -> std::io::Result<(Storage, JoinHandle<()>)> {
    let (queue, orders) = mpsc::channel(QUEUE_MAX);
    let health = Arc::default();
    let storage = Storage {
        store: Kept(Arc::downgrade(&store)),
        quota,
        queue,
        health: Arc::clone(&health),
    };
    let thread = std::thread::Builder::new()
        .name("storage".to_owned())
        .spawn(move || run(&*store, orders, &core, &health))?;
    Ok((storage, thread))
}

fn run(
    store: &dyn Store,
    mut orders: mpsc::Receiver<Order>,
    core: &mpsc::Sender<Written>,
    health: &Mutex<Option<StoreError>>,
) {
    let mut stopping = false;
    while !stopping {
        let Some(Order::Write(first)) = orders.blocking_recv() else {
            return;
        };
        let mut group = Batch::new();
        let mut durability = Durability::Buffered;
        let mut waiting = Vec::new();
        let mut weight = 0;
        let mut next = Some(first);
        while let Some(write) = next.take() {
            weight += write.batch.weight();
            group.append(write.batch);
            if write.durability == Durability::Synced {
                durability = Durability::Synced;
            }
            waiting.push(write.done);
            if weight < GROUP_BYTES_MAX {
                next = match orders.try_recv() {
                    Ok(Order::Write(write)) => Some(write),
                    Ok(Order::Stop) => {
                        stopping = true;
                        None
                    }
                    Err(_) => None,
                };
            }
        }
        let result = store.commit(group, durability);
        note(store, &result, health);
        for done in waiting {
            match done {
                // The core loop always takes these; an error means that it is gone.
                Done::Core(ticket) => {
                    let _ = core.blocking_send(Written {
                        ticket,
                        result: result.clone(),
                    });
                }
                Done::Task(task) => {
                    let _ = task.send(result.clone());
                }
                Done::Nobody => {}
            }
        }
    }
}

/// Remembers a failure: a full disk until there is room again, any other for good.
fn note(store: &dyn Store, result: &Result<(), StoreError>, health: &Mutex<Option<StoreError>>) {
    let mut health = health.lock();
    match (result, &*health) {
        // A small record finds room where content does not.
        (Ok(()), Some(StoreError::Full(_))) if store.health().is_ok() => {
            tracing::info!("there is room on the disk again");
            *health = None;
        }
        (Err(error @ StoreError::Full(_)), None) => {
            tracing::error!(%error, "nothing is written until there is room");
            *health = Some(error.clone());
        }
        // Content is refused, and the store is well.
        (Ok(()) | Err(StoreError::Quota { .. } | StoreError::Full(_)), _) => {}
        (Err(error), None | Some(StoreError::Full(_))) => {
            tracing::error!(%error, "a write failed; nothing more is acknowledged as durable");
            *health = Some(error.clone());
        }
        (Err(_), Some(_)) => {}
    }
}

fn gone() -> StoreError {
    StoreError::Halted("the node is shutting down".to_owned())
}

// === impl Kept ===

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kept")
    }
}

// === impl Storage ===

impl Storage {
    /// Room in the queue for the core loop, if there is some.
    pub(crate) fn try_reserve(&self) -> Option<Permit<'_>> {
        self.queue.try_reserve().ok().map(Permit)
    }

    /// Waits until there is room in the queue.
    pub(crate) async fn ready(&self) {
        // A closed queue is told by the next write.
        let _ = self.queue.reserve().await;
    }

    /// Writes and waits for the end.
    pub(crate) async fn commit(&self, batch: Batch, durability: Durability) -> Result<(), StoreError> {
        if durability == Durability::Bulk {
            self.quota.admit(batch.weight()).await?;
            return self
                .aside(move |store| store.commit(batch, Durability::Bulk))
                .await;
        }
        let (done, end) = oneshot::channel();
        let write = Write {
            batch,
            durability,
            done: Done::Task(done),
        };
        self.queue.send(Order::Write(write)).await.map_err(|_| gone())?;
        end.await.map_err(|_| gone())?
    }

    /// Waits until there is room for so many bytes of content that are written with a pin, as bulk commits wait, or tells
    /// that there is none.
    pub(crate) async fn admit(&self, bytes: usize) -> Result<(), StoreError> {
        self.quota.admit(bytes).await?;
        self.aside(|store| store.health()).await
    }

    /// Makes all bulk commits that were waited for durable, and waits for it.
    pub(crate) async fn flush(&self) -> Result<(), StoreError> {
        self.aside(|store| store.flush()).await
    }

    /// Writes on a thread beside the one that syncs.
    async fn aside(
        &self,
        write: impl FnOnce(&dyn Store) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), StoreError> {
        let store = self.store.0.upgrade().ok_or_else(gone)?;
        let held = Arc::clone(&store);
        let written = tokio::task::spawn_blocking(move || write(&*store)).await;
        let result = written.map_err(|_| gone())?;
        note(&*held, &result, &self.health);
        result
    }

    /// Ends the thread once everything that was queued before is written.
    pub(crate) async fn stop(&self) {
        // A closed queue means that it has ended.
        let _ = self.queue.send(Order::Stop).await;
    }

    /// Why writes are not accepted, if they are not. The store itself is asked: not every write of it passes by here.
    pub(crate) fn health(&self) -> Option<String> {
        let told = self.health.lock().clone();
        let error = match told.filter(|error| !matches!(error, StoreError::Full(_))) {
            Some(error) => error,
            None => self.store.0.upgrade()?.health().err()?,
        };
        Some(match error {
            StoreError::Full(_) => error.to_string(),
            _ => "a write has failed; check the disk and restart the node".to_owned(),
        })
    }

    /// Whether writes are not accepted.
    pub(crate) fn has_failed(&self) -> bool {
        self.health().is_some()
    }
}

// === impl Permit ===

impl Permit<'_> {
    /// Writes durably; the core loop is told by ticket.
    pub(crate) fn commit(self, ticket: u64, batch: Batch) {
        self.0.send(Order::Write(Write {
            batch,
            durability: Durability::Synced,
            done: Done::Core(ticket),
        }));
    }

    /// Writes when convenient.
    pub(crate) fn persist(self, batch: Batch) {
        self.0.send(Order::Write(Write {
            batch,
            durability: Durability::Buffered,
            done: Done::Nobody,
        }));
    }
}

#[cfg(test)]
mod tests {
    use rustle_store::{MemoryStore, Table};

    use super::*;

    #[tokio::test]
    async fn bulk_commits_and_flushes_need_no_thread_of_their_own() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let (core, _written) = mpsc::channel(1);
        let (storage, thread) = spawn(Arc::clone(&store), Arc::new(Quota::none()), core).unwrap();
        storage.stop().await;
        thread.join().unwrap();
        let cid = rustle_types::BlockId::of(b"bulk").cid();
        let mut batch = Batch::new();
        batch.put_block(cid, "bulk".into());

        storage.commit(batch, Durability::Bulk).await.unwrap();
        storage.flush().await.unwrap();

        assert_eq!(store.has(&cid), Ok(true));
        drop(store);
        assert!(storage.flush().await.is_err(), "the store is closed");
    }

    #[tokio::test]
    async fn writes_are_acknowledged_in_order_and_finished_before_the_end() {
        let store = Arc::new(MemoryStore::new());
        let (core, mut written) = mpsc::channel(64);
        let (storage, thread) = spawn(
            Arc::clone(&store) as Arc<dyn Store>,
            Arc::new(Quota::none()),
            core,
        )
        .unwrap();
        for ticket in 0..50u8 {
            let mut batch = Batch::new();
            batch.put(Table::Meta, vec![ticket], vec![ticket]);
            storage.try_reserve().unwrap().commit(ticket.into(), batch);
        }
        for ticket in 0..50 {
            let end = written.recv().await.unwrap();
            assert_eq!((end.ticket, end.result), (ticket, Ok(())));
        }
        let mut batch = Batch::new();
        batch.put(Table::Meta, b"last".to_vec(), vec![]);
        storage.commit(batch, Durability::Synced).await.unwrap();
        storage.stop().await;
        thread.join().unwrap();
        assert!(
            storage.commit(Batch::new(), Durability::Synced).await.is_err(),
            "the thread has ended"
        );
        assert!(store.record(Table::Meta, b"last").unwrap().is_some());
    }
}
