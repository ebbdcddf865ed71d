//! What does one connection do with its streams?

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::channel::mpsc;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use libp2p::StreamProtocol;
use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound, ProtocolsChange,
};
use libp2p::swarm::{ConnectionHandler, ConnectionHandlerEvent, StreamUpgradeError, SubstreamProtocol};
use rustle_types::Direction;
use rustle_wire::Control;
use tokio::sync::oneshot;

use super::ControlEvent;
use super::control::ControlStream;
use super::negotiate::{Accept, Offer};
use super::routes::Routes;
use crate::admission::{Scope, Shared};
use crate::config::{CONTROL_PROTOCOL, STREAM_ACCEPT_TIMEOUT, STREAM_OPEN_TIMEOUT, STREAMS_OPENING_MAX};
use crate::{ControlError, OpenError, Stream};

/// What a connection is told to do.
#[derive(Debug)]
pub(crate) enum Order {
    Send(Box<Control>),
    /// Send the message, then close the connection.
    Part(Box<Control>),
    Keep(bool),
}

/// Somebody wants a stream.
#[derive(Debug)]
pub(crate) struct OpenRequest {
    /// The most wanted first; at least one.
    pub(crate) protocols: Vec<StreamProtocol>,
    pub(crate) reply: oneshot::Sender<Result<(Stream, String), OpenError>>,
}

/// Who gets an outbound stream.
pub(crate) enum Opening {
    Control,
    Raw(oneshot::Sender<Result<(Stream, String), OpenError>>),
}

/// The part of a connection that is ours.
pub(crate) struct Handler {
    routes: Arc<Routes>,
    shared: Arc<Shared>,
    control: ControlStream,
    control_requested: bool,
    /// Until it is settled what the connection is served.
    settling: Option<BoxFuture<'static, ()>>,
    orders: mpsc::Receiver<Order>,
    requests: mpsc::Receiver<OpenRequest>,
    opening: usize,
    keep: bool,
}

type HandlerEvent = ConnectionHandlerEvent<Offer, Opening, ControlEvent>;

// === impl Handler ===

impl Handler {
    pub(super) fn new(
        routes: Arc<Routes>,
        shared: Arc<Shared>,
        orders: mpsc::Receiver<Order>,
        requests: mpsc::Receiver<OpenRequest>,
        write_stall: Duration,
    ) -> Self {
        let settled = Arc::clone(&shared);
        let settling = async move {
            // What it is served concerns others.
            let _ = settled.settled(Scope::Own).await;
        };
        Self {
            routes,
            shared,
            settling: Some(settling.boxed()),
            control: ControlStream::new(write_stall),
            control_requested: false,
            orders,
            requests,
            opening: 0,
            keep: true,
        }
    }

    /// One that opens nothing, keeps nothing, and ends with its connection.
    pub(super) fn mute(routes: Arc<Routes>, shared: Arc<Shared>, write_stall: Duration) -> Self {
        let (orders, requests) = (mpsc::channel(1).1, mpsc::channel(1).1);
        Self {
            control_requested: true,
            keep: false,
            ..Self::new(routes, shared, orders, requests, write_stall)
        }
    }

    fn on_order(&mut self, order: Order) {
        match order {
            Order::Send(message) => self.control.send(message),
            Order::Part(message) => self.control.part(message),
            Order::Keep(keep) => self.keep = keep,
        }
    }

    /// A control stream from the peer: right once, and only where the peer dialled.
    fn on_control_stream(&mut self, stream: Stream) {
        if self.shared.direction == Direction::Inbound && self.control.is_awaited() {
            self.control.on_opened(stream);
        } else {
            self.shared
                .counts()
                .surplus_control
                .fetch_add(1, Ordering::Relaxed);
            tracing::debug!(peer = %self.shared.peer, "refused a surplus control stream");
        }
    }

    fn on_open_failed(&mut self, opening: Opening, error: StreamUpgradeError<Infallible>) {
        let error = match error {
            StreamUpgradeError::Timeout => OpenError::Timeout,
            StreamUpgradeError::NegotiationFailed => OpenError::Unsupported,
            StreamUpgradeError::Io(error) => OpenError::Io(error.to_string()),
            StreamUpgradeError::Apply(never) => match never {},
        };
        let counts = self.shared.counts();
        let count = if error == OpenError::Unsupported {
            &counts.unsupported
        } else {
            &counts.unopened
        };
        count.fetch_add(1, Ordering::Relaxed);
        match opening {
            Opening::Raw(reply) => {
                self.opening -= 1;
                // The asker may have given up meanwhile.
                let _ = reply.send(Err(error));
            }
            Opening::Control if error == OpenError::Unsupported => self.control.on_unsupported(),
            Opening::Control => self.control.on_broken(ControlError::Io(error.to_string())),
        }
    }

    fn request(protocols: Vec<StreamProtocol>, opening: Opening) -> Poll<HandlerEvent> {
        let protocol =
            SubstreamProtocol::new(Offer { names: protocols }, opening).with_timeout(STREAM_OPEN_TIMEOUT);
        Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol })
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = ControlEvent;
    type InboundProtocol = Accept;
    type OutboundProtocol = Offer;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Opening;

    fn listen_protocol(&self) -> SubstreamProtocol<Accept> {
        let accept = Accept {
            routes: Arc::clone(&self.routes),
            shared: Arc::clone(&self.shared),
        };
        SubstreamProtocol::new(accept, ()).with_timeout(STREAM_ACCEPT_TIMEOUT)
    }

    fn connection_keep_alive(&self) -> bool {
        self.keep
    }

    fn on_behaviour_event(&mut self, never: Infallible) {
        match never {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<HandlerEvent> {
        if self.shared.direction == Direction::Outbound && !self.control_requested {
            self.control_requested = true;
            return Self::request(vec![StreamProtocol::new(CONTROL_PROTOCOL)], Opening::Control);
        }
        while let Poll::Ready(Some(order)) = self.orders.poll_next_unpin(cx) {
            self.on_order(order);
        }
        if let Some(settling) = &mut self.settling
            && settling.poll_unpin(cx).is_ready()
        {
            self.settling = None;
        }
        if let Poll::Ready(event) = self.control.poll(cx, self.settling.is_none()) {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(event));
        }
        if self.opening < STREAMS_OPENING_MAX
            && let Poll::Ready(Some(request)) = self.requests.poll_next_unpin(cx)
        {
            self.opening += 1;
            return Self::request(request.protocols, Opening::Raw(request.reply));
        }
        Poll::Pending
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Accept, Offer, (), Opening>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: control, ..
            }) => {
                control
                    .into_iter()
                    .for_each(|stream| self.on_control_stream(stream));
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol, info }) => {
                let (stream, protocol) = protocol;
                match info {
                    Opening::Control if self.control.is_awaited() => self.control.on_opened(stream),
                    Opening::Control => {}
                    Opening::Raw(reply) => {
                        self.opening -= 1;
                        // Where the asker has given up, dropping the stream resets it.
                        let _ = reply.send(Ok((stream, protocol.to_string())));
                    }
                }
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                self.on_open_failed(info, error)
            }
            ConnectionEvent::RemoteProtocolsChange(ProtocolsChange::Added(mut added)) => {
                // Identify has told all that the peer speaks. A dialer that does not speak ours will never open it.
                let speaks = added.any(|protocol| protocol.as_ref() == CONTROL_PROTOCOL);
                if self.shared.direction == Direction::Inbound && self.control.is_awaited() && !speaks {
                    self.control.on_unsupported();
                }
            }
            // The rest concerns other handlers of the connection, or streams that never came to be.
            _ => {}
        }
    }
}
