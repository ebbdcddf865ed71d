//! A peer that speaks the control protocol badly.

use std::convert::Infallible;
use std::future::{Pending, pending};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::{AsyncWriteExt, FutureExt, StreamExt};
use libp2p::core::upgrade::{DeniedUpgrade, OutboundUpgrade, UpgradeInfo};
use libp2p::core::{Endpoint, transport::PortUse};
use libp2p::swarm::handler::{
    ConnectionEvent, ConnectionHandler, ConnectionHandlerEvent, FullyNegotiatedOutbound, SubstreamProtocol,
};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Swarm, SwarmBuilder, noise, tcp, yamux};
use rustle_net::{CONTROL_PROTOCOL, Stream};
use rustle_types::{Multiaddr, PeerId};
use tokio::task::JoinHandle;

/// A swarm of plain libp2p.
pub(crate) fn swarm<B: NetworkBehaviour>(
    behaviour: impl FnOnce(&libp2p::identity::Keypair) -> B,
) -> Swarm<B> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(behaviour)
        .unwrap()
        .build()
}

/// Opens a control stream on each connection, writes some bytes, and closes the stream or keeps it open for ever.
pub(crate) struct Rude {
    bytes: Vec<u8>,
    close: bool,
}

pub(crate) struct RudeHandler(Option<RudeUpgrade>);

#[derive(Clone)]
pub(crate) struct RudeUpgrade {
    bytes: Vec<u8>,
    close: bool,
}

impl UpgradeInfo for RudeUpgrade {
    type Info = &'static str;
    type InfoIter = [&'static str; 1];

    fn protocol_info(&self) -> Self::InfoIter {
        [CONTROL_PROTOCOL]
    }
}

impl OutboundUpgrade<Stream> for RudeUpgrade {
    type Output = Stream;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Stream, Infallible>>;

    fn upgrade_outbound(self, mut stream: Stream, _: &'static str) -> Self::Future {
        async move {
            // The other side may have hung up before all is written, which is what it should do.
            let _ = stream.write_all(&self.bytes).await;
            let _ = stream.flush().await;
            if !self.close {
                let never: Pending<()> = pending();
                never.await;
            }
            let _ = stream.close().await;
            Ok(stream)
        }
        .boxed()
    }
}

impl ConnectionHandler for RudeHandler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Infallible;
    type InboundProtocol = DeniedUpgrade;
    type OutboundProtocol = RudeUpgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<DeniedUpgrade> {
        SubstreamProtocol::new(DeniedUpgrade, ())
    }

    fn connection_keep_alive(&self) -> bool {
        true
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<RudeUpgrade, (), Infallible>> {
        match self.0.take() {
            Some(upgrade) => Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest {
                protocol: SubstreamProtocol::new(upgrade, ()),
            }),
            None => Poll::Pending,
        }
    }

    fn on_behaviour_event(&mut self, never: Infallible) {
        match never {}
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, DeniedUpgrade, RudeUpgrade>) {
        if let ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
            protocol: stream, ..
        }) = event
        {
            drop(stream);
        }
    }
}

impl NetworkBehaviour for Rude {
    type ConnectionHandler = RudeHandler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<RudeHandler, ConnectionDenied> {
        Ok(RudeHandler(None))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<RudeHandler, ConnectionDenied> {
        Ok(RudeHandler(Some(RudeUpgrade {
            bytes: self.bytes.clone(),
            close: self.close,
        })))
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, never: THandlerOutEvent<Self>) {
        match never {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

/// Dials, writes `bytes` on a control stream, and closes that or neither closes nor reads it, until it is aborted.
pub(crate) fn dial(to: &Multiaddr, bytes: &[u8], close: bool) -> JoinHandle<()> {
    let bytes = bytes.to_vec();
    let mut rude = swarm(|_| Rude { bytes, close });
    rude.dial(to.clone()).unwrap();
    tokio::spawn(async move {
        loop {
            rude.select_next_some().await;
        }
    })
}
