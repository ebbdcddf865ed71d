//! What does an operator see of a running node?
//!
//! Numbers for Prometheus, served over HTTP where the settings name an address. A page is made when it is asked for, at
//! most once a second, so that readers cannot keep the core busy.

mod page;
mod server;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustle_engine::{Ask, PeerAsk, Reply};
use rustle_store_rocksdb::RocksStore;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::time::Instant;

use self::page::Snapshot;
use crate::faults;
use crate::shared::Shared;

/// A page is shown again within this time.
const PAGE_AGE_MAX: Duration = Duration::from_secs(1);
/// Longest wait for the numbers.
const SNAPSHOT_TIME: Duration = Duration::from_secs(5);

/// The metrics of a node, listening but not yet answering.
#[derive(Debug)]
pub(crate) struct Metrics {
    listener: TcpListener,
    address: SocketAddr,
}

/// Gathers the numbers.
struct Pages {
    shared: Shared,
    rocks: Arc<RocksStore>,
    /// The last page, and when it was made. Locked while the next one is made, so that all who wait get the same.
    last: Mutex<Option<(Instant, Bytes)>>,
}

// === impl Metrics ===

impl Metrics {
    /// Opens the door.
    pub(crate) async fn bind(address: SocketAddr) -> std::io::Result<Self> {
        let listener = server::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it listens, with its actual port.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until the shutdown.
    pub(crate) fn spawn(self, shared: &Shared, rocks: Arc<RocksStore>) {
        let pages = Pages {
            shared: shared.clone(),
            rocks,
            last: Mutex::default(),
        };
        let serving = server::serve(
            self.listener,
            Arc::new(pages),
            shared.tasks.clone(),
            shared.shutdown.clone(),
        );
        shared.spawn(serving);
    }
}

// === impl Pages ===

impl server::Pages for Pages {
    async fn metrics(&self) -> Result<Bytes, String> {
        let mut last = self.last.lock().await;
        if let Some((made, page)) = &*last
            && made.elapsed() < PAGE_AGE_MAX
        {
            return Ok(page.clone());
        }
        let snapshot = tokio::time::timeout(SNAPSHOT_TIME, self.snapshot())
            .await
            .map_err(|_| format!("the node did not answer within {} s", SNAPSHOT_TIME.as_secs()))?
            .map_err(|fault| fault.message)?;
        let page: Bytes = snapshot.encode().map_err(|error| error.to_string())?.into();
        *last = Some((Instant::now(), page.clone()));
        Ok(page)
    }

    fn health(&self) -> Result<(), String> {
        self.shared.storage.health().map_or(Ok(()), Err)
    }
}

impl Pages {
    async fn snapshot(&self) -> Result<Snapshot, rustle_admin::Fault> {
        let Reply::Numbers(numbers) = self.shared.ask(Ask::Peer(PeerAsk::Numbers)).await? else {
            return Err(faults::internal(&"an answer to something else"));
        };
        let rocks = Arc::clone(&self.rocks);
        let (store_bytes, memory_bytes) = self
            .shared
            .read(move |_| (rocks.disk_bytes().ok(), memory_bytes()))
            .await?;
        let facts = &self.shared.facts;
        Ok(Snapshot {
            peers: numbers.counters,
            totals: numbers.totals,
            net: self.shared.net.counters(),
            bitswap: Arc::clone(&self.shared.exchange.counts),
            bitswap_streams: self.shared.exchange.streams.taken(),
            reachability: match facts.outside().reachable {
                None => "unknown",
                Some(true) => "reachable",
                Some(false) => "unreachable",
            },
            chains: facts.chains(),
            store_bytes,
            memory_bytes,
            uptime: self.shared.clock.now().uptime.since_start(),
            is_healthy: !self.shared.storage.has_failed(),
        })
    }
}

/// Memory of this process that is in use; `None` where the system does not tell.
fn memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_process_has_some_memory() {
        let bytes = super::memory_bytes().unwrap();
        assert!((1 << 20..1 << 40).contains(&bytes), "{bytes}");
    }
}
