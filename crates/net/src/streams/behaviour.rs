//! Which connections are there, and how is each reached?

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures::channel::mpsc;
use libp2p::StreamProtocol;
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{
    self, CloseConnection, ConnectionDenied, FromSwarm, NetworkBehaviour, THandlerInEvent, ToSwarm,
};
use rustle_types::{ConnectionId, Direction, Multiaddr, PeerId, address};
use tokio::sync::Notify;

use super::handler::{Handler, Order};
use super::routes::Routes;
use super::{ControlEvent, Opener, StreamsEvent};
use crate::activity::{Activity, Registry};
use crate::admission::{Admission, Connections, Counts, ForeignAccess, Scope, Shared};
use crate::config::{CONTROL_MESSAGES_QUEUED_MAX, DIRECT_PATIENCE, STREAM_REQUESTS_QUEUED_MAX};
use crate::door::Door;
use crate::{Config, Dht, clock};

/// All connections, by the ids that the rest of the node knows them by.
///
/// Holds one entry per connection, so the connection limits bound it.
pub(crate) struct Streams {
    routes: Arc<Routes>,
    counts: Arc<Counts>,
    foreign: ForeignAccess,
    write_stall: Duration,
    activity: Registry,
    door: Door,
    /// Connections that did not come through the door.
    outbound: usize,
    /// The same connections, for the protocols that have to wait for the admission.
    gate: Connections,
    connections: HashMap<ConnectionId, Connection>,
    ids: HashMap<swarm::ConnectionId, ConnectionId>,
    peers: HashMap<PeerId, Vec<ConnectionId>>,
    last_id: u64,
    outbox: VecDeque<ToSwarm<StreamsEvent, Infallible>>,
    waker: Option<Waker>,
    /// Whether a relayed connection may become a direct one.
    punches: bool,
    /// Woken when a connection comes or goes, or hope for one.
    changed: Arc<Notify>,
}

struct Connection {
    swarm_id: swarm::ConnectionId,
    shared: Arc<Shared>,
    orders: mpsc::Sender<Order>,
    requests: Opener,
    activity: Option<Arc<Activity>>,
    stalled: bool,
    /// What the peer says of itself, until it is known whether the DHTs may have it.
    spoken: Spoken,
    /// What was dialled, where it was this node that dialled.
    dialled: Option<Multiaddr>,
    /// Of a relayed connection: until when a direct one may come instead.
    hope: Option<Instant>,
}

/// What a peer says of itself to the DHTs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spoken {
    /// Those that it answers.
    pub(crate) dhts: Vec<Dht>,
    /// Where it can be dialled.
    pub(crate) addresses: Vec<Multiaddr>,
}

/// Where to ask for a stream to a peer.
#[derive(Debug)]
pub(crate) enum Places {
    /// Here, one after the other.
    Now(Vec<Opener>),
    /// A relayed connection stands, and a direct one may come: ask again when something changes, or after this time.
    Later(Duration),
    /// A relayed connection stands, which does not carry such streams.
    Relayed,
}

/// How a connection came about.
struct Link<'a> {
    direction: Direction,
    /// Where the other end is.
    remote: &'a Multiaddr,
    relayed: bool,
}

/// What came of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The connection has it.
    Taken,
    /// There is no such connection any more, or it was told before that its queue is full.
    Gone,
    /// The queue of the connection is full.
    Stalled,
}

// === impl Streams ===

impl Streams {
    pub(crate) fn new(
        routes: Arc<Routes>,
        counts: Arc<Counts>,
        activity: Registry,
        door: Door,
        config: &Config,
    ) -> Self {
        Self {
            routes,
            counts,
            foreign: config.foreign,
            write_stall: config.write_stall,
            activity,
            door,
            outbound: 0,
            gate: Connections::default(),
            connections: HashMap::new(),
            ids: HashMap::new(),
            peers: HashMap::new(),
            last_id: 0,
            outbox: VecDeque::new(),
            waker: None,
            punches: config.proxy.is_none(),
            changed: Arc::default(),
        }
    }

    /// Our id of a connection of the swarm.
    pub(crate) fn id(&self, swarm_id: swarm::ConnectionId) -> Option<ConnectionId> {
        self.ids.get(&swarm_id).copied()
    }

    /// The swarm's id of a connection of ours.
    pub(crate) fn swarm_id(&self, connection: ConnectionId) -> Option<swarm::ConnectionId> {
        self.connections
            .get(&connection)
            .map(|connection| connection.swarm_id)
    }

    /// Who dialled, and so speaks first on the control stream.
    pub(crate) fn direction(&self, connection: ConnectionId) -> Option<Direction> {
        self.connections
            .get(&connection)
            .map(|connection| connection.shared.direction)
    }

    /// Who is at the other end of a connection, and at which address.
    pub(crate) fn remote(&self, connection: ConnectionId) -> Option<(PeerId, &Multiaddr)> {
        let shared = &self.connections.get(&connection)?.shared;
        Some((shared.peer, &shared.address))
    }

    /// Who is let in.
    pub(crate) fn door(&self) -> &Door {
        &self.door
    }

    /// What the protocols ask that have to wait for the admission of a connection.
    pub(crate) fn gate(&self) -> &Connections {
        &self.gate
    }

    /// Settles what a connection is served. Gives what the DHT may learn by it: who is there, and at which addresses.
    pub(crate) fn admit(
        &mut self,
        connection: ConnectionId,
        admission: Admission,
    ) -> Option<(PeerId, Spoken)> {
        let connection = self.connections.get_mut(&connection)?;
        connection.shared.admit(admission);
        self.activity.unbind(&connection.shared.peer);
        if let Some(token) = connection.token() {
            self.door.established(token);
        }
        let spoken = std::mem::take(&mut connection.spoken);
        let learned = connection.shared.admission()?.includes(Scope::Dht);
        learned.then_some((connection.shared.peer, spoken))
    }

    /// Gives back what a peer says where the DHTs may learn it now, and else keeps it for the admission.
    pub(crate) fn learn(&mut self, connection: ConnectionId, spoken: Spoken) -> Spoken {
        if let Some(connection) = self.connections.get_mut(&connection) {
            match connection.shared.admission() {
                Some(admission) if admission.includes(Scope::Dht) => return spoken,
                Some(_) => {}
                None => connection.spoken = spoken,
            }
        }
        Spoken::default()
    }

    /// How long nothing has gone over a connection, in either direction.
    pub(crate) fn idle(&self, connection: ConnectionId) -> Option<Duration> {
        let activity = self.connections.get(&connection)?.activity.as_ref();
        // Of a connection without notes nothing is known, so that it has to prove itself.
        Some(activity.map_or(Duration::MAX, |activity| activity.idle()))
    }

    /// For how long there has been something of a connection.
    pub(crate) fn age(&self, connection: ConnectionId) -> Option<Duration> {
        let activity = self.connections.get(&connection)?.activity.as_ref()?;
        Some(activity.age())
    }

    /// Passes an order on to a connection.
    pub(crate) fn order(&mut self, connection: ConnectionId, order: Order) -> Sent {
        let Some(connection) = self.connections.get_mut(&connection) else {
            return Sent::Gone;
        };
        match connection.orders.try_send(order) {
            Ok(()) => Sent::Taken,
            Err(error) if error.is_full() && !connection.stalled => {
                connection.stalled = true;
                Sent::Stalled
            }
            Err(_) => Sent::Gone,
        }
    }

    /// The connections with a peer, as places to ask for a stream: the direct ones before the relayed, then the admitted
    /// ones, then the oldest.
    pub(crate) fn openers(&self, peer: &PeerId) -> Vec<Opener> {
        let mut connections: Vec<_> = self.of(peer).collect();
        connections.sort_by_key(|one| (one.shared.relayed, one.shared.admission().is_none()));
        connections.iter().map(|one| one.requests.clone()).collect()
    }

    /// Where to ask for a stream of one of `names`. Over a relay goes nothing while a direct connection may still come, and
    /// content not at all.
    pub(crate) fn places(&self, peer: &PeerId, names: &[StreamProtocol]) -> Places {
        if self.peers.contains_key(peer) && self.of(peer).all(|one| one.shared.relayed) {
            let hope = self.of(peer).filter_map(|one| one.hope).max();
            let now = clock::now();
            if let Some(wait) = hope.and_then(|hope| hope.checked_duration_since(now))
                && !wait.is_zero()
            {
                return Places::Later(wait);
            }
            if names.iter().any(|name| self.routes.is_bulky(name)) {
                return Places::Relayed;
            }
        }
        Places::Now(self.openers(peer))
    }

    /// Woken when the answer of [`Self::places`] may have changed.
    pub(crate) fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }

    /// No hole could be punched: what is relayed stays so.
    pub(crate) fn give_up_direct(&mut self, peer: &PeerId) {
        for id in self.peers.get(peer).into_iter().flatten() {
            if let Some(connection) = self.connections.get_mut(id) {
                connection.hope = None;
            }
        }
        self.changed.notify_waiters();
    }

    /// What was dialled to make a connection, where it was this node that dialled, and not through a relay.
    pub(crate) fn dialled(&self, connection: ConnectionId) -> Option<&Multiaddr> {
        let connection = self.connections.get(&connection)?;
        connection.dialled.as_ref().filter(|_| !connection.shared.relayed)
    }

    /// Removes a connection that is closed, and tells which it was.
    pub(crate) fn forget(&mut self, swarm_id: swarm::ConnectionId) -> Option<ConnectionId> {
        self.gate.remove(swarm_id);
        let id = self.ids.remove(&swarm_id)?;
        let connection = self.connections.remove(&id)?;
        if connection.token().is_none() {
            self.outbound -= 1;
            self.door.set_outbound(self.outbound);
        }
        let peer = connection.shared.peer;
        if let Some(siblings) = self.peers.get_mut(&peer) {
            siblings.retain(|sibling| *sibling != id);
            if siblings.is_empty() {
                self.peers.remove(&peer);
            }
        }
        self.changed.notify_waiters();
        Some(id)
    }

    fn of(&self, peer: &PeerId) -> impl Iterator<Item = &Connection> {
        let ids = self.peers.get(peer).into_iter().flatten();
        ids.filter_map(|id| self.connections.get(id))
    }

    fn connect(&mut self, swarm_id: swarm::ConnectionId, peer: PeerId, link: &Link<'_>) -> Handler {
        self.last_id += 1;
        let id = ConnectionId(self.last_id);
        let shared = Arc::new(self.shared(id, peer, link));
        self.gate.insert(swarm_id, Arc::clone(&shared));
        let (orders, orders_receiver) = mpsc::channel(CONTROL_MESSAGES_QUEUED_MAX);
        let (requests, requests_receiver) = mpsc::channel(STREAM_REQUESTS_QUEUED_MAX);
        let connection = Connection {
            swarm_id,
            shared: Arc::clone(&shared),
            orders,
            requests,
            activity: self.activity.claim(peer, link.remote),
            stalled: false,
            spoken: Spoken::default(),
            dialled: (link.direction == Direction::Outbound).then(|| link.remote.clone()),
            hope: (link.relayed && self.punches).then(|| clock::now() + DIRECT_PATIENCE),
        };
        if connection.token().is_none() {
            self.outbound += 1;
            self.door.set_outbound(self.outbound);
        }
        self.connections.insert(id, connection);
        self.ids.insert(swarm_id, id);
        Handler::new(
            Arc::clone(&self.routes),
            shared,
            orders_receiver,
            requests_receiver,
            self.write_stall,
        )
    }

    /// A connection that was made to tell a peer that it can be dialled. Nobody hears of it, and nothing else goes over it.
    fn dial_back(&self, swarm_id: swarm::ConnectionId, peer: PeerId, link: &Link<'_>) -> Handler {
        let shared = Arc::new(self.shared(ConnectionId(0), peer, link));
        self.gate.insert(swarm_id, Arc::clone(&shared));
        Handler::mute(Arc::clone(&self.routes), shared, self.write_stall)
    }

    fn shared(&self, id: ConnectionId, peer: PeerId, link: &Link<'_>) -> Shared {
        let counts = Arc::clone(&self.counts);
        let address = link.remote.clone();
        let mut shared = Shared::new(id, peer, link.direction, address, self.foreign, counts);
        shared.relayed = link.relayed;
        shared
    }
}

// === impl Connection ===

impl Connection {
    /// Its name at the gate, if it came through there.
    fn token(&self) -> Option<u64> {
        self.activity.as_ref()?.token()
    }
}

impl NetworkBehaviour for Streams {
    type ConnectionHandler = Handler;
    type ToSwarm = StreamsEvent;

    fn handle_established_inbound_connection(
        &mut self,
        swarm_id: swarm::ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        let link = Link {
            direction: Direction::Inbound,
            remote,
            relayed: address::is_relayed(local),
        };
        Ok(self.connect(swarm_id, peer, &link))
    }

    fn handle_established_outbound_connection(
        &mut self,
        swarm_id: swarm::ConnectionId,
        peer: PeerId,
        remote: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        let link = Link {
            direction: direction(role, remote),
            remote,
            relayed: address::is_relayed(remote),
        };
        // Only AutoNAT wants a new port.
        Ok(match port {
            PortUse::Reuse => self.connect(swarm_id, peer, &link),
            PortUse::New => self.dial_back(swarm_id, peer, &link),
        })
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(established) => {
                if let Some(id) = self.id(established.connection_id) {
                    self.peers.entry(established.peer_id).or_default().push(id);
                    self.changed.notify_waiters();
                }
            }
            // Another behaviour may refuse a connection after we have made its handler.
            FromSwarm::DialFailure(failure) => {
                self.forget(failure.connection_id);
            }
            FromSwarm::ListenFailure(failure) => {
                self.forget(failure.connection_id);
            }
            // A closed connection keeps its id until the swarm's own event, which comes last, is passed on.
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer_id: PeerId,
        swarm_id: swarm::ConnectionId,
        event: ControlEvent,
    ) {
        let Some(id) = self.id(swarm_id) else { return };
        self.outbox.push_back(match event {
            ControlEvent::Parted => ToSwarm::CloseConnection {
                peer_id,
                connection: CloseConnection::One(swarm_id),
            },
            event => ToSwarm::GenerateEvent((id, event)),
        });
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<StreamsEvent, THandlerInEvent<Self>>> {
        match self.outbox.pop_front() {
            Some(event) => Poll::Ready(event),
            None => {
                self.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Where two nodes punch holes towards each other, both dial, and with TCP one of them takes the part of the acceptor. With
/// QUIC each dial becomes a connection of its own, whatever the part.
fn direction(role: Endpoint, remote: &Multiaddr) -> Direction {
    let is_quic = remote.iter().any(|part| matches!(part, Protocol::QuicV1));
    match role {
        Endpoint::Listener if !is_quic => Direction::Inbound,
        Endpoint::Listener | Endpoint::Dialer => Direction::Outbound,
    }
}
