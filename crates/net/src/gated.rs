//! How does a protocol of libp2p wait for the handshake?
//!
//! libp2p lets each protocol talk as soon as a connection is encrypted. Wrapped, a protocol is deaf and mute on a
//! connection until that is admitted: its handler is not polled, so that it opens nothing and reports nothing, and streams
//! of the peer do not reach it. Once the connection is admitted without it, all that it wants to open fails as if the peer
//! did not speak it, so that it gives up in its own way.

mod handler;

use std::ops::{Deref, DerefMut};
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent,
    ToSwarm,
};
use rustle_types::{Multiaddr, PeerId};

use crate::admission::{Connections, Scope};
use handler::Handler;

/// A behaviour that has to wait. In the behaviour of the swarm it stands below `Streams`, which makes what is known of a
/// connection.
pub(crate) struct Gated<B> {
    inner: B,
    scope: Scope,
    connections: Connections,
}

/// A connection that `Streams` does not know. Never seen, as it refuses no connection itself.
#[derive(Debug, thiserror::Error)]
#[error("the connection is not known")]
struct Unknown;

// === impl Gated ===

impl<B: NetworkBehaviour> Gated<B> {
    pub(crate) fn new(inner: B, scope: Scope, connections: &Connections) -> Self {
        Self {
            inner,
            scope,
            connections: connections.clone(),
        }
    }

    fn wrap(&self, id: ConnectionId, inner: THandler<B>) -> Result<Handler<THandler<B>>, ConnectionDenied> {
        let shared = self.connections.get(id);
        let shared = shared.ok_or_else(|| ConnectionDenied::new(Unknown))?;
        Ok(Handler::new(inner, self.scope, shared))
    }
}

impl<B> Deref for Gated<B> {
    type Target = B;

    fn deref(&self) -> &B {
        &self.inner
    }
}

impl<B> DerefMut for Gated<B> {
    fn deref_mut(&mut self) -> &mut B {
        &mut self.inner
    }
}

impl<B: NetworkBehaviour> NetworkBehaviour for Gated<B> {
    type ConnectionHandler = Handler<THandler<B>>;
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
        let inner = self
            .inner
            .handle_established_inbound_connection(id, peer, local, remote)?;
        self.wrap(id, inner)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.inner
            .handle_pending_outbound_connection(id, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let inner = self
            .inner
            .handle_established_outbound_connection(id, peer, address, role, port)?;
        self.wrap(id, inner)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, event: THandlerOutEvent<Self>) {
        self.inner.on_connection_handler_event(peer, id, event);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<B::ToSwarm, THandlerInEvent<Self>>> {
        self.inner.poll(cx)
    }
}
