//! How many peers may a protocol dial by itself, and where?
//!
//! The DHT dials whomever it has to ask, without asking anybody. Those dials are counted here until the connection is
//! admitted, closed or never made: from its admission on, a connection is the business of whoever admitted it. A dial too
//! many fails at once, and the search goes on with the next peer.
//!
//! A DHT of the world or of the local network has its realm: it neither dials addresses outside of it nor tells others
//! that this node is there.

use std::collections::HashSet;
use std::ops::{Deref, DerefMut};
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::behaviour::{ExternalAddrConfirmed, ExternalAddrExpired};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, DialError, DialFailure, FromSwarm, NetworkBehaviour, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use rustle_types::{Multiaddr, PeerId};

use crate::realm::Realm;

/// A behaviour that dials by itself, and the dials that it has made.
pub(crate) struct Errands<B> {
    inner: B,
    max: usize,
    realm: Realm,
    open: HashSet<ConnectionId>,
}

// === impl Errands ===

impl<B: NetworkBehaviour> Errands<B> {
    /// At most `max` at the same time.
    pub(crate) fn new(inner: B, max: usize) -> Self {
        Self {
            inner,
            max,
            realm: Realm::Everywhere,
            open: HashSet::new(),
        }
    }

    /// The same, and only within `realm`.
    pub(crate) fn within(self, realm: Realm) -> Self {
        Self { realm, ..self }
    }

    /// A connection was admitted: it does not count any more.
    pub(crate) fn hand_over(&mut self, id: ConnectionId) {
        self.open.remove(&id);
    }
}

impl<B> Deref for Errands<B> {
    type Target = B;

    fn deref(&self) -> &B {
        &self.inner
    }
}

impl<B> DerefMut for Errands<B> {
    fn deref_mut(&mut self) -> &mut B {
        &mut self.inner
    }
}

impl<B: NetworkBehaviour> NetworkBehaviour for Errands<B> {
    type ConnectionHandler = B::ConnectionHandler;
    type ToSwarm = B::ToSwarm;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.inner.handle_pending_inbound_connection(id, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner
            .handle_established_inbound_connection(id, peer, local, remote)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        let mut addresses = self
            .inner
            .handle_pending_outbound_connection(id, peer, addresses, role)?;
        addresses.retain(|address| self.realm.has(address));
        Ok(addresses)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner
            .handle_established_outbound_connection(id, peer, address, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::DialFailure(failure) => self.hand_over(failure.connection_id),
            FromSwarm::ConnectionClosed(closed) => self.hand_over(closed.connection_id),
            // Where this node listens on its own network is where its neighbours dial it; nobody else confirms that.
            FromSwarm::NewListenAddr(new) if self.realm == Realm::Local && self.realm.has(new.addr) => {
                let event = ExternalAddrConfirmed { addr: new.addr };
                self.inner.on_swarm_event(FromSwarm::ExternalAddrConfirmed(event));
            }
            FromSwarm::ExpiredListenAddr(gone) if self.realm == Realm::Local => {
                let event = ExternalAddrExpired { addr: gone.addr };
                self.inner.on_swarm_event(FromSwarm::ExternalAddrExpired(event));
            }
            // That a local address is no longer worth telling the world does not concern the neighbours.
            FromSwarm::ExternalAddrExpired(_) if self.realm == Realm::Local => return,
            _ => {}
        }
        let own = match event {
            FromSwarm::NewListenAddr(new) => Some(new.addr),
            FromSwarm::ExternalAddrConfirmed(confirmed) => Some(confirmed.addr),
            _ => None,
        };
        if own.is_none_or(|address| self.realm.has(address)) {
            self.inner.on_swarm_event(event);
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, event: THandlerOutEvent<Self>) {
        self.inner.on_connection_handler_event(peer, id, event);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<B::ToSwarm, THandlerInEvent<Self>>> {
        loop {
            let event = std::task::ready!(self.inner.poll(cx));
            let ToSwarm::Dial { opts } = &event else {
                return Poll::Ready(event);
            };
            let connection_id = opts.connection_id();
            if self.open.len() < self.max {
                self.open.insert(connection_id);
                return Poll::Ready(event);
            }
            self.inner.on_swarm_event(FromSwarm::DialFailure(DialFailure {
                peer_id: opts.get_peer_id(),
                error: &DialError::Aborted,
                connection_id,
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::task::noop_waker_ref;
    use libp2p::core::ConnectedPoint;
    use libp2p::kad;
    use libp2p::swarm::behaviour::ConnectionClosed;

    use super::*;

    type Dht = kad::Behaviour<kad::store::MemoryStore>;

    /// A DHT that knows `peers` peers, none of them connected.
    fn dht(peers: usize, max: usize) -> Errands<Dht> {
        let local = PeerId::random();
        let mut dht = Dht::new(local, kad::store::MemoryStore::new(local));
        for _ in 0..peers {
            let address = "/ip4/10.0.0.1/tcp/1".parse().unwrap();
            dht.add_address(&PeerId::random(), address);
        }
        Errands::new(dht, max)
    }

    /// The dials that are made now.
    fn dials(dht: &mut Errands<Dht>) -> Vec<(ConnectionId, PeerId)> {
        let mut dials = Vec::new();
        while let Poll::Ready(event) = dht.poll(&mut Context::from_waker(noop_waker_ref())) {
            if let ToSwarm::Dial { opts } = event {
                dials.push((opts.connection_id(), opts.get_peer_id().unwrap()));
            }
        }
        dials
    }

    #[tokio::test]
    async fn so_many_dials_are_open_and_searches_end_all_the_same() {
        let mut dht = dht(20, 5);
        for _ in 0..10 {
            dht.get_closest_peers(PeerId::random());
        }
        let made = dials(&mut dht);
        assert_eq!((made.len(), dht.open.len()), (5, 5));

        // One fails, one is closed, one is admitted: each makes room for one more.
        let (failed, peer_id) = made[0];
        dht.on_swarm_event(FromSwarm::DialFailure(DialFailure {
            peer_id: Some(peer_id),
            error: &DialError::Aborted,
            connection_id: failed,
        }));
        let endpoint = ConnectedPoint::Listener {
            local_addr: Multiaddr::empty(),
            send_back_addr: Multiaddr::empty(),
        };
        dht.on_swarm_event(FromSwarm::ConnectionClosed(ConnectionClosed {
            peer_id: made[1].1,
            connection_id: made[1].0,
            endpoint: &endpoint,
            cause: None,
            remaining_established: 1,
        }));
        dht.hand_over(made[2].0);
        assert_eq!(dht.open.len(), 2);
        for _ in 0..10 {
            dht.get_closest_peers(PeerId::random());
        }
        assert_eq!(dials(&mut dht).len(), 3);
        assert_eq!(dht.open.len(), 5);

        for (connection_id, peer_id) in made.into_iter().chain(dials(&mut dht)) {
            dht.on_swarm_event(FromSwarm::DialFailure(DialFailure {
                peer_id: Some(peer_id),
                error: &DialError::Aborted,
                connection_id,
            }));
        }
    }
}
