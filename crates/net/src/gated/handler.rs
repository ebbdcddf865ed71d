//! What does a protocol see of a connection that may not be admitted yet?

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::FutureExt;
use futures::future::BoxFuture;
use libp2p::core::upgrade::{InboundUpgrade, UpgradeInfo};
use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, InboundUpgradeSend, ListenUpgradeError,
    UpgradeInfoSend,
};
use libp2p::swarm::{ConnectionHandler, ConnectionHandlerEvent, StreamUpgradeError, SubstreamProtocol};

use crate::Stream;
use crate::admission::{Scope, Shared};

/// The handler of a protocol, behind the door of its connection.
pub(crate) struct Handler<H> {
    inner: H,
    scope: Scope,
    shared: Arc<Shared>,
    door: Door,
}

/// Whether the protocol takes part in a connection.
enum Door {
    /// Nobody knows yet. Closed => (Open | Shut).
    Closed(BoxFuture<'static, bool>),
    Open,
    /// It does not, for good.
    Shut,
}

/// An inbound stream of the protocol, which goes on once it is served.
pub(crate) struct Served<U> {
    inner: U,
    scope: Scope,
    shared: Arc<Shared>,
}

type Event<H> = ConnectionHandlerEvent<
    <H as ConnectionHandler>::OutboundProtocol,
    <H as ConnectionHandler>::OutboundOpenInfo,
    <H as ConnectionHandler>::ToBehaviour,
>;

// === impl Handler ===

impl<H: ConnectionHandler> Handler<H> {
    pub(super) fn new(inner: H, scope: Scope, shared: Arc<Shared>) -> Self {
        let settled = Arc::clone(&shared);
        Self {
            inner,
            scope,
            shared,
            door: Door::Closed(async move { settled.settled(scope).await }.boxed()),
        }
    }
}

impl<H: ConnectionHandler> ConnectionHandler for Handler<H> {
    type FromBehaviour = H::FromBehaviour;
    type ToBehaviour = H::ToBehaviour;
    type InboundProtocol = Served<H::InboundProtocol>;
    type OutboundProtocol = H::OutboundProtocol;
    type InboundOpenInfo = H::InboundOpenInfo;
    type OutboundOpenInfo = H::OutboundOpenInfo;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol, Self::InboundOpenInfo> {
        // The names are told at all times: a peer that is told none gives the protocol up for good.
        self.inner.listen_protocol().map_upgrade(|inner| Served {
            inner,
            scope: self.scope,
            shared: Arc::clone(&self.shared),
        })
    }

    fn connection_keep_alive(&self) -> bool {
        self.inner.connection_keep_alive()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Event<H>> {
        if let Door::Closed(settled) = &mut self.door {
            let open = ready!(settled.poll_unpin(cx));
            self.door = if open { Door::Open } else { Door::Shut };
        }
        loop {
            match (ready!(self.inner.poll(cx)), &self.door) {
                (ConnectionHandlerEvent::OutboundSubstreamRequest { protocol }, Door::Shut) => {
                    let (_, info) = protocol.into_upgrade();
                    let error = StreamUpgradeError::NegotiationFailed;
                    let refused = DialUpgradeError { info, error };
                    self.inner
                        .on_connection_event(ConnectionEvent::DialUpgradeError(refused));
                }
                (event, _) => return Poll::Ready(event),
            }
        }
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Option<H::ToBehaviour>> {
        self.inner.poll_close(cx)
    }

    fn on_behaviour_event(&mut self, event: H::FromBehaviour) {
        self.inner.on_behaviour_event(event);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<
            '_,
            Self::InboundProtocol,
            H::OutboundProtocol,
            H::InboundOpenInfo,
            H::OutboundOpenInfo,
        >,
    ) {
        self.inner.on_connection_event(match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, info }) => {
                // One that was refused never was, so that the protocol does not count it as a failure.
                let Some(protocol) = protocol else { return };
                ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, info })
            }
            ConnectionEvent::ListenUpgradeError(ListenUpgradeError { info, error }) => {
                ConnectionEvent::ListenUpgradeError(ListenUpgradeError { info, error })
            }
            ConnectionEvent::FullyNegotiatedOutbound(it) => ConnectionEvent::FullyNegotiatedOutbound(it),
            ConnectionEvent::DialUpgradeError(it) => ConnectionEvent::DialUpgradeError(it),
            ConnectionEvent::AddressChange(it) => ConnectionEvent::AddressChange(it),
            ConnectionEvent::LocalProtocolsChange(it) => ConnectionEvent::LocalProtocolsChange(it),
            ConnectionEvent::RemoteProtocolsChange(it) => ConnectionEvent::RemoteProtocolsChange(it),
            // The swarm has no others today.
            _ => return,
        });
    }
}

// === impl Served ===

impl<U: UpgradeInfoSend> UpgradeInfo for Served<U> {
    type Info = U::Info;
    type InfoIter = U::InfoIter;

    fn protocol_info(&self) -> U::InfoIter {
        self.inner.protocol_info()
    }
}

impl<U: InboundUpgradeSend> InboundUpgrade<Stream> for Served<U> {
    /// Nothing where the stream was refused.
    type Output = Option<U::Output>;
    type Error = U::Error;
    type Future = BoxFuture<'static, Result<Option<U::Output>, U::Error>>;

    fn upgrade_inbound(self, stream: Stream, name: U::Info) -> Self::Future {
        async move {
            if self.shared.serves(self.scope).await {
                return self.inner.upgrade_inbound(stream, name).await.map(Some);
            }
            tracing::debug!(peer = %self.shared.peer, protocol = name.as_ref(), "refused a stream");
            Ok(None)
        }
        .boxed()
    }
}
