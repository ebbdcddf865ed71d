//! How is a behaviour of libp2p kept within bounds that it does not have itself?

use std::collections::VecDeque;
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use rustle_types::{Multiaddr, PeerId};

/// A behaviour, and the rules about what reaches it and what it may do.
pub(crate) struct Around<B, R> {
    pub(super) inner: B,
    pub(super) rules: R,
    closing: VecDeque<(PeerId, ConnectionId)>,
}

/// What is different about a behaviour; by default nothing.
pub(crate) trait Rules<B> {
    /// Whether the behaviour hears of an event of the swarm.
    fn hears(&mut self, _inner: &mut B, _event: &FromSwarm<'_>) -> bool {
        true
    }

    /// What becomes of an event of a connection.
    fn on_connection(&mut self, _id: ConnectionId) -> Fate {
        Fate::Pass
    }

    /// The behaviour tells a connection something.
    fn on_notice(&mut self, _id: ConnectionId) {}

    /// The behaviour is about to dial.
    fn on_dial(&mut self, _id: ConnectionId) {}

    /// Whether a dial to these addresses may go on, whoever wanted it.
    fn allows(&mut self, _id: ConnectionId, _addresses: &[Multiaddr]) -> bool {
        true
    }
}

/// What becomes of an event of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The behaviour gets it.
    Pass,
    /// It gets it, and the connection has served its purpose.
    PassAndClose,
    /// It does not hear of it.
    Drop,
}

/// A dial that goes against the rules.
#[derive(Debug, thiserror::Error)]
#[error("the peer asked for a dial that is refused")]
struct Refused;

// === impl Around ===

impl<B: NetworkBehaviour, R: Rules<B>> Around<B, R> {
    pub(super) fn new(inner: B, rules: R) -> Self {
        Self {
            inner,
            rules,
            closing: VecDeque::new(),
        }
    }
}

impl<B: NetworkBehaviour, R: Rules<B> + 'static> NetworkBehaviour for Around<B, R> {
    type ConnectionHandler = THandler<B>;
    type ToSwarm = B::ToSwarm;

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<B>, ConnectionDenied> {
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
        if !self.rules.allows(id, addresses) {
            return Err(ConnectionDenied::new(Refused));
        }
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
    ) -> Result<THandler<B>, ConnectionDenied> {
        self.inner
            .handle_established_outbound_connection(id, peer, address, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if self.rules.hears(&mut self.inner, &event) {
            self.inner.on_swarm_event(event);
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, event: THandlerOutEvent<B>) {
        let fate = self.rules.on_connection(id);
        if fate != Fate::Drop {
            self.inner.on_connection_handler_event(peer, id, event);
        }
        if fate == Fate::PassAndClose {
            self.closing.push_back((peer, id));
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<B::ToSwarm, THandlerInEvent<B>>> {
        // The swarm polls after each event of a connection, so that none waits here.
        if let Some((peer_id, id)) = self.closing.pop_front() {
            let connection = CloseConnection::One(id);
            return Poll::Ready(ToSwarm::CloseConnection { peer_id, connection });
        }
        let polled = self.inner.poll(cx);
        match &polled {
            Poll::Ready(ToSwarm::Dial { opts }) => self.rules.on_dial(opts.connection_id()),
            Poll::Ready(ToSwarm::NotifyHandler {
                handler: NotifyHandler::One(id),
                ..
            }) => self.rules.on_notice(*id),
            _ => {}
        }
        polled
    }
}
