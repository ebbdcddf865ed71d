//! Peers that are no nodes of ours: a plain libp2p swarm, and one that speaks the control protocol badly.

use std::convert::Infallible;
use std::future::{Pending, pending};

use futures::future::BoxFuture;
use futures::{AsyncWriteExt, FutureExt, StreamExt};
use libp2p::core::upgrade::{DeniedUpgrade, OutboundUpgrade, UpgradeInfo};
use libp2p::core::{Endpoint, transport::PortUse};
use libp2p::swarm::handler::{
    ConnectionEvent, ConnectionHandler, ConnectionHandlerEvent, FullyNegotiatedOutbound, SubstreamProtocol,
};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, SwarmEvent, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};
use libp2p::{Swarm, SwarmBuilder, identify, noise, tcp, yamux};
use rustle_net::{CONTROL_PROTOCOL, Command, ControlError, Event, Stream};
use rustle_types::{Multiaddr, PeerId};
use rustle_wire::frame::FrameError;
use std::task::{Context, Poll};
use tokio::sync::oneshot;

use crate::peer::{Peer, TCP, config, within};

fn swarm<B: NetworkBehaviour>(behaviour: impl FnOnce(&libp2p::identity::Keypair) -> B) -> Swarm<B> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(behaviour)
        .unwrap()
        .build()
}

/// A swarm that speaks identify and nothing else, running in the background.
async fn plain(dial: Option<Multiaddr>) -> (PeerId, Multiaddr) {
    let mut swarm =
        swarm(|key| identify::Behaviour::new(identify::Config::new("/plain/1".to_owned(), key.public())));
    swarm.listen_on(TCP.parse().unwrap()).unwrap();
    let (listening, address) = oneshot::channel();
    let id = *swarm.local_peer_id();
    tokio::spawn(async move {
        let mut listening = Some(listening);
        if let Some(address) = dial {
            swarm.dial(address).unwrap();
        }
        loop {
            if let (SwarmEvent::NewListenAddr { address, .. }, Some(listening)) =
                (swarm.select_next_some().await, listening.take())
            {
                let _ = listening.send(address);
            }
        }
    });
    (id, within("the plain swarm", address).await.unwrap())
}

#[tokio::test]
async fn a_plain_swarm_that_we_dial_is_foreign() {
    let mut node = Peer::start(config(TCP)).await;
    let (foreign, address) = plain(None).await;

    node.send(Command::Dial {
        request: 1,
        peer: Some(foreign),
        addresses: vec![address],
    })
    .await;

    node.wait("unsupported", |event| match event {
        Event::ControlUnsupported { .. } => Some(()),
        _ => None,
    })
    .await;
}

#[tokio::test]
async fn a_plain_swarm_that_dials_us_is_foreign() {
    let mut node = Peer::start(config(TCP)).await;
    let (foreign, _) = plain(Some(node.address.clone())).await;

    let connected = node
        .wait("connected", |event| match event {
            Event::Connected { connection, peer, .. } if *peer == foreign => Some(*connection),
            _ => None,
        })
        .await;
    let unsupported = node
        .wait("unsupported", |event| match event {
            Event::ControlUnsupported { connection } => Some(*connection),
            _ => None,
        })
        .await;
    assert_eq!(unsupported, connected);
}

/// Opens a control stream on each connection, writes some bytes, and closes the stream or keeps it open for ever.
struct Rude {
    bytes: &'static [u8],
    close: bool,
}

struct RudeHandler(Option<RudeUpgrade>);

#[derive(Clone)]
struct RudeUpgrade {
    bytes: &'static [u8],
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
            let _ = stream.write_all(self.bytes).await;
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
            bytes: self.bytes,
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

/// What becomes of the control stream on which a peer writes `bytes`.
async fn error_after(bytes: &'static [u8], close: bool) -> ControlError {
    let mut node = Peer::start(config(TCP)).await;
    let mut rude = swarm(|_| Rude { bytes, close });
    rude.dial(node.address.clone()).unwrap();
    let running = tokio::spawn(async move {
        loop {
            rude.select_next_some().await;
        }
    });

    let error = node
        .wait("broken", |event| match event {
            Event::ControlBroken { error, .. } => Some(error.clone()),
            Event::Control { message, .. } => panic!("took {message:?}"),
            _ => None,
        })
        .await;
    running.abort();
    error
}

#[tokio::test]
async fn an_oversize_frame_breaks_the_control_stream_before_its_body() {
    let error = error_after(&[0x81, 0x08], false).await;
    assert_eq!(
        error,
        ControlError::Frame(FrameError::Oversize {
            length: 1025,
            max: 1024
        })
    );
}

#[tokio::test]
async fn malformed_messages_and_early_ends_break_the_control_stream() {
    assert!(matches!(
        error_after(&[3, 0xff, 0xff, 0xff], false).await,
        ControlError::Message(_)
    ));
    assert!(matches!(error_after(&[0], false).await, ControlError::Message(_)));
    assert_eq!(
        error_after(&[0xff; 11], false).await,
        ControlError::Frame(FrameError::BadLength)
    );
    assert_eq!(error_after(&[9, 1], true).await, ControlError::Closed);
}
