//! Small facts that tasks tell each other without asking the core.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use rustle_chain::{Block, SyncOutcome};
use rustle_net::Event;
use rustle_types::limits::USER_AGENT_BYTES_MAX;
use rustle_types::{ChainId, ConnectionId, Multiaddr, PeerId};
use tokio::sync::{oneshot, watch};

/// What the administration door shows of the running node.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    addresses: watch::Sender<Vec<Multiaddr>>,
    outside: Mutex<Outside>,
    /// What the peers say of themselves by identify; one entry for each connection at most.
    told: Mutex<BTreeMap<ConnectionId, Told>>,
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

/// What a peer says of itself by identify, whatever it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    /// Program and version, as in `kubo/0.22.0`; at most `USER_AGENT_BYTES_MAX` characters.
    pub(crate) agent: String,
    /// Where it can be dialled.
    pub(crate) addresses: Vec<Multiaddr>,
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

    /// Told when the addresses change.
    pub(crate) fn moves(&self) -> watch::Receiver<Vec<Multiaddr>> {
        self.addresses.subscribe()
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
            Event::Identified {
                connection,
                agent,
                listen_addresses,
                ..
            } => {
                let told = Told {
                    agent: agent.chars().take(USER_AGENT_BYTES_MAX).collect(),
                    addresses: listen_addresses.clone(),
                };
                self.told.lock().insert(*connection, told);
            }
            Event::Disconnected { connection, .. } => {
                self.told.lock().remove(connection);
            }
            _ => {}
        }
    }

    /// What the peer at the other end of a connection says of itself, where it has said something.
    pub(crate) fn told(&self, connection: ConnectionId) -> Option<Told> {
        self.told.lock().get(&connection).cloned()
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

// === impl Told ===

impl Told {
    /// The version within the agent, which is what follows the name of the program.
    pub(crate) fn version(&self) -> Option<&str> {
        self.agent.split('/').nth(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identified(connection: u64, agent: &str) -> Event {
        Event::Identified {
            connection: ConnectionId(connection),
            peer: PeerId::random(),
            agent: agent.to_owned(),
            protocols: Vec::new(),
            listen_addresses: Vec::new(),
            observed: Multiaddr::empty(),
        }
    }

    #[test]
    fn what_a_peer_says_of_itself_is_kept_as_long_as_it_is_connected_and_never_long() {
        let facts = Facts::default();
        facts.on_event(&identified(1, "kubo/0.22.0/abc"));
        facts.on_event(&identified(2, &"x".repeat(4000)));
        let told = facts.told(ConnectionId(1)).unwrap();
        assert_eq!(
            (told.agent.as_str(), told.version()),
            ("kubo/0.22.0/abc", Some("0.22.0"))
        );
        let long = facts.told(ConnectionId(2)).unwrap();
        assert_eq!((long.agent.len(), long.version()), (USER_AGENT_BYTES_MAX, None));
        facts.on_event(&Event::Disconnected {
            connection: ConnectionId(1),
            peer: PeerId::random(),
            reason: String::new(),
        });
        assert_eq!(facts.told(ConnectionId(1)), None);
    }
}
