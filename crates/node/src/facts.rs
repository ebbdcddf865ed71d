//! Small facts that tasks tell each other without asking the core.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use rustle_chain::{Block, SyncOutcome};
use rustle_net::Event;
use rustle_types::{ChainId, Multiaddr, PeerId};
use tokio::sync::{oneshot, watch};

/// What the administration door shows of the running node.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    addresses: watch::Sender<Vec<Multiaddr>>,
    outside: Mutex<Outside>,
    peers: AtomicUsize,
    chains: AtomicUsize,
}

/// How the node looks from outside.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outside {
    /// Whether it can be dialled; `None` where that is not known.
    pub(crate) reachable: Option<bool>,
    /// Where it is reached.
    pub(crate) external: Vec<Multiaddr>,
    /// The relays that keep a place for it, and where it is reached through them.
    pub(crate) relayed: BTreeMap<PeerId, Multiaddr>,
}

/// What a sync stream tells the core.
#[derive(Debug)]
pub(crate) enum SyncFact {
    /// Verified blocks, and who waits until they are taken.
    Blocks {
        chain: ChainId,
        from: PeerId,
        blocks: Vec<Block>,
        taken: oneshot::Sender<()>,
    },
    /// The end.
    Ended {
        chain: ChainId,
        peer: PeerId,
        outcome: SyncOutcome,
    },
}

// === impl Facts ===

impl Facts {
    pub(crate) fn set_addresses(&self, addresses: Vec<Multiaddr>) {
        self.addresses.send_replace(addresses);
    }

    pub(crate) fn addresses(&self) -> Vec<Multiaddr> {
        self.addresses.borrow().clone()
    }

    /// Keeps what the network has found out about how the node looks from outside.
    pub(crate) fn on_event(&self, event: &Event) {
        match event {
            Event::Reachability { reachable } => self.outside().reachable = *reachable,
            Event::ExternalAddress { address } => {
                let mut outside = self.outside();
                outside.external.retain(|known| known != address);
                outside.external.push(address.clone());
            }
            Event::ExternalExpired { address } => self.outside().external.retain(|known| known != address),
            Event::Reserved { relay, address } => {
                self.outside().relayed.insert(*relay, address.clone());
            }
            Event::ReservationLost { relay } => {
                self.outside().relayed.remove(relay);
            }
            _ => {}
        }
    }

    /// How the node looks from outside. Held for moments only.
    pub(crate) fn outside(&self) -> MutexGuard<'_, Outside> {
        self.outside.lock()
    }

    /// Waits until the node listens at `count` addresses or more.
    pub(crate) async fn listening(&self, count: usize) {
        // The sender lives as long as we do, so the wait cannot fail.
        let _ = self
            .addresses
            .subscribe()
            .wait_for(|addresses| count <= addresses.len())
            .await;
    }

    pub(crate) fn set_counts(&self, peers: usize, chains: usize) {
        self.peers.store(peers, Ordering::Relaxed);
        self.chains.store(chains, Ordering::Relaxed);
    }

    pub(crate) fn chains(&self) -> usize {
        self.chains.load(Ordering::Relaxed)
    }
}

// === impl SyncFact ===

impl SyncFact {
    /// The chain it is about.
    pub(crate) const fn chain(&self) -> ChainId {
        match self {
            Self::Blocks { chain, .. } | Self::Ended { chain, .. } => *chain,
        }
    }
}
