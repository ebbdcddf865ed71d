//! Who polls the swarm, and when not?
//!
//! One task owns it. While events are not taken the swarm is not polled: the queues of the connections fill, then the
//! windows of their streams, and the pressure ends at the peers. Commands are still taken, so a reader that waits for a
//! command to be accepted before it takes the next event does not deadlock.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use futures::{FutureExt, StreamExt};
use libp2p::core::transport::ListenerId;
use libp2p::swarm;
use tokio::sync::{mpsc, oneshot};

use crate::behaviour::NodeSwarm;
use crate::config::{EVENTS_HELD_MAX, LISTEN_PATIENCE, STOP_TIMEOUT};
use crate::dht::{Acquaintance, Searches};
use crate::discovery::Discovery;
use crate::handle::Request;
use crate::keeping::Keeping;
use crate::nat::{NatCounts, State};
use crate::sightings::Sightings;
use crate::standing::Standing;
use crate::{Config, Event};

/// The owner of the swarm.
pub(crate) struct Task {
    pub(crate) swarm: NodeSwarm,
    requests: mpsc::Receiver<Request>,
    events: mpsc::Sender<Event>,
    /// Events on their way out; the swarm is polled only while there are none.
    pub(crate) outbox: VecDeque<Event>,
    /// Dials that were asked for. Bounded by the connections that the swarm tries at the same time.
    pub(crate) dials: HashMap<swarm::ConnectionId, u64>,
    pub(crate) searches: Searches,
    pub(crate) listeners: Vec<ListenerId>,
    pub(crate) acquaintance: Acquaintance,
    pub(crate) standing: Standing,
    pub(crate) sightings: Sightings,
    pub(crate) discovery: Discovery,
    pub(crate) keeping: Keeping,
    pub(crate) nat: State,
    pub(crate) nat_counts: Arc<NatCounts>,
    /// Whether others are asked whether this node can be dialled, and answered.
    pub(crate) autonat: bool,
}

// === impl Task ===

impl Task {
    pub(crate) fn new(
        swarm: NodeSwarm,
        config: &Config,
        nat_counts: Arc<NatCounts>,
        requests: mpsc::Receiver<Request>,
        events: mpsc::Sender<Event>,
    ) -> Self {
        Self {
            swarm,
            requests,
            events,
            outbox: VecDeque::new(),
            dials: HashMap::new(),
            searches: Searches::default(),
            listeners: Vec::new(),
            acquaintance: Acquaintance::new(&config.ipfs_boot),
            standing: Standing::new(config.dht),
            nat: State::default(),
            nat_counts,
            autonat: config.autonat,
            sightings: Sightings::new(config.identity.peer_id()),
            discovery: Discovery::new(config),
            keeping: Keeping::default(),
        }
    }

    /// Runs until it is told to stop, or nobody is left to command it or to listen to it. So many `listeners` have been
    /// started.
    pub(crate) async fn run(mut self, listeners: usize) {
        self.on_moved();
        // Without a network there may be nothing to listen at, and nobody to dial either.
        let _ = tokio::time::timeout(LISTEN_PATIENCE, self.listen(listeners)).await;
        let asker = self.work().await;
        self.stop().await;
        self.keep_last_records().await;
        if let Some(asker) = asker {
            // Whoever asked may have gone.
            let _ = asker.send(());
        }
    }

    /// Waits for the addresses of all listeners. A dial before goes out from a port of its own, and then nobody learns what
    /// a router makes of the port at which we listen.
    async fn listen(&mut self, listeners: usize) {
        while self.listeners.len() < listeners {
            let event = self.swarm.select_next_some().await;
            self.on_swarm_event(event);
        }
        // A listener on all interfaces tells them one after the other.
        while let Some(event) = self.swarm.select_next_some().now_or_never() {
            self.on_swarm_event(event);
        }
    }

    async fn work(&mut self) -> Option<oneshot::Sender<()>> {
        let events = self.events.clone();
        loop {
            let idle = self.outbox.is_empty();
            tokio::select! {
                room = events.reserve(), if !idle => match room {
                    Ok(room) => {
                        let event = self.outbox.pop_front().expect("the branch is taken only while one waits");
                        room.send(event);
                    }
                    Err(_) => return None,
                },
                () = events.closed(), if idle => return None,
                event = self.swarm.select_next_some(), if idle => self.on_swarm_event(event),
                () = self.discovery.ready(), if idle => self.look_around(),
                request = self.requests.recv(), if self.outbox.len() < EVENTS_HELD_MAX => match request {
                    Some(Request::Command(command)) => self.on_command(command),
                    Some(Request::Places { peer, names, reply }) => {
                        // Whoever asked may have given up.
                        let _ = reply.send(self.swarm.behaviour().streams.places(&peer, &names));
                    }
                    Some(Request::Shutdown { reply }) => return Some(reply),
                    None => return None,
                },
            }
        }
    }

    /// Closes what is open, in order where the peers let us.
    async fn stop(&mut self) {
        for listener in std::mem::take(&mut self.listeners) {
            self.swarm.remove_listener(listener);
        }
        let peers: Vec<_> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            // An error means that the connection has just closed by itself.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let drained = async {
            while self.swarm.network_info().connection_counters().num_established() != 0 {
                self.swarm.select_next_some().await;
            }
        };
        if tokio::time::timeout(STOP_TIMEOUT, drained).await.is_err() {
            tracing::debug!("some connections did not close in time and are dropped");
        }
    }
}
