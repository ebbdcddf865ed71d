//! What the tasks of a node share: handles, no state of their own.

use std::sync::Arc;

use rustle_admin::Fault;
use rustle_engine::{Ask, Reply};
use rustle_net::Net;
use rustle_store::Store;
use rustle_types::NetworkName;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::core_loop::{Knock, Question};
use crate::deliveries::Deliveries;
use crate::exchange::Exchange;
use crate::facts::{Facts, SyncFact};
use crate::faults;
use crate::keep::Keep;
use crate::lists::ListFact;
use crate::routing::Routing;
use crate::storage::Storage;
use crate::tunnels::Tunnels;

/// Handles to all parts of a node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) network: NetworkName,
    /// Whether this node serves nobody.
    pub(crate) is_light: bool,
    pub(crate) clock: Clock,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) storage: Storage,
    pub(crate) keep: Arc<Keep>,
    pub(crate) net: Net,
    pub(crate) asks: mpsc::Sender<Question>,
    pub(crate) knocks: mpsc::Sender<Knock>,
    pub(crate) synced: mpsc::Sender<SyncFact>,
    pub(crate) lists: mpsc::Sender<ListFact>,
    pub(crate) exchange: Exchange,
    pub(crate) routing: Arc<Routing>,
    pub(crate) tunnels: Arc<Tunnels>,
    pub(crate) deliveries: Arc<Deliveries>,
    pub(crate) facts: Arc<Facts>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

// === impl Shared ===

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("network", &self.network)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Runs work that holds parts of the node; it is dropped at the shutdown, wherever it waits.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.shutdown.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = work => {}
            }
        });
    }

    /// Asks the engine and waits for its answer.
    pub(crate) async fn ask(&self, ask: Ask) -> Result<Reply, Fault> {
        let (reply, answer) = oneshot::channel();
        self.asks
            .send((ask, reply))
            .await
            .map_err(|_| faults::stopping())?;
        answer.await.map_err(|_| faults::stopping())?.map_err(faults::ask)
    }

    /// Reads from the store on a thread that may block.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Store) -> T + Send + 'static,
    ) -> Result<T, Fault> {
        let store = Arc::clone(&self.store);
        let done = tokio::task::spawn_blocking(move || read(&*store)).await;
        done.map_err(|error| faults::internal(&error))
    }
}
